//! What is measured, and its limits.

use std::fmt::{self, Display, Formatter};

use crate::proxy::{bars::Bar, figures};

/// One thing that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// Milliseconds from a change of an engine's queue to the router's snapshot, by percentile.
    Fresh(u8),
    /// Share of a core that the agent takes, in percent.
    AgentCpu,
    /// The agent's memory, in MB.
    AgentMemory,
    /// Pages that one engine is asked for in a second, by the number of routers.
    Asked(usize),
    /// Share of a core that the agent takes for 50,000 KV blocks a second, in percent.
    StoringAgent,
    /// The same of the router that follows it.
    StoringRouter,
    /// The agent's memory with 100,000 blocks of each engine, in MB.
    StoredMemory,
    /// Share of a core that the router takes to merge a thousand endpoints, in percent.
    Merging,
    /// Microseconds to decide while that goes on, 99th percentile.
    DecidedBusy,
    /// The same while nothing changes.
    DecidedQuiet,
}

/// There is one thing that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Node;

pub(super) type Figures = figures::Figures<What, Node>;

// === What ===

impl Display for What {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fresh(percentile) => write!(f, "from an engine's change to the router p{percentile}, ms"),
            Self::AgentCpu => f.write_str("agent CPU, 8 engines, % of a core"),
            Self::AgentMemory => f.write_str("agent RSS without KV events, MB"),
            Self::Asked(routers) => write!(f, "pages per second and engine, {routers} routers"),
            Self::StoringAgent => f.write_str("agent CPU for 50,000 KV blocks/s, % of a core"),
            Self::StoringRouter => f.write_str("router CPU for them, % of a core"),
            Self::StoredMemory => f.write_str("agent RSS, 8 x 100,000 blocks, MB"),
            Self::Merging => f.write_str("router CPU, 1,000 endpoints x 20/s, % of a core"),
            Self::DecidedBusy => f.write_str("decided p99 under that load, us"),
            Self::DecidedQuiet => f.write_str("decided p99 without it, us"),
        }
    }
}

impl Display for Node {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("value")
    }
}

/// The figures and their limits.
pub(super) fn bars(figures: &Figures) -> Vec<Bar> {
    let lowest = |what| figures.lowest(what, Node);
    let at_most = |what: What, limit| Bar::at_most(what.to_string(), lowest(what), limit);
    let growth = |from, to| figures.growth(from, to, Node);
    vec![
        at_most(What::Fresh(99), 100.0),
        at_most(What::AgentCpu, 2.0),
        // Intervals are spread by a tenth either way.
        Bar::ratio(
            "pages per engine, 10 routers / 1".to_owned(),
            growth(What::Asked(1), What::Asked(10)),
            1.1,
        ),
        at_most(What::StoringAgent, 50.0),
        at_most(What::StoringRouter, 50.0),
        at_most(What::StoredMemory, 40.0),
        at_most(What::Merging, 25.0),
        Bar::ratio(
            "decided p99, told / quiet".to_owned(),
            growth(What::DecidedQuiet, What::DecidedBusy),
            2.0,
        ),
    ]
}
