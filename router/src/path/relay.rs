//! Relay: the response on its way to the client, byte for byte, as it comes (`copy`).
//!
//! Bytes land in the worker's one landing buffer and are written to the client in the same step. Only what
//! the client does not take at once is kept: at most [`crate::worker::READ_SIZE`] bytes, and until they are
//! gone nothing more is read, so a slow client slows its engine down and costs no memory. A stream that
//! waits for its next token holds no buffer at all.

use std::time::Duration;

use tokio::time::Instant;
use warmlane_engine::{body::Api, sse::payload::Report};
use warmlane_picker::{Slot, Source};

use super::{Trace, connect::Answered};
use crate::{
    error::Fault,
    front::{Client, client_gone},
    http1::{
        Body, ConnectionLine, Framing, LengthLine, ResponseEdits, ResponseHead, Version, write_response,
        write_simple_response,
    },
    ledger::Outcome,
    session::{self, COOKIE},
    stage::Stage,
    tail,
    worker::Worker,
};

mod flow;
mod ride;
mod watch;

pub(super) use flow::End;
use flow::Flow;
use ride::{Ride, credit};
pub(super) use ride::{Rode, may_ride};
pub(crate) use watch::STUCK;

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
    /// Prompt tokens that it was believed to hold, and where that was known from.
    pub matched: Option<(u64, Source)>,
    /// Endpoints tried.
    pub tried: usize,
    /// What of it took the kernel lane.
    pub rode: Rode,
    /// What its end says, where somebody will be told of it. Where the kernel lane carried the end, that is not known.
    pub report: Report,
    /// Time from the request's first byte to the first of the response's payload.
    pub first_byte: Option<Duration>,
}

/// What the copy of a response came to.
struct Copied {
    end: End,
    bytes: u64,
    first_byte: Option<Instant>,
    rode: Rode,
    report: Report,
    /// The endpoint sent something behind the body's end.
    surplus: bool,
}

/// Passes the answer on to its end.
pub(super) async fn relay(
    worker: &Worker,
    client: &mut Client,
    mut answered: Answered,
    trace: &mut Trace,
    now: std::time::Instant,
) -> Result<Relayed, Fault> {
    let unchunk =
        client.head.version() == Version::Http10 && client.answer_head.framing() == Framing::Chunked;
    let keep_alive = write_head(worker, client, &answered, trace, unchunk);
    let tail = trace.is_told(worker).then(tail::Copied::default);
    let Copied { end, bytes, first_byte, rode, report, surplus } =
        copy(worker, client, &mut answered, (unchunk, tail), now.into()).await?;
    let now = trace.enter(Stage::Done);
    judge(worker, &mut answered, client.answer_head.status(), end);
    credit(&worker.world, &answered.plan, &rode);
    let Answered { destination, connection, unsent, tried, .. } = answered;
    if let Some(local) = connection.is_local() {
        worker.locate(destination.slot, destination.socket, local);
    }
    let makes_room = rode.has_left() || connection.came_too_early(&worker.world.lane);
    let is_kept = end.is_whole() && !surplus && unsent.is_sent() && !makes_room;
    if is_kept && client.answer_head.keep_alive() {
        worker.pool.borrow_mut().put(destination.slot, destination.socket, connection, now.into());
    }
    // Where only closing marks the end, a proper close would pass a cut response for a whole one.
    let ends_by_close = unchunk || client.answer_head.framing() == Framing::UntilClose;
    client.reset = !end.is_whole() && ends_by_close;
    Ok(Relayed {
        status: client.answer_head.status(),
        end,
        bytes,
        keep_alive: keep_alive && end.is_whole(),
        matched: destination.source.map(|source| (destination.matched_tokens, source)),
        endpoint: Some(destination.address),
        tried,
        rode,
        report,
        first_byte: first_byte.map(|at| at.saturating_duration_since(trace.began.into())),
    })
}

/// Copies the body behind the head that stands in `client.out`.
async fn copy(
    worker: &Worker,
    client: &mut Client,
    answered: &mut Answered,
    (unchunk, tail): (bool, Option<tail::Copied>),
    now: Instant,
) -> Result<Copied, Fault> {
    let head_len = client.answer_head.head_len();
    let begins_session = begins_session(client.api, answered);
    let is_events = is_events(&client.answer_head, &client.answer);
    let rides = answered.may_ride && is_events && !unchunk;
    let part = rides.then(|| answered.connection.lane.take());
    let mut ride = part.map(|part| Ride::new(&worker.world.lane, &mut client.lane, part));
    let (mut from_client, to_client) = client.stream.split();
    let mut flow = Flow {
        worker,
        client: to_client,
        upstream: &mut answered.connection,
        unsent: &mut answered.unsent,
        body: Body::new(client.answer_head.framing()),
        pending: &mut client.out,
        written: 0,
        flushed: true,
        unchunk,
        bytes: 0,
        last_byte: now,
        in_flight: &mut answered.in_flight,
        begins_session,
        first_byte: None,
        is_events,
        gave_up: false,
        tail,
        surplus: false,
        fresh: true,
        messages: 0,
    };
    // Nothing has been passed on yet, so bad framing can still be told.
    let first = match flow.account(&client.answer[head_len..]) {
        Ok(first) => first,
        Err(error) => {
            flow.in_flight.end(Outcome::Bad);
            return Err(Fault::Malformed { endpoint: answered.destination.address.clone(), error });
        }
    };
    // Head and first bytes leave in one write.
    flow.pending.extend_from_slice(first);
    let client_gone = client_gone(&mut from_client, &mut client.ahead);
    let end = flow.run(client_gone, &mut client.alarm, answered.deadline, &mut ride).await;
    let end = if end == End::Complete && flow.gave_up { End::GaveUp } else { end };
    let Flow { bytes, first_byte, surplus, tail, .. } = flow;
    // Of an answer that was cut, an engine that states its usage all along has not stated what it came to.
    let report = tail.filter(|_| end.is_whole()).map(|tail| tail.read(is_events)).unwrap_or_default();
    let rode = ride.map_or_else(Rode::default, |ride| {
        let (part, rode) = ride.end();
        answered.connection.lane = part;
        rode
    });
    Ok(Copied { end, bytes, first_byte, rode, report, surplus })
}

/// Whether the body is a stream of events.
fn is_events(head: &ResponseHead, answer: &[u8]) -> bool {
    let content_type = head.header(answer, "content-type");
    content_type.is_some_and(|value| value.starts_with(b"text/event-stream"))
}

/// Counts how the response ended on the endpoint's account.
fn judge(worker: &Worker, answered: &mut Answered, status: u16, end: End) {
    let outcome = match end {
        End::GaveUp | End::EndpointCut | End::Silent | End::Timeout => Some(Outcome::Bad),
        End::Complete => Outcome::of_status(status),
        // Neither a client that left nor what the router lost says anything of the endpoint.
        End::ClientGone | End::Lost => None,
    };
    if let Some(outcome) = outcome {
        worker.judge(&mut answered.in_flight, outcome);
    }
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

/// Answers `GET /v1/models` with the merged list.
pub(super) async fn models(worker: &Worker, client: &mut Client, trace: &Trace, list: &str) -> Relayed {
    let keep_alive =
        client.head.keep_alive() && client.head.version() == Version::Http11 && !worker.is_draining();
    client.out.clear();
    let headers = [("content-type", &b"application/json"[..]), ("x-request-id", &trace.request_id)];
    write_simple_response(&mut client.out, 200, &headers, list.as_bytes(), keep_alive);
    let end = match client.send_out(worker.config.timeouts.client_body_idle).await {
        Ok(()) => End::Complete,
        Err(_) => End::ClientGone,
    };
    let bytes = list.len() as u64;
    Relayed {
        status: 200,
        end,
        bytes,
        keep_alive,
        endpoint: None,
        matched: None,
        tried: 0,
        rode: Rode::default(),
        report: Report::default(),
        first_byte: None,
    }
}
