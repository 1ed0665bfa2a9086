//! A bounded pipe between an HTTP/2 stream and the path of a request, which reads and writes HTTP/1.1.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use tokio::io::{self as tokio_io, AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use super::Layer;

/// Bytes that wait in a bridge, at most, in each direction.
const SIZE: usize = 32 * 1024;

/// The end at which the request is served.
#[derive(Debug)]
pub(in super::super) struct Bridge {
    stream: DuplexStream,
    cut: Rc<Cell<bool>>,
}

/// The end at the HTTP/2 stream. Dropping both halves tells the other end that the client is gone.
#[derive(Debug)]
pub(in super::super) struct FarEnd {
    /// Takes the request.
    pub(in super::super) writer: tokio_io::WriteHalf<DuplexStream>,
    /// Gives the answer.
    pub(in super::super) reader: tokio_io::ReadHalf<DuplexStream>,
    /// What came is not whole: its end must not pass for one.
    pub(in super::super) cut: Rc<Cell<bool>>,
}

impl Bridge {
    /// Both ends of a new bridge.
    pub(in super::super) fn pair() -> (Self, FarEnd) {
        let (near, far) = tokio_io::duplex(SIZE);
        let (reader, writer) = tokio_io::split(far);
        // Until it is shut down properly: what ends in any other way is not whole.
        let cut = Rc::new(Cell::new(true));
        (Self { stream: near, cut: cut.clone() }, FarEnd { writer, reader, cut })
    }
}

impl Layer for Bridge {
    fn reset(&mut self) {
        self.cut.set(true);
    }

    fn lingers(&self) -> bool {
        false
    }

    fn hides_end(&self) -> bool {
        // One request is all that a bridge carries: nothing stands between it and the end.
        false
    }
}

impl AsyncRead for Bridge {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Bridge {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.cut.set(false);
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
