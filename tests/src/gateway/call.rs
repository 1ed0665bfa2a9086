//! One gRPC call over HTTP/2: messages one way, messages and a status the other. Asynchronous, for whoever has a runtime.
//!
//! Framing is written out here rather than left to a gRPC client, so that a test says when a stream is half closed and
//! when it is reset, and so that a benchmark can send messages that were encoded before.
//!
//! A message: a byte 0 (not compressed), its length in four bytes, big end first, and itself.

use std::future::poll_fn;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use h2::{
    Reason, RecvStream, SendStream,
    client::{Builder, ResponseFuture, SendRequest},
};
use hyper::{HeaderMap, Request};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::Status;

/// Where Envoy sends what it wants to be processed.
const METHOD: &str = "http://picker/envoy.service.ext_proc.v3.ExternalProcessor/Process";

/// Room for answers that nobody has read yet: a peer that cannot send them may stop to read, and both would wait.
const WINDOW: u32 = 1 << 25;

/// What precedes a message.
const PREFIX: usize = 5;

/// A connection on which calls are opened.
#[derive(Clone)]
pub struct Caller(SendRequest<Bytes>);

/// An open call.
pub struct Call {
    request: SendStream<Bytes>,
    answers: Answers,
    /// Answered, not yet decoded.
    buffer: BytesMut,
}

enum Answers {
    Awaited(ResponseFuture),
    Open(RecvStream),
    Over,
}

/// A message as it is sent.
pub fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(PREFIX + length);
    bytes.put_u8(0);
    bytes.put_u32(length as u32);
    bytes.extend_from_slice(&message.encode_to_vec());
    bytes.freeze()
}

// === Caller ===

impl Caller {
    /// Speaks HTTP/2 over a connection; the future drives it to its end.
    ///
    /// # Errors
    /// When the peer does not speak it.
    pub async fn over<S>(stream: S) -> Result<(Self, impl Future<Output = Result<(), h2::Error>>), h2::Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut builder = Builder::new();
        builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
        let (sender, connection) = builder.handshake(stream).await?;
        Ok((Self(sender), connection))
    }

    /// Opens a call.
    ///
    /// # Errors
    /// When the connection ends or takes no more streams.
    pub async fn open(&self) -> Result<Call, h2::Error> {
        let request =
            Request::post(METHOD).header("content-type", "application/grpc").header("te", "trailers");
        let request = request.body(()).expect("a request");
        let (response, request) = self.0.clone().ready().await?.send_request(request, false)?;
        Ok(Call { request, answers: Answers::Awaited(response), buffer: BytesMut::new() })
    }
}

// === Call ===

impl Call {
    /// Sends a [`framed`] message as soon as there is room. A call that is over takes nothing; its status tells.
    pub async fn send(&mut self, mut framed: Bytes) {
        while !framed.is_empty() {
            self.request.reserve_capacity(framed.len());
            let room = poll_fn(|cx| self.request.poll_capacity(cx)).await;
            let Some(Ok(room)) = room else { return };
            let part = framed.split_to(room.min(framed.len()));
            if self.request.send_data(part, false).is_err() {
                return;
            }
        }
    }

    /// Says that no more messages follow.
    pub fn half_close(&mut self) {
        // Fails on a call that is over.
        let _ = self.request.send_data(Bytes::new(), true);
    }

    /// Gives the call up, as a gateway does when its client leaves.
    pub fn reset(mut self) {
        self.request.send_reset(Reason::CANCEL);
    }

    /// The next answer. `None`: the call ended well; an error: it did not, and nothing follows.
    pub async fn next<M: Message + Default>(&mut self) -> Option<Result<M, Status>> {
        let answer = self.answer().await.transpose()?;
        if answer.is_err() {
            self.answers = Answers::Over;
        }
        Some(answer)
    }

    async fn answer<M: Message + Default>(&mut self) -> Result<Option<M>, Status> {
        loop {
            if let Some(message) = self.whole() {
                return M::decode(message).map(Some).map_err(|error| Status::internal(error.to_string()));
            }
            match &mut self.answers {
                Answers::Awaited(response) => {
                    let (head, body) = response.await.map_err(broken)?.into_parts();
                    let code = head.status.as_u16();
                    if code != 200 {
                        return Err(Status::internal(format!("answered {code} rather than gRPC")));
                    }
                    // A call without answers has its status in the head, and no trailers.
                    let status = Status::from_header_map(&head.headers);
                    self.answers = if status.is_some() { Answers::Over } else { Answers::Open(body) };
                    ended(status)?;
                }
                Answers::Open(body) => match body.data().await {
                    Some(part) => {
                        let part = part.map_err(broken)?;
                        // Only fails on a stream that is closed.
                        let _ = body.flow_control().release_capacity(part.len());
                        self.buffer.extend_from_slice(&part);
                    }
                    None => {
                        let trailers = body.trailers().await.map_err(broken)?;
                        self.answers = Answers::Over;
                        let status =
                            trailers.as_ref().and_then(|map: &HeaderMap| Status::from_header_map(map));
                        ended(Some(status.unwrap_or_else(|| Status::unknown("ended without a status"))))?;
                    }
                },
                Answers::Over => return Ok(None),
            }
        }
    }

    /// Takes a message from what has come, if all of it is here.
    fn whole(&mut self) -> Option<Bytes> {
        let length = self.buffer.get(1..PREFIX)?.get_u32() as usize;
        if self.buffer.len() < PREFIX + length {
            return None;
        }
        // A copy: a part that is split off would let the rest be copied with each one that comes.
        let message = Bytes::copy_from_slice(&self.buffer[PREFIX..PREFIX + length]);
        self.buffer.advance(PREFIX + length);
        Some(message)
    }
}

fn broken(error: h2::Error) -> Status {
    Status::from_error(Box::new(error))
}

fn ended(status: Option<Status>) -> Result<(), Status> {
    match status {
        Some(status) if status.code() != tonic::Code::Ok => Err(status),
        _ => Ok(()),
    }
}
