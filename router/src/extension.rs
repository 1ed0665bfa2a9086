//! The extension server for Envoy Gateway: hooks that it calls while it makes Envoy's configuration, so that an HTTPRoute whose
//! backend is an InferencePool asks a picker (`envoygateway.extension.EnvoyGatewayExtension`).
//!
//! Whoever answers these calls controls what every Envoy of that gateway does, so calls can be kept to certificates of one CA
//! ([`ExtensionTls`]). Nothing is remembered between calls and nothing is asked of anybody, but for the file of the pickers' CA.
//!
//! Bounds: `MAX_CONNECTIONS`, `HANDSHAKE` for each to begin, `MAX_STREAMS` calls at once of each, `MAX_MESSAGE` for a call.

use std::{io, sync::Arc, time::Duration};

use hyper::{Request, body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tonic::codegen::Service as _;
use warmlane_api::extension::envoy_gateway_extension_server::EnvoyGatewayExtensionServer;

use crate::{
    control::take_in,
    front::{PING_INTERVAL, PING_TIMEOUT},
    metrics::HookMetrics,
    seldom::Seldom,
    tls::{self, Tls},
};

mod cluster;
mod envoy;
mod error;
mod filter;
mod hooks;
mod listener;
mod picker;
pub mod pool;
mod route;
mod settings;
pub mod wire;

pub use error::ExtensionError;
pub use hooks::Hooks;
pub use settings::{ExtensionSettings, ExtensionTls, PickerTls};

/// Connections at once: each replica of Envoy Gateway has one. Further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 64;
/// Calls of one connection at once. Envoy Gateway calls one hook after the other.
const MAX_STREAMS: u32 = 16;
/// The largest call: Envoy Gateway's own limit is 4 MiB unless it is set higher (`maxMessageSize`).
const MAX_MESSAGE: usize = 64 << 20;
/// A handshake that takes longer is given up.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Handshakes that fail: no configuration is made until that is mended.
static HANDSHAKES: Seldom = Seldom::new();

/// A bound port.
pub struct Server {
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    hooks: EnvoyGatewayExtensionServer<Hooks>,
    metrics: Arc<HookMetrics>,
}

// === Server ===

impl Server {
    /// Serves a bound, non-blocking listener.
    ///
    /// # Errors
    /// When the runtime refuses the socket.
    pub fn new(listener: std::net::TcpListener, tls: Option<Arc<Tls>>, hooks: Hooks) -> io::Result<Self> {
        let metrics = hooks.metrics.clone();
        let hooks = EnvoyGatewayExtensionServer::new(hooks).max_decoding_message_size(MAX_MESSAGE);
        Ok(Self { listener: TcpListener::from_std(listener)?, tls, hooks, metrics })
    }

    /// Serves until it is dropped; its connections end with it.
    pub async fn run(self) {
        let Self { listener, tls, hooks, metrics } = self;
        let failed = |error, not_logged| {
            tracing::warn!(not_logged, "cannot accept a connection of Envoy Gateway's: {error}");
        };
        let converse = |stream| converse(stream, tls.clone(), hooks.clone(), metrics.clone());
        take_in(listener, MAX_CONNECTIONS, converse, failed).await;
    }
}

async fn converse(
    stream: TcpStream,
    tls: Option<Arc<Tls>>,
    hooks: EnvoyGatewayExtensionServer<Hooks>,
    metrics: Arc<HookMetrics>,
) {
    let Some(tls) = tls else { return serve(stream, hooks).await };
    let why = match timeout(HANDSHAKE, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => return serve(stream, hooks).await,
        Ok(Err(error)) => tls::why_no_handshake(&error),
        Err(_) => format!("it took longer than {HANDSHAKE:?}"),
    };
    metrics.not_let_in();
    if let Some(not_logged) = HANDSHAKES.is_due() {
        tracing::warn!(not_logged, "no TLS with Envoy Gateway, which cannot make a configuration: {why}");
    }
}

/// Serves one connection to its end.
async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    hooks: EnvoyGatewayExtensionServer<Hooks>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut hooks = hooks.clone();
        async move { hooks.call(request).await }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(MAX_STREAMS)
        .serve_connection(TokioIo::new(stream), service);
    // A caller that breaks off is no event.
    let _ = connection.await;
}

#[cfg(test)]
mod tests;
