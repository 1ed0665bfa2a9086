//! The port for monitoring and probes: `/metrics`, `/healthz`, `/readyz`.
//!
//! Bounds: [`MOST_CONNECTIONS`] at once, [`HEAD_TIMEOUT`] for a request's head, no body read.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
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

use crate::{
    kube::Found,
    metrics::{self, Metrics},
};

/// Connections at once; further ones wait to be accepted.
const MOST_CONNECTIONS: usize = 64;
/// A request's head must come within this time, also on a kept connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// A connection is closed after this long, whatever it does.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(600);
/// What all pages are but that of metrics.
const TEXT: &str = "text/plain; charset=utf-8";
/// Wait after a failed accept: out of file descriptors, mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until it is dropped; its connections end with it.
pub(crate) async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    found: Option<watch::Receiver<Arc<Found>>>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(stream, metrics.clone(), found.clone()));
                }
                Err(error) => {
                    tracing::warn!("cannot accept a connection for metrics: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(stream: TcpStream, metrics: Arc<Metrics>, found: Option<watch::Receiver<Arc<Found>>>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let found = found.as_ref().map(|found| found.borrow().clone());
        let answer = answer(request.uri().path(), &metrics, found.as_deref());
        async { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    // A client that breaks off is no event.
    let _ = timeout(CONNECTION_LIFETIME, connection).await;
}

fn answer(path: &str, metrics: &Metrics, found: Option<&Found>) -> Response<Full<Bytes>> {
    match path {
        "/metrics" => match metrics.render() {
            Ok(text) => page(StatusCode::OK, metrics::CONTENT_TYPE, text),
            Err(error) => {
                page(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("cannot write the page: {error}\n"))
            }
        },
        "/readyz" if let Some(found) = found.filter(|found| !found.on_all) => {
            page(StatusCode::SERVICE_UNAVAILABLE, TEXT, unready(found))
        }
        // Of engines that are listed it tells from its first moment on.
        "/healthz" | "/readyz" => page(StatusCode::OK, TEXT, "ok\n".to_owned()),
        path => page(
            StatusCode::NOT_FOUND,
            TEXT,
            format!("nothing at {path}; this port serves /metrics, /healthz and /readyz\n"),
        ),
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
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
