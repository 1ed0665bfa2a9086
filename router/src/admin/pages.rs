//! Which path shows what.

use std::error::Error;

use bytes::Bytes;
use hyper::{Method, Request, StatusCode, body::Body};
use serde::Serialize;
use tokio::task::spawn_blocking;
use warmlane_api::admin::{
    Failure, Log,
    answer::{self, Answer, JSON, TEXT, page, refused, shown},
    path,
    route::{self, Route},
};

use super::{Port, Sources, agents, endpoints, lane, pins, pools, router, site};
use crate::{log::LogLevel, metrics};

mod asked;

/// Written by the suite `written`, and held against a router by the suite `openapi`.
const OPENAPI: &str = include_str!("../../../docs/openapi-router.json");

/// The answer of the admin port to a request. Its body is read only where one is asked for.
pub(super) async fn respond<B>(request: Request<B>, sources: &Sources) -> Answer
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
{
    match request.uri().path() {
        path::EXPLAIN if request.method() == Method::POST => asked::explain(request, sources).await,
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
    let path = request.uri().path();
    match route::find(routes(port), path) {
        None => return unknown(port, path),
        Some(route) if !is_read(request.method(), route) => return answer::only(route.methods),
        Some(_) => {}
    }
    let (world, query) = (&sources.world, request.uri().query());
    match (port, path) {
        (_, path::HEALTH) => page(StatusCode::OK, TEXT, "ok\n".to_owned()),
        (_, path::READY) => readiness(sources),
        (Port::Metrics, "/metrics") => metrics(sources),
        (Port::Admin, "/") => site::front(request.headers()),
        (Port::Admin, path::OPENAPI) => page(StatusCode::OK, JSON, OPENAPI),
        (Port::Admin, path::LOG) => shown(&log(sources.levers.log.as_ref())),
        (Port::Admin, path::ROUTER) => shown(&router::page(sources)),
        (Port::Admin, path::ENDPOINTS) => shown(&endpoints::page(world)),
        (Port::Admin, path::AGENTS) => shown(&agents::page(world)),
        (Port::Admin, path::LANE) => shown(&lane::page(world)),
        (Port::Admin, path::PINS) => limited(query, |limit| pins::page(world, limit)),
        (Port::Admin, path::GROUPS) => limited(query, |limit| pins::groups(world, limit)),
        (Port::Admin, path::POOLS) => shown(&pools::page(sources)),
        (Port::Admin, path::CONFIG) => page(StatusCode::OK, TEXT, sources.config_text.to_string()),
        (Port::Admin, path::DECISIONS) => asked::decided(world, query),
        (Port::Admin, path) => below(path, sources).unwrap_or_else(|| unknown(port, path)),
        (port, path) => unknown(port, path),
    }
}

/// A page that the path has the name of.
fn below(path: &str, sources: &Sources) -> Option<Answer> {
    match path.strip_prefix("/page/") {
        Some(file) => site::file(file),
        None => {
            let request_id = path.strip_prefix(path::DECISIONS)?.strip_prefix('/')?;
            Some(asked::explained(sources, request_id))
        }
    }
}

fn log(log: Option<&LogLevel>) -> Log {
    Log { level: log.map(LogLevel::level) }
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

fn routes(port: Port) -> &'static [Route] {
    match port {
        Port::Metrics => route::METRICS,
        Port::Admin => route::ROUTER,
        // It speaks gRPC, and never comes here.
        Port::Health => &[],
    }
}

/// Whether it only asks, as the path allows.
fn is_read(method: &Method, route: &Route) -> bool {
    matches!(*method, Method::GET | Method::HEAD) && route.takes(method.as_str())
}

fn unknown(port: Port, path: &str) -> Answer {
    let known = route::names(routes(port));
    refused(StatusCode::NOT_FOUND, &Failure::new(format!("nothing at {path}"), &known))
}
