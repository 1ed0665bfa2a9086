//! What became of the spans of sampled requests.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::page::Page;
use crate::spans::SpanCounts;

/// See the module's header.
#[derive(Debug)]
pub(super) struct Spans(pub(super) Arc<SpanCounts>);

impl Collector for Spans {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let SpanCounts { exported, overflowed, failed } = &*self.0;
        let all = [("exported", exported), ("overflowed", overflowed), ("failed", failed)];
        let rows = all.map(|(outcome, count)| ([("outcome", outcome)], count.load(Relaxed)));
        let help = "Sampled requests whose spans the collector took, that found no room to wait, or that were given up";
        Page(encoder).counters("traced_requests", help, rows)
    }
}
