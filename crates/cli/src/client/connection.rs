//! One connection, and what its errors mean.

use std::{error::Error as _, io};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    task::JoinSet,
};

use crate::address::Address;

/// See the module's header.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) sender: SendRequest<Full<Bytes>>,
    /// It has answered before: it may have been closed meanwhile.
    pub(super) used: bool,
    /// Reads and writes; ends with it.
    _driver: JoinSet<()>,
}

// === Connection ===

impl Connection {
    pub(super) async fn to(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => Self::over(TcpStream::connect(address).await?).await,
            Address::Unix(path) => Self::over(UnixStream::connect(path).await?).await,
        }
    }

    async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> io::Result<Self> {
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        let mut driver = JoinSet::new();
        // What goes wrong with it, the one who asks is told too.
        driver.spawn(async { _ = connection.await });
        Ok(Self { sender, used: false, _driver: driver })
    }
}

/// Something was said, and that is no answer: neither did the connection break, nor was it closed.
pub(super) fn is_babble(error: &hyper::Error) -> bool {
    let (mut innermost, mut broke) = (error, false);
    let mut source = error.source();
    while let Some(error) = source {
        innermost = error.downcast_ref().unwrap_or(innermost);
        broke |= error.is::<io::Error>();
        source = error.source();
    }
    !(broke || innermost.is_incomplete_message() || innermost.is_closed() || innermost.is_canceled())
}

/// The innermost reason: hyper's own words say only where it was.
pub(super) fn cause(error: &hyper::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
