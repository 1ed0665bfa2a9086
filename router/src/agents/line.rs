//! The connection to an agent: TCP, or TLS over it, for the one channel that it was dialled for.
//!
//! It notes what the agent says of TLS after the handshake. In TLS 1.3 a server looks at the client's certificate when the client
//! holds the handshake for done, so a refusal comes where an answer was due; and what comes out of the layers above
//! has lost it.

use std::{
    future::{Ready, ready},
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;
use tonic::{codegen::Service, transport::Uri};
use warmlane_tls::Failed;

use super::credentials::Unsecured;

/// How a TLS alert begins: its type, and the version's first byte.
const ALERT: [u8; 2] = [21, 3];

/// What the agent said of TLS, if it did.
#[derive(Clone, Debug, Default)]
pub(super) struct Note(Arc<OnceLock<Unsecured>>);

/// See the module's header.
pub(super) struct Line {
    transport: Transport,
    /// Nothing has come yet.
    is_new: bool,
    note: Note,
}

/// What a line goes over.
pub(super) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Hands a line to the channel, once: who wants another dials anew, and looks at the files again.
pub(super) struct Connected(Option<TokioIo<Line>>);

// === Note ===

impl Note {
    /// What was said first.
    pub(super) fn said(&self) -> Option<Unsecured> {
        self.0.get().cloned()
    }

    fn take(&self, said: Unsecured) {
        // What comes later follows from the first.
        let _ = self.0.set(said);
    }
}

// === Line ===

impl Line {
    pub(super) fn new(transport: Transport, note: Note) -> Self {
        Self { transport, is_new: true, note }
    }

    fn look(&mut self, outcome: &io::Result<()>, came: &[u8]) {
        match outcome {
            Ok(()) if self.is_new && matches!(self.transport, Transport::Plain(_)) => {
                if came.starts_with(&ALERT) {
                    self.note.take(Unsecured::Wanted);
                }
            }
            Ok(()) => {}
            Err(error) => {
                if let Some(failed) = Failed::of_tls(error) {
                    self.note.take(Unsecured::Failed(failed));
                }
            }
        }
        self.is_new = false;
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = ready!(match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Transport::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        });
        self.look(&outcome, &buffer.filled()[before..]);
        Poll::Ready(outcome.map_err(plainly))
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Transport::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Transport::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(stream) => stream.is_write_vectored(),
            Transport::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// A process that dies says no farewell, for which the library has many words.
fn plainly(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "it closed the connection"),
        _ => error,
    }
}

// === Connected ===

impl Connected {
    pub(super) fn new(line: Line) -> Self {
        Self(Some(TokioIo::new(line)))
    }
}

impl Service<Uri> for Connected {
    type Response = TokioIo<Line>;
    type Error = io::Error;
    type Future = Ready<io::Result<TokioIo<Line>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        ready(self.0.take().ok_or_else(|| io::ErrorKind::NotConnected.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_without_a_farewell_is_told_in_few_words() {
        let many = "peer closed connection without sending TLS close_notify: see the manual";
        let said = plainly(io::Error::new(io::ErrorKind::UnexpectedEof, many));
        assert_eq!(
            (said.kind(), said.to_string().as_str()),
            (io::ErrorKind::UnexpectedEof, "it closed the connection")
        );
        let other = plainly(io::Error::from(io::ErrorKind::ConnectionReset));
        assert_eq!(other.kind(), io::ErrorKind::ConnectionReset);
    }
}
