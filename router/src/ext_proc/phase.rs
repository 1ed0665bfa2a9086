//! Where a stream stands and what is due next: two small machines, one for each direction. Pure.
//!
//! Envoy sends for each direction headers, then pieces of body, then trailers; with full duplex it waits for nothing in
//! between. A picker must answer in the same order and leave nothing without an answer. A response may begin before its
//! request is decided, or without one: Envoy and its other filters answer by themselves too. Who sends what in which mode
//! was seen with Envoy 1.40; `docs/ENVOY.md` has the table.

use super::messages::BodyMode;

mod request;
mod response;

use request::RequestSide;
pub use request::{RequestEvent, RequestStep};
use response::ResponseSide;
pub use response::{ResponseEvent, ResponseStep};

/// See the module's header.
#[derive(Debug)]
pub struct Phase {
    modes: Modes,
    request: RequestSide,
    response: ResponseSide,
}

/// How bodies come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modes {
    /// Of requests.
    pub request: BodyMode,
    /// Of responses.
    pub response: BodyMode,
}

/// What a stream waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The head of the request.
    Head,
    /// The rest of the request.
    Body,
    /// The head of the response.
    Response,
    /// The rest of the response.
    ResponseBody,
    /// That Envoy closes it: all has been answered.
    Close,
}

/// What no Envoy sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A second head, or one after the response's.
    #[error("a stream is for one request: request_headers came twice, or after the response")]
    SecondRequest,
    /// A body or trailers with no head before.
    #[error("request_body or request_trailers came before request_headers")]
    NoRequestHeaders,
    /// A second head of a response, or one after its body.
    #[error("response_headers came twice, or after response_body")]
    SecondResponse,
    /// Nothing that is known.
    #[error("a message holds none of the six parts of an exchange; which version of Envoy is this?")]
    Unknown,
    /// Not a request.
    #[error("request_headers have no {0}")]
    NoPseudoHeader(&'static str),
    /// A mode in which the head must be answered before the body is seen.
    #[error("request_body_mode {0:?} cannot be routed by body; set FULL_DUPLEX_STREAMED or BUFFERED")]
    Mode(BodyMode),
    /// A mode of an Envoy to come, or one for gRPC.
    #[error("body mode {0} is not served; set FULL_DUPLEX_STREAMED or BUFFERED")]
    UnknownMode(i32),
}

// === Phase ===

impl Phase {
    /// The beginning of a stream.
    pub fn new(modes: Modes) -> Self {
        Self { modes, request: RequestSide::Awaited, response: ResponseSide::Awaited }
    }

    /// How bodies come.
    pub fn modes(&self) -> Modes {
        self.modes
    }

    /// Learns how bodies come, from a stream's first message; later ones change nothing.
    pub fn learn(&mut self, modes: Modes) {
        if self.waits_for() == Wait::Head {
            self.modes = modes;
        }
    }

    /// Takes what came of the request.
    ///
    /// # Errors
    /// When it cannot come now.
    pub fn on_request(&mut self, event: RequestEvent) -> Result<RequestStep, Violation> {
        let (next, step) = self.request.on(event, self.modes.request)?;
        self.request = next;
        Ok(step)
    }

    /// Takes what came of the response.
    ///
    /// # Errors
    /// When it cannot come now.
    pub fn on_response(&mut self, event: ResponseEvent) -> Result<ResponseStep, Violation> {
        let (next, step) = self.response.on(event)?;
        self.response = next;
        if !self.request.is_decided() {
            // Envoy answered by itself: nobody needs the rest of the request.
            self.request = RequestSide::Ended;
        }
        Ok(step)
    }

    /// What is to come.
    pub fn waits_for(&self) -> Wait {
        match (self.request, self.response) {
            (RequestSide::Awaited, ResponseSide::Awaited) => Wait::Head,
            (RequestSide::Collecting, ResponseSide::Awaited) => Wait::Body,
            (RequestSide::Passing | RequestSide::Ended, ResponseSide::Awaited) => Wait::Response,
            (_, ResponseSide::Passing) if self.modes.response != BodyMode::None => Wait::ResponseBody,
            (_, ResponseSide::Passing | ResponseSide::Ended) => Wait::Close,
        }
    }

    /// Whether all of the request has come: the endpoint can have it.
    pub fn request_is_whole(&self) -> bool {
        self.request == RequestSide::Ended
    }
}

impl Default for Modes {
    /// What gateways configure for pickers: an Envoy that does not tell is taken to do so.
    fn default() -> Self {
        Self { request: BodyMode::FullDuplexStreamed, response: BodyMode::FullDuplexStreamed }
    }
}

#[cfg(test)]
mod tests;
