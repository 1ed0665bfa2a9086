//! The small servers for people and monitoring: metrics port, admin port and gRPC health. No request of a user passes here.
//!
//! Bounds: connections per port, time for a request's head, time for an answer; no request body is read but that of a change
//! (`actions`) and of a question (`pages`).

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::watch,
    time::timeout,
};

use warmlane_api::admin::answer::Answer;

use crate::{
    config::Config, control::take_in, kube::Desired, metrics::Metrics, shutdown::Shutdown, world::World,
};

mod actions;
mod agents;
mod decisions;
mod endpoints;
pub mod health;
mod lane;
mod pages;
mod percent;
mod pins;
mod pools;
mod router;
mod site;
mod socket;

pub use actions::Levers;
use actions::{Asked, Caller};
pub use socket::{LocalSocket, SocketError, SocketFile};

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
    /// What changes are made by.
    pub levers: Levers,
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
        let failed =
            |error, not_logged| tracing::warn!(?port, not_logged, "cannot accept a connection: {error}");
        take_in(listener, MAX_CONNECTIONS, |stream| serve(stream, port, sources.clone()), failed).await;
    }
}

/// Serves the admin pages to who comes by a Unix socket, until it is dropped; its file goes with it.
///
/// # Errors
/// When the runtime refuses the socket.
pub fn serve_locally(socket: LocalSocket, sources: Sources) -> io::Result<impl Future<Output = ()>> {
    let (listener, file) = socket.into_parts();
    let listener = UnixListener::from_std(listener)?;
    Ok(async move {
        let _file = file;
        let failed = |error, not_logged| {
            tracing::warn!(not_logged, "cannot accept a connection on --admin-socket: {error}");
        };
        take_in(listener, MAX_CONNECTIONS, |stream| serve_local(stream, sources.clone()), failed).await;
    })
}

async fn serve(stream: TcpStream, port: Port, sources: Sources) {
    if port == Port::Health {
        let Sources { world, shutdown, .. } = sources;
        return health::serve(stream, health::Checks { world, shutdown }).await;
    }
    // Without an address it has ended.
    if let Ok(address) = stream.peer_addr() {
        converse(stream, port, Caller::Address(address), sources).await;
    }
}

async fn serve_local(stream: UnixStream, sources: Sources) {
    if let Ok(peer) = stream.peer_cred() {
        converse(stream, Port::Admin, Caller::User(peer.uid()), sources).await;
    }
}

async fn converse<S>(stream: S, port: Port, caller: Caller, sources: Sources)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|request| {
        let sources = sources.clone();
        async move { Ok::<_, Infallible>(answer(request, port, caller, &sources).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    // A client that breaks off is no event.
    let _ = timeout(CONNECTION_LIFETIME, connection).await;
}

async fn answer(request: Request<Incoming>, port: Port, caller: Caller, sources: &Sources) -> Answer {
    if port != Port::Admin {
        return pages::answer(port, &request, sources);
    }
    if let Some(asked) = Asked::of(request.method(), request.uri().path()) {
        return actions::answer(asked, request, caller, sources).await;
    }
    match actions::refusal(&request, caller, &sources.levers) {
        Some(refused) => refused,
        None => pages::respond(request, sources).await,
    }
}

#[cfg(test)]
mod tests;
