//! Settings of an engine.

use super::LoadTimes;

/// Settings of an engine, named as vLLM names them.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Tokens per KV block.
    pub block_size: u32,
    /// Requests that run at once.
    pub max_num_seqs: u32,
    /// Tokens computed in one step.
    pub max_num_batched_tokens: u32,
    /// Longest sequence, prompt and output together.
    pub max_model_len: u32,
    /// Adapters that run at once.
    pub max_loras: u32,
    /// Adapters kept in host memory.
    pub max_cpu_loras: u32,
    /// Whether blocks are found again by their content.
    pub prefix_caching: bool,
    /// Tokens the KV cache holds; `None` takes the profile's.
    pub kv_tokens: Option<u32>,
    /// How long adapters take to load.
    pub load_times: LoadTimes,
}

// === Options ===

impl Default for Options {
    fn default() -> Self {
        Self {
            block_size: 16,
            max_num_seqs: 256,
            max_num_batched_tokens: 2048,
            max_model_len: 8192,
            max_loras: 2,
            max_cpu_loras: 4,
            prefix_caching: true,
            kv_tokens: None,
            load_times: LoadTimes::default(),
        }
    }
}
