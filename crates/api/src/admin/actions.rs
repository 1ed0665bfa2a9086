//! Changes of a running router: what is sent with one, and what is answered; and `/debug/log`, which holds nothing but one.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The body of `POST /debug/lane`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SwitchLane {
    /// Whether responses may take it.
    pub on: bool,
}

/// `GET /debug/log`: what is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Log {
    /// `tracing` filter directives; `null`: the log is not the router's own.
    pub level: Option<String>,
}

/// The body of `POST /debug/log`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SetLog {
    /// `tracing` filter directives.
    pub level: String,
}

/// What holds now, and whether it was otherwise before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Changed {
    /// It was otherwise before.
    pub changed: bool,
    /// What holds now.
    #[serde(flatten)]
    pub now: Now,
}

/// What holds now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Now {
    /// Of an endpoint: whether it gets no new requests, and how many it has of this router.
    Endpoint {
        /// Which.
        endpoint: String,
        /// It gets no new requests.
        drained: bool,
        /// Requests of this router that it has not finished.
        in_flight: u32,
        /// Its pools that have no ready replica now: their requests are refused.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        emptied: Vec<String>,
    },
    /// A session that is pinned nowhere.
    Session {
        /// Its key.
        session: String,
    },
    /// A prefix group that is pinned nowhere.
    Group {
        /// Its id.
        group: String,
    },
    /// Of the kernel lane: whether new responses may take it.
    Lane {
        /// They may.
        on: bool,
    },
    /// Of the log: its filter, and the one before.
    Log {
        /// Its filter.
        level: String,
        /// What it was.
        before: String,
    },
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
            Self::Endpoint { endpoint, drained: true, in_flight, emptied } => {
                write!(f, "{endpoint} gets no new requests; under way there: {in_flight}")?;
                let pools = emptied.join(", ");
                if pools.is_empty() {
                    return Ok(());
                }
                write!(
                    f,
                    "; NO REPLICA IS LEFT in {pools}: requests are refused until one is ready, or this one may have them by `warmlane undrain {endpoint}`"
                )
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
