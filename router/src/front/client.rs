//! A client connection and the buffers that its requests reuse one after the other.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep, timeout},
};
use warmlane_engine::body::{Api, BodyReader, RequestBody};

use super::{Alarm, ReadHalf, Transport, http2::PREFACE};
use crate::{
    http1::{Body, RequestHead, ResponseHead},
    kernel,
    lane::Part,
    worker::Worker,
};

/// Bytes read at once while a head or a small body comes in.
const READ: usize = 16 * 1024;
/// Buffers above this are given back after a request.
const KEPT: usize = 64 * 1024;
/// Bytes a client may send ahead while its response is under way; then it is not read until its turn.
const AHEAD: usize = 16 * 1024;
/// How often a client that has sent that much is looked at.
const GLANCE: Duration = Duration::from_millis(200);
/// How long a connection that was refused is read, so that the refusal is not lost to a reset.
const LINGER: Duration = Duration::from_secs(1);

/// See the module's header.
pub struct Client {
    /// The connection.
    pub stream: Transport,
    /// Its part in the kernel lane.
    pub lane: Part<kernel::Client>,
    /// When it has waited for too long.
    pub alarm: Alarm,
    /// The present request, as sent: head, then body with its framing.
    pub request: Vec<u8>,
    /// What came behind it.
    pub ahead: Vec<u8>,
    /// The present request's head; offsets into `request`.
    pub head: RequestHead,
    /// Which API its body is read as; `None`: it is not looked at.
    pub api: Option<Api>,
    /// Reads bodies; made with the first one that is read.
    pub reader: Option<BodyReader>,
    /// What its body says.
    pub body: RequestBody,
    /// The endpoint's answer, up to its first body bytes.
    pub answer: Vec<u8>,
    /// The answer's head; offsets into `answer`.
    pub answer_head: ResponseHead,
    /// What is being written to either side.
    pub out: Vec<u8>,
    /// The client may still be sending what nobody will read.
    pub linger: bool,
    /// The connection must end by a reset: a proper close would pass for the end of a response.
    pub reset: bool,
}

// === Client ===

impl Client {
    /// A new connection.
    pub fn new(stream: Transport) -> Self {
        Self {
            stream,
            lane: Part::default(),
            alarm: Alarm::default(),
            request: Vec::new(),
            ahead: Vec::new(),
            head: RequestHead::default(),
            api: None,
            reader: None,
            body: RequestBody::default(),
            answer: Vec::new(),
            answer_head: ResponseHead::default(),
            out: Vec::new(),
            linger: false,
            reset: false,
        }
    }

    /// What the present request asks of an engine; `None` where it is no inference call, or is not looked at.
    pub fn asked(&self) -> Option<&RequestBody> {
        self.api.map(|_| &self.body)
    }

    /// A copy of the request's body, without the framing of chunks.
    pub fn content(&self) -> Vec<u8> {
        Body::payload(self.head.framing(), &self.request[self.head.head_len()..])
    }

    /// Whether bytes of the next request are here. The empty line that some clients send behind a body is
    /// not its beginning.
    pub fn has_bytes(&self) -> bool {
        !matches!(self.request.as_slice(), b"" | b"\r" | b"\r\n")
    }

    /// Waits for the next request's first bytes; false when the client closed or sent nothing for so long.
    pub async fn wait_for_bytes(&mut self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        while !self.has_bytes() {
            self.request.reserve(READ);
            let Self { stream, request, alarm, .. } = self;
            let read = tokio::select! {
                biased;
                read = stream.read_buf(request) => read,
                () = alarm.at(until) => return false,
            };
            if !matches!(read, Ok(n) if n > 0) {
                return false;
            }
        }
        true
    }

    /// Whether the connection begins with HTTP/2's preface. Of a preface that breaks off, the rest is waited for.
    pub async fn begins_http2(&mut self, limit: Duration) -> bool {
        let arrive = async {
            while self.request.len() < PREFACE.len() && PREFACE.starts_with(&self.request) {
                if !matches!(self.read_more(0).await, Ok(n) if n > 0) {
                    break;
                }
            }
        };
        // Late or broken off, it is a bad request like any other.
        let _ = timeout(limit, arrive).await;
        self.request.starts_with(PREFACE)
    }

    /// Sends what the router says itself, within a time limit: a client that reads nothing must not hold on to
    /// its place.
    pub async fn send_out(&mut self, limit: Duration) -> io::Result<()> {
        let send = async {
            self.stream.write_all(&self.out).await?;
            self.stream.flush().await
        };
        let sent = timeout(limit, send).await;
        sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Reads up to about `want` bytes more of the request; 0 when the client closed.
    pub async fn read_more(&mut self, want: usize) -> io::Result<usize> {
        self.request.reserve(want.max(READ));
        self.stream.read_buf(&mut self.request).await
    }

    /// Gives the body's memory back: the response has begun, so the request will not be sent again.
    pub fn drop_body(&mut self, worker: &Worker) {
        let head_len = self.head.head_len();
        if self.request.capacity() > KEPT {
            let head = self.request[..head_len].to_vec();
            worker.room.borrow_mut().keep(std::mem::replace(&mut self.request, head));
        } else {
            self.request.truncate(head_len);
        }
    }

    /// Drops the request that ends at `end` and moves what came behind it to the front.
    pub fn next_request(&mut self, end: usize) {
        if self.request.len() == end && self.request.capacity() <= KEPT {
            self.request.clear();
        } else {
            // A large body's memory goes back at once.
            self.request = self.request[end..].to_vec();
        }
        self.request.append(&mut self.ahead);
        for buffer in [&mut self.answer, &mut self.out] {
            buffer.clear();
            buffer.shrink_to(KEPT);
        }
    }

    /// Closes the connection; after a refusal only when the client has had time to read it.
    pub async fn finish(mut self) {
        if self.reset {
            self.stream.reset();
            return;
        }
        // The peer may be gone already, or not be reading: there is nobody to tell.
        let _ = timeout(LINGER, self.stream.shutdown()).await;
        if self.linger && self.stream.lingers() {
            let mut unread = [0; 4_096];
            let drain = async { while matches!(self.stream.read(&mut unread).await, Ok(n) if n > 0) {} };
            let _ = timeout(LINGER, drain).await;
        }
    }
}

/// Resolves when the client has closed. Bytes it sends ahead are kept, up to a bound.
pub async fn client_gone(stream: &mut ReadHalf<'_>, ahead: &mut Vec<u8>) {
    while ahead.len() < AHEAD {
        ahead.reserve(1_024);
        match stream.read_buf(ahead).await {
            Ok(n) if n > 0 => {}
            _ => return,
        }
    }
    // Asked now and then: bytes that stay unread would answer at once each time.
    while !stream.hides_end() {
        sleep(GLANCE).await;
    }
}
