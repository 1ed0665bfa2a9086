//! What the extension server counts: calls of its hooks, and callers that it did not let in.

use std::{fmt, time::Duration};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::{Counts, Durations, Hook, HookOutcome, Label, Tally, page::Page};

/// See the module's header. Counted by the control thread alone.
#[derive(Debug)]
pub struct HookMetrics {
    /// One for each hook, in their order.
    outcomes: Box<[Counts<HookOutcome>]>,
    /// The same.
    durations: Box<[Durations]>,
    handshakes: Tally,
}

// === HookMetrics ===

impl HookMetrics {
    /// A call ended like this.
    pub fn done(&self, hook: Hook, outcome: HookOutcome, took: Duration) {
        self.outcomes[hook.index()].add(outcome);
        self.durations[hook.index()].observe(took);
    }

    /// A caller's TLS handshake failed.
    pub fn not_let_in(&self) {
        self.handshakes.add(1);
    }

    /// Calls of a hook that ended like this.
    pub fn count(&self, hook: Hook, outcome: HookOutcome) -> u64 {
        self.outcomes[hook.index()].get(outcome)
    }
}

impl Default for HookMetrics {
    fn default() -> Self {
        Self {
            outcomes: Hook::ALL.iter().map(|_| Counts::new()).collect(),
            durations: Hook::ALL.iter().map(|_| Durations::default()).collect(),
            handshakes: Tally::default(),
        }
    }
}

impl Collector for HookMetrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        let rows = Hook::ALL.iter().zip(&self.outcomes).flat_map(|(hook, outcomes)| {
            outcomes.rows().map(|(outcome, n)| ([("hook", hook.name()), ("outcome", outcome)], n))
        });
        page.counters("extension_hooks", "Calls of hooks by Envoy Gateway", rows)?;
        // Most routers serve none: only of those that were called.
        let called = Hook::ALL.iter().zip(&self.durations).filter(|(_, durations)| durations.count() > 0);
        let rows = called.map(|(hook, durations)| ([("hook", hook.name())], durations));
        page.histograms("extension_hook_duration_seconds", "Time such a call took", rows)?;
        let help = "Callers of hooks that were not let in, as TLS with them failed";
        page.counter("extension_handshake_failures", help, self.handshakes.get())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use prometheus_client::{encoding::text, registry::Registry};

    use super::*;

    #[test]
    fn each_hook_has_every_outcome_and_only_those_that_were_called_have_times() {
        let metrics = Arc::new(HookMetrics::default());
        metrics.done(Hook::Translation, HookOutcome::Ok, Duration::from_millis(3));
        metrics.done(Hook::Translation, HookOutcome::Pool, Duration::from_millis(1));
        metrics.not_let_in();
        let (mut registry, mut page) = (Registry::default(), String::new());
        registry.register_collector(Box::new(metrics));
        text::encode(&mut page, &registry).expect("a page");
        let has = |line: &str| assert!(page.contains(&format!("{line}\n")), "no {line} in\n{page}");
        has("extension_hooks_total{hook=\"translation\",outcome=\"ok\"} 1");
        has("extension_hooks_total{hook=\"translation\",outcome=\"pool\"} 1");
        has("extension_hooks_total{hook=\"cluster\",outcome=\"unreadable\"} 0");
        has("extension_hook_duration_seconds_count{hook=\"translation\"} 2");
        has("extension_hook_duration_seconds_sum{hook=\"translation\"} 0.004");
        has("extension_handshake_failures_total 1");
        assert!(!page.contains("duration_seconds_count{hook=\"route\"}"), "{page}");
    }
}
