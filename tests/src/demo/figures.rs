//! The figures that routes are compared by.

use serde::Serialize;
use warmlane_load::{Summary, table::Better};

/// Figures of one route, in engine time.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figures {
    pub(super) ttft_p50_ms: f64,
    pub(super) ttft_p99_ms: f64,
    pub(super) e2e_p50_ms: f64,
    pub(super) e2e_p99_ms: f64,
    pub(super) itl_p99_ms: f64,
    pub(super) output_tokens_per_s: f64,
    /// Cached over all prompt tokens, from the usage that replicas report.
    pub(super) prefix_hit_rate: f64,
    /// Time mean of highest minus lowest KV use among the replicas.
    pub(super) kv_spread: f64,
    pub(super) requests: u64,
    pub(super) errors: u64,
}

/// One row of the table.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) better: Better,
    pub(super) digits: usize,
    pub(super) of: fn(&Figures) -> f64,
}

/// Every figure that has a mean and an interval, as it is shown.
pub(super) const SHOWN: [Column; 8] = [
    Column { name: "TTFT p50 (ms)", better: Better::Lower, digits: 0, of: |f| f.ttft_p50_ms },
    Column { name: "TTFT p99 (ms)", better: Better::Lower, digits: 0, of: |f| f.ttft_p99_ms },
    Column { name: "end to end p50 (ms)", better: Better::Lower, digits: 0, of: |f| f.e2e_p50_ms },
    Column { name: "end to end p99 (ms)", better: Better::Lower, digits: 0, of: |f| f.e2e_p99_ms },
    Column { name: "inter-token p99 (ms)", better: Better::Lower, digits: 1, of: |f| f.itl_p99_ms },
    Column { name: "output tokens/s", better: Better::Higher, digits: 0, of: |f| f.output_tokens_per_s },
    Column {
        name: "prefix hit rate (%)",
        better: Better::Higher,
        digits: 1,
        of: |f| f.prefix_hit_rate * 100.0,
    },
    Column { name: "KV spread (points)", better: Better::Lower, digits: 1, of: |f| f.kv_spread * 100.0 },
];

impl Figures {
    pub(super) fn new(summary: &Summary, kv_spread: f64) -> Self {
        Self {
            ttft_p50_ms: summary.ttft_ms.p50,
            ttft_p99_ms: summary.ttft_ms.p99,
            e2e_p50_ms: summary.e2e_ms.p50,
            e2e_p99_ms: summary.e2e_ms.p99,
            itl_p99_ms: summary.itl_ms.p99,
            output_tokens_per_s: summary.output_tokens_per_s,
            prefix_hit_rate: summary.prefix_hit_rate(),
            kv_spread,
            requests: summary.requests,
            errors: summary.errors,
        }
    }

    /// Means over several rounds; requests and errors are sums.
    pub(super) fn mean(rounds: &[&Self]) -> Self {
        let mean = |of: fn(&Self) -> f64| {
            rounds.iter().map(|figures| of(figures)).sum::<f64>() / rounds.len().max(1) as f64
        };
        Self {
            ttft_p50_ms: mean(|f| f.ttft_p50_ms),
            ttft_p99_ms: mean(|f| f.ttft_p99_ms),
            e2e_p50_ms: mean(|f| f.e2e_p50_ms),
            e2e_p99_ms: mean(|f| f.e2e_p99_ms),
            itl_p99_ms: mean(|f| f.itl_p99_ms),
            output_tokens_per_s: mean(|f| f.output_tokens_per_s),
            prefix_hit_rate: mean(|f| f.prefix_hit_rate),
            kv_spread: mean(|f| f.kv_spread),
            requests: rounds.iter().map(|figures| figures.requests).sum(),
            errors: rounds.iter().map(|figures| figures.errors).sum(),
        }
    }
}
