//! Connections to endpoints: one pool per worker thread, so that taking one needs no lock.
//!
//! A kept connection is closed before the engine closes it (uvicorn: after 5 s), and is looked at before it
//! is used again. Bound: [`KEPT_PER_ENDPOINT`] idle connections per endpoint and worker, and as many that may take part in the kernel
//! lane.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    net::{TcpSocket, TcpStream, tcp},
    time::{Instant, timeout},
};
use warmlane_picker::Slot;

use crate::{
    error::UpstreamFault,
    kernel::{self, Side},
    lane::{Lane, Part},
};

/// Most idle connections kept per endpoint and worker, of either kind.
pub const KEPT_PER_ENDPOINT: usize = 256;

/// For so long an address is held for one on another node: a pod of this node may come to have it, and a map that was full has room
/// again.
const REMOTE: Duration = Duration::from_secs(60);

/// Idle connections of one worker, and how new ones are made.
#[derive(Debug)]
pub struct Pool {
    /// By slot.
    endpoints: Vec<Known>,
    keep: Duration,
}

/// What is known of an endpoint.
#[derive(Debug, Default)]
struct Known {
    /// Those that may not take part in the kernel lane, and those that may: on each there is a price for responses of the other kind.
    idle: [Vec<Idle>; 2],
    /// The address that turned out to be on another node, and when.
    remote: Option<(SocketAddr, Instant)>,
}

/// A connection to an endpoint.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// All bytes that were ever read from it.
    read: u64,
    /// Its part in the kernel lane.
    pub lane: Part<kernel::Upstream>,
    /// At which side it had been announced to the lane when it was made.
    announced: Option<Side>,
}

/// Reads from a connection while it is written to.
pub struct Reader<'c> {
    stream: tcp::ReadHalf<'c>,
    read: &'c mut u64,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    peer: SocketAddr,
    since: Instant,
}

// === Pool ===

impl Pool {
    /// A pool that keeps idle connections for `keep`.
    pub fn new(keep: Duration) -> Self {
        Self { endpoints: Vec::new(), keep }
    }

    /// A kept connection to the endpoint, the one used last first; whether its response may take the kernel lane.
    pub fn take(&mut self, slot: Slot, peer: SocketAddr, rides: bool, now: Instant) -> Option<Connection> {
        let idle = &mut self.endpoints.get_mut(usize::from(slot.0))?.idle[usize::from(rides)];
        while let Some(last) = idle.pop() {
            if last.is_usable(peer, self.keep, now) {
                return Some(last.connection);
            }
        }
        None
    }

    /// Keeps a connection for the next request.
    pub fn put(&mut self, slot: Slot, peer: SocketAddr, connection: Connection, now: Instant) {
        let rides = connection.announced.is_some();
        let idle = &mut self.known(slot).idle[usize::from(rides)];
        if idle.len() < KEPT_PER_ENDPOINT {
            idle.push(Idle { connection, peer, since: now });
        }
    }

    /// At which side a new connection may take part in the kernel lane.
    pub fn side(&self, slot: Slot, peer: SocketAddr, now: Instant) -> Side {
        let remote = self.endpoints.get(usize::from(slot.0)).and_then(|known| known.remote);
        let is_remote = |(address, since)| address == peer && now - since < REMOTE;
        if remote.is_some_and(is_remote) { Side::Remote } else { Side::Local }
    }

    /// A connection that looked for the endpoint on this node showed where it is.
    pub fn locate(&mut self, slot: Slot, peer: SocketAddr, local: bool, now: Instant) {
        self.known(slot).remote = (!local).then_some((peer, now));
    }

    /// Closes connections idle for too long.
    pub fn sweep(&mut self) {
        let (keep, now) = (self.keep, Instant::now());
        for idle in self.endpoints.iter_mut().flat_map(|known| &mut known.idle) {
            idle.retain(|connection| now - connection.since < keep);
            // What a burst left.
            idle.shrink_to(2 * idle.len());
        }
    }

    fn known(&mut self, slot: Slot) -> &mut Known {
        let at = usize::from(slot.0);
        if self.endpoints.len() <= at {
            self.endpoints.resize_with(at + 1, Known::default);
        }
        &mut self.endpoints[at]
    }
}

// === Idle ===

impl Idle {
    /// Young enough, to the same place, and silent: bytes or an end nobody asked for make it unusable.
    fn is_usable(&self, peer: SocketAddr, keep: Duration, now: Instant) -> bool {
        let read = || self.connection.stream.try_read(&mut [0; 1]);
        let silent = || matches!(read(), Err(e) if e.kind() == io::ErrorKind::WouldBlock);
        self.peer == peer && now - self.since < keep && silent()
    }
}

// === Connection ===

impl Connection {
    fn new(stream: TcpStream, announced: Option<Side>) -> Self {
        Self { stream, read: 0, lane: Part::default(), announced }
    }

    /// The socket, for whatever is not reading.
    pub fn socket(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// All bytes that were ever read from it.
    pub fn read(&self) -> u64 {
        self.read
    }

    /// Whether it showed where its endpoint is: on this node or not.
    pub fn is_local(&self) -> Option<bool> {
        self.lane.is_local().filter(|_| self.announced == Some(Side::Local))
    }

    /// Whether another connection may take part in the lane where this one does not: it was made before the endpoint was known to be
    /// on another node. Where it just does not, the next one would not either, for a handshake for each response.
    pub fn came_too_early(&self, lane: &Lane) -> bool {
        lane.is_remote() && self.is_local() == Some(false)
    }

    /// Both directions at once.
    pub fn split(&mut self) -> (Reader<'_>, tcp::WriteHalf<'_>) {
        let (stream, writer) = self.stream.split();
        (Reader { stream, read: &mut self.read }, writer)
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, read, .. } = self.get_mut();
        counted(stream, read, cx, buf)
    }
}

// === Reader ===

impl AsyncRead for Reader<'_> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, read } = self.get_mut();
        counted(stream, read, cx, buf)
    }
}

fn counted(
    stream: &mut (impl AsyncRead + Unpin),
    read: &mut u64,
    cx: &mut Context<'_>,
    buf: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let before = buf.filled().len();
    ready!(Pin::new(stream).poll_read(cx, buf))?;
    *read += (buf.filled().len() - before) as u64;
    Poll::Ready(Ok(()))
}

/// Opens a connection that may take part in the lane at this side.
///
/// # Errors
/// When it is refused, unreachable or takes longer than `limit`.
pub async fn dial(
    peer: SocketAddr,
    limit: Duration,
    lane: &Lane,
    side: Option<Side>,
) -> Result<Connection, UpstreamFault> {
    let socket = if peer.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(UpstreamFault::Connect)?;
    let announced = side.and_then(|side| lane.announce(&socket, side));
    let stream = match timeout(limit, socket.connect(peer)).await {
        Err(_) => return Err(UpstreamFault::ConnectTimeout),
        Ok(Err(error)) => return Err(UpstreamFault::Connect(error)),
        Ok(Ok(stream)) => stream,
    };
    // Requests go out in one write: waiting for more would only delay them.
    stream.set_nodelay(true).map_err(UpstreamFault::Connect)?;
    Ok(Connection::new(stream, announced))
}
