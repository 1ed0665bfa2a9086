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
use warmlane_engine::metrics::Sieve;

use crate::{Failure, Outcome, pace::Seen};

/// Most header bytes of an answer that are read, and what a kept connection reads into: a router that reads a thousand engines
/// keeps as many of these.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// See the module's header.
pub(super) struct Line {
    /// Value of the `host` header.
    host: String,
    /// Value of the `user-agent` header.
    agent: &'static str,
    limit: Duration,
    open: Option<Open>,
    /// The engine has taken a new connection for the request under way.
    is_connected: bool,
}

struct Open {
    sender: SendRequest<Empty<Bytes>>,
    /// Drives the connection; stops with this value.
    _driver: JoinSet<()>,
}

/// Takes an answer's body, piece by piece.
pub(super) trait Sink: Default {
    /// The next piece.
    fn take(&mut self, piece: &[u8]);
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Reply<S> {
    pub(super) status: u16,
    pub(super) body: S,
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
    #[error("connected, and no whole answer within {0:?}")]
    Mute(Duration),
    #[error("the connection broke: {0}")]
    Broken(hyper::Error),
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

// === Line ===

impl Line {
    pub(super) fn new(host: &str, agent: &'static str, limit: Duration) -> Self {
        Self { host: host.to_owned(), agent, limit, open: None, is_connected: false }
    }

    /// Asks for `path`. Connects where there is no connection, or where the engine closed the kept one. After an
    /// error there is none.
    pub(super) async fn get<S: Sink>(
        &mut self,
        socket: SocketAddr,
        path: &str,
        max: usize,
    ) -> Result<Reply<S>, LineError> {
        let limit = self.limit;
        self.is_connected = false;
        let answer = timeout(limit, self.try_get(socket, path, max)).await;
        answer.unwrap_or(Err(if self.is_connected {
            LineError::Mute(limit)
        } else {
            LineError::Timeout(limit)
        }))
    }

    async fn try_get<S: Sink>(
        &mut self,
        socket: SocketAddr,
        path: &str,
        max: usize,
    ) -> Result<Reply<S>, LineError> {
        if let Some(mut kept) = self.open.take()
            && kept.sender.ready().await.is_ok()
        {
            match self.ask(&mut kept, path, max).await {
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
        self.is_connected = true;
        let reply = self.ask(&mut fresh, path, max).await?;
        self.open = Some(fresh);
        Ok(reply)
    }

    async fn ask<S: Sink>(&self, open: &mut Open, path: &str, max: usize) -> Result<Reply<S>, LineError> {
        let request = Request::get(path)
            .header(HOST, &self.host)
            .header(USER_AGENT, self.agent)
            .header(ACCEPT, "*/*")
            .body(Empty::new())
            .map_err(|error| LineError::Connect(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        let sent = Instant::now();
        let answer = open.sender.send_request(request).await.map_err(LineError::Broken)?;
        let status = answer.status().as_u16();
        let (mut body, mut taken) = (Limited::new(answer.into_body(), max), S::default());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| match error.downcast::<hyper::Error>() {
                Ok(error) => LineError::Broken(*error),
                Err(error) => {
                    debug_assert!(error.is::<LengthLimitError>(), "a limited body fails in two ways only");
                    LineError::TooLarge(max)
                }
            })?;
            if let Some(piece) = frame.data_ref() {
                taken.take(piece);
            }
        }
        Ok(Reply { status, body: taken, took: sent.elapsed() })
    }
}

// === Sink ===

impl Sink for Vec<u8> {
    fn take(&mut self, piece: &[u8]) {
        self.extend_from_slice(piece);
    }
}

impl Sink for Sieve {
    fn take(&mut self, piece: &[u8]) {
        self.push(piece);
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

// === LineError ===

impl LineError {
    /// How it is counted.
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Connect(_) => Outcome::Connect,
            Self::Timeout(_) | Self::Mute(_) => Outcome::Timeout,
            Self::Broken(_) => Outcome::Closed,
            Self::TooLarge(_) => Outcome::TooLarge,
        }
    }

    /// What it says of the engine, and how to go on: one that works for long without use is spared.
    pub(super) fn meaning(&self) -> (Failure, Seen) {
        match self {
            Self::Connect(error) => (error.into(), Seen::Failed),
            Self::Timeout(_) => (Failure::TimedOut, Seen::Silent),
            Self::Mute(_) => (Failure::Mute, Seen::Silent),
            Self::Broken(_) => (Failure::Broken, Seen::Failed),
            Self::TooLarge(bytes) => (Failure::TooLarge(*bytes), Seen::Silent),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

    /// Reads one request.
    async fn request(stream: &mut TcpStream) -> String {
        let mut buffer = [0; 1_024];
        let read = stream.read(&mut buffer).await.expect("read");
        String::from_utf8_lossy(&buffer[..read]).into_owned()
    }

    #[tokio::test]
    async fn a_kept_connection_that_the_engine_drops_costs_a_new_one_not_the_reading() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let mut line = Line::new("engine:8000", "test", Duration::from_secs(20));
        let engine = async {
            let (mut first, _) = listener.accept().await.expect("accept");
            let head = request(&mut first).await.to_lowercase();
            assert!(
                head.starts_with("get /metrics http/1.1\r\n") && head.contains("host: engine:8000"),
                "{head}"
            );
            first.write_all(ANSWER).await.expect("answer");
            assert!(!request(&mut first).await.is_empty(), "the connection is used again");
            drop(first);
            let (mut second, _) = listener.accept().await.expect("accept");
            request(&mut second).await;
            second.write_all(ANSWER).await.expect("answer");
        };
        let reader = async {
            for _ in 0..2 {
                let reply = line.get::<Vec<u8>>(address, "/metrics", 10).await.expect("a reply");
                assert_eq!((reply.status, &*reply.body), (200, &b"ok"[..]));
            }
        };
        tokio::join!(engine, reader);
    }

    #[tokio::test]
    async fn what_breaks_off_is_broken_and_what_is_too_long_is_not_kept() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        let mut line = Line::new("engine:8000", "test", Duration::from_secs(20));
        let engine = async {
            for answer in [&ANSWER[..ANSWER.len() - 1], ANSWER] {
                let (mut stream, _) = listener.accept().await.expect("accept");
                request(&mut stream).await;
                stream.write_all(answer).await.expect("answer");
            }
        };
        let reader = async {
            let cut = line.get::<Vec<u8>>(address, "/metrics", 10).await;
            assert!(matches!(cut, Err(LineError::Broken(_))), "{cut:?}");
            let long = line.get::<Vec<u8>>(address, "/metrics", 1).await;
            assert!(matches!(long, Err(LineError::TooLarge(1))), "{long:?}");
        };
        tokio::join!(engine, reader);
        assert!(line.open.is_none());
    }
}
