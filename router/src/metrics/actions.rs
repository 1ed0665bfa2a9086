//! Changes of the running router that were asked for by the admin port, and what became of them.

use std::fmt;

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::{ActionKind, ActionOutcome, Counts, Label as _, page::Page};

/// See the module's header. Counted by the control thread alone.
#[derive(Debug)]
pub struct ActionMetrics {
    /// One for each kind, in their order.
    outcomes: Box<[Counts<ActionOutcome>]>,
}

// === ActionMetrics ===

impl ActionMetrics {
    /// This became of one.
    pub fn done(&self, kind: ActionKind, outcome: ActionOutcome) {
        self.outcomes[kind.index()].add(outcome);
    }

    /// Those of a kind of which this became.
    pub fn count(&self, kind: ActionKind, outcome: ActionOutcome) -> u64 {
        self.outcomes[kind.index()].get(outcome)
    }
}

impl Default for ActionMetrics {
    fn default() -> Self {
        Self { outcomes: ActionKind::ALL.iter().map(|_| Counts::new()).collect() }
    }
}

impl Collector for ActionMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let rows = ActionKind::ALL.iter().zip(&self.outcomes).flat_map(|(kind, outcomes)| {
            outcomes.rows().map(|(outcome, n)| ([("action", kind.name()), ("outcome", outcome)], n))
        });
        Page(encoder).counters("admin_actions", "Changes asked for by the admin port", rows)
    }
}
