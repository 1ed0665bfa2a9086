//! HTTP/2 clients: a proper one, and one that sends the frames it is given.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use hyper::{HeaderMap, Request};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime::{Builder, Handle, Runtime},
    sync::oneshot,
    time::timeout,
};

use crate::PATIENCE;

mod frames;

pub use frames::{Frame, Frames, frame, hpack, kind};

/// What opens a connection.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection of a proper client, driven on a thread of its own.
pub struct Multiplexed {
    runtime: Runtime,
    sender: SendRequest<Bytes>,
    ended: oneshot::Receiver<Result<(), h2::Error>>,
}

/// One stream.
pub struct Stream {
    handle: Handle,
    response: Option<ResponseFuture>,
    body: Option<RecvStream>,
    request: SendStream<Bytes>,
}

/// An answer's head.
#[derive(Debug)]
pub struct Head {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
}

// === Multiplexed ===

impl Multiplexed {
    /// Connects in the clear.
    ///
    /// # Panics
    /// When nobody listens or HTTP/2 is not spoken.
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(async move { tokio::net::TcpStream::connect(address).await.expect("connect") })
    }

    /// Speaks HTTP/2 over a connection that is made in the client's own runtime.
    ///
    /// # Panics
    /// When HTTP/2 is not spoken.
    pub fn over<S>(connect: impl Future<Output = S>) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("runtime");
        let (tell, ended) = oneshot::channel();
        let sender = runtime.block_on(async {
            let (sender, connection) = h2::client::handshake(connect.await).await.expect("HTTP/2");
            tokio::spawn(async move {
                // The test may have left.
                let _ = tell.send(connection.await);
            });
            sender
        });
        Self { runtime, sender, ended }
    }

    /// Opens a stream with a request's head, and its body behind it. `None`: the client keeps the stream open.
    ///
    /// # Panics
    /// When the connection is closed.
    pub fn open(&mut self, request: Request<()>, body: Option<&[u8]>) -> Stream {
        self.try_open(request, body).expect("a stream")
    }

    /// The same on a connection that may be closed.
    ///
    /// # Errors
    /// What the connection says.
    pub fn try_open(&mut self, request: Request<()>, body: Option<&[u8]>) -> Result<Stream, h2::Error> {
        let sender = self.sender.clone();
        let is_empty = body.is_some_and(<[u8]>::is_empty);
        let (response, request) = self.runtime.block_on(async {
            timeout(PATIENCE, sender.ready())
                .await
                .expect("room for a stream")?
                .send_request(request, is_empty)
        })?;
        let mut stream =
            Stream { handle: self.runtime.handle().clone(), response: Some(response), body: None, request };
        if let Some(body) = body.filter(|body| !body.is_empty()) {
            stream.send(body, true);
        }
        Ok(stream)
    }

    /// A POST with a JSON body.
    pub fn post(&mut self, path: &str, body: &str) -> Stream {
        let request = Request::post(format!("http://t{path}")).header("content-type", "application/json");
        let request = request.header("content-length", body.len());
        self.open(request.body(()).expect("a request"), Some(body.as_bytes()))
    }

    /// A GET.
    pub fn get(&mut self, path: &str) -> Stream {
        self.open(Request::get(format!("http://t{path}")).body(()).expect("a request"), Some(b""))
    }

    /// Waits for the connection's end.
    ///
    /// # Panics
    /// When it does not end.
    pub fn ended(mut self) -> Result<(), h2::Error> {
        drop(self.sender);
        let ended = self.runtime.block_on(async { timeout(PATIENCE, &mut self.ended).await });
        ended.expect("the connection ends").expect("its task ends by itself")
    }
}

// === Stream ===

impl Stream {
    /// Sends a part of the body as soon as there is room.
    ///
    /// # Panics
    /// When there is none for long.
    pub fn send(&mut self, bytes: &[u8], is_last: bool) {
        let request = &mut self.request;
        let send = async {
            let mut rest = Bytes::copy_from_slice(bytes);
            while !rest.is_empty() {
                request.reserve_capacity(rest.len());
                let room = std::future::poll_fn(|cx| request.poll_capacity(cx)).await;
                // A stream that was reset takes nothing more; its answer tells.
                let Some(Ok(room)) = room else { return };
                let part = rest.split_to(room.min(rest.len()));
                if request.send_data(part, is_last && rest.is_empty()).is_err() {
                    return;
                }
            }
        };
        self.handle.block_on(async { timeout(PATIENCE, send).await }).expect("room for the body");
    }

    /// Ends the request with trailers.
    ///
    /// # Panics
    /// When the stream is over already.
    pub fn trailers(&mut self, trailers: &[(&'static str, &'static str)]) {
        let pairs = trailers.iter().map(|(name, value)| {
            (hyper::header::HeaderName::from_static(name), hyper::header::HeaderValue::from_static(value))
        });
        self.request.send_trailers(pairs.collect()).expect("an open stream");
    }

    /// Waits for the answer's head.
    ///
    /// # Errors
    /// When the stream was reset before.
    ///
    /// # Panics
    /// When nothing comes.
    pub fn head(&mut self) -> Result<Head, h2::Error> {
        let response = self.response.take().expect("not asked before");
        let response = self.handle.block_on(async { timeout(PATIENCE, response).await });
        let (head, body) = response.expect("an answer")?.into_parts();
        self.body = Some(body);
        Ok(Head { status: head.status.as_u16(), headers: head.headers })
    }

    /// The next part of the answer's body that is not empty; `None` at its end.
    ///
    /// # Panics
    /// When nothing comes, or before the head.
    pub fn part(&mut self) -> Option<Result<Bytes, h2::Error>> {
        let body = self.body.as_mut().expect("the head came");
        loop {
            let part = self.handle.block_on(async { timeout(PATIENCE, body.data()).await }).expect("a part");
            if let Some(Ok(part)) = &part {
                // Only fails on a stream that is closed.
                let _ = body.flow_control().release_capacity(part.len());
            }
            if !matches!(&part, Some(Ok(part)) if part.is_empty()) {
                return part;
            }
        }
    }

    /// The whole answer.
    ///
    /// # Errors
    /// When the stream was reset before its end.
    pub fn answer(mut self) -> Result<(Head, Vec<u8>), h2::Error> {
        let (head, mut whole) = (self.head()?, Vec::new());
        while let Some(part) = self.part() {
            whole.extend_from_slice(&part?);
        }
        Ok((head, whole))
    }

    /// Gives it up.
    pub fn reset(mut self) {
        self.request.send_reset(h2::Reason::CANCEL);
    }
}
