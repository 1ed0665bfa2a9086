//! Where a stream stands and what is due next: two small machines, one for each direction. Pure.
//!
//! Envoy sends for each direction headers, then pieces of body, then trailers; with full duplex it waits for nothing in
//! between. A picker must answer in the same order and leave nothing without an answer. Who sends what in which mode was
//! seen with Envoy 1.40; `docs/ENVOY.md` has the table.

use super::messages::BodyMode;

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

/// The client's side of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequestSide {
    /// Nothing has come.
    Awaited,
    /// Its head is here; its body is needed to decide.
    Collecting,
    /// It is decided; what still comes is passed on.
    Passing,
    /// All of it has come.
    Ended,
}

/// The endpoint's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ResponseSide {
    Awaited,
    Passing,
    Ended,
}

/// What has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The head of a request.
    RequestHeaders {
        /// Nothing follows.
        end: bool,
        /// Its body says where it should go.
        body_decides: bool,
    },
    /// A piece of its body.
    RequestBody {
        /// The last.
        end: bool,
    },
    /// Its trailers, which end it.
    RequestTrailers,
    /// The head of a response.
    ResponseHeaders {
        /// Nothing follows.
        end: bool,
    },
    /// A piece of its body.
    ResponseBody {
        /// The last.
        end: bool,
    },
    /// Its trailers, which end it.
    ResponseTrailers,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Keep it: more is needed.
    Keep,
    /// Let Envoy go on, and decide with the body.
    GoOn,
    /// Decide by the head alone, and answer it.
    DecideByHead,
    /// Decide; answer the head, the body, and the trailers if they have come.
    Decide {
        /// They have.
        trailers: bool,
    },
    /// Decide, and say so in the answer to the body: the head was answered before.
    DecideInBody,
    /// Give a piece of a request's body back.
    PassRequest {
        /// The last.
        end: bool,
    },
    /// Answer a request's trailers.
    PassRequestTrailers,
    /// Answer a response's head.
    AnswerResponse,
    /// Give a piece of a response's body back.
    PassResponse {
        /// The last.
        end: bool,
    },
    /// Answer a response's trailers.
    PassResponseTrailers,
    /// Nothing: it came after the end.
    Ignore,
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
    /// A second head.
    #[error("a stream is for one request: request_headers came twice")]
    SecondRequest,
    /// A body or trailers with no head before.
    #[error("request_body or request_trailers came before request_headers")]
    NoRequestHeaders,
    /// A response to nothing.
    #[error("response_headers came before request_headers")]
    NoRequest,
    /// A second head of a response.
    #[error("response_headers came twice")]
    SecondResponse,
    /// A body or trailers of a response with no head before.
    #[error("response_body or response_trailers came before response_headers")]
    NoResponseHeaders,
    /// Nothing that is known.
    #[error("a message holds none of the six parts of an exchange; which version of Envoy is this?")]
    Unknown,
    /// Not a request.
    #[error("request_headers have no {0}")]
    NoPseudoHeader(&'static str),
    /// A mode in which the head must be answered before the body is seen.
    #[error("request_body_mode {0:?} cannot be routed by body; set FULL_DUPLEX_STREAMED or BUFFERED")]
    Mode(BodyMode),
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

    /// Learns how bodies come, from a stream's first message.
    pub fn learn(&mut self, modes: Modes) {
        self.modes = modes;
    }

    /// Takes what came.
    ///
    /// # Errors
    /// When it cannot come now.
    pub fn on(&mut self, event: Event) -> Result<Step, Violation> {
        match event {
            Event::RequestHeaders { end, body_decides } => self.request_headers(end, body_decides),
            Event::RequestBody { end } => self.request_body(end),
            Event::RequestTrailers => self.request_trailers(),
            Event::ResponseHeaders { end } => self.response_headers(end),
            Event::ResponseBody { end } => self.response_body(end),
            Event::ResponseTrailers => self.response_trailers(),
        }
    }

    /// What is to come.
    pub fn waits_for(&self) -> Wait {
        match (self.request, self.response) {
            (RequestSide::Awaited, _) => Wait::Head,
            (RequestSide::Collecting, ResponseSide::Awaited) => Wait::Body,
            (_, ResponseSide::Awaited) => Wait::Response,
            (_, ResponseSide::Passing) if self.modes.response != BodyMode::None => Wait::ResponseBody,
            (_, ResponseSide::Passing | ResponseSide::Ended) => Wait::Close,
        }
    }

    fn request_headers(&mut self, end: bool, body_decides: bool) -> Result<Step, Violation> {
        if self.request != RequestSide::Awaited {
            return Err(Violation::SecondRequest);
        }
        let (next, step) = match self.modes.request {
            _ if end => (RequestSide::Ended, Step::DecideByHead),
            // Without a body to see there is nothing to wait for.
            BodyMode::None => (RequestSide::Passing, Step::DecideByHead),
            _ if !body_decides => (RequestSide::Passing, Step::DecideByHead),
            BodyMode::FullDuplexStreamed => (RequestSide::Collecting, Step::Keep),
            BodyMode::Buffered => (RequestSide::Collecting, Step::GoOn),
            mode @ (BodyMode::Streamed | BodyMode::BufferedPartial | BodyMode::Grpc) => {
                return Err(Violation::Mode(mode));
            }
        };
        self.request = next;
        Ok(step)
    }

    fn request_body(&mut self, end: bool) -> Result<Step, Violation> {
        let after = if end { RequestSide::Ended } else { RequestSide::Passing };
        match self.request {
            RequestSide::Awaited => Err(Violation::NoRequestHeaders),
            RequestSide::Ended => Ok(Step::Ignore),
            RequestSide::Passing => {
                self.request = after;
                Ok(Step::PassRequest { end })
            }
            RequestSide::Collecting if self.modes.request == BodyMode::Buffered => {
                // It is whole; without an end, trailers follow.
                self.request = after;
                Ok(Step::DecideInBody)
            }
            RequestSide::Collecting if end => {
                self.request = after;
                Ok(Step::Decide { trailers: false })
            }
            RequestSide::Collecting => Ok(Step::Keep),
        }
    }

    fn request_trailers(&mut self) -> Result<Step, Violation> {
        let step = match self.request {
            RequestSide::Awaited => return Err(Violation::NoRequestHeaders),
            RequestSide::Collecting => Step::Decide { trailers: true },
            RequestSide::Passing => Step::PassRequestTrailers,
            RequestSide::Ended => Step::Ignore,
        };
        self.request = RequestSide::Ended;
        Ok(step)
    }

    fn response_headers(&mut self, end: bool) -> Result<Step, Violation> {
        match (self.request, self.response) {
            (RequestSide::Awaited, _) => return Err(Violation::NoRequest),
            (_, ResponseSide::Passing | ResponseSide::Ended) => return Err(Violation::SecondResponse),
            // Envoy answered by itself (a time limit of its own, for one): nobody needs the request any more.
            (RequestSide::Collecting, ResponseSide::Awaited) => self.request = RequestSide::Ended,
            (RequestSide::Passing | RequestSide::Ended, ResponseSide::Awaited) => {}
        }
        self.response = if end { ResponseSide::Ended } else { ResponseSide::Passing };
        Ok(Step::AnswerResponse)
    }

    fn response_body(&mut self, end: bool) -> Result<Step, Violation> {
        match self.response {
            ResponseSide::Awaited => Err(Violation::NoResponseHeaders),
            ResponseSide::Ended => Ok(Step::Ignore),
            ResponseSide::Passing => {
                if end {
                    self.response = ResponseSide::Ended;
                }
                Ok(Step::PassResponse { end })
            }
        }
    }

    fn response_trailers(&mut self) -> Result<Step, Violation> {
        match self.response {
            ResponseSide::Awaited => Err(Violation::NoResponseHeaders),
            ResponseSide::Ended => Ok(Step::Ignore),
            ResponseSide::Passing => {
                self.response = ResponseSide::Ended;
                Ok(Step::PassResponseTrailers)
            }
        }
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
