//! A collector: takes spans by the published definitions, or does as a test says.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, async_trait, transport::Server};
use warmlane_tests::eventually;

/// What it does with what it gets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Manner {
    /// Keeps it.
    #[default]
    Takes,
    /// Never answers.
    Hangs,
    /// Says that it is busy.
    Busy,
    /// Says that it will never take it.
    Refuses,
    /// Says that it has not taken one span.
    Partly,
}

#[derive(Debug, Default)]
struct Taken {
    manner: Manner,
    calls: usize,
    requests: Vec<ExportTraceServiceRequest>,
}

/// See the module's header.
pub(super) struct Collector {
    pub(super) address: SocketAddr,
    taken: Arc<Mutex<Taken>>,
    runtime: Option<Runtime>,
}

struct Service(Arc<Mutex<Taken>>);

// === Collector ===

impl Collector {
    pub(super) fn start() -> Self {
        Self::on("127.0.0.1:0".parse().expect("an address"), Manner::Takes)
    }

    pub(super) fn on(address: SocketAddr, manner: Manner) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime");
        let listener = runtime.block_on(TcpListener::bind(address)).expect("bind");
        let address = listener.local_addr().expect("address");
        let taken = Arc::new(Mutex::new(Taken { manner, ..Taken::default() }));
        let service = TraceServiceServer::new(Service(taken.clone()));
        let incoming = TcpListenerStream::new(listener);
        runtime.spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        Self { address, taken, runtime: Some(runtime) }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn behave(&self, manner: Manner) {
        self.taken().manner = manner;
    }

    pub(super) fn calls(&self) -> usize {
        self.taken().calls
    }

    /// What is said of whom spans are of.
    pub(super) fn resource(&self) -> BTreeMap<String, String> {
        let taken = self.taken();
        let resource = taken.requests[0].resource_spans[0].resource.clone().expect("a resource");
        assert_eq!(
            taken.requests[0].resource_spans[0].scope_spans[0].scope.as_ref().expect("a scope").name,
            "warmlane"
        );
        shown(&resource.attributes)
    }

    pub(super) fn spans(&self) -> Vec<Span> {
        let taken = self.taken();
        let resources = taken.requests.iter().flat_map(|request| &request.resource_spans);
        resources.flat_map(|resource| &resource.scope_spans).flat_map(|scope| scope.spans.clone()).collect()
    }

    /// The spans of the request with this id, once they are there; the server's is the first.
    pub(super) fn of(&self, request_id: &str) -> Vec<Span> {
        let is_it =
            |span: &Span| attributes(span).get("warmlane.request_id").is_some_and(|id| id == request_id);
        eventually("its spans come", || self.spans().iter().any(is_it));
        let (all, server) = (self.spans(), self.spans().into_iter().find(is_it).expect("it is there"));
        let mut spans = vec![server.clone()];
        spans.extend(
            all.into_iter().filter(|span| span.trace_id == server.trace_id && span.span_id != server.span_id),
        );
        spans
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        // What listens there goes with its runtime's thread, a moment later.
        eventually("nobody listens there", || std::net::TcpStream::connect(self.address).is_err());
    }
}

#[async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let manner = {
            let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            taken.calls += 1;
            if matches!(taken.manner, Manner::Takes | Manner::Partly) {
                taken.requests.push(request.into_inner());
            }
            taken.manner
        };
        let partial = ExportTracePartialSuccess { rejected_spans: 1, error_message: "too old".to_owned() };
        match manner {
            Manner::Takes => Ok(Response::new(ExportTraceServiceResponse::default())),
            Manner::Partly => {
                Ok(Response::new(ExportTraceServiceResponse { partial_success: Some(partial) }))
            }
            Manner::Hangs => std::future::pending().await,
            Manner::Busy => Err(Status::unavailable("busy")),
            Manner::Refuses => Err(Status::invalid_argument("no")),
        }
    }
}

/// A span's attributes as text; of a list its only text.
pub(super) fn attributes(span: &Span) -> BTreeMap<String, String> {
    shown(&span.attributes)
}

fn shown(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::ArrayValue(list) => match list.values[0].value.as_ref() {
            Some(Value::StringValue(text)) => format!("[{text}]"),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    let value =
        |pair: &KeyValue| text(pair.value.as_ref().and_then(|any| any.value.as_ref()).expect("a value"));
    attributes.iter().map(|pair| (pair.key.clone(), value(pair))).collect()
}
