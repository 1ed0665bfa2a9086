//! Exchanges with Envoy, one for each request.

use std::time::Duration;

use super::super::{Counts, Durations, StreamEnd, Tally};

/// See the module's header.
#[derive(Debug, Default)]
pub(in super::super) struct Exchanges {
    /// Those that ended, by how.
    pub(in super::super) ends: Counts<StreamEnd>,
    /// Those that are open.
    pub(in super::super) open: Tally,
    /// How long those took that ended.
    pub(in super::super) durations: Durations,
}

// === Exchanges ===

impl Exchanges {
    pub(super) fn ended(&self, end: StreamEnd, took: Duration) {
        self.open.sub(1);
        self.ends.add(end);
        self.durations.observe(took);
    }

    pub(super) fn absorb(&self, other: &Self) {
        self.ends.absorb(&other.ends);
        self.open.add(other.open.get());
        self.durations.absorb(&other.durations);
    }
}
