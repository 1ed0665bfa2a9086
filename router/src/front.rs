//! The fronts: listeners, one set per worker thread, and the connections they accept.
//!
//! Every worker listens on the same addresses (`SO_REUSEPORT`); the kernel spreads connections over them.
//! Bounds: connections and HTTP/2 streams per process by setting; per request one head and one body, see
//! `path/read.rs`.

use std::{cell::Cell, future::poll_fn, io, net::SocketAddr, rc::Rc, sync::Arc, task::Poll, time::Duration};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinError, JoinSet},
    time::interval,
};

pub use alarm::Alarm;
pub use client::{Client, client_gone};
pub use http2::Tasks;
pub(crate) use http2::{Open, PING_INTERVAL, PING_TIMEOUT, Streams, keep};
pub use room::Room;
pub use seats::{Seat, Seats};
pub use transport::{Layer, ReadHalf, Transport, WriteHalf};

use crate::{
    metrics::{Label, Listener},
    seldom::Seldom,
    tls::Tls,
    worker::{SWEEP_INTERVAL, Worker},
};

mod alarm;
mod client;
mod connection;
mod http2;
mod room;
mod seats;
mod transport;

/// Connections waiting to be accepted, per listener and worker.
const BACKLOG: i32 = 1_024;

static UNACCEPTED: Seldom = Seldom::new();

/// What one listening socket is for.
#[derive(Clone, Debug)]
pub struct Door {
    /// How requests that come through it are served.
    pub listener: Listener,
    /// Its connections begin with a TLS handshake.
    pub tls: Option<Arc<Tls>>,
}

/// One worker's listening sockets.
pub type Sockets = Vec<(Door, std::net::TcpListener)>;

/// What the connections of one worker share.
pub struct Front {
    /// The worker.
    pub worker: Rc<Worker>,
    /// Places, shared by all workers.
    pub seats: Arc<Seats>,
}

/// The open connections of one worker.
type Connections = JoinSet<()>;

/// What a listener gave.
type Accepted = io::Result<(TcpStream, SocketAddr)>;

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
pub async fn serve(front: Rc<Front>, sockets: Sockets, cut: impl Future<Output = ()>) -> io::Result<()> {
    let doors = sockets.into_iter().map(|(door, socket)| Ok((door, TcpListener::from_std(socket)?)));
    let doors = doors.collect::<io::Result<Vec<_>>>()?;
    let worker = &front.worker;
    let mut shutdown = worker.shutdown.clone();
    let mut sweep = interval(SWEEP_INTERVAL);
    let (mut connections, turn) = (JoinSet::new(), Cell::new(0));
    loop {
        tokio::select! {
            (door, accepted) = next(&doors, &turn) => seat(&front, &mut connections, door, accepted).await,
            Some(ended) = connections.join_next() => note_panic(ended),
            _ = sweep.tick() => worker.pool.borrow_mut().sweep(),
            _ = shutdown.wait_for(|shutdown| shutdown.is_draining()) => break,
        }
    }
    worker.draining.send_replace(true);
    // Connections that the kernel has accepted already are served, not reset.
    while let Some((door, accepted)) = waiting(&doors, &turn).await {
        let failed = accepted.is_err();
        seat(&front, &mut connections, door, accepted).await;
        if failed {
            break;
        }
    }
    drop(doors);
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

/// The next connection, from each door in turn.
async fn next(doors: &[(Door, TcpListener)], turn: &Cell<usize>) -> (Door, Accepted) {
    poll_fn(|cx| {
        for step in 1..=doors.len() {
            let at = (turn.get() + step) % doors.len();
            let (door, socket) = &doors[at];
            if let Poll::Ready(accepted) = socket.poll_accept(cx) {
                turn.set(at);
                return Poll::Ready((door.clone(), accepted));
            }
        }
        Poll::Pending
    })
    .await
}

/// The same where a connection is waiting.
async fn waiting(doors: &[(Door, TcpListener)], turn: &Cell<usize>) -> Option<(Door, Accepted)> {
    tokio::time::timeout(Duration::ZERO, next(doors, turn)).await.ok()
}

/// A panic ends one connection and is a defect; it must not end in silence.
fn note_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a client connection panicked");
    }
}

async fn seat(front: &Rc<Front>, connections: &mut Connections, door: Door, accepted: Accepted) {
    match accepted {
        Ok((stream, _)) => match front.seats.take() {
            Some(seat) => {
                connections.spawn_local(connection::converse(front.clone(), stream, door, seat));
            }
            None => front.worker.metrics.connection_refused(door.listener),
        },
        Err(error) => {
            // Out of descriptors, most likely: going on at once would spin.
            if let Some(not_logged) = UNACCEPTED.is_due() {
                let listener = door.listener.name();
                tracing::warn!(not_logged, listener, %error, "accepting a connection failed");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
