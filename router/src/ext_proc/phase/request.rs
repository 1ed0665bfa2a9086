//! The client's side of an exchange.

use super::{super::messages::BodyMode, Violation};

/// How much of a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestSide {
    /// Nothing.
    Awaited,
    /// Its head is here; its body is needed to decide.
    Collecting,
    /// It is decided; what still comes is passed on.
    Passing,
    /// All of it has come, or what has not come is not needed.
    Ended,
}

/// What has come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestEvent {
    /// Its head.
    Headers {
        /// Nothing follows.
        end: bool,
        /// Its body says where it should go.
        body_decides: bool,
    },
    /// A piece of its body.
    Body {
        /// The last.
        end: bool,
    },
    /// Its trailers, which end it.
    Trailers,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestStep {
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
    /// Give a piece of the body back.
    Pass {
        /// The last.
        end: bool,
    },
    /// Answer the trailers.
    PassTrailers,
    /// Nothing: it came after the end.
    Ignore,
}

// === RequestSide ===

impl RequestSide {
    /// Where what came leads, and what is due for it.
    pub(super) fn on(self, event: RequestEvent, mode: BodyMode) -> Result<(Self, RequestStep), Violation> {
        match event {
            RequestEvent::Headers { end, body_decides } => self.headers(end, body_decides, mode),
            RequestEvent::Body { end } => self.body(end, mode),
            RequestEvent::Trailers => self.trailers(),
        }
    }

    /// Whether it has been answered where it goes.
    pub(super) fn is_decided(self) -> bool {
        matches!(self, Self::Passing | Self::Ended)
    }

    fn headers(
        self,
        end: bool,
        body_decides: bool,
        mode: BodyMode,
    ) -> Result<(Self, RequestStep), Violation> {
        if self != Self::Awaited {
            return Err(Violation::SecondRequest);
        }
        match mode {
            _ if end => Ok((Self::Ended, RequestStep::DecideByHead)),
            // Without a body to see there is nothing to wait for.
            BodyMode::None => Ok((Self::Passing, RequestStep::DecideByHead)),
            _ if !body_decides => Ok((Self::Passing, RequestStep::DecideByHead)),
            BodyMode::FullDuplexStreamed => Ok((Self::Collecting, RequestStep::Keep)),
            BodyMode::Buffered => Ok((Self::Collecting, RequestStep::GoOn)),
            BodyMode::Streamed | BodyMode::BufferedPartial | BodyMode::Grpc => Err(Violation::Mode(mode)),
        }
    }

    fn body(self, end: bool, mode: BodyMode) -> Result<(Self, RequestStep), Violation> {
        let after = if end { Self::Ended } else { Self::Passing };
        match self {
            Self::Awaited => Err(Violation::NoRequestHeaders),
            Self::Ended => Ok((self, RequestStep::Ignore)),
            Self::Passing => Ok((after, RequestStep::Pass { end })),
            // It is whole; without an end, trailers follow.
            Self::Collecting if mode == BodyMode::Buffered => Ok((after, RequestStep::DecideInBody)),
            Self::Collecting if end => Ok((after, RequestStep::Decide { trailers: false })),
            Self::Collecting => Ok((self, RequestStep::Keep)),
        }
    }

    fn trailers(self) -> Result<(Self, RequestStep), Violation> {
        let step = match self {
            Self::Awaited => return Err(Violation::NoRequestHeaders),
            Self::Collecting => RequestStep::Decide { trailers: true },
            Self::Passing => RequestStep::PassTrailers,
            Self::Ended => RequestStep::Ignore,
        };
        Ok((Self::Ended, step))
    }
}
