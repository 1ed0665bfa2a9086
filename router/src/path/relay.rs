//! Relay: the response on its way to the client, byte for byte, as it comes (`copy`).
//!
//! Bytes land in the worker's one landing buffer and are written to the client in the same step. Only what
//! the client does not take at once is kept: at most [`crate::worker::READ_SIZE`] bytes, and until they are
//! gone nothing more is read, so a slow client slows its engine down and costs no memory. A stream that
//! waits for its next token holds no buffer at all.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

use warmlane_engine::body::Api;
use warmlane_picker::Slot;

use super::{Trace, connect::Answered};
use crate::{
    error::{Fault, UpstreamFault},
    front::Client,
    http1::{
        Body, ConnectionLine, Framing, FramingError, LengthLine, ResponseEdits, Version, write_response,
        write_simple_response,
    },
    ledger::InFlight,
    session::{self, COOKIE},
    worker::Worker,
};

/// Bytes a client may send ahead while it is being answered.
const AHEAD: usize = 16 * 1024;

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All of it was passed on.
    Complete,
    /// The endpoint broke off.
    EndpointCut,
    /// The endpoint fell silent for longer than the idle timeout.
    Silent,
    /// The request timeout passed.
    Timeout,
    /// The client went away.
    ClientGone,
}

/// A response that has been passed on, or as much of it as there was.
#[derive(Debug)]
pub(super) struct Relayed {
    /// Its status.
    pub status: u16,
    /// How it ended.
    pub end: End,
    /// Its payload.
    pub bytes: u64,
    /// The client's connection can be used again.
    pub keep_alive: bool,
    /// Who served it.
    pub endpoint: Option<std::sync::Arc<str>>,
    /// Endpoints tried.
    pub tried: usize,
    /// Time from the request's first byte to the first of the response's payload.
    pub first_byte: Option<Duration>,
}

/// The two sides of a response and what is between them.
struct Flow<'r> {
    worker: &'r Worker,
    client: &'r mut TcpStream,
    ahead: &'r mut Vec<u8>,
    upstream: &'r mut TcpStream,
    body: Body,
    /// Bytes the client has not taken yet, from `written` on.
    pending: &'r mut Vec<u8>,
    written: usize,
    /// An HTTP/1.0 client cannot read chunks.
    unchunk: bool,
    bytes: u64,
    last_byte: Instant,
    in_flight: &'r mut InFlight,
    /// When the first payload came. A head alone says nothing: engines send it before they compute.
    first_byte: Option<Instant>,
    /// The response's own id is to be found in its first bytes, and remembered for this endpoint.
    begins_session: Option<Slot>,
    /// The endpoint sent something behind the body's end.
    surplus: bool,
}

/// Passes the answer on to its end.
pub(super) async fn relay(
    worker: &Worker,
    client: &mut Client,
    mut answered: Answered,
    trace: &Trace,
) -> Result<Relayed, Fault> {
    let unchunk =
        client.head.version() == Version::Http10 && client.answer_head.framing() == Framing::Chunked;
    let keep_alive = write_head(worker, client, &answered, trace, unchunk);
    let head_len = client.answer_head.head_len();
    let begins_session = begins_session(client.api, &answered);
    let mut flow = Flow {
        worker,
        client: &mut client.stream,
        ahead: &mut client.ahead,
        upstream: &mut answered.stream,
        body: Body::new(client.answer_head.framing()),
        pending: &mut client.out,
        written: 0,
        unchunk,
        bytes: 0,
        last_byte: Instant::now(),
        in_flight: &mut answered.in_flight,
        begins_session,
        first_byte: None,
        surplus: false,
    };
    // Nothing has been passed on yet, so bad framing can still be told.
    let (endpoint, tried) = (&answered.destination.address, answered.tried);
    let malformed =
        |error| Fault::Upstream { endpoint: endpoint.clone(), tried, cause: UpstreamFault::Malformed(error) };
    let first = flow.account(&client.answer[head_len..]).map_err(malformed)?;
    // Head and first bytes leave in one write.
    flow.pending.extend_from_slice(first);
    let end = flow.run(answered.deadline).await;
    let (bytes, surplus, first_byte) = (flow.bytes, flow.surplus, flow.first_byte);
    let reusable =
        end == End::Complete && !surplus && answered.request_sent && client.answer_head.keep_alive();
    if reusable {
        let to = &answered.destination;
        worker.pool.borrow_mut().put(to.slot, to.socket, answered.stream);
    }
    Ok(Relayed {
        status: client.answer_head.status(),
        end,
        bytes,
        keep_alive: keep_alive && end == End::Complete,
        endpoint: Some(answered.destination.address),
        tried: answered.tried,
        first_byte: first_byte.map(|at| at.saturating_duration_since(trace.began.into())),
    })
}

/// Writes the head for the client into `client.out`; true when its connection goes on afterwards.
fn write_head(
    worker: &Worker,
    client: &mut Client,
    answered: &Answered,
    trace: &Trace,
    unchunk: bool,
) -> bool {
    let (headers, answer_head) = (&worker.config.headers, &client.answer_head);
    let ends_by_close = unchunk || answer_head.framing() == Framing::UntilClose;
    let keep_alive = client.head.keep_alive() && !ends_by_close && !worker.is_draining();
    let connection = match (keep_alive, client.head.version()) {
        (false, _) => ConnectionLine::Close,
        (true, Version::Http10) => ConnectionLine::KeepAlive,
        (true, Version::Http11) => ConnectionLine::Omit,
    };
    let cookie = new_cookie(worker, client, answered, trace);
    let mut add: Vec<(&str, &[u8])> = Vec::with_capacity(3);
    if headers.endpoint {
        add.push(("x-warmlane-endpoint", answered.destination.address.as_bytes()));
    }
    if answer_head.header(&client.answer, "x-request-id").is_none() {
        add.push(("x-request-id", &trace.request_id));
    }
    if let Some(cookie) = &cookie {
        add.push(("set-cookie", cookie.as_bytes()));
    }
    let edits = ResponseEdits {
        // An endpoint's word must not pass for the router's.
        remove: if headers.endpoint { &["x-warmlane-endpoint"] } else { &[] },
        add: &add,
        length: if unchunk { LengthLine::Drop } else { LengthLine::Keep },
        connection,
    };
    client.out.clear();
    write_response(&mut client.out, &client.answer, answer_head, &edits);
    keep_alive
}

/// A session cookie for a client that declared no session, where that is configured.
fn new_cookie(worker: &Worker, client: &Client, answered: &Answered, trace: &Trace) -> Option<String> {
    let wanted = worker.config.headers.set_session_cookie
        && answered.plan.decision.is_some()
        && client.api.is_some()
        && answered.plan.incoming.session == 0;
    wanted.then(|| {
        let (world, slot) = (&worker.world, answered.destination.slot);
        let id = format!("{:016x}", world.hash(&trace.request_id));
        world.pins.pin(session::declared(world, id.as_bytes()), slot, world.now());
        format!("{COOKIE}={id}; Path=/; HttpOnly; SameSite=Lax")
    })
}

fn begins_session(api: Option<Api>, answered: &Answered) -> Option<Slot> {
    (api == Some(Api::Responses) && answered.plan.decision.is_some()).then_some(answered.destination.slot)
}

/// A request that continues this response will name its id.
fn remember_response(worker: &Worker, first_bytes: &[u8], slot: Slot) {
    if let Some(id) = session::response_id(first_bytes) {
        let world = &worker.world;
        world.pins.pin(session::response(world, id), slot, world.now());
    }
}

/// Answers `GET /v1/models` with the merged list.
pub(super) async fn models(client: &mut Client, list: &str) -> Relayed {
    let keep_alive = client.head.keep_alive();
    client.out.clear();
    let headers = [("content-type", &b"application/json"[..])];
    write_simple_response(&mut client.out, 200, &headers, list.as_bytes(), keep_alive);
    let end = match client.stream.write_all(&client.out).await {
        Ok(()) => End::Complete,
        Err(_) => End::ClientGone,
    };
    let bytes = list.len() as u64;
    Relayed { status: 200, end, bytes, keep_alive, endpoint: None, tried: 0, first_byte: None }
}

// === Flow ===

impl Flow<'_> {
    async fn run(&mut self, deadline: Instant) -> End {
        let idle = self.worker.config.timeouts.stream_idle;
        let mut timer = pin!(sleep_until(deadline.min(self.last_byte + idle)));
        poll_fn(|cx| self.poll(cx, timer.as_mut(), deadline, idle)).await
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        timer: Pin<&mut Sleep>,
        deadline: Instant,
        idle: Duration,
    ) -> Poll<End> {
        if let Poll::Ready(end) = self.pump(cx) {
            return Poll::Ready(end);
        }
        if self.poll_client_gone(cx).is_ready() {
            return Poll::Ready(End::ClientGone);
        }
        self.poll_timer(cx, timer, deadline, idle)
    }

    /// Moves bytes until a side would have to wait.
    fn pump(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            if ready!(self.poll_flush(cx)).is_err() {
                return Poll::Ready(End::ClientGone);
            }
            if self.body.is_done() {
                return Poll::Ready(End::Complete);
            }
            let worker = self.worker;
            let mut landing = worker.landing.borrow_mut();
            let mut buffer = ReadBuf::new(&mut landing);
            match ready!(Pin::new(&mut *self.upstream).poll_read(cx, &mut buffer)) {
                Err(_) => return Poll::Ready(End::EndpointCut),
                Ok(()) if buffer.filled().is_empty() => {
                    let end = if self.body.closed().is_ok() { End::Complete } else { End::EndpointCut };
                    return Poll::Ready(end);
                }
                Ok(()) => {}
            }
            self.last_byte = Instant::now();
            match self.account(buffer.filled()) {
                Ok(taken) => {
                    if self.forward(cx, taken).is_err() {
                        return Poll::Ready(End::ClientGone);
                    }
                }
                Err(_) => return Poll::Ready(End::EndpointCut),
            }
        }
    }

    /// Follows the body through bytes from the endpoint; returns those that go on as they are.
    fn account<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], FramingError> {
        let mut at = 0;
        while at < bytes.len() && !self.body.is_done() {
            let step = self.body.advance(&bytes[at..])?;
            self.bytes += step.payload.len() as u64;
            if self.first_byte.is_none() && !step.payload.is_empty() {
                self.begin(step.payload);
            }
            if self.unchunk {
                self.pending.extend_from_slice(step.payload);
            }
            at += step.consumed;
        }
        self.surplus |= at < bytes.len();
        Ok(if self.unchunk { &[] } else { &bytes[..at] })
    }

    /// The first payload came: the prompt is computed.
    fn begin(&mut self, payload: &[u8]) {
        self.first_byte = Some(Instant::now());
        self.in_flight.prefilled();
        if let Some(slot) = self.begins_session {
            remember_response(self.worker, payload, slot);
        }
    }

    /// Writes what the client takes at once and keeps the rest. Nothing is pending when this is called, but
    /// for an HTTP/1.0 client, whose payload is already there.
    fn forward(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let taken = match Pin::new(&mut *self.client).poll_write(cx, bytes) {
            Poll::Pending => 0,
            Poll::Ready(written) => written?,
        };
        self.pending.extend_from_slice(&bytes[taken..]);
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.pending.len() {
            match ready!(Pin::new(&mut *self.client).poll_write(cx, &self.pending[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.written += n,
            }
        }
        self.pending.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Ready when the client has closed; keeps what it sends ahead.
    fn poll_client_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; 512];
        while self.ahead.len() < AHEAD {
            let mut buffer = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut *self.client).poll_read(cx, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => self.ahead.extend_from_slice(buffer.filled()),
                _ => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }

    /// The timer is moved when it fires, not with each byte: moving it costs more than a byte does.
    fn poll_timer(
        &mut self,
        cx: &mut Context<'_>,
        mut timer: Pin<&mut Sleep>,
        deadline: Instant,
        idle: Duration,
    ) -> Poll<End> {
        loop {
            ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            if now >= deadline {
                return Poll::Ready(End::Timeout);
            }
            // A client that does not read is not the endpoint's silence.
            let waits_for_endpoint = self.pending.is_empty();
            if waits_for_endpoint && now >= self.last_byte + idle {
                return Poll::Ready(End::Silent);
            }
            let since = if waits_for_endpoint { self.last_byte } else { now };
            timer.as_mut().reset(deadline.min(since + idle));
        }
    }
}
