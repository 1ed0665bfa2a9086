//! The small servers for people and monitoring: metrics port, admin port and gRPC health. No request of a user passes here.
//!
//! Bounds: connections per port, time for a request's head, time for an answer, and for its body, which is read in one place only.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::timeout,
};

use crate::{
    config::Config, control::take_in, kube::Desired, metrics::Metrics, shutdown::Shutdown, world::World,
};

mod agents;
mod decisions;
mod endpoints;
pub mod health;
mod lane;
mod pages;
mod pins;
mod pools;
mod router;

/// Connections per port; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 64;
/// A request's head must come within this time, also on a kept connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// A connection is closed after this long, whatever it does.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(600);
/// Largest head.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// What the pages show.
#[derive(Clone)]
pub struct Sources {
    /// The pool's state.
    pub world: Arc<World>,
    /// The settings.
    pub config: Arc<Config>,
    /// The settings, as text with the source of each.
    pub config_text: Arc<str>,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// How far the process is on its way out.
    pub shutdown: watch::Receiver<Shutdown>,
    /// What a cluster wants served, where one is watched.
    pub desired: Option<watch::Receiver<Arc<Desired>>>,
}

/// Which port was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// `/metrics`, `/healthz`, `/readyz`: for the cluster.
    Metrics,
    /// `/debug/*`, `/healthz`, `/readyz`: for people on the machine.
    Admin,
    /// gRPC health: for gateways.
    Health,
}

/// A bound port.
pub struct Server {
    listener: TcpListener,
    port: Port,
    sources: Sources,
}

// === Server ===

impl Server {
    /// Serves a bound, non-blocking listener.
    ///
    /// # Errors
    /// When the runtime refuses the socket.
    pub fn new(listener: std::net::TcpListener, port: Port, sources: Sources) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::from_std(listener)?, port, sources })
    }

    /// Serves until it is dropped; its connections end with it.
    pub async fn run(self) {
        let Self { listener, port, sources } = self;
        let failed = |error| tracing::warn!(?port, "cannot accept a connection: {error}");
        take_in(listener, MAX_CONNECTIONS, |stream| serve(stream, port, sources.clone()), failed).await;
    }
}

async fn serve(stream: TcpStream, port: Port, sources: Sources) {
    if port == Port::Health {
        let Sources { world, shutdown, .. } = sources;
        return health::serve(stream, health::Checks { world, shutdown }).await;
    }
    let sources = &sources;
    let service = service_fn(move |request: Request<Incoming>| async move {
        Ok::<Response<Full<Bytes>>, Infallible>(pages::respond(port, request, sources).await)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    // A client that breaks off is no event.
    let _ = timeout(CONNECTION_LIFETIME, connection).await;
}

#[cfg(test)]
mod tests;
