//! One stream: takes what Envoy sends, lets [`Phase`] say what is due, and does it.
//!
//! Answers stand in a queue until Envoy takes them; there are never more than one message's. Nothing more is read
//! before they are gone. Every phase has a time limit of ours, since Envoy has none in full duplex.

use std::{
    collections::VecDeque,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::time::Instant;
use tonic::{Code, Status, codec::Streaming, codegen::tokio_stream::Stream};
use warmlane_engine::body::Api;

use super::{
    inbound::Inbound,
    messages::{Part, ProcessingRequest, ProcessingResponse},
    phase::{Event, Modes, Phase, Violation, Wait},
    routed::Routed,
};
use crate::{
    error::Fault,
    front::{Alarm, Seat},
    metrics::{Label, Listener, StreamEnd},
    path::Trace,
    stage::Stage,
    worker::Worker,
};

mod ending;
mod request;
mod response;

/// See the module's header.
pub(super) struct Session {
    worker: Rc<Worker>,
    _seat: Seat,
    incoming: Streaming<ProcessingRequest>,
    phase: Phase,
    request: State,
    outbox: VecDeque<ProcessingResponse>,
    /// How the stream ends once the queue is empty.
    last: Option<Option<Status>>,
    trace: Trace,
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
    Routed(Box<Routed>),
}

/// Why a message is not answered as it should be.
enum Trouble {
    Violation(Violation),
    /// Of a request to this API, which says what shape its errors have.
    Fault(Fault, Option<Api>),
}

impl From<Violation> for Trouble {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

// === Session ===

impl Session {
    /// A stream that has just begun.
    pub(super) fn new(worker: Rc<Worker>, seat: Seat, incoming: Streaming<ProcessingRequest>) -> Self {
        let trace = Trace::begin(Listener::ExtProc);
        let now = Instant::from_std(trace.began);
        Self {
            deadline: now + worker.config.timeouts.client_head,
            body_by: now + worker.config.timeouts.client_body,
            worker,
            _seat: seat,
            incoming,
            phase: Phase::new(Modes::default()),
            request: State::Nothing,
            outbox: VecDeque::new(),
            last: None,
            trace,
            alarm: Alarm::default(),
            end: None,
        }
    }

    fn take(&mut self, message: ProcessingRequest) {
        match self.on(message) {
            Ok(()) => self.deadline = self.due(),
            Err(Trouble::Violation(violation)) => self.break_off(violation),
            Err(Trouble::Fault(fault, api)) => self.refuse(&fault, api),
        }
    }

    fn on(&mut self, message: ProcessingRequest) -> Result<(), Trouble> {
        if let Some(config) = message.protocol_config {
            let (request, response) = (config.request_body_mode(), config.response_body_mode());
            self.phase.learn(Modes { request, response });
        }
        let metadata = message.metadata_context;
        match message.request.ok_or(Violation::Unknown)? {
            Part::RequestHeaders(head) => self.request_headers(head, metadata),
            Part::RequestBody(body) => self.request_body(body.body, body.end_of_stream),
            Part::RequestTrailers(_) => {
                let step = self.phase.on(Event::RequestTrailers)?;
                self.request_step(step, Bytes::new())
            }
            Part::ResponseHeaders(head) => self.response_headers(&head, metadata.as_ref()),
            Part::ResponseBody(body) => self.response_body(body.body, body.end_of_stream),
            Part::ResponseTrailers(_) => self.response_trailers(),
        }
    }

    /// When what is waited for is late.
    fn due(&self) -> Instant {
        let (now, limits) = (Instant::now(), &self.worker.config.timeouts);
        match self.phase.waits_for() {
            Wait::Head => self.deadline,
            Wait::Body => self.body_by.min(now + limits.client_body_idle),
            Wait::Response => now + limits.request,
            Wait::ResponseBody | Wait::Close => now + limits.stream_idle,
        }
    }

    fn late(&mut self) {
        let limits = self.worker.config.timeouts;
        match self.phase.waits_for() {
            Wait::Head => {
                self.end = Some(StreamEnd::Silent);
                self.last = Some(Some(Status::deadline_exceeded("no request_headers came in time")));
            }
            Wait::Body => {
                let is_trickle = Instant::now() >= self.body_by;
                let limit = if is_trickle { limits.client_body } else { limits.client_body_idle };
                let api = match &self.request {
                    State::Inbound(inbound) => inbound.api,
                    State::Routed(_) | State::Nothing => None,
                };
                self.refuse(&Fault::SlowClient(limit), api);
            }
            Wait::Response => {
                self.endpoint_fell_silent();
                self.refuse(&Fault::Timeout(limits.request), None);
            }
            Wait::ResponseBody => {
                self.endpoint_fell_silent();
                self.cut();
            }
            Wait::Close => self.last = Some(None),
        }
    }

    fn endpoint_fell_silent(&mut self) {
        if let State::Routed(routed) = &mut self.request {
            routed.fell_silent(&self.worker);
        }
    }
}

impl Stream for Session {
    type Item = Result<ProcessingResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let session = self.get_mut();
        loop {
            if let Some(reply) = session.outbox.pop_front() {
                return Poll::Ready(Some(Ok(reply)));
            }
            if let State::Routed(routed) = &mut session.request {
                // All of the body has gone back to Envoy.
                routed.plan.incoming.held.release();
            }
            if let Some(last) = session.last.take() {
                return Poll::Ready(last.map(Err));
            }
            match Pin::new(&mut session.incoming).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => session.take(message),
                // Nobody is there to be told, or nothing more will come.
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(status))) => {
                    // Too long, or no message; other codes say that Envoy is gone.
                    if matches!(status.code(), Code::OutOfRange | Code::Internal) {
                        session.end.get_or_insert(StreamEnd::Unreadable);
                    }
                    return Poll::Ready(Some(Err(status)));
                }
                Poll::Pending => {
                    ready!(session.alarm.poll_at(cx, session.deadline));
                    session.late();
                }
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let end = self.end.unwrap_or_else(|| self.settle());
        let metrics = self.worker.metrics.clone();
        metrics.stream_ended(end);
        if let State::Routed(routed) = &self.request {
            match end {
                StreamEnd::Complete | StreamEnd::Routed if routed.status != 0 => {
                    metrics.request_done(Listener::ExtProc, routed.status);
                }
                StreamEnd::Abandoned => metrics.aborted(),
                _ => {}
            }
            if end != StreamEnd::Refused {
                self.log(routed.status, end.name());
            }
        }
        self.trace.enter(Stage::Done);
        self.trace.close();
        for (stage, spent) in self.trace.spent() {
            metrics.stage(stage, spent);
        }
    }
}
