//! A stream's request: collected, decided, given back.

use bytes::Bytes;

use super::{
    super::{
        inbound::{self, Inbound, Whole},
        messages::{HttpHeaders, Reply},
        phase::{Event, Step},
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
        let inbound = Inbound::new(&self.worker, head.headers.unwrap_or_default(), metadata)?;
        let (end, body_decides) = (head.end_of_stream, inbound.api.is_some());
        let step = self.phase.on(Event::RequestHeaders { end, body_decides })?;
        self.trace.request_id = inbound::identify(&self.worker, &inbound);
        self.request = State::Inbound(Box::new(inbound));
        self.request_step(step, Bytes::new())
    }

    pub(super) fn request_body(&mut self, piece: Bytes, end: bool) -> Result<(), Trouble> {
        let step = self.phase.on(Event::RequestBody { end })?;
        if let (Step::Keep | Step::Decide { .. } | Step::DecideInBody, State::Inbound(inbound)) =
            (step, &mut self.request)
        {
            let api = inbound.api;
            inbound.push(&self.worker, piece).map_err(|fault| Trouble::Fault(fault, api))?;
            return self.request_step(step, Bytes::new());
        }
        self.request_step(step, piece)
    }

    pub(super) fn request_step(&mut self, step: Step, piece: Bytes) -> Result<(), Trouble> {
        match step {
            Step::GoOn => self.outbox.push_back(reply::go_on()),
            Step::DecideByHead | Step::Decide { .. } | Step::DecideInBody => self.decide(step)?,
            Step::PassRequest { end } => {
                let mode = self.phase.modes().request;
                self.pass(mode, Reply::RequestBody, piece, end);
            }
            Step::PassRequestTrailers => self.outbox.push_back(reply::trailers(Reply::RequestTrailers)),
            Step::Keep
            | Step::Ignore
            | Step::AnswerResponse
            | Step::PassResponse { .. }
            | Step::PassResponseTrailers => {}
        }
        Ok(())
    }

    /// Chooses, and answers as the step says.
    fn decide(&mut self, step: Step) -> Result<(), Trouble> {
        let State::Inbound(inbound) = std::mem::replace(&mut self.request, State::Nothing) else {
            return Ok(());
        };
        let (api, is_new) = (inbound.api, inbound.id().is_none());
        let routed = self.route(*inbound, step == Step::DecideByHead);
        let (routed, pieces) = routed.map_err(|fault| Trouble::Fault(fault, api))?;
        let pieces = match (routed.renamed(), &routed.asked) {
            (Some(name), Some(body)) => inbound::renamed(pieces, &body.model_span, name),
            _ => pieces,
        };
        let endpoints = routed.endpoints(&self.worker);
        let mut headers = routed.headers(&endpoints, is_new.then_some(&*self.trace.request_id));
        match step {
            Step::DecideInBody => {
                let body = routed.renamed().map(|_| inbound::joined(pieces));
                self.outbox.push_back(reply::routed_by_body(headers, endpoints, body));
            }
            Step::Decide { trailers } => {
                let length: usize = pieces.iter().map(Bytes::len).sum();
                headers.push(("content-length", length.to_string().into()));
                self.outbox.push_back(reply::routed(headers, endpoints));
                self.give_back(pieces, trailers);
            }
            _ => self.outbox.push_back(reply::routed(headers, endpoints)),
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
