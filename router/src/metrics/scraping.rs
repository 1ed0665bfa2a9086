//! What the engine readers count.

use std::{fmt, time::Duration};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use warmlane_scrape::Outcome;

use super::{Counts, Durations, page::Page};

/// See the module's header.
#[derive(Debug)]
pub struct ScrapeMetrics {
    outcomes: Counts<Outcome>,
    durations: Durations,
}

// === ScrapeMetrics ===

impl ScrapeMetrics {
    pub(super) fn new() -> Self {
        Self { outcomes: Counts::new(), durations: Durations::default() }
    }

    /// A reading of `/metrics` ended like this.
    pub fn done(&self, outcome: Outcome, took: Duration) {
        self.outcomes.add(outcome);
        self.durations.observe(took);
    }

    /// Readings that ended like this.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(outcome)
    }
}

impl Collector for ScrapeMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        let outcomes = self.outcomes.rows().map(|(outcome, n)| ([("outcome", outcome)], n));
        page.counters("scrapes", "Readings of engines' metric pages", outcomes)?;
        page.histogram("scrape_duration_seconds", "Time such a reading took", &self.durations)
    }
}
