//! The endpoint's side of an exchange, or that of an Envoy which answers by itself.

use super::Violation;

/// How much of a response has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResponseSide {
    Awaited,
    Passing,
    Ended,
}

/// What has come of it. With `response_header_mode: SKIP` it begins with its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseEvent {
    /// Its head.
    Headers {
        /// Nothing follows.
        end: bool,
    },
    /// A piece of its body.
    Body {
        /// The last.
        end: bool,
    },
    /// Its trailers, which end it.
    Trailers,
}

/// What is due: an answer to what came, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseStep {
    /// Answer it.
    Answer,
    /// Nothing: it came after the end.
    Ignore,
}

// === ResponseSide ===

impl ResponseSide {
    /// Where what came leads, and what is due for it.
    pub(super) fn on(self, event: ResponseEvent) -> Result<(Self, ResponseStep), Violation> {
        match (event, self) {
            (ResponseEvent::Headers { .. }, Self::Passing | Self::Ended) => Err(Violation::SecondResponse),
            (ResponseEvent::Body { .. } | ResponseEvent::Trailers, Self::Ended) => {
                Ok((self, ResponseStep::Ignore))
            }
            (ResponseEvent::Headers { end } | ResponseEvent::Body { end }, _) => {
                Ok((if end { Self::Ended } else { Self::Passing }, ResponseStep::Answer))
            }
            (ResponseEvent::Trailers, _) => Ok((Self::Ended, ResponseStep::Answer)),
        }
    }
}
