//! Which path shows what.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
};
use serde::Serialize;
use serde_json::json;

use super::{Port, Sources, agents, endpoints, lane, pins, pools};
use crate::{metrics, shutdown::Shutdown, world::World};

type Answer = Response<Full<Bytes>>;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// What is wrong with the cluster's objects, at most, where nothing is ready.
const TROUBLES: usize = 10;

const METRICS_PATHS: &[&str] = &["/metrics", "/healthz", "/readyz"];
const ADMIN_PATHS: &[&str] = &[
    "/healthz",
    "/readyz",
    "/debug/endpoints",
    "/debug/agents",
    "/debug/lane",
    "/debug/pins",
    "/debug/pools",
    "/debug/config",
];

/// The answer to a request.
pub(super) fn answer<B>(port: Port, request: &Request<B>, sources: &Sources) -> Answer {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET is served here\n".to_owned());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match (port, request.uri().path()) {
        (_, "/healthz") => page(StatusCode::OK, TEXT, "ok\n".to_owned()),
        (_, "/readyz") => readiness(sources),
        (Port::Metrics, "/metrics") => metrics(sources),
        (Port::Admin, "/debug/endpoints") => page(StatusCode::OK, JSON, endpoints::show(&sources.world)),
        (Port::Admin, "/debug/agents") => page(StatusCode::OK, JSON, agents::show(&sources.world)),
        (Port::Admin, "/debug/lane") => page(StatusCode::OK, JSON, lane::show(&sources.world)),
        (Port::Admin, "/debug/pins") => pinned(&sources.world, request.uri().query()),
        (Port::Admin, "/debug/pools") => page(StatusCode::OK, JSON, pools::show(sources)),
        (Port::Admin, "/debug/config") => page(StatusCode::OK, TEXT, sources.config_text.to_string()),
        (port, path) => unknown(port, path),
    }
}

fn pinned(world: &World, query: Option<&str>) -> Answer {
    match pins::Limit::of(query) {
        Ok(limit) => page(StatusCode::OK, JSON, pins::show(world, limit)),
        Err(message) => {
            let error = json!({ "error": { "message": message } });
            page(StatusCode::BAD_REQUEST, JSON, format!("{error}\n"))
        }
    }
}

/// 200 while new requests can be served, else 503 with the reason.
fn readiness(sources: &Sources) -> Answer {
    if let Some(mut reason) = unready(&sources.world, *sources.shutdown.borrow()) {
        let desired = sources.desired.as_ref().map(|desired| desired.borrow().clone());
        for trouble in desired.iter().flat_map(|desired| &desired.troubles).take(TROUBLES) {
            reason += &format!("\n{trouble}");
        }
        return page(StatusCode::SERVICE_UNAVAILABLE, TEXT, reason + "\n");
    }
    if !sources.world.has_replicas {
        let why = "ok: hooks for Envoy Gateway are served, which need no replica\n";
        return page(StatusCode::OK, TEXT, why.to_owned());
    }
    let snapshot = sources.world.snapshot.load();
    let all = snapshot.endpoints();
    let ready = all.iter().filter(|endpoint| endpoint.ready).count();
    page(StatusCode::OK, TEXT, format!("ok: {ready} of {} replicas ready\n", all.len()))
}

/// Why new requests cannot be served, if they cannot.
pub(super) fn unready(world: &World, shutdown: Shutdown) -> Option<String> {
    if shutdown.is_announced() {
        return Some("draining: the router is stopping".to_owned());
    }
    if !world.has_replicas {
        // The hooks are served before anybody can ask.
        return None;
    }
    let snapshot = world.snapshot.load();
    let all = snapshot.endpoints();
    (!all.iter().any(|endpoint| endpoint.ready)).then(|| endpoints::why_none_is_ready(all))
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
    let error = json!({ "error": { "message": format!("nothing at {path}"), "paths": paths } });
    page(StatusCode::NOT_FOUND, JSON, format!("{error}\n"))
}

/// A page for people and programs.
pub(super) fn json(page: &impl Serialize) -> String {
    // Strings and numbers always serialise; the fallback only keeps this function total.
    serde_json::to_string_pretty(page).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}")) + "\n"
}

fn page(status: StatusCode, kind: &'static str, text: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
