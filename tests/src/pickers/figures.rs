//! What is measured of each picker, and the limits for the router's.

use std::fmt::{self, Display, Formatter};

use super::picker::Kind::{self, Noop, Warmlane};
use crate::proxy::{bars::Bar, figures};

/// One thing that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// CPU of a request with a small prompt and its response's head, in microseconds.
    Small,
    /// The same of a large prompt.
    Large,
    /// Microseconds from a request's last message to its destination, at a pace, by percentile.
    Decided(u8),
    /// CPU of a response's chunk, in microseconds.
    Chunk,
    /// How much memory grows while a large body passes, in MB.
    Body,
}

pub(super) type Figures = figures::Figures<What, Kind>;

// === What ===

impl Display for What {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Small => f.write_str("CPU us per request, 1 KB"),
            Self::Large => f.write_str("CPU us per request, 400 KB"),
            Self::Decided(percentile) => write!(f, "decided p{percentile} at 500/s, us"),
            Self::Chunk => f.write_str("CPU us per response chunk"),
            Self::Body => f.write_str("memory for a 20 MB body, MB"),
        }
    }
}

/// The router's figures and their limits.
pub(super) fn bars(figures: &Figures) -> Vec<Bar> {
    let ratio = |what, name: &str, limit| {
        Bar::ratio(format!("{name} / {Noop}"), figures.ratio(what, Warmlane, Noop), limit)
    };
    let at_most = |what: What, limit| Bar::at_most(what.to_string(), figures.lowest(what, Warmlane), limit);
    vec![
        ratio(What::Small, "CPU per request, 1 KB", 1.3),
        at_most(What::Large, 2_000.0),
        at_most(What::Decided(95), 1_000.0),
        ratio(What::Chunk, "CPU per response chunk", 1.3),
        // The body once, and what is not it; in every round, since nothing disturbs it.
        Bar::at_most(What::Body.to_string(), figures.highest(What::Body, Warmlane), 28.0),
    ]
}
