//! One stream of an HTTP/2 connection: its request goes over a bridge to the path, the answer comes back.
//!
//! An answer that is cut ends the stream by RST_STREAM; a stream that the client resets closes the bridge, which the
//! path takes for a client that left.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use h2::Reason;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body as HttpBody, Frame, Incoming},
    header::{CONNECTION, HeaderName, HeaderValue, TRANSFER_ENCODING},
};
use tokio::io::{AsyncReadExt, DuplexStream, ReadHalf};

use super::{
    super::{Client, Front, Seat, Transport, transport::Bridge},
    Tasks,
    request::{self, Head},
    streams::{Open, Streams},
};
use crate::{
    http1::{Body, HeadLimits, MAX_HEADERS, RequestFacts, ResponseHead},
    metrics::Listener,
    path,
    worker::Worker,
};

/// Bytes of an answer read at once.
const READ: usize = 16 * 1024;
/// The head has passed the limits of the path: here it only must end.
const HEAD_LIMIT: usize = 4 * 1024 * 1024;

/// The far end of a bridge, which is also the answer's body.
pub(super) struct Exchange {
    /// Writes the request; `None` once that is done.
    sending: Option<Pin<Box<dyn Future<Output = ()>>>>,
    reader: ReadHalf<DuplexStream>,
    cut: Rc<std::cell::Cell<bool>>,
    received: Vec<u8>,
    /// How much of the answer is to come. Until its head is here: everything.
    body: Body,
    /// The answer broke off, not the client.
    broken: bool,
    hold: Rc<Hold>,
}

/// A stream's place and count, until its last byte has been written to the connection.
struct Hold {
    open: Open,
    _seat: Seat,
}

/// A part of an answer.
pub(super) struct Piece {
    bytes: Bytes,
    hold: Rc<Hold>,
}

/// Serves one stream's request.
///
/// # Errors
/// The reason to reset the stream with, where there is no answer.
pub(super) async fn begin(
    front: Rc<Front>,
    tasks: Tasks,
    streams: Rc<Streams>,
    listener: Listener,
    request: Request<Incoming>,
) -> Result<Response<Exchange>, h2::Error> {
    let Some(seat) = front.seats.take() else {
        front.worker.metrics.connection_refused(listener);
        return Err(Reason::REFUSED_STREAM.into());
    };
    let (near, far) = Bridge::pair();
    let (parts, body) = request.into_parts();
    let head = Head::new(&parts, &body);
    let hold = Rc::new(Hold { open: streams.open(), _seat: seat });
    tasks.spawn(serve(front.worker.clone(), near, listener, hold.clone()));
    let mut exchange = Exchange {
        sending: Some(Box::pin(request::send(far.writer, head, body))),
        reader: far.reader,
        cut: far.cut,
        received: Vec::new(),
        body: Body::UntilClose,
        broken: false,
        hold,
    };
    let facts = RequestFacts { head: parts.method == Method::HEAD, upgrade: false };
    let limits = HeadLimits { head: HEAD_LIMIT, headers: MAX_HEADERS, ..HeadLimits::default() };
    match exchange.head(&limits, facts).await {
        Some(head) => Ok(head.map(|()| exchange)),
        None => {
            exchange.broken = true;
            Err(Reason::INTERNAL_ERROR.into())
        }
    }
}

/// The near end: one request on the common path.
async fn serve(worker: Rc<Worker>, near: Bridge, listener: Listener, hold: Rc<Hold>) {
    let mut client = Client::new(Transport::layered(near));
    path::serve(&worker, &mut client, listener).await;
    client.finish().await;
    hold.open.served();
}

// === Exchange ===

impl Exchange {
    /// Reads the answer's head; `None` when there is none that can be read.
    async fn head(&mut self, limits: &HeadLimits, facts: RequestFacts) -> Option<Response<()>> {
        let mut head = ResponseHead::default();
        loop {
            if let Some(end) = head.parse(&self.received, limits, facts).ok()? {
                let response = translate(&head, &self.received)?;
                self.received.drain(..end);
                self.body = Body::new(head.framing());
                // The path answers before it has read a request only to refuse it.
                self.sending = None;
                return Some(response);
            }
            let read = poll_fn(|cx| self.poll_fill(cx)).await;
            if !matches!(read, Ok(n) if n > 0) {
                return None;
            }
        }
    }

    /// Reads more of the answer, and writes more of the request meanwhile.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Some(sending) = &mut self.sending
            && sending.as_mut().poll(cx).is_ready()
        {
            self.sending = None;
        }
        self.received.reserve(READ);
        pin!(self.reader.read_buf(&mut self.received)).poll(cx)
    }

    /// What has been received of the body's payload.
    fn payload(&mut self) -> io::Result<Bytes> {
        let (mut payload, mut at) = (BytesMut::with_capacity(self.received.len()), 0);
        while at < self.received.len() && !self.body.is_done() {
            let step = self.body.advance(&self.received[at..]).map_err(io::Error::other)?;
            payload.extend_from_slice(step.payload);
            at += step.consumed;
        }
        self.received.clear();
        Ok(payload.freeze())
    }

    /// The near end has closed: whether that is the answer's proper end.
    fn closed(&mut self) -> io::Result<()> {
        if self.cut.get() || self.body.closed().is_err() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.body = Body::Length(0);
        Ok(())
    }
}

impl HttpBody for Exchange {
    type Data = Piece;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, io::Error>>> {
        let exchange = self.get_mut();
        while !exchange.body.is_done() {
            let payload = exchange.payload();
            let failed = match payload {
                Ok(payload) if !payload.is_empty() => {
                    return Poll::Ready(Some(Ok(Frame::data(Piece {
                        bytes: payload,
                        hold: exchange.hold.clone(),
                    }))));
                }
                Ok(_) if exchange.body.is_done() => break,
                Ok(_) => match ready!(exchange.poll_fill(cx)) {
                    Ok(0) => exchange.closed(),
                    read => read.map(drop),
                },
                Err(error) => Err(error),
            };
            if let Err(error) = failed {
                exchange.broken = true;
                return Poll::Ready(Some(Err(error)));
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_done()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.broken && !self.body.is_done() {
            self.hold.open.was_reset();
        }
    }
}

// === Piece ===

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.hold.open.progressed();
        self.bytes.advance(count);
    }
}

/// The head of an answer without what concerns an HTTP/1.1 connection.
fn translate(head: &ResponseHead, answer: &[u8]) -> Option<Response<()>> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(head.status()).ok()?;
    for (name, value) in head.headers(answer) {
        let name = HeaderName::from_bytes(name).ok()?;
        let concerns_connection = [CONNECTION, TRANSFER_ENCODING].contains(&name)
            || ["keep-alive", "upgrade"].contains(&name.as_str());
        if !concerns_connection {
            response.headers_mut().append(name, HeaderValue::from_bytes(value).ok()?);
        }
    }
    Some(response)
}
