//! HTTP/1.1 framing: where heads and bodies begin and end, byte for byte.
//!
//! What this is: parsers for request and response heads, trackers for bodies, and writers that copy
//! a head onward with a few edits. All of it works on bytes that the caller holds.
//! What this is not: sockets, timeouts, buffers, retries or routing. Nothing here waits or reads a clock.
//!
//! Invariant: one sequence of bytes has one reading. A message that two parsers could cut at different
//! places is refused with a [`FramingError`]; the connection it came on must then be closed. The answer
//! does not depend on how the bytes were split into reads.

mod body;
mod chunked;
mod error;
mod fields;
mod refusal;
mod request;
mod response;
mod scan;
mod simple;
mod target;
mod write;

pub use body::{Body, Scan, Step};
pub use chunked::Chunked;
pub use error::FramingError;
pub use fields::Span;
pub use request::{Method, RequestHead};
pub use response::{RequestFacts, ResponseHead};
pub use simple::{CONTINUE, reason_phrase, write_simple_head, write_simple_response};
pub use write::{ConnectionLine, LengthLine, RequestEdits, ResponseEdits, write_request, write_response};

/// Most header lines a head may ever have, whatever [`HeadLimits`] says.
pub const MAX_HEADERS: usize = 256;

/// The protocol version of a message. No other version is accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// `HTTP/1.0`: closes by default, has no chunked coding.
    Http10,
    /// `HTTP/1.1`
    #[default]
    Http11,
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    #[default]
    None,
    /// The body is exactly this many bytes long.
    Length(u64),
    /// The body is in chunks and ends with the empty one.
    Chunked,
    /// The body ends when the peer closes. Responses only.
    UntilClose,
}

/// What a head may cost at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the whole head, final empty line included.
    pub head: usize,
    /// Bytes of the request line, its CRLF included.
    pub request_line: usize,
    /// Header lines, at most [`MAX_HEADERS`].
    pub headers: usize,
    /// Largest `Content-Length` a request may announce.
    pub body: u64,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { head: 64 * 1024, request_line: 16 * 1024, headers: 128, body: u64::MAX }
    }
}

#[cfg(test)]
mod tests;
