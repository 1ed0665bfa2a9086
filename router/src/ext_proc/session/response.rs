//! A stream's response: answered, and given back as it comes.

use bytes::Bytes;

use super::{
    super::{
        inbound,
        messages::{Answer, BodyMode, HttpHeaders, Reply},
        phase::{Event, Step},
        reply,
    },
    Session, State, Trouble,
};
use crate::stage::Stage;

impl Session {
    pub(super) fn response_headers(
        &mut self,
        head: &HttpHeaders,
        metadata: Option<&Bytes>,
    ) -> Result<(), Trouble> {
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

    pub(super) fn response_body(&mut self, piece: Bytes, end: bool) -> Result<(), Trouble> {
        let Step::PassResponse { end } = self.phase.on(Event::ResponseBody { end })? else { return Ok(()) };
        let mode = self.phase.modes().response;
        let was = piece.clone();
        let piece = match &mut self.request {
            State::Routed(routed) => routed.response_piece(&self.worker, piece, end),
            State::Inbound(_) | State::Nothing => piece,
        };
        let changed = (piece.as_ptr(), piece.len()) != (was.as_ptr(), was.len());
        if changed && mode != BodyMode::FullDuplexStreamed {
            self.outbox.push_back(reply::replaced(Reply::ResponseBody, piece));
        } else {
            self.pass(mode, Reply::ResponseBody, piece, end);
        }
        Ok(())
    }

    pub(super) fn response_trailers(&mut self) -> Result<(), Trouble> {
        let Step::PassResponseTrailers = self.phase.on(Event::ResponseTrailers)? else { return Ok(()) };
        if let State::Routed(routed) = &mut self.request {
            let rest = routed.rest(&self.worker);
            if self.phase.modes().response == BodyMode::FullDuplexStreamed {
                self.outbox.extend(reply::streamed(Reply::ResponseBody, rest, false));
            }
        }
        self.outbox.push_back(reply::trailers(Reply::ResponseTrailers));
        Ok(())
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
