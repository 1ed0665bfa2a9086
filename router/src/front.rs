//! The HTTP/1.1 fronts: listeners, one set per worker thread, and the life of a client connection.
//!
//! Every worker listens on the same addresses (`SO_REUSEPORT`); the kernel spreads connections over them.
//! Bounds: connections per process by setting; per connection one head and one body, see
//! `path/read.rs`.

use std::{
    io,
    net::SocketAddr,
    pin::pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinError, JoinSet},
    time::{interval, timeout},
};

pub use client::{Client, client_gone};
pub use room::Room;

use crate::{
    metrics::{Label, Listener},
    path::{self, Next},
    worker::{SWEEP_INTERVAL, Worker},
};

mod client;
mod room;

/// Connections waiting to be accepted, per listener and worker.
const BACKLOG: i32 = 1_024;

/// The listening sockets of one worker.
#[derive(Debug)]
pub struct Sockets {
    /// Plain.
    pub plain: std::net::TcpListener,
    /// Inference-aware.
    pub aware: std::net::TcpListener,
}

/// One client connection's place under the process-wide limit.
struct Seat(Arc<AtomicUsize>);

/// Opens one listening socket per worker, all on one address; port 0 is chosen once.
///
/// # Errors
/// When the address is taken or not ours.
pub fn bind(address: SocketAddr, workers: usize) -> io::Result<(Vec<std::net::TcpListener>, SocketAddr)> {
    // Without SO_REUSEPORT first: with it, a second router would share the port in silence.
    drop(open(address, false)?);
    let first = open(address, true)?;
    let chosen = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..workers {
        sockets.push(open(chosen, true)?);
    }
    Ok((sockets, chosen))
}

fn open(address: SocketAddr, shared: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Serves a worker's listeners until the process drains and its connections are done, or `cut` resolves.
///
/// # Errors
/// When a socket cannot be handed to the runtime.
pub async fn serve(
    worker: Rc<Worker>,
    sockets: Sockets,
    seats: Arc<AtomicUsize>,
    cut: impl Future<Output = ()>,
) -> io::Result<()> {
    let plain = TcpListener::from_std(sockets.plain)?;
    let aware = TcpListener::from_std(sockets.aware)?;
    let mut draining = worker.process_draining.clone();
    let mut sweep = interval(SWEEP_INTERVAL);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = plain.accept() => seat(&worker, &mut connections, &seats, Listener::Plain, accepted).await,
            accepted = aware.accept() => seat(&worker, &mut connections, &seats, Listener::Aware, accepted).await,
            Some(ended) = connections.join_next() => note_panic(ended),
            _ = sweep.tick() => worker.pool.borrow_mut().sweep(),
            _ = draining.wait_for(|draining| *draining) => break,
        }
    }
    worker.draining.send_replace(true);
    // Connections that the kernel has accepted already are served, not reset.
    for (listening, listener) in [(plain, Listener::Plain), (aware, Listener::Aware)] {
        while let Ok(accepted) = timeout(Duration::ZERO, listening.accept()).await {
            let failed = accepted.is_err();
            seat(&worker, &mut connections, &seats, listener, accepted).await;
            if failed {
                break;
            }
        }
    }
    let all_done = async {
        while let Some(ended) = connections.join_next().await {
            note_panic(ended);
        }
    };
    tokio::select! {
        () = all_done => {}
        () = cut => connections.shutdown().await,
    }
    Ok(())
}

/// A panic ends one connection and is a defect; it must not end in silence.
fn note_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a client connection panicked");
    }
}

async fn seat(
    worker: &Rc<Worker>,
    connections: &mut JoinSet<()>,
    seats: &Arc<AtomicUsize>,
    listener: Listener,
    accepted: io::Result<(TcpStream, SocketAddr)>,
) {
    match accepted {
        Ok((stream, _)) => match Seat::take(seats, worker.config.limits.connections) {
            Some(seat) => {
                connections.spawn_local(converse(worker.clone(), stream, listener, seat));
            }
            None => {
                tracing::warn!(listener = listener.name(), "connection refused: limits.connections reached");
            }
        },
        Err(error) => {
            // Out of descriptors, most likely: going on at once would spin.
            tracing::warn!(listener = listener.name(), %error, "accepting a connection failed");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// One client connection: requests in turn until either side ends it.
async fn converse(worker: Rc<Worker>, stream: TcpStream, listener: Listener, _seat: Seat) {
    // Chunks must go out as they come.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let _connected = worker.metrics.connected(listener);
    let mut client = Client::new(stream);
    let mut draining = worker.draining.subscribe();
    // One for all requests: making and dropping it takes locks.
    let mut drain = pin!(draining.wait_for(|draining| *draining));
    let mut drains = false;
    loop {
        let next_request = timeout(worker.config.timeouts.client_idle, client.wait_for_bytes());
        let begun = tokio::select! {
            biased;
            begun = next_request, if !drains => matches!(begun, Ok(Ok(true))),
            _ = &mut drain, if !drains => {
                drains = true;
                client.has_bytes()
            }
            else => client.has_bytes(),
        };
        if !begun || path::serve(&worker, &mut client, listener).await == Next::Close {
            break;
        }
    }
    client.finish().await;
}

// === Seat ===

impl Seat {
    fn take(seats: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        let fits = |count: usize| (count < limit).then_some(count + 1);
        seats.fetch_update(Relaxed, Relaxed, fits).ok().map(|_| Self(seats.clone()))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
