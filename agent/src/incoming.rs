//! Connections of routers over TLS: accepted, and given to the server once their handshake has come to a good end.
//!
//! Handshakes go on beside each other, so one that does not get on holds up nobody. Bounds: [`MOST_HANDSHAKES`] at once, while
//! further connections wait to be accepted, and [`HANDSHAKE`] for each.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tonic::transport::server::Connected;
use warmlane_tls::Failed;

use crate::{metrics::Metrics, tls::Tls};

/// Handshakes at once: 8 MiB, and more than a node's routers begin within one handshake's time.
const MOST_HANDSHAKES: usize = 256;
/// A handshake that takes longer is given up.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long, and for how many bytes, a router that was refused may go on before the connection is closed.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELL_BYTES: u64 = 64 << 10;
/// Wait after a failed accept: out of file descriptors, mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Between two lines of the log, which others can provoke.
const PAUSE: Duration = Duration::from_secs(10);

/// A connection that is let in.
pub(crate) struct Secured(TlsStream<TcpStream>);

/// What a handshake came to.
type Shaken = Result<TlsStream<TcpStream>, Refused>;

/// A connection that is not let in.
struct Refused {
    from: SocketAddr,
    why: Why,
}

enum Why {
    Failed(Failed),
    Slow,
}

/// Says in the log, now and then, who is not let in.
#[derive(Default)]
struct Complaint {
    /// From when on the next may be written.
    next: Option<Instant>,
    not_logged: u64,
}

/// Accepts for as long as it is polled and somebody takes what comes.
pub(crate) async fn accept(
    listener: TcpListener,
    tls: Tls,
    metrics: Arc<Metrics>,
    ready: mpsc::Sender<io::Result<Secured>>,
) {
    let mut handshakes: JoinSet<Shaken> = JoinSet::new();
    let mut complaint = Complaint::default();
    loop {
        tokio::select! {
            accepted = listener.accept(), if handshakes.len() < MOST_HANDSHAKES => match accepted {
                Ok((stream, from)) => {
                    handshakes.spawn(shake_hands(tls.acceptor(), stream, from));
                }
                Err(error) => {
                    tracing::warn!("cannot accept a router's connection: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(Ok(shaken)) = handshakes.join_next() => match shaken {
                Ok(stream) => {
                    if ready.send(Ok(Secured(stream))).await.is_err() {
                        return;
                    }
                }
                Err(refused) => {
                    metrics.handshake_failed();
                    complaint.about(&refused);
                }
            },
        }
    }
}

async fn shake_hands(acceptor: TlsAcceptor, stream: TcpStream, from: SocketAddr) -> Shaken {
    // Updates must go out as they come.
    let _ = stream.set_nodelay(true);
    match timeout(HANDSHAKE, acceptor.accept(stream).into_fallible()).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err((error, stream))) => {
            part(stream).await;
            Err(Refused { from, why: Why::Failed(Failed::of(&error)) })
        }
        Err(_) => Err(Refused { from, why: Why::Slow }),
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

// === Refused ===

impl Refused {
    /// What may be wrong, as a question: only people can know.
    fn hint(&self) -> &'static str {
        match &self.why {
            Why::Failed(Failed::NotTls) => "; is it a router without --agent-tls-ca?",
            Why::Failed(Failed::NoCertificate) => {
                "; is it a router without --agent-tls-certificate and --agent-tls-key?"
            }
            Why::Failed(Failed::Foreign) => "; is its certificate signed by the CA in --tls-client-ca?",
            Why::Failed(Failed::Untrusted) => {
                "; is --tls signed by the CA in that router's --agent-tls-ca, and for the name that it dials or has in \
                 --agent-tls-name?"
            }
            Why::Failed(
                Failed::Authority
                | Failed::Name { .. }
                | Failed::Expired
                | Failed::Early
                | Failed::Certificate(_)
                | Failed::Wanted
                | Failed::NothingCommon
                | Failed::BrokenOff
                | Failed::Closed
                | Failed::Other(_),
            )
            | Why::Slow => "",
        }
    }

    fn why(&self) -> String {
        match &self.why {
            Why::Failed(failed) => failed.to_string(),
            Why::Slow => format!("the handshake did not come to an end within {HANDSHAKE:?}"),
        }
    }
}

// === Complaint ===

impl Complaint {
    fn about(&mut self, refused: &Refused) {
        let (from, why, hint) = (refused.from, refused.why(), refused.hint());
        tracing::debug!(%from, "a TLS handshake failed: {why}");
        // A probe that connects and leaves is no event.
        if matches!(refused.why, Why::Failed(Failed::Closed)) {
            return;
        }
        let now = Instant::now();
        if self.next.is_some_and(|next| now < next) {
            self.not_logged += 1;
            return;
        }
        self.next = Some(now + PAUSE);
        let not_logged = std::mem::take(&mut self.not_logged);
        tracing::warn!(%from, not_logged, "somebody who dialled is not let in: {why}{hint}");
    }
}

// === Secured ===

impl Connected for Secured {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Secured {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Secured {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
