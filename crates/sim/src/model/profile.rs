//! How fast a card is: the constants of a profile and the time of one step.
//!
//! `step = max((weights + KV read) / bandwidth, new tokens / compute rate)`: decoding is bound by
//! memory, prefill by arithmetic. The constants are computed from data sheets for Qwen2.5-7B in bf16,
//! not measured: 15.2 GB of weights, 57,344 bytes of KV per token, half of peak arithmetic reached.

/// A card with a model on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Short name, as on the command line.
    pub name: &'static str,
    /// Bytes of weights, read once per step.
    pub weights_bytes: f64,
    /// Bytes of KV cache per token.
    pub kv_bytes_per_token: f64,
    /// Tokens the KV cache holds.
    pub kv_tokens: u32,
    /// Memory bandwidth in bytes per second.
    pub bandwidth: f64,
    /// Tokens per second that arithmetic allows.
    pub compute_tokens: f64,
}

const WEIGHTS: f64 = 15.2e9;

/// In bf16 a token costs two operations per parameter, and a parameter is two bytes: as many
/// operations as there are bytes of weights.
const fn compute_tokens(peak_flops: f64) -> f64 {
    0.5 * peak_flops / WEIGHTS
}

// === Profile ===

impl Profile {
    /// NVIDIA A10: 24 GB, 600 GB/s, 125 TFLOPS.
    pub const A10: Self = Self {
        name: "a10",
        weights_bytes: WEIGHTS,
        kv_bytes_per_token: 57_344.0,
        kv_tokens: 95_000,
        bandwidth: 600e9,
        compute_tokens: compute_tokens(125e12),
    };

    /// NVIDIA L20: 48 GB, 864 GB/s, 120 TFLOPS.
    pub const L20: Self = Self {
        name: "l20",
        weights_bytes: WEIGHTS,
        kv_bytes_per_token: 57_344.0,
        kv_tokens: 490_000,
        bandwidth: 864e9,
        compute_tokens: compute_tokens(120e12),
    };

    /// Profile of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::A10, Self::L20].into_iter().find(|profile| profile.name.eq_ignore_ascii_case(name))
    }

    /// Seconds of one step that computes `new_tokens` and reads `context_tokens` of KV cache.
    pub fn step_seconds(&self, new_tokens: u32, context_tokens: u64) -> f64 {
        let read = self.weights_bytes + context_tokens as f64 * self.kv_bytes_per_token;
        (read / self.bandwidth).max(f64::from(new_tokens) / self.compute_tokens)
    }
}
