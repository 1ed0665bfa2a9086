//! Connections to endpoints: one pool per worker thread, so that taking one needs no lock.
//!
//! A kept connection is closed before the engine closes it (uvicorn: after 5 s), and is looked at before it
//! is used again. Bound: [`KEPT_PER_ENDPOINT`] idle connections per endpoint and worker.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};
use warmlane_picker::Slot;

use crate::error::UpstreamFault;

/// Most idle connections kept per endpoint and worker.
pub const KEPT_PER_ENDPOINT: usize = 256;

/// Idle connections of one worker.
#[derive(Debug)]
pub struct Pool {
    /// By slot.
    idle: Vec<Vec<Idle>>,
    keep: Duration,
}

#[derive(Debug)]
struct Idle {
    stream: TcpStream,
    peer: SocketAddr,
    since: Instant,
}

// === Pool ===

impl Pool {
    /// A pool that keeps idle connections for `keep`.
    pub fn new(keep: Duration) -> Self {
        Self { idle: Vec::new(), keep }
    }

    /// A kept connection to the endpoint, the one used last first.
    pub fn take(&mut self, slot: Slot, peer: SocketAddr, now: Instant) -> Option<TcpStream> {
        let idle = self.idle.get_mut(usize::from(slot.0))?;
        while let Some(last) = idle.pop() {
            if last.is_usable(peer, self.keep, now) {
                return Some(last.stream);
            }
        }
        None
    }

    /// Keeps a connection for the next request.
    pub fn put(&mut self, slot: Slot, peer: SocketAddr, stream: TcpStream, now: Instant) {
        let at = usize::from(slot.0);
        if self.idle.len() <= at {
            self.idle.resize_with(at + 1, Vec::new);
        }
        let idle = &mut self.idle[at];
        if idle.len() < KEPT_PER_ENDPOINT {
            idle.push(Idle { stream, peer, since: now });
        }
    }

    /// Closes connections idle for too long.
    pub fn sweep(&mut self) {
        let (keep, now) = (self.keep, Instant::now());
        for idle in &mut self.idle {
            idle.retain(|connection| now - connection.since < keep);
            // What a burst left.
            idle.shrink_to(2 * idle.len());
        }
    }
}

// === Idle ===

impl Idle {
    /// Young enough, to the same place, and silent: bytes or an end nobody asked for make it unusable.
    fn is_usable(&self, peer: SocketAddr, keep: Duration, now: Instant) -> bool {
        let silent =
            || matches!(self.stream.try_read(&mut [0; 1]), Err(e) if e.kind() == io::ErrorKind::WouldBlock);
        self.peer == peer && now - self.since < keep && silent()
    }
}

/// Opens a connection.
///
/// # Errors
/// When it is refused, unreachable or takes longer than `limit`.
pub async fn dial(peer: SocketAddr, limit: Duration) -> Result<TcpStream, UpstreamFault> {
    let stream = match timeout(limit, TcpStream::connect(peer)).await {
        Err(_) => return Err(UpstreamFault::ConnectTimeout),
        Ok(Err(error)) => return Err(UpstreamFault::Connect(error)),
        Ok(Ok(stream)) => stream,
    };
    // Requests go out in one write: waiting for more would only delay them.
    stream.set_nodelay(true).map_err(UpstreamFault::Connect)?;
    Ok(stream)
}
