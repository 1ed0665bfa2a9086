//! A stream's response: answered, and given back as it comes.

use bytes::Bytes;

use super::{
    super::{
        messages::{Answer, BodyMode, HttpHeaders, Reply},
        phase::{ResponseEvent, ResponseStep},
        reply,
        told::Told,
    },
    Session, State, Trouble,
};
use crate::stage::Stage;

impl Session {
    pub(super) fn response_headers(&mut self, head: &HttpHeaders, told: &Told) -> Result<(), Trouble> {
        let end = head.end_of_stream;
        if !self.answers(ResponseEvent::Headers { end })? {
            return Ok(());
        }
        let mut headers = Vec::new();
        if let State::Routed(routed) = &mut self.request {
            if let Some(map) = &head.headers {
                headers = routed.response_begins(&self.worker, map, told, (end, &self.trace.request_id));
            }
            if end {
                routed.rest(&self.worker);
            }
        }
        self.outbox.push_back(reply::response_headers(headers));
        Ok(())
    }

    pub(super) fn response_body(&mut self, piece: Bytes, end: bool) -> Result<(), Trouble> {
        if !self.answers(ResponseEvent::Body { end })? {
            return Ok(());
        }
        let mode = self.phase.modes().response;
        // A buffered one is whole, or Envoy shows no more of it; without an end, trailers follow.
        let is_last = end || matches!(mode, BodyMode::Buffered | BodyMode::BufferedPartial);
        let was = piece.clone();
        let piece = match &mut self.request {
            State::Routed(routed) => routed.response_piece(&self.worker, piece, is_last),
            State::Inbound(_) | State::Deciding(_) | State::Nothing => piece,
        };
        let changed = (piece.as_ptr(), piece.len()) != (was.as_ptr(), was.len());
        if changed && mode != BodyMode::FullDuplexStreamed {
            self.outbox.push_back(reply::replaced(Reply::ResponseBody, mode, piece));
        } else {
            self.pass(mode, Reply::ResponseBody, piece, end);
        }
        Ok(())
    }

    pub(super) fn response_trailers(&mut self) -> Result<(), Trouble> {
        if !self.answers(ResponseEvent::Trailers)? {
            return Ok(());
        }
        if let State::Routed(routed) = &mut self.request {
            let rest = routed.rest(&self.worker);
            if self.phase.modes().response == BodyMode::FullDuplexStreamed {
                self.outbox.extend(reply::streamed(Reply::ResponseBody, rest, false));
            }
        }
        self.outbox.push_back(reply::trailers(Reply::ResponseTrailers));
        Ok(())
    }

    /// Whether what came of a response is to be answered.
    fn answers(&mut self, event: ResponseEvent) -> Result<bool, Trouble> {
        let step = self.phase.on_response(event)?;
        self.trace.enter(Stage::Relay);
        if let State::Inbound(_) = self.request {
            // Envoy's own answer, before anything was chosen.
            self.request = State::Nothing;
        }
        Ok(step == ResponseStep::Answer)
    }

    /// A piece of body goes on as it came.
    pub(super) fn pass(&mut self, mode: BodyMode, wrap: fn(Answer) -> Reply, piece: Bytes, end: bool) {
        match mode {
            BodyMode::FullDuplexStreamed => self.outbox.extend(reply::streamed(wrap, piece, end)),
            BodyMode::None
            | BodyMode::Streamed
            | BodyMode::Buffered
            | BodyMode::BufferedPartial
            | BodyMode::Grpc => self.outbox.push_back(reply::unchanged(wrap)),
        }
    }
}
