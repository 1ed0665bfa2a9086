//! The byte stream under a client's requests: a socket, or a layer over one.
//!
//! Reading and writing at the same time happens in one task, so the halves share a layer without a lock. Those of a
//! socket are tokio's own and cost nothing more.

use std::{
    cell::RefCell,
    fmt,
    future::Future,
    io::{self, IoSlice},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::{TcpStream, tcp},
};
use tokio_rustls::server::TlsStream;

mod bridge;

pub(super) use bridge::Bridge;

/// See the module's header.
pub enum Transport {
    /// A socket.
    Tcp(TcpStream),
    /// TLS, or one stream of an HTTP/2 connection.
    Layered(RefCell<Box<dyn Layer>>),
}

/// A byte stream that is not itself a socket.
pub trait Layer: AsyncRead + AsyncWrite + Unpin {
    /// Makes sure that nobody takes the end for the proper end of what was sent. The stream is dropped next.
    fn reset(&mut self);

    /// Whether the peer may still be sending, and would lose the answer to a reset if that were not read.
    fn lingers(&self) -> bool;

    /// Whether the peer has closed behind bytes that nobody has read.
    fn hides_end(&self) -> bool;
}

/// Reads from a transport while the other half writes.
pub enum ReadHalf<'t> {
    /// Of a socket.
    Tcp(tcp::ReadHalf<'t>),
    /// Of a layer.
    Layered(&'t RefCell<Box<dyn Layer>>),
}

/// Writes to a transport while the other half reads.
pub enum WriteHalf<'t> {
    /// Of a socket.
    Tcp(tcp::WriteHalf<'t>),
    /// Of a layer.
    Layered(&'t RefCell<Box<dyn Layer>>),
}

// === Transport ===

impl Transport {
    /// A layer.
    pub fn layered(layer: impl Layer + 'static) -> Self {
        Self::Layered(RefCell::new(Box::new(layer)))
    }

    /// Both directions at once.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        match self {
            Self::Tcp(stream) => {
                let (read, write) = stream.split();
                (ReadHalf::Tcp(read), WriteHalf::Tcp(write))
            }
            Self::Layered(layer) => (ReadHalf::Layered(layer), WriteHalf::Layered(layer)),
        }
    }

    /// Ends the stream in a way that nobody takes for the proper end of what was sent.
    pub fn reset(self) {
        match self {
            Self::Tcp(stream) => abort(&stream),
            Self::Layered(mut layer) => layer.get_mut().reset(),
        }
    }

    /// The socket, where there is nothing between it and HTTP.
    pub fn socket(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::Layered(_) => None,
        }
    }

    /// See [`Layer::lingers`].
    pub fn lingers(&self) -> bool {
        match self {
            Self::Tcp(_) => true,
            Self::Layered(layer) => layer.borrow().lingers(),
        }
    }
}

/// Makes dropping the socket a reset.
fn abort(stream: &TcpStream) {
    // A linger time of zero does it; where that cannot be set the close alone must do.
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Unread bytes hide the end behind them, but not from the kernel's own events.
fn is_read_closed(stream: &TcpStream) -> bool {
    match pin!(stream.ready(Interest::READABLE)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(ready)) => ready.is_read_closed(),
        Poll::Ready(Err(_)) => true,
        Poll::Pending => false,
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp(_) => "Tcp",
            Self::Layered(_) => "Layered",
        })
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Layered(layer) => Pin::new(layer.get_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Layered(layer) => Pin::new(layer.get_mut()).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Layered(layer) => Pin::new(layer.get_mut()).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Layered(layer) => layer.borrow().is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Layered(layer) => Pin::new(layer.get_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Layered(layer) => Pin::new(layer.get_mut()).poll_shutdown(cx),
        }
    }
}

// === Layer ===

impl Layer for TlsStream<TcpStream> {
    fn reset(&mut self) {
        abort(self.get_ref().0);
    }

    fn lingers(&self) -> bool {
        true
    }

    fn hides_end(&self) -> bool {
        is_read_closed(self.get_ref().0)
    }
}

// === ReadHalf ===

impl ReadHalf<'_> {
    /// See [`Layer::hides_end`].
    pub fn hides_end(&self) -> bool {
        match self {
            Self::Tcp(stream) => is_read_closed(stream.as_ref()),
            Self::Layered(layer) => layer.borrow().hides_end(),
        }
    }
}

impl AsyncRead for ReadHalf<'_> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Layered(layer) => Pin::new(&mut *layer.borrow_mut()).poll_read(cx, buf),
        }
    }
}

// === WriteHalf ===

impl WriteHalf<'_> {
    /// See [`Transport::socket`].
    pub fn socket(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream.as_ref()),
            Self::Layered(_) => None,
        }
    }
}

impl AsyncWrite for WriteHalf<'_> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Layered(layer) => Pin::new(&mut *layer.borrow_mut()).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Layered(layer) => Pin::new(&mut *layer.borrow_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Layered(layer) => Pin::new(&mut *layer.borrow_mut()).poll_shutdown(cx),
        }
    }
}
