//! HTTP/2 clients: a proper one, and one that sends the frames it is given.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

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

/// What opens a connection.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Frame types.
pub mod kind {
    /// DATA
    pub const DATA: u8 = 0;
    /// HEADERS
    pub const HEADERS: u8 = 1;
    /// RST_STREAM
    pub const RST_STREAM: u8 = 3;
    /// SETTINGS
    pub const SETTINGS: u8 = 4;
    /// PING
    pub const PING: u8 = 6;
    /// GOAWAY
    pub const GOAWAY: u8 = 7;
    /// CONTINUATION
    pub const CONTINUATION: u8 = 9;
}

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

/// A connection of a client that sends frames as they are given.
pub struct Frames(TcpStream);

/// One frame.
#[derive(Debug)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// Its payload.
    pub payload: Vec<u8>,
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

// === Frames ===

impl Frames {
    /// Connects, and sends preface and settings.
    ///
    /// # Panics
    /// When nobody listens.
    pub fn connect(address: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("read timeout");
        stream.write_all(PREFACE).expect("preface");
        let mut frames = Self(stream);
        frames.send(kind::SETTINGS, 0, 0, &[]);
        frames
    }

    /// Sends one frame; false when the peer has closed.
    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.0.write_all(&frame(kind, flags, stream, payload)).is_ok()
    }

    /// Sends bytes as they are; false when the peer has closed.
    pub fn send_raw(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// Sends a request's head.
    pub fn headers(&mut self, stream: u32, end_stream: bool, fields: &[(&str, &str)]) -> bool {
        let flags = 0x4 | u8::from(end_stream);
        self.send(kind::HEADERS, flags, stream, &hpack(fields))
    }

    /// The next frame; `None` when the peer has closed.
    ///
    /// # Panics
    /// When nothing comes.
    pub fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        match self.0.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("no frame for {PATIENCE:?}")
            }
            Err(_) => return None,
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// Reads to the next frame that is wanted; `None` when the peer closes before.
    pub fn until(&mut self, mut wanted: impl FnMut(&Frame) -> bool) -> Option<Frame> {
        while let Some(frame) = self.read() {
            if wanted(&frame) {
                return Some(frame);
            }
        }
        None
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        &self.0
    }
}

/// A frame's bytes.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32;
    let head = [&length.to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [&head, payload].concat()
}

/// A header block that uses no table.
pub fn hpack(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            // One byte holds lengths below 127, further ones seven bits each.
            let mut length = text.len();
            if length < 127 {
                block.push(length as u8);
            } else {
                block.push(127);
                length -= 127;
                while length >= 128 {
                    block.push((length % 128) as u8 | 128);
                    length /= 128;
                }
                block.push(length as u8);
            }
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

impl Frame {
    /// The error code of a RST_STREAM or GOAWAY frame.
    pub fn code(&self) -> u32 {
        let at = if self.kind == kind::GOAWAY { 4 } else { 0 };
        self.payload
            .get(at..at + 4)
            .map_or(0, |code| u32::from_be_bytes([code[0], code[1], code[2], code[3]]))
    }
}
