//! One stream: takes what Envoy sends, lets [`Phase`] say what is due, and does it.
//!
//! Answers stand in a queue until Envoy takes them; there are never more than one message's. Nothing more is read
//! before they are gone. Every phase has a time limit of ours, since Envoy has none in full duplex; what is not read is
//! let go from outside ([`super::watched`]).

use std::{
    cell::RefCell,
    collections::VecDeque,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::time::Instant;
use tonic::{Status, codec::Streaming, codegen::tokio_stream::Stream};
use warmlane_engine::body::Api;

use super::{
    arriving::Unfinished,
    inbound::Inbound,
    messages::{BodyMode, Part, ProcessingRequest, ProcessingResponse, ProtocolConfiguration},
    phase::{Modes, Phase, RequestEvent, Violation},
    routed::Routed,
    told::Told,
};
use crate::{
    error::Fault,
    front::{Alarm, Seat},
    metrics::{Label, Listener, Opened, ProxyMetrics, StreamEnd},
    path::Trace,
    stage::Stage,
    worker::Worker,
};

mod ending;
mod request;
mod response;
mod time;

use ending::Ending;
use request::Deciding;

/// See the module's header.
pub(super) struct Session {
    worker: Rc<Worker>,
    seat: Option<Seat>,
    _open: Opened<Arc<ProxyMetrics>>,
    incoming: Streaming<ProcessingRequest>,
    unfinished: Unfinished,
    phase: Phase,
    /// The pool that the gateway asks for.
    pool: Option<String>,
    /// The API that the request speaks, which says what shape its errors have.
    api: Option<Api>,
    request: State,
    outbox: VecDeque<ProcessingResponse>,
    /// How the stream ends once the queue is empty.
    ending: Option<Ending>,
    trace: Trace,
    /// Its method and its path, where they will be told.
    line: (Vec<u8>, Vec<u8>),
    /// The model that it names, where that will be told.
    model: String,
    alarm: Alarm,
    /// When what is waited for is late.
    deadline: Instant,
    /// When the body of the request must be here.
    body_by: Instant,
    /// How it ended, where the router ended it.
    end: Option<StreamEnd>,
}

/// The request of a stream.
enum State {
    /// It is to come, or was refused.
    Nothing,
    Inbound(Box<Inbound>),
    Deciding(Box<Deciding>),
    Routed(Box<Routed>),
}

/// Why a message is not answered as it should be.
enum Trouble {
    Violation(Violation),
    Fault(Fault),
}

/// A session as the body of an answer.
pub(super) struct Answers(pub(super) Rc<RefCell<Session>>);

impl From<Violation> for Trouble {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

// === Session ===

impl Session {
    /// A stream that has just begun.
    pub(super) fn new(
        worker: Rc<Worker>,
        seat: Seat,
        incoming: Streaming<ProcessingRequest>,
        unfinished: Unfinished,
        pool: Option<String>,
    ) -> Self {
        let trace = Trace::begin(Listener::ExtProc);
        worker.metrics.stream_began();
        let now = Instant::from_std(trace.began);
        Self {
            deadline: now + worker.config.timeouts.client_head,
            body_by: now + worker.config.timeouts.client_body,
            _open: Opened::on(worker.metrics.clone()),
            worker,
            seat: Some(seat),
            incoming,
            unfinished,
            phase: Phase::new(Modes::default()),
            pool,
            api: None,
            request: State::Nothing,
            outbox: VecDeque::new(),
            ending: None,
            trace,
            line: Default::default(),
            model: String::new(),
            alarm: Alarm::default(),
            end: None,
        }
    }

    fn take(&mut self, message: ProcessingRequest) {
        self.unfinished.finished();
        let taken = self.on(message);
        self.go_on(taken);
    }

    fn go_on(&mut self, taken: Result<(), Trouble>) {
        match taken {
            Ok(()) => self.deadline = self.due(),
            Err(Trouble::Violation(violation)) => self.break_off(violation),
            Err(Trouble::Fault(fault)) => self.refuse(&fault),
        }
    }

    fn on(&mut self, message: ProcessingRequest) -> Result<(), Trouble> {
        if let Some(config) = message.protocol_config {
            self.phase.learn(modes(config)?);
        }
        let metadata = message.metadata_context;
        match message.request.ok_or(Violation::Unknown)? {
            Part::RequestHeaders(head) => self.request_headers(head, metadata),
            Part::RequestBody(body) => {
                let beside = metadata.as_ref().map_or(0, Bytes::len);
                self.request_body(body.body, body.end_of_stream, beside)
            }
            Part::RequestTrailers(_) => {
                let step = self.phase.on_request(RequestEvent::Trailers)?;
                self.request_step(step, Bytes::new())
            }
            Part::ResponseHeaders(head) => {
                self.response_headers(&head, &Told::read(metadata.as_ref(), &message.attributes))
            }
            Part::ResponseBody(body) => self.response_body(body.body, body.end_of_stream),
            Part::ResponseTrailers(_) => self.response_trailers(),
        }
    }

    /// What stands to be sent, how the stream ends, or what comes next.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<ProcessingResponse, Status>>> {
        loop {
            if let Some(reply) = self.outbox.pop_front() {
                if !self.outbox.is_empty() && self.ending.is_none() {
                    // A long body is taken in its own time.
                    self.deadline = self.due();
                }
                return Poll::Ready(Some(Ok(reply)));
            }
            if let State::Routed(routed) = &mut self.request {
                // All of the body has gone back to Envoy.
                routed.plan.incoming.held.release();
            }
            if let Some(Ending::With(status)) = self.ending.take_if(|ending| ending.is_due()) {
                return Poll::Ready(status.map(Err));
            }
            if let State::Deciding(deciding) = &mut self.request {
                ready!(deciding.poll(cx));
                let decided = self.decided();
                self.go_on(decided);
                continue;
            }
            match Pin::new(&mut self.incoming).poll_next(cx) {
                // What comes behind a refusal is of no use.
                Poll::Ready(Some(Ok(_))) if self.ending.is_some() => self.unfinished.finished(),
                Poll::Ready(Some(Ok(message))) => self.take(message),
                // What is not decided must not end well: the endpoint would get it without its body.
                Poll::Ready(None) if matches!(self.request, State::Inbound(_)) => {
                    self.broken(Status::cancelled("the stream was closed before the request was whole"));
                }
                // Nobody is there to be told, or nothing more will come.
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(status))) => self.broken(status),
                Poll::Pending => {
                    ready!(self.alarm.poll_at(cx, self.deadline));
                    self.late();
                }
            }
        }
    }
}

fn modes(config: ProtocolConfiguration) -> Result<Modes, Violation> {
    let mode = |number| BodyMode::try_from(number).map_err(|_| Violation::UnknownMode(number));
    let modes =
        Modes { request: mode(config.request_body_mode)?, response: mode(config.response_body_mode)? };
    match modes.response {
        BodyMode::Grpc => Err(Violation::UnknownMode(config.response_body_mode)),
        _ => Ok(modes),
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let end = self.end.unwrap_or_else(|| self.settle());
        let metrics = self.worker.metrics.clone();
        metrics.stream_ended(end, self.trace.began.elapsed());
        if end == StreamEnd::Abandoned && !matches!(self.request, State::Nothing) {
            metrics.aborted();
        }
        let status = match &self.request {
            State::Routed(routed) => routed.seen_status(),
            State::Inbound(_) | State::Deciding(_) | State::Nothing => None,
        };
        let is_answered =
            matches!(end, StreamEnd::Complete | StreamEnd::Routed | StreamEnd::Gateway | StreamEnd::Error);
        if let Some(status) = status.filter(|_| is_answered) {
            metrics.request_done(Listener::ExtProc, status);
        }
        if end != StreamEnd::Refused && !matches!(self.request, State::Nothing) {
            self.tell(status, end.name(), end.failure(), None);
        }
        self.trace.enter(Stage::Done);
        self.trace.close();
        for (stage, spent) in self.trace.spent() {
            metrics.stage(stage, spent);
        }
    }
}

// === Answers ===

impl Stream for Answers {
    type Item = Result<ProcessingResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.borrow_mut().poll(cx)
    }
}
