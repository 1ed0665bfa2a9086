//! The cluster of a pool: what Envoy Gateway made for a backend that it does not know, so that it goes where the picker says.
//!
//! Two kinds. By default Envoy knows no replicas: each request goes to the address in the picker's header (`ORIGINAL_DST`), which
//! every Envoy can do, and none without a picker. With a headless Service ([`super::pool::REPLICAS`]) Envoy knows them by DNS, takes
//! the picker's word if it names one of them (`override_host`), and goes around them all without.
//!
//! What else stands in the cluster stays: timeouts, circuit breakers, outlier detection, TLS.

use warmlane_api::kube::Protocol;

use super::{
    ExtensionError, ExtensionSettings,
    envoy::*,
    pool::Declared,
    wire::{Malformed, Message},
};
use crate::ext_proc::names::{DESTINATION, LB, SERVED};

/// vLLM closes a connection after 5 idle seconds. Envoy must be first, or a request meets the close.
const IDLE_SECONDS: u32 = 4;
const OVERRIDE_HOST: &str = "envoy.extensions.load_balancing_policies.override_host.v3.OverrideHost";
const ROUND_ROBIN: &str = "envoy.extensions.load_balancing_policies.round_robin.v3.RoundRobin";

// HttpProtocolOptions: common ones, an explicit HTTP, and the other ways to choose one: the client's, or by what the server offers.
// All three have the options of each version, those of HTTP/2 in the same field.
const OPTIONS_COMMON: u32 = 1;
const OPTIONS_EXPLICIT: u32 = 3;
const OPTIONS_CHOSEN: [u32; 2] = [4, 5];
const EXPLICIT_HTTP1: u32 = 1;
const CHOICE_HTTP2: u32 = 2;

/// How replicas were found, or chosen among, before.
const REPLACED: [u32; 11] = [
    CLUSTER_CUSTOM_TYPE,
    CLUSTER_EDS,
    CLUSTER_LOAD_ASSIGNMENT,
    CLUSTER_LB_POLICY,
    CLUSTER_LB_POLICIES,
    CLUSTER_LB_SUBSET,
    CLUSTER_LB_RING_HASH,
    CLUSTER_LB_LEAST_REQUEST,
    CLUSTER_LB_MAGLEV,
    CLUSTER_LB_ROUND_ROBIN,
    CLUSTER_LB_ORIGINAL_DST,
];

/// Makes a cluster the pool's. One without a picker is left as it is: it has no hosts, so its requests get 503, and only they.
pub(super) fn change(
    cluster: &mut Message,
    pool: &Declared,
    settings: &ExtensionSettings,
) -> Result<(), ExtensionError> {
    let Some(backend) = &pool.backend else { return Ok(()) };
    REPLACED.into_iter().for_each(|field| cluster.remove(field));
    match &pool.replicas {
        None => goes_by_header(cluster),
        Some(service) => {
            goes_by_pick_or_around(cluster, &settings.host(service, pool.namespace()), &pool.ports);
        }
    }
    socket(cluster)?;
    speaks(cluster, pool.protocol)?;
    let mut metadata = cluster.message("a cluster's metadata", CLUSTER_METADATA)?.unwrap_or_default();
    backend.mark(&mut metadata);
    cluster.set(CLUSTER_METADATA, metadata);
    Ok(())
}

fn goes_by_header(cluster: &mut Message) {
    cluster.set_number(CLUSTER_TYPE, ORIGINAL_DST);
    cluster.set_number(CLUSTER_LB_POLICY, CLUSTER_PROVIDED);
    // OriginalDstLbConfig: use_http_header, http_header_name.
    let by_header = Message::default().with_number(1, 1_u64).with(2, DESTINATION);
    cluster.set(CLUSTER_LB_ORIGINAL_DST, by_header);
    // Hosts come with a pick and go again: there is nobody to check.
    cluster.remove(CLUSTER_HEALTH_CHECKS);
}

fn goes_by_pick_or_around(cluster: &mut Message, host: &str, ports: &[u16]) {
    let name = cluster.bytes(CLUSTER_NAME).cloned().unwrap_or_default();
    cluster.set_number(CLUSTER_TYPE, STRICT_DNS);
    cluster.set(CLUSTER_LOAD_ASSIGNMENT, hosts(name, host, ports));
    if !cluster.has(CLUSTER_DNS_FAMILY) {
        cluster.set_number(CLUSTER_DNS_FAMILY, V4_PREFERRED);
    }
    // OverrideHost: its sources (metadata first, which no client can set), who has served, and what to do without a pick.
    let metadata = Message::default().with(2, metadata_key(LB, DESTINATION));
    let header = Message::default().with(1, DESTINATION);
    let by_pick = Message::default()
        .with(1, metadata)
        .with(1, header)
        .with(2, metadata_key(LB, SERVED))
        .with(3, policy("round_robin", ROUND_ROBIN, Message::default()));
    cluster.set(CLUSTER_LB_POLICIES, policy("override_host", OVERRIDE_HOST, by_pick));
}

/// A list of policies, of one.
fn policy(name: &str, kind: &str, config: Message) -> Message {
    let name = format!("envoy.load_balancing_policies.{name}");
    Message::default().with(1, Message::default().with(4, extension(&name, 2, kind, config)))
}

/// Transport sockets go by labels of hosts, which hosts that come by header or by DNS have none of: the first is for all.
fn socket(cluster: &mut Message) -> Result<(), ExtensionError> {
    let first = cluster.each(CLUSTER_SOCKET_MATCHES).next().cloned();
    let Some(first) = first else { return Ok(()) };
    let first = Message::parse("a cluster's transport socket", &first)?;
    cluster.remove(CLUSTER_SOCKET_MATCHES);
    if let Some(socket) = first.bytes(3) {
        cluster.set(CLUSTER_TRANSPORT_SOCKET, socket.clone());
    }
    Ok(())
}

/// How it speaks HTTP: what is set stays, but that an HTTP/2 pool never gets HTTP/1.1.
fn speaks(cluster: &mut Message, protocol: Protocol) -> Result<(), ExtensionError> {
    let said = get(cluster, CLUSTER_PROTOCOL_OPTIONS, HTTP_OPTIONS)?;
    let options = match (said, protocol) {
        (Some(_), Protocol::Http1) => return Ok(()),
        (Some(said), Protocol::H2c) => {
            let mut options = Message::parse("how a cluster speaks HTTP", &said)?;
            change_any(&mut options, HTTP_OPTIONS, http2)?;
            options
        }
        (None, Protocol::Http1) => {
            let http1 = Message::default().with(EXPLICIT_HTTP1, Message::default());
            any(HTTP_OPTIONS, idle().with(OPTIONS_EXPLICIT, http1))
        }
        (None, Protocol::H2c) => {
            let mut options = idle();
            http2(&mut options)?;
            any(HTTP_OPTIONS, options)
        }
    };
    put(cluster, CLUSTER_PROTOCOL_OPTIONS, HTTP_OPTIONS, options);
    Ok(())
}

/// HttpProtocolOptions: the common ones.
fn idle() -> Message {
    Message::default().with(OPTIONS_COMMON, Message::default().with(1, seconds(IDLE_SECONDS)))
}

/// Makes it HTTP/2 and nothing else, with what is set of that, whichever way it was to be chosen. Whether it was not.
fn http2(options: &mut Message) -> Result<bool, Malformed> {
    let (mut set, mut other) = (None, false);
    for field in [OPTIONS_EXPLICIT].into_iter().chain(OPTIONS_CHOSEN) {
        let Some(choice) = options.message("the HTTP of a cluster", field)? else { continue };
        other |= field != OPTIONS_EXPLICIT;
        set = set.or(choice.message("the HTTP/2 of a cluster", CHOICE_HTTP2)?);
    }
    if !other && set.is_some() {
        return Ok(false);
    }
    OPTIONS_CHOSEN.into_iter().for_each(|field| options.remove(field));
    options.set(OPTIONS_EXPLICIT, Message::default().with(CHOICE_HTTP2, set.unwrap_or_default()));
    Ok(true)
}
