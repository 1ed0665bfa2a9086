//! The filter that asks a picker: off in each listener, and on for the routes of pools, with a picker for each.
//!
//! By default only requests are shown, and the heads of responses: no token passes through a picker.

use super::{envoy::*, picker, pool::Backend, wire::Message};
use crate::ext_proc::names::{LB, POOL, SUBSET};

/// Its name in filter chains and for routes.
pub(super) const NAME: &str = "envoy.filters.http.ext_proc/warmlane";

const FILTER: &str = "envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor";
const PER_ROUTE: &str = "envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute";
/// How long an answer to a response's head may take. In full duplex, which the request is, Envoy keeps no time: the picker does.
const MESSAGE_SECONDS: u32 = 5;
/// What clients see where the picker is away and requests may not go on.
const AWAY: u32 = 503;
const SEND: u64 = 1;
const SKIP: u64 = 2;
const FULL_DUPLEX: u64 = 4;

/// For a filter chain: it does nothing there, and names a picker that does not exist.
pub(super) fn off() -> Message {
    // ExternalProcessor: who is asked, what is shown, how long it may take, and what is passed on of metadata.
    let config = Message::default()
        .with(1, grpc("warmlane/picker", "warmlane"))
        .with(3, mode())
        .with(6, ATTRIBUTES[0])
        .with(6, ATTRIBUTES[1])
        .with(7, seconds(MESSAGE_SECONDS))
        .with(16, metadata())
        .with(24, Message::default().with_number(1, AWAY));
    // HttpFilter: disabled.
    extension(NAME, 4, FILTER, config).with_number(7, 1_u64)
}

/// For a route: the pool's picker.
pub(super) fn on(backend: &Backend) -> Message {
    let header = Message::default().with(1, POOL).with(2, backend.pool.clone());
    let service = grpc(&picker::name(backend), &backend.service).with(5, header);
    // ExtProcOverrides.
    let overrides = Message::default()
        .with(1, mode())
        .with(4, ATTRIBUTES[0])
        .with(4, ATTRIBUTES[1])
        .with(5, service)
        .with(6, metadata())
        .with(8, wrapped(backend.fails_open()));
    any(PER_ROUTE, Message::default().with(2, overrides))
}

/// To the picker: whether a response is a replica's or Envoy's own, which says that it reached none.
const ATTRIBUTES: [&str; 2] = ["response.code_details", "upstream.request_attempt_count"];

/// GrpcService, of an EnvoyGrpc.
fn grpc(cluster: &str, authority: &str) -> Message {
    let envoy = Message::default().with(1, cluster.to_owned()).with(2, authority.to_owned());
    Message::default().with(1, envoy)
}

/// ProcessingMode: request headers, response headers, request body, both trailers. A response's body is not shown.
fn mode() -> Message {
    Message::default()
        .with_number(1, SEND)
        .with_number(2, SEND)
        .with_number(3, FULL_DUPLEX)
        .with_number(5, SEND)
        .with_number(6, SKIP)
}

/// MetadataOptions: to the picker candidates and who has served, from it the pick.
fn metadata() -> Message {
    let untyped = |all: Message, name: &'static str| all.with(1, name);
    let to = [SUBSET, LB].into_iter().fold(Message::default(), untyped);
    Message::default().with(1, to).with(2, untyped(Message::default(), LB))
}
