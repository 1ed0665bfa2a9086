//! The ports for monitoring, probes and people: `/metrics`, `/healthz`, `/readyz`; and on loopback `/debug/node`.
//!
//! Bounds: [`MOST_CONNECTIONS`] at once for each port, [`HEAD_TIMEOUT`] for a request's head, no body read.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use warmlane_api::admin::{self, Failure, path};

use crate::{
    gpu::Driver,
    kube::Found,
    metrics::{self, Metrics},
    node::Node,
    publish::Followers,
};

mod node;

/// Connections at once; further ones wait to be accepted.
const MOST_CONNECTIONS: usize = 64;
/// A request's head must come within this time, also on a kept connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// A connection is closed after this long, whatever it does.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(600);
const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// Whoever reads an answer knows by it what answered.
const VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static(admin::VERSION_HEADER), HeaderValue::from_static(env!("CARGO_PKG_VERSION")));
/// Wait after a failed accept: out of file descriptors, mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Which port was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    /// For the cluster.
    Metrics,
    /// For people on the node.
    Admin,
}

/// What the pages show.
#[derive(Clone)]
pub(crate) struct Sources {
    pub(crate) node: Arc<Node>,
    pub(crate) metrics: Arc<Metrics>,
    /// What a cluster says, where one is asked.
    pub(crate) found: Option<watch::Receiver<Arc<Found>>>,
    pub(crate) driver: watch::Receiver<Driver>,
    /// How the last question to the kubelet ended, where it is asked; `None` before the first.
    pub(crate) kubelet: Option<watch::Receiver<Option<Result<(), String>>>>,
    pub(crate) followers: Arc<Followers>,
}

/// Serves until it is dropped; its connections end with it.
pub(crate) async fn serve(listener: TcpListener, port: Port, sources: Sources) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(stream, port, sources.clone()));
                }
                Err(error) => {
                    tracing::warn!(?port, "cannot accept a connection for pages: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(stream: TcpStream, port: Port, sources: Sources) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer(port, request.uri().path(), &sources);
        async { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    // A client that breaks off is no event.
    let _ = timeout(CONNECTION_LIFETIME, connection).await;
}

fn answer(port: Port, path: &str, sources: &Sources) -> Response<Full<Bytes>> {
    let found = sources.found.as_ref().map(|found| found.borrow().clone());
    match (port, path) {
        (Port::Metrics, "/metrics") => match sources.metrics.render() {
            Ok(text) => page(StatusCode::OK, metrics::CONTENT_TYPE, text),
            Err(error) => {
                page(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("cannot write the page: {error}\n"))
            }
        },
        (Port::Admin, path::NODE) => page(StatusCode::OK, JSON, admin::text(&node::page(sources))),
        (_, path::READY) if let Some(found) = found.filter(|found| !found.on_all) => {
            page(StatusCode::SERVICE_UNAVAILABLE, TEXT, unready(&found))
        }
        // Of engines that are listed it tells from its first moment on.
        (_, path::HEALTH | path::READY) => page(StatusCode::OK, TEXT, "ok\n".to_owned()),
        (port, path) => {
            let paths = match port {
                Port::Metrics => ["/metrics", path::HEALTH, path::READY],
                Port::Admin => [path::NODE, path::HEALTH, path::READY],
            };
            let failure = Failure::new(format!("nothing at {path}"), &paths);
            page(StatusCode::NOT_FOUND, JSON, admin::text(&failure))
        }
    }
}

fn unready(found: &Found) -> String {
    let mut text =
        "which engines are on this node is not known: not all of its pods and pools were read yet\n"
            .to_owned();
    if found.troubles.is_empty() {
        text.push_str("the API server has not answered; the log says why, where it cannot be reached\n");
    }
    found.troubles.iter().for_each(|trouble| {
        text.push_str(trouble);
        text.push('\n');
    });
    text
}

fn page(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let (name, version) = VERSION;
    answer.headers_mut().insert(name, version);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
