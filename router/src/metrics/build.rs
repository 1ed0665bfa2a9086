//! Which build this is, and since when it runs.

use std::{fmt, time::Instant};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::{page::Page, seconds};
use crate::world::World;

#[derive(Debug)]
pub(super) struct Build {
    started: Instant,
    /// What it is for: requests, or hooks alone.
    serves: &'static str,
}

// === Build ===

impl Build {
    pub(super) fn new(started: Instant, world: &World) -> Self {
        Self { started, serves: if world.has_replicas { "requests" } else { "hooks" } }
    }
}

impl Collector for Build {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        let labels = [("version", env!("CARGO_PKG_VERSION")), ("serves", self.serves)];
        page.gauges("build_info", "Always 1; the labels say which build runs", [(labels, 1.0)])?;
        page.gauge("uptime_seconds", "Since the router started", seconds(self.started.elapsed()))
    }
}
