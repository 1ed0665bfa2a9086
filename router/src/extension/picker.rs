//! The cluster of a pool's picker: its Service by DNS, over HTTP/2, checked by gRPC health.
//!
//! Without the check failing open would mean nothing: where a connection is refused Envoy has already sent something of the body,
//! and the request fails.

use std::fs;

use super::{ExtensionError, ExtensionSettings, PickerTls, envoy::*, pool::Backend, wire::Message};
use crate::ext_proc::names::SERVICE;

const TLS: &str = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
const CONNECT_SECONDS: u32 = 2;
const CHECK_SECONDS: u32 = 1;
/// A stream for each request that is open; 1024 by default, and beyond that a failure.
const STREAMS: u32 = 65_536;
/// Frames that wait to be sent, of all requests; by default 10,000, which one client that sends single bytes can bring about.
const FRAMES: u32 = 1_000_000;
/// SubjectAltNameMatcher: a DNS name.
const SAN_DNS: u64 = 2;

/// Its name.
pub(super) fn name(backend: &Backend) -> String {
    format!("warmlane/picker/{}", backend.pool)
}

/// The cluster.
pub(super) fn cluster(backend: &Backend, settings: &ExtensionSettings) -> Result<Message, ExtensionError> {
    let (name, host) = (name(backend), settings.host(&backend.service, backend.namespace()));
    let cluster = Message::default()
        .with(CLUSTER_NAME, name.clone())
        .with_number(CLUSTER_TYPE, STRICT_DNS)
        .with(CLUSTER_CONNECT_TIMEOUT, seconds(CONNECT_SECONDS))
        .with(CLUSTER_HEALTH_CHECKS, check(&host))
        .with(CLUSTER_CIRCUIT_BREAKERS, breakers())
        .with_number(CLUSTER_DNS_FAMILY, V4_PREFERRED)
        // CommonLbConfig: with most hosts down, by default Envoy takes the check for wrong and asks them all the same.
        .with(CLUSTER_COMMON_LB, Message::default().with(1, Message::default()))
        .with(CLUSTER_LOAD_ASSIGNMENT, hosts(name.into(), &host, &[backend.port]))
        .with(CLUSTER_PROTOCOL_OPTIONS, entry(HTTP_OPTIONS, any(HTTP_OPTIONS, http2())));
    Ok(match tls(&settings.picker_tls, &host, &backend.pool)? {
        None => cluster,
        Some(context) => {
            cluster.with(CLUSTER_TRANSPORT_SOCKET, extension("envoy.transport_sockets.tls", 3, TLS, context))
        }
    })
}

/// HealthCheck: timeout and interval, how often until it counts, gRPC, and the interval before the first request. It is told whom to
/// ask for: by default that is the cluster's name, which is no host.
fn check(host: &str) -> Message {
    Message::default()
        .with(1, seconds(CHECK_SECONDS))
        .with(2, seconds(CHECK_SECONDS))
        .with(4, wrapped(1_u64))
        .with(5, wrapped(1_u64))
        .with(11, Message::default().with(1, SERVICE).with(2, host.to_owned()))
        .with(12, seconds(CHECK_SECONDS))
}

/// CircuitBreakers: one threshold, of pending requests and of requests.
fn breakers() -> Message {
    let threshold = Message::default().with(3, wrapped(STREAMS)).with(4, wrapped(STREAMS));
    Message::default().with(1, threshold)
}

/// HttpProtocolOptions: HTTP/2 and nothing else.
fn http2() -> Message {
    let http2 = Message::default().with(7, wrapped(FRAMES));
    Message::default().with(3, Message::default().with(2, http2))
}

/// UpstreamTlsContext: what is common to both ends, and the name that is asked for.
fn tls(tls: &PickerTls, host: &str, pool: &str) -> Result<Option<Message>, ExtensionError> {
    let common = match tls {
        PickerTls::Off => return Ok(None),
        PickerTls::Unverified => Message::default(),
        PickerTls::Authority(path) => {
            let read = fs::read(path);
            let refused = |why| ExtensionError::Authority { pool: pool.to_owned(), path: path.clone(), why };
            let text = read.map_err(refused)?;
            // CertificateValidationContext: a DataSource of inline bytes, and the name that the certificate must have.
            let exactly = Message::default().with(1, host.to_owned());
            let names = Message::default().with_number(1, SAN_DNS).with(2, exactly);
            let validation = Message::default().with(1, Message::default().with(2, text)).with(15, names);
            Message::default().with(3, validation)
        }
    };
    // CommonTlsContext: HTTP/2 by ALPN.
    let context = Message::default().with(1, common.with(4, "h2"));
    Ok(Some(context.with(2, host.to_owned())))
}
