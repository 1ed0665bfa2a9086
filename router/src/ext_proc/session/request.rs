//! A stream's request: collected, decided, given back.

use bytes::Bytes;
use warmlane_engine::body::Api;

use super::{
    super::{
        inbound::{self, Inbound, Whole},
        messages::{HttpHeaders, Reply},
        phase::{RequestEvent, RequestStep},
        pieces::{joined, renamed},
        reply,
        routed::Routed,
    },
    Session, State, Trouble,
};
use crate::{error::Fault, path, stage::Stage};

impl Session {
    pub(super) fn request_headers(
        &mut self,
        head: HttpHeaders,
        metadata: Option<Bytes>,
    ) -> Result<(), Trouble> {
        let end = head.end_of_stream;
        let inbound = Inbound::new(&self.worker, head.headers.unwrap_or_default(), end, metadata)?;
        let body_decides = inbound.api.is_some();
        let step = self.phase.on_request(RequestEvent::Headers { end, body_decides })?;
        self.api = inbound.api;
        self.trace.request_id = inbound::identify(&self.worker, &inbound);
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

    /// Chooses, and answers as the step says.
    fn decide(&mut self, step: RequestStep) -> Result<(), Trouble> {
        let State::Inbound(inbound) = std::mem::replace(&mut self.request, State::Nothing) else {
            return Ok(());
        };
        let is_new = inbound.id().is_none();
        let (routed, pieces) = self.route(*inbound, step == RequestStep::DecideByHead)?;
        let pieces = match (routed.renamed(), &routed.asked) {
            (Some(name), Some(body)) => renamed(pieces, &body.model_span, name),
            _ => pieces,
        };
        let endpoints = routed.endpoints(&self.worker);
        let mut changes = routed.changes(&endpoints, is_new.then_some(&*self.trace.request_id));
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

    fn route(&mut self, inbound: Inbound, by_head: bool) -> Result<(Routed, Vec<Bytes>), Fault> {
        let worker = self.worker.clone();
        let Whole { incoming, asked, pieces, aims } = inbound.finish(&worker, by_head)?;
        let plan = path::decide(&worker, asked.as_ref(), incoming, &mut self.trace)?;
        let mut routed = Routed::new(&worker, plan, asked, aims, self.phase.modes());
        routed.begins_session = self.api == Some(Api::Responses);
        Ok((routed, pieces))
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
