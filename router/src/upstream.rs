//! Connections to endpoints: one pool per worker thread, so that taking one needs no lock.
//!
//! A kept connection is closed before the engine closes it (uvicorn: after 5 s), and is looked at before it
//! is used again. Bound: [`KEPT_PER_ENDPOINT`] idle connections per endpoint and worker.

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
    kernel::{self, Refusal, Side},
    lane::{Lane, Part},
};

/// Most idle connections kept per endpoint and worker.
pub const KEPT_PER_ENDPOINT: usize = 256;

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
    idle: Vec<Idle>,
    /// The address to which responses that may take the kernel lane led.
    rides: Option<SocketAddr>,
    /// The address that turned out to be on another node.
    remote: Option<SocketAddr>,
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

    /// A kept connection to the endpoint, the one used last first.
    pub fn take(&mut self, slot: Slot, peer: SocketAddr, now: Instant) -> Option<Connection> {
        let idle = &mut self.endpoints.get_mut(usize::from(slot.0))?.idle;
        while let Some(last) = idle.pop() {
            if last.is_usable(peer, self.keep, now) {
                return Some(last.connection);
            }
        }
        None
    }

    /// Keeps a connection for the next request.
    pub fn put(&mut self, slot: Slot, peer: SocketAddr, connection: Connection, now: Instant) {
        let idle = &mut self.known(slot).idle;
        if idle.len() < KEPT_PER_ENDPOINT {
            idle.push(Idle { connection, peer, since: now });
        }
    }

    /// At which side a new connection may take the kernel lane; none where no response of this endpoint did that far. Others' responses
    /// come on connections that were made for one that may.
    pub fn side(&mut self, slot: Slot, peer: SocketAddr, may_ride: bool) -> Option<Side> {
        let known = self.known(slot);
        if may_ride {
            known.rides = Some(peer);
        }
        let side = if known.remote == Some(peer) { Side::Remote } else { Side::Local };
        (known.rides == Some(peer)).then_some(side)
    }

    /// A connection showed where the endpoint is.
    pub fn locate(&mut self, slot: Slot, peer: SocketAddr, local: bool) {
        self.known(slot).remote = (!local).then_some(peer);
    }

    /// Closes connections idle for too long.
    pub fn sweep(&mut self) {
        let (keep, now) = (self.keep, Instant::now());
        for Known { idle, .. } in &mut self.endpoints {
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

    /// Whether another connection may take part in the lane where this one does not: it was made before its endpoint's responses might
    /// ride, or before the endpoint was known to be on another node, or it has left. One that was announced and does not all the same
    /// tells nothing of the next, which would cost a handshake for each response.
    pub fn makes_room(&self, lane: &Lane) -> bool {
        match self.lane {
            Part::Refused(Refusal::Left) => true,
            Part::Refused(Refusal::Early) => self.announced.is_none(),
            Part::Refused(Refusal::Remote) => lane.is_remote() && self.announced == Some(Side::Local),
            _ => false,
        }
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
