//! The front for Envoy: the endpoint picker of the Gateway API Inference Extension, over Envoy's external processing
//! protocol. Envoy holds the client's connection and the endpoint's; it asks here where a request should go.
//!
//! One gRPC stream per request: [`phase`] says what is due, a session does it, and the request is read, admitted and picked
//! for as everywhere ([`crate::path`]). A stream is answered from the task that reads it: no queue, no second task.
//! gRPC health is served on the same port, since gateways check the cluster that they ask.
//!
//! Bounds: streams by `limits.connections`, with a place each; a message by 1 MiB over the body limit; bodies by the
//! process-wide budget.

use std::{convert::Infallible, pin::Pin, pin::pin, rc::Rc};

use bytes::Bytes;
use http_body::Body;
use hyper::{
    Request, Response,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tonic::{
    Status,
    codec::{BufferSettings, EncodeBody, SingleMessageCompressionOverride, Streaming},
    codegen::Service,
};
use tonic_health::pb::health_server::HealthServer;
use tonic_prost::ProstCodec;

use crate::{
    admin::health::Checks,
    front::{Front, PING_INTERVAL, PING_TIMEOUT, Tasks, Transport},
    metrics::Listener,
};
use messages::{ProcessingRequest, ProcessingResponse};
use session::Session;

mod inbound;
mod messages;
pub mod phase;
mod refusal;
mod reply;
mod restore;
mod routed;
mod session;
mod tail;

/// The one call there is.
const PROCESS: &str = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";
/// What a message may have beside a body.
const OVERHEAD: u64 = 1024 * 1024;
/// Bytes of one stream, and of a connection, that may come before they are read: they are read at once.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// Bytes of answers on one stream that wait for Envoy to read.
const SEND_BUFFER: usize = 64 * 1024;
/// Messages are a few hundred bytes, but for bodies: room for one to begin with, and how much is sent at once.
const ROOM: usize = 1024;
const BATCH: usize = 32 * 1024;

type Answer = Response<Pin<Box<dyn Body<Data = Bytes, Error = Status>>>>;

/// Serves one connection of Envoy's to its end.
pub(crate) async fn serve(front: &Rc<Front>, transport: Transport) {
    let tasks = Tasks::default();
    let limits = &front.worker.config.limits;
    let service = service_fn(|request| answer(front.clone(), request));
    let mut builder = http2::Builder::new(tasks.clone());
    builder
        .max_concurrent_streams(u32::try_from(limits.connections).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(transport), service));
    let mut draining = front.worker.draining.subscribe();
    let mut drain = pin!(draining.wait_for(|draining| *draining));
    let mut told_to_go = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection of Envoy's ended by an error");
                }
                break;
            }
            _ = &mut drain, if !told_to_go => {
                // Envoy then asks elsewhere; streams that are open go on.
                told_to_go = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
    tasks.finish().await;
}

async fn answer(front: Rc<Front>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    match request.uri().path() {
        PROCESS => Ok(process(&front, request)),
        path if path.starts_with("/grpc.health.v1.Health/") => {
            let worker = &front.worker;
            let (world, draining) = (worker.world.clone(), worker.process_draining.clone());
            let answer = HealthServer::new(Checks { world, draining }).call(request).await?;
            Ok(answer.map(|body| Box::pin(body) as _))
        }
        path => Ok(refuse(Status::unimplemented(format!(
            "nothing at {path}; this port serves {PROCESS} and grpc.health.v1"
        )))),
    }
}

fn process(front: &Front, request: Request<Incoming>) -> Answer {
    let Some(seat) = front.seats.take() else {
        front.worker.metrics.connection_refused(Listener::ExtProc);
        return refuse(Status::resource_exhausted("limits.connections of the router is reached"));
    };
    let limit = usize::try_from(front.worker.config.limits.body + OVERHEAD).ok();
    let buffers = BufferSettings::new(ROOM, BATCH);
    let decoder = ProstCodec::<ProcessingResponse, ProcessingRequest>::raw_decoder(buffers);
    let encoder = ProstCodec::<ProcessingResponse, ProcessingRequest>::raw_encoder(buffers);
    let incoming = Streaming::new_request(decoder, request.into_body(), None, limit);
    let session = Session::new(front.worker.clone(), seat, incoming);
    let compression = SingleMessageCompressionOverride::Disable;
    let body = EncodeBody::new_server(encoder, session, None, compression, None);
    let mut answer: Answer = Response::new(Box::pin(body));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    answer
}

fn refuse(status: Status) -> Answer {
    status.into_http::<tonic::body::Body>().map(|body| Box::pin(body) as _)
}

#[cfg(test)]
mod tests;
