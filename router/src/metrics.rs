//! What the router counts and shows on `/metrics`. One struct per subsystem; label values are enums.
//!
//! Each data-plane thread counts into a sheet of its own, made at start: counting takes no lock, looks nothing up, allocates
//! nothing and writes to nobody else's memory. Pages are OpenMetrics text, written by `prometheus-client` from those atomics.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use prometheus_client::{encoding::text, registry::Registry};

use crate::{spans::SpanCounts, world::World};

mod actions;
mod agents;
mod amounts;
mod build;
mod by_model;
mod cells;
mod cluster;
mod durations;
mod hooks;
mod labels;
mod lane;
mod page;
mod pool;
mod proxy;
mod scraping;
mod sheets;
mod spans;
mod tokens;
mod upstream;

pub use actions::ActionMetrics;
use amounts::Amounts;
pub use by_model::{Answered, ModelSheets, Models, Running};
pub use cells::{Counts, Label, Tally};
pub use cluster::ClusterMetrics;
pub use durations::Durations;
pub use hooks::HookMetrics;
pub use labels::{
    ActionKind, ActionOutcome, ErrorReason, Goal, Hook, HookOutcome, Listener, LoadOutcome, RetryReason,
    StreamEnd,
};
pub use proxy::{Connected, Opened, ProxyMetrics};
pub use scraping::ScrapeMetrics;
use sheets::Sheets;
pub use tokens::TokenMetrics;

/// Media type of a page.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Before our own names.
const PREFIX: &str = "warmlane";

/// Everything that is counted.
pub struct Metrics {
    /// All but the sheets.
    registry: Registry,
    world: Arc<World>,
    sheets: Sheets,
    scraping: Arc<ScrapeMetrics>,
    hooks: Arc<HookMetrics>,
    cluster: Arc<ClusterMetrics>,
    actions: Arc<ActionMetrics>,
    spans: Arc<SpanCounts>,
}

// === Metrics ===

impl Metrics {
    /// Counters at zero, and gauges that look at `world` when a page is asked for.
    pub fn new(world: &Arc<World>) -> Self {
        let scraping = Arc::new(ScrapeMetrics::new());
        let hooks = Arc::new(HookMetrics::default());
        let cluster = Arc::new(ClusterMetrics::default());
        let actions = Arc::new(ActionMetrics::default());
        let spans = Arc::new(SpanCounts::default());
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(build::Build::new(Instant::now(), world)));
        registry.register_collector(Box::new(scraping.clone()));
        registry.register_collector(Box::new(pool::Pool::new(world.clone())));
        registry.register_collector(Box::new(agents::Agents::new(world.clone())));
        registry.register_collector(Box::new(tokens::Tokens::new(world.clone())));
        registry.register_collector(Box::new(lane::Lane::new(world.clone())));
        registry.register_collector(Box::new(hooks.clone()));
        registry.register_collector(Box::new(cluster.clone()));
        registry.register_collector(Box::new(actions.clone()));
        registry.register_collector(Box::new(spans::Spans(spans.clone())));
        let sheets = Sheets::default();
        Self { registry, world: world.clone(), sheets, scraping, hooks, cluster, actions, spans }
    }

    /// A sheet for what one more thread counts.
    pub fn proxy(&self) -> Arc<ProxyMetrics> {
        self.sheets.add()
    }

    /// Requests under way.
    pub fn open(&self) -> u64 {
        self.sheets.open()
    }

    /// What the engine readers count.
    pub fn scraping(&self) -> Arc<ScrapeMetrics> {
        self.scraping.clone()
    }

    /// What the extension server counts.
    pub fn hooks(&self) -> Arc<HookMetrics> {
        self.hooks.clone()
    }

    /// How watching the cluster fares.
    pub fn cluster(&self) -> Arc<ClusterMetrics> {
        self.cluster.clone()
    }

    /// What becomes of spans.
    pub fn spans(&self) -> Arc<SpanCounts> {
        self.spans.clone()
    }

    /// What changes of the running router are counted by.
    pub fn actions(&self) -> &ActionMetrics {
        &self.actions
    }

    /// The page.
    ///
    /// # Errors
    /// Only when a collector fails to format, which none of ours does.
    pub fn render(&self) -> Result<String, fmt::Error> {
        // Summed up once for both sets of names.
        let sum = Arc::new(self.sheets.sum());
        let mut proxy = Registry::with_prefix(PREFIX);
        proxy.register_collector(Box::new(sum.clone()));
        let upstream = upstream::Upstream::new(self.world.clone(), sum, self.scraping.clone());
        let mut others = Registry::default();
        others.register_collector(Box::new(upstream));
        let mut page = String::with_capacity(16 << 10);
        for registry in [&proxy, &self.registry, &others] {
            text::encode_registry(&mut page, registry)?;
        }
        text::encode_eof(&mut page)?;
        Ok(page)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

#[cfg(test)]
mod tests;
