//! One kept connection to one engine, used for one request at a time.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::{
    Request,
    client::conn::http1::{self, SendRequest},
    header::{ACCEPT, HOST, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

use super::pace::Seen;
use crate::{metrics::ScrapeOutcome, world::writer::Failure};

/// Most header bytes of an answer that are read.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// See the module's header.
pub(super) struct Line {
    /// Value of the `host` header.
    host: String,
    limit: Duration,
    open: Option<Open>,
}

struct Open {
    sender: SendRequest<Empty<Bytes>>,
    /// Drives the connection; stops with this value.
    _driver: JoinSet<()>,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Bytes,
    /// From sending the request to the last byte. Connecting is not in it.
    pub(super) took: Duration,
}

/// Why there is no whole answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("no whole answer within {0:?}")]
    Timeout(Duration),
    #[error("the connection broke: {0}")]
    Broken(hyper::Error),
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

// === Line ===

impl Line {
    pub(super) fn new(host: &str, limit: Duration) -> Self {
        Self { host: host.to_owned(), limit, open: None }
    }

    /// Asks for `path`. Connects where there is no connection, or where the engine closed the kept one. After an
    /// error there is none.
    pub(super) async fn get(
        &mut self,
        socket: SocketAddr,
        path: &str,
        max: usize,
    ) -> Result<Reply, LineError> {
        let limit = self.limit;
        timeout(limit, self.try_get(socket, path, max)).await.unwrap_or(Err(LineError::Timeout(limit)))
    }

    async fn try_get(&mut self, socket: SocketAddr, path: &str, max: usize) -> Result<Reply, LineError> {
        if let Some(mut kept) = self.open.take()
            && kept.sender.ready().await.is_ok()
        {
            match ask(&mut kept, &self.host, path, max).await {
                // Engines close idle connections without a word: that is no failure of the engine.
                Err(LineError::Broken(_)) => {}
                Err(error) => return Err(error),
                Ok(reply) => {
                    self.open = Some(kept);
                    return Ok(reply);
                }
            }
        }
        let mut fresh = connect(socket).await?;
        let reply = ask(&mut fresh, &self.host, path, max).await?;
        self.open = Some(fresh);
        Ok(reply)
    }
}

async fn connect(socket: SocketAddr) -> Result<Open, LineError> {
    let stream = TcpStream::connect(socket).await.map_err(LineError::Connect)?;
    stream.set_nodelay(true).map_err(LineError::Connect)?;
    let handshake = http1::Builder::new().max_buf_size(MAX_HEAD_BYTES).handshake(TokioIo::new(stream));
    let (sender, connection) = handshake.await.map_err(LineError::Broken)?;
    let mut driver = JoinSet::new();
    driver.spawn(async move {
        // Its errors reach the request that suffers from them.
        let _ = connection.await;
    });
    Ok(Open { sender, _driver: driver })
}

async fn ask(open: &mut Open, host: &str, path: &str, max: usize) -> Result<Reply, LineError> {
    let request = Request::get(path)
        .header(HOST, host)
        .header(USER_AGENT, concat!("warmlane-router/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "*/*")
        .body(Empty::new())
        .map_err(|error| LineError::Connect(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
    let sent = Instant::now();
    let answer = open.sender.send_request(request).await.map_err(LineError::Broken)?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), max).collect().await.map_err(|error| {
        match error.downcast::<hyper::Error>() {
            Ok(error) => LineError::Broken(*error),
            Err(error) => {
                debug_assert!(error.is::<LengthLimitError>(), "a limited body fails in two ways only");
                LineError::TooLarge(max)
            }
        }
    })?;
    Ok(Reply { status, body: body.to_bytes(), took: sent.elapsed() })
}

// === LineError ===

impl LineError {
    /// How it is counted.
    pub(super) fn outcome(&self) -> ScrapeOutcome {
        match self {
            Self::Connect(_) => ScrapeOutcome::Connect,
            Self::Timeout(_) => ScrapeOutcome::Timeout,
            Self::Broken(_) => ScrapeOutcome::Closed,
            Self::TooLarge(_) => ScrapeOutcome::TooLarge,
        }
    }

    /// What it says of the engine, and how to go on: one that works for long without use is spared.
    pub(super) fn meaning(&self) -> (Failure, Seen) {
        match self {
            Self::Connect(error) => (error.into(), Seen::Failed),
            Self::Timeout(_) => (Failure::TimedOut, Seen::Silent),
            Self::Broken(_) => (Failure::Broken, Seen::Failed),
            Self::TooLarge(bytes) => (Failure::TooLarge(*bytes), Seen::Silent),
        }
    }
}
