//! Why a change was not made: who is told what, with which status, and how it is counted.

use std::path::PathBuf;

use hyper::StatusCode;

use crate::metrics::ActionOutcome;

/// See the module's header.
#[derive(Debug, thiserror::Error)]
pub(super) enum ActionError {
    /// The name it was called by may be somebody else's: a page's, whose name leads here.
    #[error(
        "called by the name {0:?}: use an address or localhost, or name it with --admin-host; a page of another site could be behind it"
    )]
    ForeignHost(String),
    /// A page of another site asks.
    #[error("asked by a page of {0:?}: only this port's own pages may ask")]
    ForeignOrigin(String),
    /// Nobody may change anything over TCP.
    #[error(
        "changes need a token, and there is none: start the router with --admin-token-file FILE and send what is in it as \
         \"authorization: Bearer TOKEN\", or ask over --admin-socket as root or as the router's user"
    )]
    NoToken,
    /// The one who asks showed none.
    #[error("changes need the token in --admin-token-file: send it as \"authorization: Bearer TOKEN\"")]
    NoTokenShown,
    /// The one who asks showed another.
    #[error(
        "the token that was sent is not the one in --admin-token-file, which is read anew for each change"
    )]
    WrongToken,
    /// It cannot be compared with anything.
    #[error("cannot use the token in {path}: {why}")]
    TokenUnreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The body is over the limit.
    #[error("the body is over {0} bytes")]
    TooLarge(usize),
    /// The body did not come.
    #[error("the body did not come whole")]
    Broken,
    /// What is asked for cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// There is nothing of that name.
    #[error("{0}")]
    Absent(String),
    /// It cannot be so.
    #[error("{0}")]
    Impossible(String),
    /// The writer did not answer.
    #[error("the router does not come to it: ask again")]
    Busy,
}

// === ActionError ===

impl ActionError {
    /// The answer's status.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::ForeignHost(_) | Self::ForeignOrigin(_) | Self::NoToken => StatusCode::FORBIDDEN,
            Self::NoTokenShown | Self::WrongToken => StatusCode::UNAUTHORIZED,
            Self::TokenUnreadable { .. } | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Broken | Self::Unreadable(_) => StatusCode::BAD_REQUEST,
            Self::Absent(_) => StatusCode::NOT_FOUND,
            Self::Impossible(_) => StatusCode::CONFLICT,
        }
    }

    /// How it is counted.
    pub(super) fn outcome(&self) -> ActionOutcome {
        match self {
            Self::ForeignHost(_)
            | Self::ForeignOrigin(_)
            | Self::NoToken
            | Self::NoTokenShown
            | Self::WrongToken => ActionOutcome::Refused,
            Self::TooLarge(_) | Self::Broken | Self::Unreadable(_) => ActionOutcome::Unreadable,
            Self::Absent(_) => ActionOutcome::Absent,
            Self::Impossible(_) => ActionOutcome::Impossible,
            Self::TokenUnreadable { .. } | Self::Busy => ActionOutcome::Failed,
        }
    }
}
