//! What is sent with a change, and what is answered.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The body of `POST /debug/lane`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SwitchLane {
    pub(super) on: bool,
}

/// The body of `POST /debug/log`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetLog {
    /// `tracing` filter directives.
    pub(super) level: String,
}

/// What holds now, and whether it was otherwise before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Changed {
    /// It was otherwise before.
    pub(super) changed: bool,
    #[serde(flatten)]
    pub(super) now: Now,
}

/// What holds now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum Now {
    /// Of an endpoint: whether it gets no new requests, and how many it has of this router.
    Endpoint { endpoint: String, drained: bool, in_flight: u32 },
    /// A session that is pinned nowhere.
    Session { session: String },
    /// A prefix group that is pinned nowhere.
    Group { group: String },
    /// Of the kernel lane: whether new responses may take it.
    Lane { on: bool },
    /// Of the log: its filter, and the one before.
    Log { level: String, before: String },
}

// === Changed ===

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.now.fmt(f)?;
        if self.changed { Ok(()) } else { f.write_str(", as before") }
    }
}

// === Now ===

impl fmt::Display for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint { endpoint, drained: true, in_flight } => {
                write!(f, "{endpoint} gets no new requests; under way there: {in_flight}")
            }
            Self::Endpoint { endpoint, drained: false, .. } => {
                write!(f, "{endpoint} may get requests, as far as nothing else speaks against it")
            }
            Self::Session { session } => write!(f, "session {session} is pinned nowhere"),
            Self::Group { group } => write!(f, "prefix group {group} is pinned nowhere"),
            Self::Lane { on: true } => f.write_str("responses may take the kernel lane"),
            Self::Lane { on: false } => f.write_str("no new response takes the kernel lane"),
            Self::Log { level, before } => write!(f, "{level:?} instead of {before:?}"),
        }
    }
}
