//! Figures of a run.
//!
//! **Percentile** `p` of `n` sorted values is the linear interpolation between the two values around
//! position `p/100 * (n - 1)` (the default of NumPy, so of `vllm bench serve`). All values are kept:
//! percentiles are exact. Failed requests count as errors and nowhere else.
//!
//! **Times are engine time**: wall time multiplied by the time scale of a simulated engine, one for a
//! real one. Rates are per second of engine time.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::run::Run;

/// Figures of one run.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Requests that ended, failed ones included.
    pub requests: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Failed requests by kind.
    pub errors_by_kind: BTreeMap<String, u64>,
    /// The first failure's message, as a hint.
    pub first_error: Option<String>,
    /// From the first send to the last end.
    pub duration_s: f64,
    /// From send to the first token, of streams.
    pub ttft_ms: Percentiles,
    /// Between tokens, of streams.
    pub itl_ms: Percentiles,
    /// From send to the end.
    pub e2e_ms: Percentiles,
    /// Tokens generated.
    pub output_tokens: u64,
    /// Tokens generated per second.
    pub output_tokens_per_s: f64,
    /// Tokens of all prompts.
    pub prompt_tokens: u64,
    /// Prompt tokens that engines took from their prefix caches.
    pub cached_tokens: u64,
    /// Requests by the replica that served them, where the server names it.
    pub endpoints: BTreeMap<String, u64>,
}

/// Percentiles of one figure; all zero where there is no value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Median.
    pub p50: f64,
    /// Nine of ten are at most this.
    pub p90: f64,
    /// Ninety-nine of a hundred are at most this.
    pub p99: f64,
    /// Arithmetic mean.
    pub mean: f64,
}

/// Mean of a few repeats with its 95 % confidence interval (Student's t).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Arithmetic mean.
    pub mean: f64,
    /// The interval is `mean ± half`. None for a single value.
    pub half: Option<f64>,
}

// === Summary ===

impl Summary {
    /// Summarises `run`; wall times are multiplied by `time_scale`.
    pub fn new(run: &Run, time_scale: f64) -> Self {
        let good = || run.outcomes.iter().filter(|outcome| outcome.ok());
        let ms = |time: std::time::Duration| time.as_secs_f64() * 1e3 * time_scale;
        let gaps = good().flat_map(|outcome| &outcome.gaps).map(|gap| f64::from(*gap) * 1e3 * time_scale);
        let usages = || good().filter_map(|outcome| outcome.usage);
        let duration_s = run.elapsed.as_secs_f64() * time_scale;
        let output_tokens = good().map(|outcome| outcome.output_tokens()).sum();
        let failures = || run.outcomes.iter().filter_map(|outcome| outcome.failure.as_ref());
        Self {
            requests: run.outcomes.len() as u64,
            errors: failures().count() as u64,
            errors_by_kind: count(failures().map(|failure| failure.kind())),
            first_error: failures().next().map(ToString::to_string),
            duration_s,
            ttft_ms: Percentiles::new(good().filter_map(|outcome| outcome.ttft).map(ms).collect()),
            itl_ms: Percentiles::new(gaps.collect()),
            e2e_ms: Percentiles::new(good().map(|outcome| ms(outcome.e2e)).collect()),
            output_tokens,
            output_tokens_per_s: ratio(output_tokens as f64, duration_s),
            prompt_tokens: usages().map(|usage| usage.prompt_tokens).sum(),
            cached_tokens: usages().filter_map(|usage| usage.cached_tokens).sum(),
            endpoints: count(run.outcomes.iter().filter_map(|outcome| outcome.endpoint.clone())),
        }
    }

    /// Cached tokens over prompt tokens, as the engines report them.
    pub fn prefix_hit_rate(&self) -> f64 {
        ratio(self.cached_tokens as f64, self.prompt_tokens as f64)
    }
}

fn count(names: impl Iterator<Item = String>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_insert(0) += 1;
    }
    counts
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

// === Percentiles ===

impl Percentiles {
    /// Percentiles of `values`, in any order.
    pub fn new(mut values: Vec<f64>) -> Self {
        if values.is_empty() {
            return Self::default();
        }
        values.sort_unstable_by(f64::total_cmp);
        Self {
            p50: at(&values, 0.50),
            p90: at(&values, 0.90),
            p99: at(&values, 0.99),
            mean: values.iter().sum::<f64>() / values.len() as f64,
        }
    }
}

fn at(sorted: &[f64], quantile: f64) -> f64 {
    let position = quantile * (sorted.len() - 1) as f64;
    let below = position.floor();
    let (low, high) = (sorted[below as usize], sorted[position.ceil() as usize]);
    low + (high - low) * (position - below)
}

// === Interval ===

impl Interval {
    /// Mean and interval of `values`.
    pub fn new(values: &[f64]) -> Self {
        let n = values.len();
        let mean = ratio(values.iter().sum(), n as f64);
        if n < 2 {
            return Self { mean, half: None };
        }
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let error = (squares / (n - 1) as f64 / n as f64).sqrt();
        Self { mean, half: Some(student(n - 1) * error) }
    }
}

/// Two-sided 95 % quantile of Student's t; beyond the table the error of the normal one is under 3 %.
fn student(freedom: usize) -> f64 {
    const TABLE: [f64; 20] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145,
        2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    ];
    TABLE.get(freedom - 1).copied().unwrap_or(2.02)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use warmlane_engine::sse::payload::Usage;

    use super::*;
    use crate::outcome::{Failure, Outcome};

    fn outcome(e2e_ms: u64, failure: Option<Failure>) -> Outcome {
        Outcome {
            sent_at: Duration::ZERO,
            status: Some(200),
            endpoint: Some("a".into()),
            ttft: Some(Duration::from_millis(10)),
            gaps: vec![0.002; 3],
            e2e: Duration::from_millis(e2e_ms),
            chunks: 4,
            usage: Some(Usage { prompt_tokens: 100, completion_tokens: 4, cached_tokens: Some(25) }),
            failure,
        }
    }

    #[test]
    fn percentiles_interpolate_between_neighbours() {
        let percentiles = Percentiles::new(vec![4.0, 1.0, 3.0, 2.0]);
        assert_eq!(percentiles.p50, 2.5);
        assert!((percentiles.p90 - 3.7).abs() < 1e-9 && (percentiles.p99 - 3.97).abs() < 1e-9);
        assert_eq!(percentiles.mean, 2.5);
        assert_eq!(Percentiles::new(vec![7.0]).p99, 7.0);
        assert_eq!(Percentiles::new(Vec::new()), Percentiles::default());
    }

    #[test]
    fn times_are_engine_time_and_failures_count_only_as_errors() {
        let broken = Failure::Status { code: 503, message: "all down".into() };
        let run = Run {
            outcomes: vec![outcome(100, None), outcome(900, Some(broken))],
            elapsed: Duration::from_secs(1),
        };
        let summary = Summary::new(&run, 4.0);
        assert_eq!((summary.requests, summary.errors), (2, 1));
        assert_eq!(summary.errors_by_kind["status_503"], 1);
        assert!(summary.first_error.as_deref().unwrap().contains("all down"));
        assert!((summary.e2e_ms.p99 - 400.0).abs() < 1e-9);
        assert!((summary.itl_ms.p50 - 8.0).abs() < 1e-3);
        assert_eq!(summary.duration_s, 4.0);
        assert_eq!(summary.output_tokens_per_s, 1.0);
        assert_eq!(summary.prefix_hit_rate(), 0.25);
        assert_eq!(summary.endpoints["a"], 2);
    }

    #[test]
    fn an_interval_follows_student() {
        let interval = Interval::new(&[10.0, 12.0, 14.0, 16.0, 18.0]);
        assert_eq!(interval.mean, 14.0);
        // s = sqrt(10), s / sqrt(5) = sqrt(2), t(4) = 2.776
        assert!((interval.half.unwrap() - 2.776 * 2f64.sqrt()).abs() < 1e-9);
        assert_eq!(Interval::new(&[3.0]), Interval { mean: 3.0, half: None });
    }
}
