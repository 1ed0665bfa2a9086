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

use super::{
    inbound::{self, Inbound, Whole},
    messages::{BodyMode, HttpHeaders, ProcessingRequest, ProcessingResponse, Request, Response},
    phase::{Event, Modes, Phase, Step, Violation, Wait},
    refusal, reply,
    routed::Routed,
};
use crate::{
    error::Fault,
    front::{Alarm, Seat},
    metrics::{Label, Listener, StreamEnd},
    path::{self, Trace},
    stage::Stage,
    worker::Worker,
};

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
    /// Nothing was answered after what the router said itself.
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
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Violation(#[from] Violation),
    #[error("{0}")]
    Fault(#[from] Fault),
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
            Err(Trouble::Fault(fault)) => self.refuse(&fault),
        }
    }

    fn on(&mut self, message: ProcessingRequest) -> Result<(), Trouble> {
        if let Some(config) = message.protocol_config {
            let (request, response) = (config.request_body_mode(), config.response_body_mode());
            self.phase.learn(Modes { request, response });
        }
        let metadata = message.metadata_context;
        match message.request.ok_or(Violation::Unknown)? {
            Request::RequestHeaders(head) => self.request_headers(head, metadata),
            Request::RequestBody(body) => self.request_body(body.body, body.end_of_stream),
            Request::RequestTrailers(_) => {
                let step = self.phase.on(Event::RequestTrailers)?;
                self.request_step(step, Bytes::new())
            }
            Request::ResponseHeaders(head) => self.response_headers(&head, metadata.as_ref()),
            Request::ResponseBody(body) => self.response_body(body.body, body.end_of_stream),
            Request::ResponseTrailers(_) => self.response_trailers(),
        }
    }

    // --- The request ---

    fn request_headers(&mut self, head: HttpHeaders, metadata: Option<Bytes>) -> Result<(), Trouble> {
        let inbound = Inbound::new(&self.worker, head.headers.unwrap_or_default(), metadata)?;
        let (end, body_decides) = (head.end_of_stream, inbound.api.is_some());
        let step = self.phase.on(Event::RequestHeaders { end, body_decides })?;
        self.trace.request_id = inbound::identify(&self.worker, &inbound);
        self.request = State::Inbound(Box::new(inbound));
        self.request_step(step, Bytes::new())
    }

    fn request_body(&mut self, piece: Bytes, end: bool) -> Result<(), Trouble> {
        let step = self.phase.on(Event::RequestBody { end })?;
        if let (Step::Keep | Step::Decide { .. } | Step::DecideInBody, State::Inbound(inbound)) =
            (step, &mut self.request)
        {
            inbound.push(&self.worker, piece)?;
            return self.request_step(step, Bytes::new());
        }
        self.request_step(step, piece)
    }

    fn request_step(&mut self, step: Step, piece: Bytes) -> Result<(), Trouble> {
        match step {
            Step::Keep | Step::Ignore => {}
            Step::GoOn => self.outbox.push_back(reply::go_on()),
            Step::DecideByHead => self.decide(true, None, false)?,
            Step::Decide { trailers } => self.decide(false, Some(!trailers), false)?,
            Step::DecideInBody => self.decide(false, None, true)?,
            Step::PassRequest { end } => {
                let mode = self.phase.modes().request;
                self.pass(mode, Response::RequestBody, piece, end);
            }
            Step::PassRequestTrailers => self.outbox.push_back(reply::trailers(Response::RequestTrailers)),
            Step::AnswerResponse | Step::PassResponse { .. } | Step::PassResponseTrailers => {}
        }
        if step == (Step::Decide { trailers: true }) {
            self.outbox.push_back(reply::trailers(Response::RequestTrailers));
        }
        Ok(())
    }

    /// Chooses, and answers: the head; then, where `body_ends` says whether its end is the last of it, the body. Where
    /// the head was answered before, the answer to the body says it.
    fn decide(&mut self, by_head: bool, body_ends: Option<bool>, in_body: bool) -> Result<(), Fault> {
        let State::Inbound(inbound) = std::mem::replace(&mut self.request, State::Nothing) else {
            return Ok(());
        };
        let (api, is_new) = (inbound.api, inbound.id().is_none());
        let routed = self.route(*inbound, by_head);
        let (routed, pieces) = routed.inspect_err(|fault| self.refuse_as(fault, api))?;
        let worker = self.worker.clone();
        let endpoints = routed.endpoints(&worker);
        let mut headers = routed.headers(&endpoints, is_new.then_some(&*self.trace.request_id));
        let span = routed.asked.as_ref().map_or(0..0, |body| body.model_span.clone());
        let pieces = match routed.renamed() {
            Some(name) => inbound::renamed(pieces, &span, name),
            None => pieces,
        };
        if in_body {
            let body = routed.renamed().is_some().then(|| inbound::joined(pieces));
            self.outbox.push_back(reply::routed_by_body(headers, endpoints, body));
        } else {
            if body_ends.is_some() {
                let length: usize = pieces.iter().map(Bytes::len).sum();
                headers.push(("content-length", length.to_string().into()));
            }
            self.outbox.push_back(reply::routed(headers, endpoints));
            if let Some(end) = body_ends {
                self.give_back(pieces, end);
            }
        }
        self.request = State::Routed(Box::new(routed));
        self.trace.enter(Stage::Connect);
        Ok(())
    }

    fn route(&mut self, inbound: Inbound, by_head: bool) -> Result<(Routed, Vec<Bytes>), Fault> {
        let worker = self.worker.clone();
        let Whole { incoming, asked, pieces, aims } = inbound.finish(&worker, by_head)?;
        let plan = path::decide(&worker, asked.as_ref(), incoming, &mut self.trace)?;
        Ok((Routed::new(&worker, plan, asked, aims, self.phase.modes()), pieces))
    }

    fn give_back(&mut self, pieces: Vec<Bytes>, end: bool) {
        let last = pieces.len().saturating_sub(1);
        if pieces.is_empty() {
            self.outbox.extend(reply::streamed(Response::RequestBody, Bytes::new(), end));
        }
        for (at, piece) in pieces.into_iter().enumerate() {
            self.outbox.extend(reply::streamed(Response::RequestBody, piece, end && at == last));
        }
    }

    // --- The response ---

    fn response_headers(&mut self, head: &HttpHeaders, metadata: Option<&Bytes>) -> Result<(), Trouble> {
        self.phase.on(Event::ResponseHeaders { end: head.end_of_stream })?;
        self.trace.enter(Stage::Relay);
        let mut headers = Vec::new();
        match &mut self.request {
            State::Routed(routed) => {
                let (served, end) = (inbound::served(metadata), head.end_of_stream);
                if let Some(map) = &head.headers {
                    headers = routed.response_begins(&self.worker, map, served, end);
                }
                if end {
                    routed.rest(&self.worker);
                }
            }
            // Envoy's own answer, before anything was chosen.
            State::Inbound(_) | State::Nothing => self.request = State::Nothing,
        }
        self.outbox.push_back(reply::response_headers(headers));
        Ok(())
    }

    fn response_body(&mut self, piece: Bytes, end: bool) -> Result<(), Trouble> {
        if self.phase.on(Event::ResponseBody { end })? == Step::Ignore {
            return Ok(());
        }
        let mode = self.phase.modes().response;
        let was = piece.clone();
        let piece = match &mut self.request {
            State::Routed(routed) => routed.response_piece(&self.worker, piece, end),
            State::Inbound(_) | State::Nothing => piece,
        };
        let changed = (piece.as_ptr(), piece.len()) != (was.as_ptr(), was.len());
        if changed && mode != BodyMode::FullDuplexStreamed {
            self.outbox.push_back(reply::replaced(Response::ResponseBody, piece));
        } else {
            self.pass(mode, Response::ResponseBody, piece, end);
        }
        Ok(())
    }

    fn response_trailers(&mut self) -> Result<(), Trouble> {
        if self.phase.on(Event::ResponseTrailers)? == Step::Ignore {
            return Ok(());
        }
        if let State::Routed(routed) = &mut self.request {
            let rest = routed.rest(&self.worker);
            if self.phase.modes().response == BodyMode::FullDuplexStreamed {
                self.outbox.extend(reply::streamed(Response::ResponseBody, rest, false));
            }
        }
        self.outbox.push_back(reply::trailers(Response::ResponseTrailers));
        Ok(())
    }

    /// A piece of body goes on as it came.
    fn pass(
        &mut self,
        mode: BodyMode,
        wrap: fn(super::messages::Answer) -> Response,
        piece: Bytes,
        end: bool,
    ) {
        match mode {
            BodyMode::FullDuplexStreamed => self.outbox.extend(reply::streamed(wrap, piece, end)),
            BodyMode::None
            | BodyMode::Streamed
            | BodyMode::Buffered
            | BodyMode::BufferedPartial
            | BodyMode::Grpc => self.outbox.push_back(reply::unchanged(wrap)),
        }
    }

    // --- Its end ---

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
            Wait::Body if Instant::now() >= self.body_by => {
                self.refuse(&Fault::SlowClient(limits.client_body));
            }
            Wait::Body => self.refuse(&Fault::SlowClient(limits.client_body_idle)),
            Wait::Response => self.give_up(limits.request),
            Wait::ResponseBody => self.give_up(limits.stream_idle),
            Wait::Close => self.last = Some(None),
        }
    }

    /// The endpoint takes too long. Once a response has begun, Envoy cuts it for this.
    fn give_up(&mut self, limit: std::time::Duration) {
        if let State::Routed(routed) = &mut self.request {
            routed.fell_silent(&self.worker);
        }
        self.refuse(&Fault::Timeout(limit));
    }

    fn refuse(&mut self, fault: &Fault) {
        if self.last.is_some() {
            return;
        }
        let api = match &self.request {
            State::Inbound(inbound) => inbound.api,
            State::Routed(_) | State::Nothing => None,
        };
        self.refuse_as(fault, api);
    }

    fn refuse_as(&mut self, fault: &Fault, api: Option<warmlane_engine::body::Api>) {
        let metrics = &self.worker.metrics;
        metrics.request_done(Listener::ExtProc, fault.status());
        metrics.error(Listener::ExtProc, fault.reason());
        if matches!(fault, Fault::Shed { .. }) {
            metrics.shed();
        }
        self.outbox.push_back(refusal::immediate(fault, api, &self.trace.request_id));
        self.log(fault.status(), fault.reason().name());
        (self.last, self.end) = (Some(None), Some(StreamEnd::Refused));
    }

    /// An error of the stream: Envoy then does what its failure mode says.
    fn break_off(&mut self, violation: Violation) {
        let (end, code) = match violation {
            Violation::SecondRequest
            | Violation::NoRequestHeaders
            | Violation::NoRequest
            | Violation::SecondResponse
            | Violation::NoResponseHeaders => (StreamEnd::WrongOrder, Code::FailedPrecondition),
            Violation::Unknown | Violation::NoPseudoHeader(_) => {
                (StreamEnd::Unreadable, Code::InvalidArgument)
            }
            Violation::Mode(_) => (StreamEnd::Misconfigured, Code::Unimplemented),
        };
        tracing::debug!(%violation, "a stream of Envoy's was broken off");
        (self.last, self.end) = (Some(Some(Status::new(code, violation.to_string()))), Some(end));
    }

    /// How it ended where the router did not end it.
    fn settle(&mut self) -> StreamEnd {
        let waits_for = self.phase.waits_for();
        match &mut self.request {
            State::Routed(routed) => {
                if waits_for == Wait::Close && routed.is_over() {
                    StreamEnd::Complete
                } else if routed.lingers(&self.worker) {
                    StreamEnd::Routed
                } else {
                    StreamEnd::Abandoned
                }
            }
            State::Inbound(_) => StreamEnd::Abandoned,
            State::Nothing if waits_for == Wait::Close => StreamEnd::Complete,
            State::Nothing => StreamEnd::Abandoned,
        }
    }

    fn log(&self, status: u16, end: &'static str) {
        if !self.worker.config.log.access {
            return;
        }
        let request_id = String::from_utf8_lossy(&self.trace.request_id);
        let listener = Listener::ExtProc.name();
        let State::Routed(routed) = &self.request else {
            tracing::info!(target: "access", %request_id, listener, status, end);
            return;
        };
        let model = routed.asked.as_ref().map_or("", |body| body.model.as_str());
        let usage = routed.report.usage.unwrap_or_default();
        tracing::info!(
            target: "access", %request_id, listener, model, status, end, endpoint = %routed.at.address,
            fairness = routed.aims.fairness, prompt_tokens = usage.prompt_tokens, completion_tokens = usage.completion_tokens,
            finish = routed.report.finish.map(|finish| finish.as_str()),
        );
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
