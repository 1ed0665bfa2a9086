//! The front for Envoy: the endpoint picker of the Gateway API Inference Extension, over Envoy's external processing
//! protocol. Envoy holds the client's connection and the endpoint's; it asks here where a request should go.
//!
//! One gRPC stream per request: [`phase`] says what is due, a session does it, and the request is read, admitted and picked
//! for as everywhere ([`crate::path`]). A stream is answered from the task that reads it: no queue, no second task.
//! gRPC health is served on the same port, since gateways check the cluster that they ask.
//!
//! Bounds: streams by `limits.connections`, with a place each; a message by 1 MiB over the body limit; bodies by the
//! process-wide budget; a connection without a stream by `timeouts.client_idle`.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::{
    Request, Response,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{join, split},
    time::Instant,
};
use tonic::{
    Status,
    codec::{BufferSettings, EncodeBody, SingleMessageCompressionOverride, Streaming},
    codegen::{
        Service,
        tokio_stream::{Stream, once},
    },
};
use tonic_health::pb::health_server::HealthServer;
use tonic_prost::ProstCodec;

use crate::{
    admin::health::Checks,
    error::Fault,
    front::{self, Front, Open, PING_INTERVAL, PING_TIMEOUT, Streams, Tasks, Transport},
    metrics::Listener,
    path::RequestId,
    seldom::Seldom,
    worker::Worker,
};
use arriving::{Arriving, Unfinished};
use messages::{ProcessingRequest, ProcessingResponse};
use paced::Paced;
use session::{Answers, Session};
use watched::Watched;

mod arriving;
mod inbound;
mod messages;
pub(crate) mod names;
mod paced;
pub mod phase;
mod pieces;
mod refusal;
mod reply;
mod restore;
mod routed;
mod session;
mod told;
mod watched;

/// The one call there is.
const PROCESS: &str = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";
/// What a message may have beside a body.
const OVERHEAD: u64 = 1024 * 1024;
/// Bytes of one stream, and of a connection, that may come before they are read: they are read at once. Half of the latter is
/// also what the HTTP/2 library lets small frames cost before they are taken, at some 250 bytes each.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// Bytes of answers on one stream that wait for Envoy to read.
const SEND_BUFFER: usize = 64 * 1024;
/// Messages are a few hundred bytes, but for bodies: room for one to begin with, and how much is sent at once.
const ROOM: usize = 1024;
const BATCH: usize = 32 * 1024;

/// Streams that Envoy resets before they are looked at; one more ends the connection. One connection carries all clients
/// of an Envoy, and they may leave all at once; floods are Envoy's to stop.
const RESET_UNSEEN: usize = 4096;

/// Gateways that ask for the first time.
static FIRST: Seldom = Seldom::new();
/// Those that leave it open which of several pools they ask for.
static POOLLESS: Seldom = Seldom::new();

type Answer = Response<Counted>;

/// An answer's body. The connection is not idle before its end.
struct Counted {
    body: Pin<Box<dyn Body<Data = Bytes, Error = Status>>>,
    _open: Open,
}

/// What the streams of a connection share.
struct Connection {
    front: Rc<Front>,
    streams: Rc<Streams>,
    watched: Watched,
    /// A pick was asked for.
    asked: Cell<bool>,
}

/// Serves one connection of Envoy's to its end.
pub(crate) async fn serve(front: &Rc<Front>, transport: Transport) {
    let tasks = Tasks::default();
    let streams = Rc::new(Streams::new(Instant::now()));
    let shared = Rc::new(Connection {
        front: front.clone(),
        streams,
        watched: Watched::default(),
        asked: Cell::default(),
    });
    {
        let service = service_fn(|request| answer(shared.clone(), request));
        let (reader, writer) = split(transport);
        let io = TokioIo::new(join(Paced::new(reader), writer));
        let connection = pin!(builder(front, &tasks).serve_connection(io, service));
        tokio::select! {
            () = front::keep(front, Listener::ExtProc, connection, &shared.streams) => {}
            never = shared.watched.watch() => match never {},
        }
    }
    // The connection is gone, and with it their clients: they only settle what was under way.
    tasks.finish().await;
}

fn builder(front: &Front, tasks: &Tasks) -> http2::Builder<Tasks> {
    let limits = &front.worker.config.limits;
    let mut builder = http2::Builder::new(tasks.clone());
    builder
        .max_concurrent_streams(u32::try_from(limits.connections).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(RESET_UNSEEN)
        // Streams that are broken off while Envoy still sends: its configuration's fault, or its clients', not a flood.
        .max_local_error_reset_streams(None)
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

async fn answer(shared: Rc<Connection>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let open = shared.streams.open();
    let answer = match request.uri().path() {
        PROCESS => process(&shared, request),
        path if path.starts_with("/grpc.health.v1.Health/") => {
            let worker = &shared.front.worker;
            let (world, shutdown) = (worker.world.clone(), worker.shutdown.clone());
            let answer = HealthServer::new(Checks { world, shutdown }).call(request).await?;
            answer.map(|body| Box::pin(body) as _)
        }
        path => refuse(Status::unimplemented(format!(
            "nothing at {path}; this port serves {PROCESS} and grpc.health.v1"
        ))),
    };
    Ok(answer.map(|body| Counted { body, _open: open }))
}

type Uncounted = Response<Pin<Box<dyn Body<Data = Bytes, Error = Status>>>>;

fn process(shared: &Connection, request: Request<Incoming>) -> Uncounted {
    let front = &shared.front;
    let Some(seat) = front.seats.take() else {
        return crowded(&front.worker);
    };
    let pool = request.headers().get(names::POOL).and_then(|name| name.to_str().ok()).map(str::to_owned);
    if !shared.asked.replace(true) {
        announce(&front.worker, pool.as_deref());
    }
    let limit = usize::try_from(front.worker.config.limits.body + OVERHEAD).ok();
    let decoder =
        ProstCodec::<ProcessingResponse, ProcessingRequest>::raw_decoder(BufferSettings::new(ROOM, BATCH));
    let unfinished = Unfinished::new(&front.worker.world.budget);
    let arriving = Arriving::new(request.into_body(), unfinished.clone());
    let incoming = Streaming::new_request(decoder, arriving, None, limit);
    let session = Session::new(front.worker.clone(), seat, incoming, unfinished, pool);
    let session = Rc::new(RefCell::new(session));
    shared.watched.add(&session);
    encoded(Answers(session))
}

/// Says that a gateway is there, and what it leaves open.
fn announce(worker: &Worker, pool: Option<&str>) {
    if let Some(not_logged) = FIRST.is_due() {
        tracing::info!(not_logged, "a gateway asks for picks over a new connection");
    }
    let pools = worker.world.pools.all().len();
    if pool.is_none()
        && pools > 1
        && let Some(not_logged) = POOLLESS.is_due()
    {
        tracing::warn!(
            not_logged,
            pools,
            "a gateway does not say which pool it asks for: its requests go by the model that they name, to the first pool that has \
             it; give each pool routers of its own, or have the extension server configure the gateway"
        );
    }
}

/// A request for which there is no place: its client is told, whatever the failure mode.
fn crowded(worker: &Worker) -> Uncounted {
    let fault = Fault::Crowded { limit: worker.config.limits.connections };
    worker.metrics.connection_refused(Listener::ExtProc);
    worker.metrics.request_done(Listener::ExtProc, fault.status());
    worker.metrics.error(Listener::ExtProc, fault.reason());
    let id = RequestId::made(worker.chooser.rng.borrow_mut().u128(..));
    encoded(once(Ok(refusal::immediate(&fault, None, &id))))
}

/// Messages as the body of an answer.
fn encoded(messages: impl Stream<Item = Result<ProcessingResponse, Status>> + 'static) -> Uncounted {
    let encoder =
        ProstCodec::<ProcessingResponse, ProcessingRequest>::raw_encoder(BufferSettings::new(ROOM, BATCH));
    let compression = SingleMessageCompressionOverride::Disable;
    let body = EncodeBody::new_server(encoder, messages, None, compression, None);
    let mut answer: Uncounted = Response::new(Box::pin(body));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    answer
}

fn refuse(status: Status) -> Uncounted {
    status.into_http::<tonic::body::Body>().map(|body| Box::pin(body) as _)
}

// === Counted ===

impl Body for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.body.as_mut().poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
