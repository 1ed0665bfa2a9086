//! What the maker of tokens counts.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::{Durations, page::Page};
use crate::world::World;

/// Counted by the thread that makes tokens, but for prompts that found no place in its queue.
#[derive(Debug, Default)]
pub struct TokenMetrics {
    made: Durations,
    failed: Mutex<BTreeMap<&'static str, u64>>,
    crowded: AtomicU64,
}

/// The page's part.
pub(super) struct Tokens(Arc<World>);

// === TokenMetrics ===

impl TokenMetrics {
    /// Tokens were made of a prompt.
    pub fn made(&self, took: Duration) {
        self.made.observe(took);
    }

    /// They could not be.
    pub fn failed(&self, reason: &'static str) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_default() += 1;
    }

    /// Too many prompts wait already.
    pub fn crowded(&self) {
        self.crowded.fetch_add(1, Relaxed);
    }
}

// === Tokens ===

impl Tokens {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self(world)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

impl Collector for Tokens {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (metrics, mut page) = (self.0.tokens.metrics(), Page(encoder));
        page.histogram(
            "prompt_tokenize_seconds",
            "Time to make tokens of a prompt, off the request's path",
            &metrics.made,
        )?;
        let failed = metrics.failed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let crowded = ("crowded", metrics.crowded.load(Relaxed));
        let rows = failed.into_iter().chain([crowded]).map(|(reason, n)| ([("reason", reason)], n));
        let help = "Prompts of which no tokens were made, by reason: they are matched by own history only";
        page.counters("prompt_tokenize_failures", help, rows)?;
        let known = self.0.tokens.known() as f64;
        page.gauge("prompts_known", "Prompts whose tokens are remembered", known)?;
        let bytes = self.0.blocks.bytes() as f64;
        page.gauge("kv_index_bytes", "Memory of the table of what engines say they hold", bytes)
    }
}
