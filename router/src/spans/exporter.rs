//! Hands spans over to the collector, batch by batch, on the control thread.
//!
//! A batch is what has come within [`GATHER`], or [`BATCH`] requests. One that cannot be handed over is tried again after a
//! pause, [`TRIES`] times in all, and then given up. Pauses grow while the collector is away, and end with its first answer.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

use super::{
    Finished, SpanCounts,
    made::spans,
    otlp::{Any, Attribute, EXPORT, Export, Exported, Resource, ResourceSpans, Scope, ScopeSpans, Value},
};
use crate::{config::Tracing, seldom::Seldom};

/// Most requests in a batch: some 4,000 spans.
const BATCH: usize = 512;
/// How long a batch that is not full waits for more.
const GATHER: Duration = Duration::from_secs(1);
/// Connecting, and an answer, must come within this time.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a batch is tried.
const TRIES: u32 = 5;
/// Between two tries: the first time, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(30)];

static TROUBLE: Seldom = Seldom::new();

/// See the module's header.
#[derive(Debug)]
pub struct Exporter {
    endpoint: String,
    resource: Resource,
    finished: mpsc::Receiver<Finished>,
    counts: Arc<SpanCounts>,
    pause: Duration,
}

// === Exporter ===

impl Exporter {
    pub(super) fn new(
        tracing: &Tracing,
        finished: mpsc::Receiver<Finished>,
        counts: Arc<SpanCounts>,
    ) -> Self {
        let text = |key: &str, value: String| Attribute {
            key: key.to_owned(),
            value: Some(Any { value: Some(Value::Text(value)) }),
        };
        let attributes = vec![
            text("service.name", tracing.service_name.clone()),
            text("service.version", env!("CARGO_PKG_VERSION").to_owned()),
            text("service.instance.id", format!("{:032x}", fastrand::u128(..))),
        ];
        let resource = Resource { attributes };
        Self { endpoint: tracing.endpoint.clone(), resource, finished, counts, pause: PAUSES[0] }
    }

    /// Runs until every worker has ended, and hands over what they have left.
    pub async fn run(mut self) {
        // It was checked with the other settings.
        let Ok(endpoint) = Endpoint::from_shared(self.endpoint.clone()) else { return };
        let channel = endpoint.connect_timeout(PATIENCE).timeout(PATIENCE).connect_lazy();
        let mut client = Grpc::new(channel);
        loop {
            let batch = self.gather().await;
            if batch.is_empty() {
                return;
            }
            self.hand_over(&mut client, &batch).await;
        }
    }

    /// The next batch; empty: nothing will come.
    async fn gather(&mut self) -> Vec<Finished> {
        let mut batch = Vec::new();
        if self.finished.recv_many(&mut batch, BATCH).await == 0 {
            return batch;
        }
        let full = async {
            loop {
                let room = BATCH - batch.len();
                // Nothing is taken where there is no room, nor where nothing will come.
                if self.finished.recv_many(&mut batch, room).await == 0 {
                    return;
                }
            }
        };
        let _ = timeout(GATHER, full).await;
        batch
    }

    async fn hand_over(&mut self, client: &mut Grpc<Channel>, batch: &[Finished]) {
        let requests = batch.len() as u64;
        let export = self.export(batch);
        for tried in 1..=TRIES {
            match call(client, export.clone()).await {
                Ok(exported) => {
                    self.pause = PAUSES[0];
                    self.counts.exported.fetch_add(requests, Relaxed);
                    return self.tell_of_rest(&exported);
                }
                Err(status) => {
                    self.complain(&status);
                    if tried == TRIES || !may_pass(status.code()) {
                        break;
                    }
                    // Not at once with all the others that lost it.
                    sleep(self.pause.mul_f32(0.5 + fastrand::f32())).await;
                    self.pause = (2 * self.pause).min(PAUSES[1]);
                }
            }
        }
        self.counts.failed.fetch_add(requests, Relaxed);
    }

    fn export(&self, batch: &[Finished]) -> Export {
        let scope = Scope { name: "warmlane".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() };
        let spans = batch.iter().flat_map(spans).collect();
        let scopes = vec![ScopeSpans { scope: Some(scope), spans }];
        Export { resources: vec![ResourceSpans { resource: Some(self.resource.clone()), scopes }] }
    }

    fn complain(&self, status: &Status) {
        if let Some(not_logged) = TROUBLE.is_due() {
            tracing::warn!(
                not_logged, collector = %self.endpoint,
                "spans cannot be handed over ({:?}: {}); is it an OTLP collector's gRPC port?", status.code(), status.message()
            );
        }
    }

    fn tell_of_rest(&self, exported: &Exported) {
        if let Some(partial) = exported.partial.as_ref().filter(|partial| partial.rejected > 0)
            && let Some(not_logged) = TROUBLE.is_due()
        {
            let (rejected, why) = (partial.rejected, &partial.why);
            tracing::warn!(not_logged, collector = %self.endpoint, rejected, "the collector takes not all spans: {why}");
        }
    }
}

async fn call(client: &mut Grpc<Channel>, export: Export) -> Result<Exported, Status> {
    let calling = async {
        client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = PathAndQuery::from_static(EXPORT);
        client.unary(Request::new(export), path, ProstCodec::<Export, Exported>::default()).await
    };
    let answer = timeout(PATIENCE, calling).await;
    answer
        .unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer in time")))
        .map(tonic::Response::into_inner)
}

/// Whether what the collector says may pass, as OTLP has it.
fn may_pass(code: Code) -> bool {
    match code {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::ResourceExhausted
        | Code::DataLoss
        // What an HTTP/2 connection that broke comes to.
        | Code::Unknown => true,
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Unimplemented
        | Code::Internal
        | Code::Unauthenticated => false,
    }
}
