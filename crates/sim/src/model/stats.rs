//! What an engine tells of itself: load at one moment, totals since its start.

/// Load and totals of an engine at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stats {
    /// Requests that run.
    pub running: u32,
    /// Requests that wait for any reason.
    pub waiting: u32,
    /// Those of them that wait for an adapter slot.
    pub deferred: u32,
    /// Share of KV blocks in use, 0 to 1.
    pub kv_use: f64,
    /// Since the start.
    pub totals: Totals,
}

/// Counters since the start of the engine.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Totals {
    /// Prompt tokens looked up in the prefix cache.
    pub prefix_queries: u64,
    /// Those of them found there.
    pub prefix_hits: u64,
    /// Requests thrown out of the batch for lack of blocks.
    pub preemptions: u64,
    /// Prompt tokens of requests whose prefill is done.
    pub prompt_tokens: u64,
    /// Those of them that came from the prefix cache.
    pub cached_tokens: u64,
    /// Tokens put out.
    pub output_tokens: u64,
    /// Steps completed.
    pub steps: u64,
}
