//! What the kernel lane's programs have counted: read when a page is asked for.

use std::{fmt, sync::Arc};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::page::Page;
use crate::{
    kernel::{Counts, count},
    world::World,
};

/// See the module's header.
pub(super) struct Lane(Arc<World>);

// === Lane ===

impl Lane {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self(world)
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").finish_non_exhaustive()
    }
}

impl Collector for Lane {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (counts, mut page) = (self.0.lane.counts(), Page(encoder));
        let of = |number| counts.as_ref().map_or(0, |counts| counts.of(number));
        let on = self.0.lane.why_off().is_none();
        page.gauge("lane_on", "1 while the kernel lane is on", f64::from(u8::from(on)))?;
        let (pods, clients) = self.0.lane.connections();
        let rows = [("pods", pods), ("clients", clients)];
        let rows = rows.map(|(side, count)| ([("side", side)], count as f64));
        page.gauges("lane_connections", "Connections that may take the kernel lane", rows)?;
        let help = "Bytes that the kernel sent to clients without waking the router, framing included";
        page.counter("lane_bytes", help, of(count::BYTES))?;
        let help = "Messages that they came in: times that the router was not woken";
        page.counter("lane_messages", help, of(count::REDIRECTED))?;
        let rows = counts.as_ref().map(Counts::handed_over_rows).unwrap_or_default();
        let rows = rows.into_iter().map(|(reason, count)| ([("reason", reason)], count));
        let help = "Times that the kernel left a response to the router, by why; end: as it should";
        page.counters("lane_handovers", help, rows)
    }
}
