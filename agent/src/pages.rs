//! The ports for monitoring, probes and people: `/metrics`, `/healthz`, `/readyz`; and on loopback `/debug/node`.
//!
//! Bounds: [`MOST_CONNECTIONS`] at once for each port, [`HEAD_TIMEOUT`] for a request's head, no body read.

use std::{convert::Infallible, sync::Arc, time::Duration};

use hyper::{
    HeaderMap, Method, Request, StatusCode, body::Incoming, server::conn::http1, service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use warmlane_api::admin::{
    Failure,
    answer::{self, Answer, JSON, TEXT, page, refused, shown},
    foreign, path,
    route::{self, Route},
};

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
/// Written by the suite `written`, and held against an agent by the suite `openapi`.
const OPENAPI: &str = include_str!("../../docs/openapi-agent.json");
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
        let answer = answer(port, &request, &sources);
        async { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    // A client that breaks off is no event.
    let _ = timeout(CONNECTION_LIFETIME, connection).await;
}

fn answer<B>(port: Port, request: &Request<B>, sources: &Sources) -> Answer {
    let path = request.uri().path();
    if let Some(why) = refusal(port, path, request.headers(), sources) {
        return refused(StatusCode::FORBIDDEN, &Failure::new(why, &[]));
    }
    match route::find(routes(port), path) {
        None => {
            let failure = Failure::new(format!("nothing at {path}"), &route::names(routes(port)));
            refused(StatusCode::NOT_FOUND, &failure)
        }
        Some(route) if !matches!(*request.method(), Method::GET | Method::HEAD) => {
            answer::only(route.methods)
        }
        Some(route) => shown_at(route, sources),
    }
}

fn shown_at(route: &Route, sources: &Sources) -> Answer {
    let found = sources.found.as_ref().map(|found| found.borrow().clone());
    match route.path {
        "/metrics" => match sources.metrics.render() {
            Ok(text) => page(StatusCode::OK, metrics::CONTENT_TYPE, text),
            Err(error) => {
                page(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("cannot write the page: {error}\n"))
            }
        },
        path::NODE => shown(&node::page(sources)),
        path::OPENAPI => page(StatusCode::OK, JSON, OPENAPI),
        path::READY if let Some(found) = found.filter(|found| !found.on_all) => {
            page(StatusCode::SERVICE_UNAVAILABLE, TEXT, unready(&found))
        }
        // Of engines that are listed it tells from its first moment on.
        _ => page(StatusCode::OK, TEXT, "ok\n"),
    }
}

fn routes(port: Port) -> &'static [Route] {
    match port {
        Port::Metrics => route::METRICS,
        Port::Admin => route::AGENT,
    }
}

/// Why a request is not answered that a page of another site sent, or could have sent. Probes may come by any name, and who
/// monitors too.
fn refusal(port: Port, path: &str, headers: &HeaderMap, sources: &Sources) -> Option<String> {
    if port == Port::Metrics {
        return None;
    }
    if let Some(origin) = foreign::origin(headers) {
        return Some(format!("asked by a page of {origin:?}: only this port's own pages may ask"));
    }
    if matches!(path, path::HEALTH | path::READY) {
        return None;
    }
    let host = foreign::host(headers, &[sources.node.name().to_owned()])?;
    Some(format!(
        "called by the name {host:?}: use an address, localhost or the node's name; a page of another site could be behind it"
    ))
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
