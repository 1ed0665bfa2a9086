//! How watching the cluster fares: read when a page is asked for. Without a cluster nothing is wrong with it.

use std::sync::{Arc, OnceLock};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use tokio::sync::watch;

use super::page::Page;
use crate::kube::Desired;

/// See the module's header. Its rows are as many as resources are watched, in each namespace of a pool.
#[derive(Debug, Default)]
pub struct ClusterMetrics {
    desired: OnceLock<watch::Receiver<Arc<Desired>>>,
}

// === ClusterMetrics ===

impl ClusterMetrics {
    /// From now on what is watched is shown. Only the first call counts.
    pub fn follow(&self, desired: watch::Receiver<Arc<Desired>>) {
        let _ = self.desired.set(desired);
    }
}

impl Collector for ClusterMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let desired = self.desired.get().map(|desired| desired.borrow().clone()).unwrap_or_default();
        let mut page = Page(encoder);
        let up = desired.sources.iter().map(|state| {
            let namespace = state.source.namespace.clone().unwrap_or_default();
            let labels = [("resource", state.source.kind.resource()), ("namespace", namespace)];
            (labels, f64::from(u8::from(state.is_up)))
        });
        let help =
            "1 while a resource of the cluster is watched; one that the cluster does not have is left out";
        page.gauges("cluster_source_up", help, up)?;
        let down = desired.sources.iter().filter(|state| !state.is_up).count();
        page.gauge("cluster_sources_down", "Resources of the cluster that are not watched now", count(down))?;
        let help =
            "What is wrong with the cluster's objects and with watching them: /debug/pools has it in words";
        page.gauge("cluster_troubles", help, count(desired.troubles.len()))
    }
}

fn count(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}
