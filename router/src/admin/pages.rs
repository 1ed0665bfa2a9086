//! Which path shows what.

use std::error::Error;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Body,
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
};
use serde::Serialize;
use serde_json::json;

use super::{Port, Sources, agents, decisions, endpoints, lane, pins, pools};
use crate::{chooser::Chooser, metrics, shutdown::Shutdown, world::World};

type Answer = Response<Full<Bytes>>;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const LINES: &str = "application/jsonl";

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
    "/debug/decisions",
    "/debug/decisions/REQUEST-ID",
    "/debug/explain",
    "/debug/config",
];

/// Where `POST` is served.
const EXPLAIN: &str = "/debug/explain";
/// Largest body that is explained.
const MOST_EXPLAINED: usize = 8 << 20;

/// The answer to a request, whose body is read only where it is asked for.
pub(super) async fn respond<B>(port: Port, request: Request<B>, sources: &Sources) -> Answer
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    if port != Port::Admin || request.uri().path() != EXPLAIN {
        return answer(port, &request, sources);
    }
    if request.method() != Method::POST {
        return refuse_method("POST");
    }
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MOST_EXPLAINED).collect().await else {
        let why = format!(
            "the body is cut off, or larger than the {} MiB that are explained",
            MOST_EXPLAINED >> 20
        );
        return failure(StatusCode::PAYLOAD_TOO_LARGE, &why);
    };
    let path = match head.uri.query().map(|query| query.strip_prefix("path=").ok_or(query)) {
        None => None,
        Some(Ok(path)) => Some(decisions::unescaped(path)),
        Some(Err(other)) => {
            let why = format!("nothing by ?{other}: known is ?path=, where the body would be sent to");
            return failure(StatusCode::BAD_REQUEST, &why);
        }
    };
    let chooser = Chooser::of_pages(sources.world.clone(), sources.config.clone());
    match decisions::dry_run(&chooser, path.as_deref(), &head.headers, &body.to_bytes()) {
        Ok(text) => page(StatusCode::OK, JSON, text),
        Err(error) => failure(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

fn refuse_method(allowed: &'static str) -> Answer {
    let mut refused = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, format!("only {allowed} is served here\n"));
    refused.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    refused
}

/// The answer to a request without a body.
pub(super) fn answer<B>(port: Port, request: &Request<B>, sources: &Sources) -> Answer {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return refuse_method("GET, HEAD");
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
        (Port::Admin, "/debug/decisions") => decided(&sources.world, request.uri().query()),
        (Port::Admin, path) => match path.strip_prefix("/debug/decisions/") {
            Some(request_id) => explained(sources, request_id),
            None => unknown(port, path),
        },
        (port, path) => unknown(port, path),
    }
}

fn decided(world: &World, query: Option<&str>) -> Answer {
    match decisions::Query::of(query) {
        Ok(query) if query.as_file => page(StatusCode::OK, LINES, decisions::export(world, &query)),
        Ok(query) => page(StatusCode::OK, JSON, decisions::show(world, &query)),
        Err(message) => failure(StatusCode::BAD_REQUEST, &message),
    }
}

fn explained(sources: &Sources, request_id: &str) -> Answer {
    let request_id = decisions::unescaped(request_id);
    let chooser = Chooser::of_pages(sources.world.clone(), sources.config.clone());
    if let Some(text) = decisions::explain(&chooser, &request_id) {
        return page(StatusCode::OK, JSON, text);
    }
    let why = if sources.world.decisions.is_on() {
        format!(
            "no decision for {request_id:?} is kept: the aware listener and ext_proc keep the last ones, the plain \
             listener decides nothing; responses carry the id as x-request-id"
        )
    } else {
        "no decisions are kept: log.decisions is 0".to_owned()
    };
    failure(StatusCode::NOT_FOUND, &why)
}

fn failure(status: StatusCode, message: &str) -> Answer {
    let error = json!({ "error": { "message": message } });
    page(status, JSON, format!("{error}\n"))
}

fn pinned(world: &World, query: Option<&str>) -> Answer {
    match pins::Limit::of(query) {
        Ok(limit) => page(StatusCode::OK, JSON, pins::show(world, limit)),
        Err(message) => failure(StatusCode::BAD_REQUEST, &message),
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
