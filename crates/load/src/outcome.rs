//! What became of one request.
//!
//! Times are wall time. Whoever reports on a scaled simulator multiplies by its scale.

use std::{io, time::Duration};

use warmlane_engine::sse::payload::Usage;

/// The record of one request.
#[derive(Debug)]
pub struct Outcome {
    /// When it was sent, counted from the start of the run (zero for a single request).
    pub sent_at: Duration,
    /// HTTP status, where a response head arrived.
    pub status: Option<u16>,
    /// Replica named by `x-warmlane-endpoint`.
    pub endpoint: Option<String>,
    /// From send to the first token of a stream.
    pub ttft: Option<Duration>,
    /// Seconds between tokens of a stream: one value less than there were token events.
    pub gaps: Vec<f32>,
    /// From send to the last byte, or to the failure.
    pub e2e: Duration,
    /// Events that carried tokens.
    pub chunks: u32,
    /// Token counts by the server, where it sent them.
    pub usage: Option<Usage>,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No connection.
    #[error("cannot connect to {target}: {source}; is the server up and the address right?")]
    Connect {
        /// Address that was dialled.
        target: std::net::SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The connection closed before a response head.
    #[error("the server closed the connection before it answered: {reason}")]
    Closed {
        /// What the HTTP layer saw.
        reason: String,
    },
    /// A status other than 2xx.
    #[error("status {code}: {message}")]
    Status {
        /// The status.
        code: u16,
        /// The message of the error object, or the start of the body.
        message: String,
    },
    /// An error object inside a stream that began well.
    #[error("the stream carried an error: {message}")]
    Stream {
        /// The message of the error object, or the payload.
        message: String,
    },
    /// The reply ended before its end was announced.
    #[error("the reply broke off after {chunks} token events: {reason}")]
    Truncated {
        /// Token events until then.
        chunks: u32,
        /// What was missing.
        reason: String,
    },
    /// A reply that is no OpenAI reply.
    #[error("the reply is not of the expected shape: {reason}")]
    Malformed {
        /// What the parser said.
        reason: String,
    },
    /// The client's own limit passed.
    #[error("no full reply within {}s; raise the limit or look for a stuck replica", .limit.as_secs_f64())]
    Timeout {
        /// The limit.
        limit: Duration,
    },
}

// === Outcome ===

impl Outcome {
    /// Whether the reply came whole and without an error.
    pub fn ok(&self) -> bool {
        self.failure.is_none()
    }

    /// Generated tokens: the server's count, else the token events seen.
    pub fn output_tokens(&self) -> u64 {
        self.usage.map_or(u64::from(self.chunks), |usage| usage.completion_tokens)
    }
}

// === Failure ===

impl Failure {
    /// A short name to count failures by: the status for statuses, else the cause.
    pub fn kind(&self) -> String {
        match self {
            Self::Connect { .. } => "connect".into(),
            Self::Closed { .. } => "closed".into(),
            Self::Status { code, .. } => format!("status_{code}"),
            Self::Stream { .. } => "stream_error".into(),
            Self::Truncated { .. } => "truncated".into(),
            Self::Malformed { .. } => "malformed".into(),
            Self::Timeout { .. } => "timeout".into(),
        }
    }
}
