//! Which path shows what.

use std::error::Error;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Body,
    header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue},
};
use serde::Serialize;
use tokio::task::spawn_blocking;
use warmlane_api::admin::{self, Failure, path};

use super::{Port, Sources, agents, endpoints, lane, pins, pools, router};
use crate::metrics;

mod asked;

pub(super) type Answer = Response<Full<Bytes>>;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// Whoever reads an answer knows by it what answered.
const VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static(admin::VERSION_HEADER), HeaderValue::from_static(env!("CARGO_PKG_VERSION")));

const METRICS_PATHS: &[&str] = &["/metrics", path::HEALTH, path::READY];
const ADMIN_PATHS: &[&str] = &[
    path::HEALTH,
    path::READY,
    path::ROUTER,
    path::ENDPOINTS,
    path::AGENTS,
    path::LANE,
    path::PINS,
    path::GROUPS,
    path::POOLS,
    path::DECISIONS,
    "/debug/decisions/REQUEST-ID",
    path::EXPLAIN,
    path::CONFIG,
];

/// The answer of the admin port to a request. Its body is read only where one is asked for.
pub(super) async fn respond<B>(request: Request<B>, sources: &Sources) -> Answer
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
{
    match request.uri().path() {
        path::EXPLAIN if request.method() == Method::POST => asked::explain(request, sources).await,
        path::EXPLAIN => only("POST"),
        // Thousands of decisions take a while to write, and the writer of snapshots must not wait for it.
        asked if asked.starts_with(path::DECISIONS) => {
            let (request, sources) = (request.map(|_| ()), sources.clone());
            let written = spawn_blocking(move || answer(Port::Admin, &request, &sources)).await;
            written.unwrap_or_else(|error| {
                refused(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    &Failure::new(format!("the page broke off: {error}"), &[]),
                )
            })
        }
        _ => answer(Port::Admin, &request, sources),
    }
}

/// The answer to a request without a body.
pub(super) fn answer<B>(port: Port, request: &Request<B>, sources: &Sources) -> Answer {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return only("GET, HEAD");
    }
    let (world, query) = (&sources.world, request.uri().query());
    match (port, request.uri().path()) {
        (_, path::HEALTH) => page(StatusCode::OK, TEXT, "ok\n".to_owned()),
        (_, path::READY) => readiness(sources),
        (Port::Metrics, "/metrics") => metrics(sources),
        (Port::Admin, path::ROUTER) => shown(&router::page(sources)),
        (Port::Admin, path::ENDPOINTS) => shown(&endpoints::page(world)),
        (Port::Admin, path::AGENTS) => shown(&agents::page(world)),
        (Port::Admin, path::LANE) => shown(&lane::page(world)),
        (Port::Admin, path::PINS) => limited(query, |limit| pins::page(world, limit)),
        (Port::Admin, path::GROUPS) => limited(query, |limit| pins::groups(world, limit)),
        (Port::Admin, path::POOLS) => shown(&pools::page(sources)),
        (Port::Admin, path::CONFIG) => page(StatusCode::OK, TEXT, sources.config_text.to_string()),
        (Port::Admin, path::DECISIONS) => asked::decided(world, query),
        (Port::Admin, path) => {
            match path.strip_prefix(path::DECISIONS).and_then(|rest| rest.strip_prefix('/')) {
                Some(request_id) => asked::explained(sources, request_id),
                None => unknown(port, path),
            }
        }
        (port, path) => unknown(port, path),
    }
}

/// As many rows as the query asks for.
fn limited<P: Serialize>(query: Option<&str>, page: impl FnOnce(pins::Limit) -> P) -> Answer {
    match pins::Limit::of(query) {
        Ok(limit) => shown(&page(limit)),
        Err(message) => refused(StatusCode::BAD_REQUEST, &Failure::new(message, &[])),
    }
}

/// 200 while new requests can be served, else 503 with the reason.
fn readiness(sources: &Sources) -> Answer {
    match router::readiness(sources) {
        Ok(how) => page(StatusCode::OK, TEXT, how + "\n"),
        Err(why) => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, why + "\n"),
    }
}

fn metrics(sources: &Sources) -> Answer {
    match sources.metrics.render() {
        Ok(text) => page(StatusCode::OK, metrics::CONTENT_TYPE, text),
        Err(error) => {
            page(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("cannot write the page: {error}\n"))
        }
    }
}

fn unknown(port: Port, path: &str) -> Answer {
    let paths = match port {
        Port::Metrics => METRICS_PATHS,
        Port::Admin => ADMIN_PATHS,
        // It speaks gRPC, and never comes here.
        Port::Health => &[],
    };
    refused(StatusCode::NOT_FOUND, &Failure::new(format!("nothing at {path}"), paths))
}

/// Another method is wanted.
fn only(allowed: &'static str) -> Answer {
    let mut refused = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, format!("only {allowed} is served here\n"));
    refused.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    refused
}

/// A page.
pub(super) fn shown(what: &impl Serialize) -> Answer {
    page(StatusCode::OK, JSON, admin::text(what))
}

/// Why there is none.
pub(super) fn refused(status: StatusCode, why: &Failure) -> Answer {
    page(status, JSON, admin::text(why))
}

fn page(status: StatusCode, kind: &'static str, text: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    let (name, version) = VERSION;
    answer.headers_mut().insert(name, version);
    answer
}
