//! A stream's request: collected, decided, given back.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use warmlane_engine::body::{Api, RequestBody};

use super::{
    super::{
        inbound::{self, Aims, Inbound, Whole},
        messages::{HttpHeaders, Reply},
        phase::{RequestEvent, RequestStep},
        pieces::{joined, renamed},
        reply,
        routed::Routed,
    },
    Session, State, Trouble,
};
use crate::{
    path::{self, Admitted},
    stage::Stage,
};

/// A request that may go on.
struct Admissible {
    admitted: Admitted,
    asked: Option<RequestBody>,
    pieces: Vec<Bytes>,
    aims: Aims,
    step: RequestStep,
    /// It came without an id.
    is_new: bool,
}

/// One of which more will be known in a moment.
pub(super) struct Deciding {
    whole: Admissible,
    waits: Pin<Box<dyn Future<Output = ()>>>,
}

// === Deciding ===

impl Deciding {
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.waits.as_mut().poll(cx)
    }
}

// === Session ===

impl Session {
    pub(super) fn request_headers(
        &mut self,
        head: HttpHeaders,
        metadata: Option<Bytes>,
    ) -> Result<(), Trouble> {
        let end = head.end_of_stream;
        let mut inbound = Inbound::new(&self.worker, head.headers.unwrap_or_default(), end, metadata)?;
        inbound.pool = self.pool.take();
        let body_decides = inbound.api.is_some();
        let step = self.phase.on_request(RequestEvent::Headers { end, body_decides })?;
        self.api = inbound.api;
        self.trace.request_id = inbound::identify(&self.worker, &inbound);
        self.trace.has_head = true;
        if let Some(tracer) = &self.worker.tracer {
            let rng = &mut self.worker.chooser.rng.borrow_mut();
            self.trace.place = Some(tracer.place(inbound.headers.pairs(), rng));
        }
        if self.trace.is_told(&self.worker) {
            self.line = inbound.line();
        }
        self.request = State::Inbound(Box::new(inbound));
        self.request_step(step, Bytes::new())
    }

    pub(super) fn request_body(&mut self, piece: Bytes, end: bool, beside: usize) -> Result<(), Trouble> {
        let step = self.phase.on_request(RequestEvent::Body { end })?;
        let collects =
            matches!(step, RequestStep::Keep | RequestStep::Decide { .. } | RequestStep::DecideInBody);
        if collects && let State::Inbound(inbound) = &mut self.request {
            inbound.push(&self.worker, piece, beside)?;
            return self.request_step(step, Bytes::new());
        }
        self.request_step(step, piece)
    }

    pub(super) fn request_step(&mut self, step: RequestStep, piece: Bytes) -> Result<(), Trouble> {
        match step {
            RequestStep::GoOn => self.outbox.push_back(reply::go_on()),
            RequestStep::DecideByHead | RequestStep::Decide { .. } | RequestStep::DecideInBody => {
                self.decide(step)?;
            }
            RequestStep::Pass { end } => {
                let mode = self.phase.modes().request;
                self.pass(mode, Reply::RequestBody, piece, end);
            }
            RequestStep::PassTrailers => self.outbox.push_back(reply::trailers(Reply::RequestTrailers)),
            RequestStep::Keep | RequestStep::Ignore => {}
        }
        Ok(())
    }

    /// Chooses, now or once it is known what is in the prompt.
    fn decide(&mut self, step: RequestStep) -> Result<(), Trouble> {
        let State::Inbound(inbound) = std::mem::replace(&mut self.request, State::Nothing) else {
            return Ok(());
        };
        let is_new = inbound.id().is_none();
        let worker = self.worker.clone();
        let by_head = step == RequestStep::DecideByHead;
        let Whole { incoming, asked, pieces, aims } = inbound.finish(&worker, by_head)?;
        if let Some(body) = asked.as_ref().filter(|_| self.trace.is_told(&worker)) {
            self.model.clone_from(&body.model);
        }
        let content = || joined(pieces.clone()).to_vec();
        let speaks = self.api.zip(asked.as_ref());
        let (admitted, coming) = path::admit(&worker, speaks, incoming, &mut self.trace, content)?;
        let whole = Admissible { admitted, asked, pieces, aims, step, is_new };
        match coming {
            None => self.choose(whole),
            Some(coming) => {
                let waits = Box::pin(coming.wait());
                self.request = State::Deciding(Box::new(Deciding { whole, waits }));
                Ok(())
            }
        }
    }

    /// What was waited for is there.
    pub(super) fn decided(&mut self) -> Result<(), Trouble> {
        match std::mem::replace(&mut self.request, State::Nothing) {
            State::Deciding(deciding) => self.choose(deciding.whole),
            other => {
                self.request = other;
                Ok(())
            }
        }
    }

    /// Answers as the step says.
    fn choose(&mut self, whole: Admissible) -> Result<(), Trouble> {
        let Admissible { admitted, asked, pieces, aims, step, is_new } = whole;
        let plan = path::choose(&self.worker, asked.as_ref(), admitted, &mut self.trace)?;
        let mut routed = Routed::new(&self.worker, plan, asked, aims, self.phase.modes());
        routed.begins_session = self.api == Some(Api::Responses);
        let pieces = match (routed.renamed(), &routed.asked) {
            (Some(name), Some(body)) => renamed(pieces, &body.model_span, name),
            _ => pieces,
        };
        let endpoints = routed.endpoints(&self.worker);
        let mut changes =
            routed.changes(&endpoints, is_new.then_some(&*self.trace.request_id), self.trace.place.as_ref());
        match step {
            RequestStep::DecideInBody => {
                let body = routed.renamed().map(|_| joined(pieces));
                // Envoy refuses a body that is longer or shorter than its head says.
                changes.set.extend(body.as_ref().map(reply::length_of));
                self.outbox.push_back(reply::routed_by_body(changes, endpoints, body));
            }
            RequestStep::Decide { trailers } => {
                let length: usize = pieces.iter().map(Bytes::len).sum();
                changes.set.push((reply::LENGTH, length.to_string().into()));
                self.outbox.push_back(reply::routed(changes, endpoints));
                self.give_back(pieces, trailers);
            }
            _ => self.outbox.push_back(reply::routed(changes, endpoints)),
        }
        self.request = State::Routed(Box::new(routed));
        self.trace.enter(Stage::Connect);
        Ok(())
    }

    /// The body, and the trailers if they have come.
    fn give_back(&mut self, pieces: Vec<Bytes>, trailers: bool) {
        let count = pieces.len();
        for (at, piece) in pieces.into_iter().enumerate() {
            let end = !trailers && at + 1 == count;
            self.outbox.extend(reply::streamed(Reply::RequestBody, piece, end));
        }
        if trailers {
            self.outbox.push_back(reply::trailers(Reply::RequestTrailers));
        } else if count == 0 {
            self.outbox.extend(reply::streamed(Reply::RequestBody, Bytes::new(), true));
        }
    }
}
