//! What is thought of a card, and why.

use std::fmt;

use crate::gpu::{sample::Slowdown, xid::Class};

/// What is thought of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is known against it.
    Healthy,
    /// It works, but others are to be preferred.
    Degraded {
        /// The worst that is known.
        why: Cause,
    },
    /// It must not be given requests.
    Failed {
        /// The worst that is known.
        why: Cause,
    },
}

/// What is held against a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// NVML cannot reach it.
    Absent(Absence),
    /// The driver reported an XID.
    Xid {
        /// Its number.
        code: u64,
        /// What it means.
        class: Class,
    },
    /// A bad row of memory could not be replaced.
    RowRemapFailed,
    /// Memory lost data since the last readings.
    UncorrectableEcc {
        /// So many times.
        errors: u64,
    },
    /// It slows itself down, and not for a moment only.
    Slowed(Slowdown),
    /// It leaves a question without an answer.
    Unresponsive,
}

/// How a card is absent, in NVML's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// `GPU_IS_LOST`.
    Lost,
    /// `RESET_REQUIRED`.
    ResetRequired,
}

// === Verdict ===

impl Verdict {
    /// Why it is not healthy.
    pub fn why(self) -> Option<Cause> {
        match self {
            Self::Healthy => None,
            Self::Degraded { why } | Self::Failed { why } => Some(why),
        }
    }

    /// Whether requests must stay away.
    pub fn is_failed(self) -> bool {
        matches!(self, Self::Failed { .. })
    }
}

// === Cause ===

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(Absence::Lost) => f.write_str("NVML cannot reach it: it fell off the bus"),
            Self::Absent(Absence::ResetRequired) => f.write_str("NVML refuses it until it is reset"),
            Self::Xid { code, class } => write!(f, "XID {code}: {class}"),
            Self::RowRemapFailed => {
                f.write_str("a bad row of memory could not be replaced: replace the card")
            }
            Self::UncorrectableEcc { errors } => write!(f, "{errors} new uncorrectable memory errors"),
            Self::Slowed(slowdown) => write!(f, "slowed down: {slowdown}"),
            Self::Unresponsive => f.write_str("it does not answer NVML"),
        }
    }
}
