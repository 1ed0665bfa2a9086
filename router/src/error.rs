//! Why a request was not served, in one closed enum: who is at fault, which status the client gets, which
//! word the metrics count it under, and whether another try may help.

use std::{sync::Arc, time::Duration};

use warmlane_engine::{
    body::{Api, BodyError},
    error::{ErrorBody, ErrorType},
};
use warmlane_picker::NoEndpoint;

use crate::{
    http1::FramingError,
    metrics::{ErrorReason, RetryReason},
};

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The client's bytes are not an HTTP/1.1 request that can be read in one way only.
    #[error("{0}")]
    Framing(#[from] FramingError),
    /// The body cannot be routed.
    #[error("{0}")]
    Body(#[from] BodyError),
    /// The client closed its side before its body was complete.
    #[error("the connection was closed before the request body was complete")]
    CutOff,
    /// The body is larger than the limit.
    #[error("the request body is larger than the limit of {limit} bytes (router flag --body-limit)")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// The process holds as many request bodies as it may.
    #[error("the router holds too many request bodies at the moment; try again")]
    OverBudget,
    /// As many connections and streams are open as may be.
    #[error(
        "the router has {limit} connections and streams open, its limit (router flag --limits-connections); try again"
    )]
    Crowded {
        /// The limit.
        limit: usize,
    },
    /// The client did not send its request in time.
    #[error("the request did not arrive within {0:?}")]
    SlowClient(Duration),
    /// No replica lists the model.
    #[error("The model `{model}` does not exist. Served here: {served}")]
    UnknownModel {
        /// What was asked for.
        model: String,
        /// What there is.
        served: String,
    },
    /// Nobody can serve it now.
    #[error("{cause}{example}")]
    NoEndpoint {
        /// Why.
        cause: NoEndpoint,
        /// One replica's own trouble, in brackets; empty when there is none to tell.
        example: String,
    },
    /// Admission refused it.
    #[error("every replica is busy and this request's criticality is Sheddable; try again later")]
    Shed {
        /// Seconds to wait.
        retry_after: Duration,
    },
    /// Every endpoint tried failed before answering.
    #[error("no replica answered ({tried} tried): {cause}; last was {endpoint}")]
    Upstream {
        /// The last one tried.
        endpoint: Arc<str>,
        /// How many were.
        tried: usize,
        /// What happened to the last one.
        cause: UpstreamFault,
    },
    /// An endpoint's answer cannot be read in one way only. It is not sent elsewhere: the work was done and would be
    /// done twice.
    #[error("the answer of replica {endpoint} is malformed: {error}")]
    Malformed {
        /// Who answered.
        endpoint: Arc<str>,
        /// What is wrong.
        error: FramingError,
    },
    /// The request timeout passed before the response began.
    #[error("no response began within the request timeout of {0:?}")]
    Timeout(Duration),
    /// The client closed its connection.
    #[error("the client closed the connection")]
    ClientGone,
}

/// What went wrong with one endpoint before its first response byte.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamFault {
    /// It could not be connected to.
    #[error("connecting failed ({0}); is the replica up?")]
    Connect(std::io::Error),
    /// Connecting took too long.
    #[error("connecting timed out; is the replica's node reachable?")]
    ConnectTimeout,
    /// The connection broke before an answer.
    #[error("the connection broke before an answer ({0})")]
    Broken(std::io::Error),
    /// It closed the connection without an answer.
    #[error("the replica closed the connection without an answer")]
    Closed,
    /// It answered 502.
    #[error("the replica answered 502")]
    BadGateway,
    /// It answered 503: it has no room now.
    #[error("the replica answered 503")]
    Busy,
    /// It answered that it is shutting down.
    #[error("the replica is shutting down")]
    Terminating,
    /// Its answer began with an error event.
    #[error("the replica's stream began with an error")]
    ErrorEvent,
    /// It failed the router's own readings while the request waited there.
    #[error("the replica stopped responding while the request waited; is its process stuck?")]
    Abandoned,
    /// What it sent is not an HTTP response that can be read in one way only.
    #[error("the replica's response is malformed: {0}")]
    Malformed(FramingError),
}

// === Fault ===

impl Fault {
    /// Status for the client.
    pub fn status(&self) -> u16 {
        match self {
            Self::Framing(error) => error.status(),
            Self::Body(_) | Self::CutOff => 400,
            Self::TooLarge { .. } => 413,
            Self::SlowClient(_) => 408,
            Self::UnknownModel { .. } => 404,
            Self::OverBudget | Self::Crowded { .. } | Self::NoEndpoint { .. } => 503,
            Self::Shed { .. } => 429,
            Self::Malformed { .. } => 502,
            Self::Upstream { .. } => 503,
            Self::Timeout(_) => 504,
            Self::ClientGone => 499,
        }
    }

    /// The `type` of the OpenAI-style error object.
    pub fn kind(&self) -> ErrorType {
        match self {
            Self::Framing(_) | Self::SlowClient(_) | Self::CutOff => ErrorType::BadRequest,
            Self::Body(_) => ErrorType::MalformedRequest,
            Self::TooLarge { .. } => ErrorType::TooLarge,
            Self::UnknownModel { .. } => ErrorType::NotFound,
            Self::Shed { .. } => ErrorType::RateLimit,
            Self::Malformed { .. } => ErrorType::BadGateway,
            Self::OverBudget | Self::Crowded { .. } | Self::NoEndpoint { .. } | Self::Upstream { .. } => {
                ErrorType::Unavailable
            }
            Self::Timeout(_) | Self::ClientGone => ErrorType::Timeout,
        }
    }

    /// What the metrics and the access log count it under.
    pub fn reason(&self) -> ErrorReason {
        match self {
            Self::Framing(_) => ErrorReason::Framing,
            Self::Body(_) | Self::CutOff => ErrorReason::Body,
            Self::TooLarge { .. } => ErrorReason::TooLarge,
            Self::OverBudget => ErrorReason::OverBudget,
            Self::Crowded { .. } => ErrorReason::Crowded,
            Self::SlowClient(_) => ErrorReason::SlowClient,
            Self::UnknownModel { .. } => ErrorReason::UnknownModel,
            Self::NoEndpoint { .. } => ErrorReason::NoEndpoint,
            Self::Shed { .. } => ErrorReason::Shed,
            Self::Upstream { .. } | Self::Malformed { .. } => ErrorReason::Upstream,
            Self::Timeout(_) => ErrorReason::Timeout,
            Self::ClientGone => ErrorReason::ClientGone,
        }
    }

    /// The request field at fault.
    pub fn param(&self) -> Option<&'static str> {
        match self {
            Self::Body(error) => error.param(),
            Self::UnknownModel { .. } => Some("model"),
            Self::Framing(_)
            | Self::CutOff
            | Self::TooLarge { .. }
            | Self::OverBudget
            | Self::Crowded { .. }
            | Self::SlowClient(_)
            | Self::NoEndpoint { .. }
            | Self::Shed { .. }
            | Self::Upstream { .. }
            | Self::Malformed { .. }
            | Self::Timeout(_)
            | Self::ClientGone => None,
        }
    }

    /// The error object that a client of this API gets, with `message` in it.
    pub fn object(&self, message: &str, api: Option<Api>) -> String {
        let body = ErrorBody { message, kind: self.kind(), param: self.param(), code: self.status() };
        if api == Some(Api::Messages) { body.to_messages_json() } else { body.to_json() }
    }

    /// Seconds for `Retry-After`, where waiting may help.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Shed { retry_after } => Some(retry_after.as_secs().max(1)),
            Self::OverBudget | Self::Crowded { .. } | Self::NoEndpoint { .. } | Self::Upstream { .. } => {
                Some(1)
            }
            Self::Framing(_)
            | Self::Body(_)
            | Self::CutOff
            | Self::TooLarge { .. }
            | Self::SlowClient(_)
            | Self::UnknownModel { .. }
            | Self::Malformed { .. }
            | Self::Timeout(_)
            | Self::ClientGone => None,
        }
    }

    /// Whether the connection's next bytes can still be trusted to start a request.
    pub fn keeps_connection(&self) -> bool {
        match self {
            Self::Framing(_)
            | Self::CutOff
            | Self::TooLarge { .. }
            | Self::OverBudget
            | Self::Crowded { .. }
            | Self::SlowClient(_)
            | Self::ClientGone => false,
            Self::Body(_)
            | Self::UnknownModel { .. }
            | Self::NoEndpoint { .. }
            | Self::Shed { .. }
            | Self::Upstream { .. }
            | Self::Malformed { .. }
            | Self::Timeout(_) => true,
        }
    }
}

// === UpstreamFault ===

impl UpstreamFault {
    /// What another try is counted under; `None` where there is none: a malformed answer is an answer, and
    /// the work behind it would be done twice.
    pub fn retry(&self) -> Option<RetryReason> {
        match self {
            Self::Connect(_) => Some(RetryReason::Connect),
            Self::ConnectTimeout => Some(RetryReason::ConnectTimeout),
            Self::Broken(_) => Some(RetryReason::Broken),
            Self::Closed => Some(RetryReason::Closed),
            Self::BadGateway => Some(RetryReason::BadGateway),
            Self::Busy => Some(RetryReason::Busy),
            Self::Terminating => Some(RetryReason::Terminating),
            Self::ErrorEvent => Some(RetryReason::ErrorEvent),
            Self::Abandoned => Some(RetryReason::Abandoned),
            Self::Malformed(_) => None,
        }
    }

    /// Whether no engine can have worked on the request: it then goes elsewhere whatever the retry budget says.
    pub fn is_free(&self) -> bool {
        match self {
            Self::Connect(_) | Self::ConnectTimeout => true,
            Self::Broken(_)
            | Self::Closed
            | Self::BadGateway
            | Self::Busy
            | Self::Terminating
            | Self::ErrorEvent
            | Self::Abandoned
            | Self::Malformed(_) => false,
        }
    }
}
