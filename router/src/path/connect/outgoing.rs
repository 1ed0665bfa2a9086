//! The request as it goes out: its head as the endpoint gets it, its body as it came.

use std::{cell::Cell, io, io::IoSlice, pin::Pin, task::Context, task::Poll};

use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    front::Client,
    http1::{Framing, LengthLine, RequestEdits, Version, write_request},
    metrics::Listener,
    path::{Trace, pick::Plan},
    spans::{Place, TRACEPARENT, TRACESTATE},
    worker::Worker,
};

/// A body up to this size is copied behind its head: cheaper than a write from two places.
const SMALL: usize = 4 * 1024;

/// Head and pieces of body.
pub(super) struct Outgoing<'r> {
    pieces: [&'r [u8]; 4],
    /// Bytes that one connection has taken.
    taken: Cell<usize>,
}

/// The rest of a request that is still on its way while its answer comes.
#[derive(Debug, Default)]
pub(in crate::path) struct Unsent {
    bytes: Vec<u8>,
    sent: usize,
    broken: bool,
}

/// Writes the head for endpoints into `client.out`, and a small body behind it; returns the model's new name as JSON, if
/// it gets one.
pub(super) fn write_head(
    worker: &Worker,
    client: &mut Client,
    plan: &Plan,
    trace: &Trace,
) -> Option<Vec<u8>> {
    let name = plan.rewrite.as_ref().filter(|name| **name != client.body.model);
    let name = name.map(|name| serde_json::Value::String(name.clone()).to_string().into_bytes());
    if name.is_some() && client.head.framing() == Framing::Chunked {
        unchunk(client);
    }
    let body = (client.request.len() - client.head.head_len()) as u64;
    let span = &client.body.model_span;
    let length = match &name {
        Some(name) => LengthLine::Set(body - (span.end - span.start) + name.len() as u64),
        None => LengthLine::Keep,
    };
    let has_id = client.head.header(&client.request, "x-request-id").is_some_and(|id| !id.is_empty());
    let place = trace.place.as_ref();
    let parent = place.map(Place::for_endpoint);
    let add = [("x-request-id", &*trace.request_id), (TRACEPARENT, parent.as_ref().map_or(b"", |text| text))];
    let host = match client.head.version() {
        Version::Http10 => own_address(worker, trace.listener),
        // It came with one.
        Version::Http11 => String::new(),
    };
    let edits = RequestEdits {
        host: host.as_bytes(),
        remove: replaced(has_id, place),
        add: &add[usize::from(has_id)..1 + usize::from(place.is_some())],
        length,
        ..RequestEdits::default()
    };
    client.out.clear();
    write_request(&mut client.out, &client.request, &client.head, &edits);
    let body = &client.request[client.head.head_len()..];
    if name.is_none() && body.len() <= SMALL {
        client.out.extend_from_slice(body);
    }
    name
}

/// Headers that do not go on as they came. A state without a parent that can be read is nobody's.
fn replaced(has_id: bool, place: Option<&Place>) -> &'static [&'static str] {
    match (has_id, place.map(|place| place.is_child())) {
        (true, None) => &[],
        (false, None) => &["x-request-id"],
        (true, Some(true)) => &[TRACEPARENT],
        (true, Some(false)) => &[TRACEPARENT, TRACESTATE],
        (false, Some(true)) => &["x-request-id", TRACEPARENT],
        (false, Some(false)) => &["x-request-id", TRACEPARENT, TRACESTATE],
    }
}

fn own_address(worker: &Worker, listener: Listener) -> String {
    let listen = &worker.config.listen;
    let address = match listener {
        Listener::Plain => listen.plain.or(listen.plain_tls),
        Listener::Aware => listen.aware.or(listen.aware_tls),
        Listener::ExtProc => listen.ext_proc,
    };
    address.map(|address| address.to_string()).unwrap_or_default()
}

/// Takes the chunks' framing out of a body that will be changed. It was read once already, so it is sound.
fn unchunk(client: &mut Client) {
    let content = client.content();
    client.request.truncate(client.head.head_len());
    client.request.extend_from_slice(&content);
}

// === Outgoing ===

impl<'r> Outgoing<'r> {
    /// What [`write_head`] wrote, and the rest of the body, with the model's name replaced if it gets a new one.
    pub(super) fn new(
        head: &'r [u8],
        body: &'r [u8],
        model: &std::ops::Range<u64>,
        name: Option<&'r [u8]>,
    ) -> Self {
        let pieces = match name {
            None if body.len() <= SMALL => [head, &[], &[], &[]],
            None => [head, body, &[], &[]],
            Some(name) => [head, &body[..model.start as usize], name, &body[model.end as usize..]],
        };
        Self { pieces, taken: Cell::new(0) }
    }

    pub(super) async fn send(&self, writer: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        if let [head, [], [], []] = self.pieces {
            self.taken.set(0);
            return self.send_piece(writer, head).await;
        }
        let mut slices = self.pieces.map(IoSlice::new);
        let mut left = &mut slices[..];
        self.taken.set(0);
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match writer.write_vectored(left).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => {
                    self.taken.set(self.taken.get() + written);
                    IoSlice::advance_slices(&mut left, written);
                }
            }
        }
        Ok(())
    }

    async fn send_piece(&self, writer: &mut (impl AsyncWrite + Unpin), piece: &[u8]) -> io::Result<()> {
        while self.taken.get() < piece.len() {
            match writer.write(&piece[self.taken.get()..]).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => self.taken.set(self.taken.get() + written),
            }
        }
        Ok(())
    }

    /// A copy of what was not taken: rare, since few endpoints answer before they have read everything.
    pub(super) fn rest(&self) -> Vec<u8> {
        self.pieces.concat().split_off(self.taken.get())
    }
}

// === Unsent ===

impl Unsent {
    /// These bytes are still to be sent.
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, sent: 0, broken: false }
    }

    /// The endpoint stopped reading before the end.
    pub(super) fn broken() -> Self {
        Self { broken: true, ..Self::default() }
    }

    /// Whether the endpoint took the whole request: only then can its connection be used again.
    pub(in crate::path) fn is_sent(&self) -> bool {
        self.bytes.is_empty() && !self.broken
    }

    /// Sends what the endpoint takes now. One that stops reading has seen enough: its answer still counts.
    pub(in crate::path) fn pump(&mut self, cx: &mut Context<'_>, upstream: &mut TcpStream) {
        while self.sent < self.bytes.len() {
            match Pin::new(&mut *upstream).poll_write(cx, &self.bytes[self.sent..]) {
                Poll::Pending => return,
                Poll::Ready(Ok(written)) if written > 0 => self.sent += written,
                Poll::Ready(_) => {
                    self.broken = true;
                    break;
                }
            }
        }
        self.bytes = Vec::new();
        self.sent = 0;
    }
}
