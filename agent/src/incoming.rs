//! Connections of routers, in the clear or over TLS: accepted, and given to the server once their handshake has come to a good
//! end.
//!
//! Handshakes go on beside each other, so one that does not get on holds up nobody. Bounds: [`MOST_CONNECTIONS`], and of these
//! [`MOST_HANDSHAKES`] in a handshake, while further ones wait to be accepted; [`HANDSHAKE`] for each, and what `line.rs` says for
//! those that are let in.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rustix::process::{Resource, getrlimit};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use warmlane_tls::Failed;

use crate::{metrics::Metrics, pace::Pace, publish::MOST_FOLLOWERS, tls::Tls};

mod line;
mod refused;

pub(crate) use line::{Followed, Line};
use refused::{Complaint, Refused, Why};

/// Handshakes at once: 8 MiB, and more than a node's routers begin within one handshake's time.
const MOST_HANDSHAKES: usize = 256;
/// Connections at once, or half of the file descriptors that the process may have: without one, engines cannot be read.
const MOST_CONNECTIONS: usize = MOST_FOLLOWERS + MOST_HANDSHAKES;
/// A handshake that takes longer is given up.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long, and for how many bytes, a router that was refused may go on before the connection is closed.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELL_BYTES: u64 = 64 << 10;
/// Wait after a failed accept: out of file descriptors, mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a router's connection goes over.
pub(crate) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What an accepted connection came to.
type Opened = Result<Line<Transport>, Refused>;

/// Where routers come in.
pub(crate) struct Door {
    listener: TcpListener,
    /// `None`: they come in the clear.
    tls: Option<Tls>,
    metrics: Arc<Metrics>,
    seats: Arc<Semaphore>,
}

// === Door ===

impl Door {
    pub(crate) fn new(listener: TcpListener, tls: Option<Tls>, metrics: Arc<Metrics>) -> Self {
        let descriptors = getrlimit(Resource::Nofile).current.and_then(|most| usize::try_from(most).ok());
        let seats = MOST_CONNECTIONS.min(descriptors.unwrap_or(usize::MAX) / 2);
        Self { listener, tls, metrics, seats: Arc::new(Semaphore::new(seats)) }
    }

    /// Accepts for as long as it is polled and somebody takes what comes.
    pub(crate) async fn run(self, ready: mpsc::Sender<io::Result<Line<Transport>>>) {
        let mut opening: JoinSet<Opened> = JoinSet::new();
        let (mut complaint, mut failures) = (Complaint::new(), Pace::of(1));
        loop {
            tokio::select! {
                accepted = self.accept(), if opening.len() < MOST_HANDSHAKES => match accepted {
                    Ok((stream, from, seat)) => {
                        opening.spawn(open(self.tls.as_ref().map(Tls::acceptor), stream, from, seat));
                    }
                    Err(error) => {
                        if let Some(not_logged) = failures.turn() {
                            tracing::warn!(not_logged, "cannot accept a router's connection: {error}");
                        }
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(opened) = opening.join_next() => match opened {
                    Ok(Ok(line)) => {
                        if ready.send(Ok(line)).await.is_err() {
                            return;
                        }
                    }
                    Ok(Err(refused)) => {
                        self.metrics.handshake_failed();
                        complaint.about(&refused);
                    }
                    Err(error) => tracing::error!("a connection was lost within the agent: {error}"),
                },
            }
        }
    }

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let seat = self.seats.clone().acquire_owned().await.map_err(io::Error::other)?;
        let (stream, from) = self.listener.accept().await?;
        Ok((stream, from, seat))
    }
}

async fn open(
    acceptor: Option<TlsAcceptor>,
    stream: TcpStream,
    from: SocketAddr,
    seat: OwnedSemaphorePermit,
) -> Opened {
    // Updates must go out as they come.
    let _ = stream.set_nodelay(true);
    let Some(acceptor) = acceptor else { return Ok(Line::new(Transport::Plain(stream), seat)) };
    match timeout(HANDSHAKE, acceptor.accept(stream).into_fallible()).await {
        Ok(Ok(stream)) => Ok(Line::new(Transport::Tls(Box::new(stream)), seat)),
        Ok(Err((error, stream))) => {
            part(stream).await;
            Err(Refused { from, why: Why::Failed(Failed::of(&error)) })
        }
        Err(_) => Err(Refused { from, why: Why::Slow(HANDSHAKE) }),
    }
}

/// Closes a connection so that the other side hears why: what it has sent meanwhile would make a reset of the end, which
/// overtakes the alert.
async fn part(mut stream: TcpStream) {
    let _ = timeout(FAREWELL, async {
        stream.shutdown().await?;
        tokio::io::copy(&mut (&mut stream).take(FAREWELL_BYTES), &mut tokio::io::sink()).await
    })
    .await;
}

// === Transport ===

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
