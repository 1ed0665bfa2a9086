//! What an engine's Prometheus page says about its load: a selective scanner of the text format.
//!
//! It reads the ten or so families the table names and skips the other ninety. It is not a
//! general parser: types, help texts, histograms and sample timestamps are ignored.
//!
//! One page may carry several series of a signal (data-parallel ranks, several models). Queue,
//! running, capacity and counters are sums over the series, KV use is their mean, block size
//! must be the same in all, and the engine counts as awake only when every series says so.
//!
//! Invariant: a signal is `Some` only when every series of it was readable and honest. One NaN,
//! negative, infinite or garbled sample makes that signal `None` and touches no other: a partial
//! sum would make the replica look idle.
//!
//! Bounds: at most [`MAX_ADAPTERS`] adapters per list, of at most [`MAX_ADAPTER_NAME`] bytes
//! each. They are also the only allocations. Time is linear in the page; its size is the caller's
//! to limit.

use thiserror::Error;

mod page;
mod series;
mod sieve;
mod table;
#[cfg(test)]
mod tests;

use series::Readings;
pub use sieve::Sieve;

/// Most adapters kept from one label; the rest are left out.
pub const MAX_ADAPTERS: usize = 256;

/// Longest adapter name kept, in bytes; longer ones are left out.
pub const MAX_ADAPTER_NAME: usize = 256;

/// What one page of an engine says; a signal that is missing or lying is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// Which engine's families the page carries.
    pub kind: EngineKind,
    /// Requests waiting.
    pub queue: Option<f64>,
    /// Requests in the batch.
    pub running: Option<f64>,
    /// Used share of the KV cache, 0 to 1.
    pub kv_use: Option<f64>,
    /// Tokens the KV cache holds.
    pub kv_capacity_tokens: Option<u64>,
    /// Tokens per KV block.
    pub block_size: Option<u32>,
    /// Whether the engine is awake; a sleeping one reports no load at all.
    pub awake: Option<bool>,
    /// Adapters in use.
    pub lora: Option<Lora>,
    /// Prompt tokens looked up in the prefix cache since the start.
    pub prefix_queries: Option<f64>,
    /// Prompt tokens found in the prefix cache since the start.
    pub prefix_hits: Option<f64>,
    /// Requests preempted since the start.
    pub preemptions: Option<f64>,
    /// Prompt tokens processed since the start.
    pub prompt_tokens: Option<f64>,
    /// Tokens generated since the start.
    pub generation_tokens: Option<f64>,
}

/// The adapters an engine works with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lora {
    /// Adapters of running requests.
    pub active: Vec<String>,
    /// Adapters of waiting requests.
    pub waiting: Vec<String>,
    /// Adapters that fit into one batch; 0 when the engine does not say.
    pub max: u32,
}

/// The engines the table knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EngineKind {
    /// Not read yet; [`scan`] never returns it.
    #[default]
    Unknown,
    /// vLLM, old and new names.
    Vllm,
    /// SGLang.
    Sglang,
    /// `trtllm-serve` of TensorRT-LLM.
    TensorRtLlm,
    /// Triton with the TensorRT-LLM backend.
    Triton,
}

/// Why a page says nothing about an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MetricsError {
    /// No family of the table appears.
    #[error(
        "no metric of a known engine in a page of {bytes} bytes: is this the engine's own port and path, and \
         are its metrics enabled? (vLLM and SGLang: /metrics, trtllm-serve: /prometheus/metrics)"
    )]
    NotAnEngine {
        /// Size of the page.
        bytes: usize,
    },
}

/// Reads a page in one pass, whatever engine it is of.
///
/// Lines that are no samples, or samples of other families, are skipped whatever they hold. The
/// first family of the table on the page decides the engine; families of another are ignored then.
pub fn scan(page: &[u8]) -> Result<Metrics, MetricsError> {
    scan_of(EngineKind::Unknown, page)
}

/// The same where somebody says which engine it is: its families decide, wherever they stand. On a page without any it is as if
/// nobody had said so.
pub fn scan_of(said: EngineKind, page: &[u8]) -> Result<Metrics, MetricsError> {
    let mut readings: Option<Readings<'_>> = None;
    for line in page::lines(page) {
        let name = page::name(line);
        let Some((engine, family)) = table::split(name) else { continue };
        let rows = engine.rows(family);
        if rows.is_empty() {
            continue;
        }
        if engine.kind == said && readings.as_ref().is_some_and(|readings| !readings.is_of(engine)) {
            // It has not been read yet, or it would have had its place already.
            readings = None;
        }
        let readings = readings.get_or_insert_with(|| Readings::new(engine));
        if readings.is_of(engine) {
            readings.add(rows, page::sample(&line[name.len()..]));
        }
    }
    readings.map(|readings| readings.metrics()).ok_or(MetricsError::NotAnEngine { bytes: page.len() })
}

// === EngineKind ===

impl EngineKind {
    /// Where its page of metrics is.
    pub fn page(self) -> &'static str {
        match self {
            Self::Unknown | Self::Vllm | Self::Sglang | Self::Triton => "/metrics",
            Self::TensorRtLlm => "/prometheus/metrics",
        }
    }

    /// Short name for labels and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Vllm => "vllm",
            Self::Sglang => "sglang",
            Self::TensorRtLlm => "trtllm",
            Self::Triton => "triton",
        }
    }
}
