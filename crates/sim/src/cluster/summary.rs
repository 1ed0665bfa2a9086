//! Figures of a run, the same as the demo's: percentiles by linear interpolation, and the KV spread over
//! the loaded part only (from the first end to the last send), since filling and emptying would dilute it.

use serde::Serialize;

use crate::model::Outcome;

/// Figures of one run. Times are engine time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Median time to the first token.
    pub ttft_p50_ms: f64,
    /// Its 99th percentile.
    pub ttft_p99_ms: f64,
    /// Median time from send to end.
    pub e2e_p50_ms: f64,
    /// Its 99th percentile.
    pub e2e_p99_ms: f64,
    /// 99th percentile of the time between tokens, to one part in a hundred.
    pub itl_p99_ms: f64,
    /// Tokens put out per second, from the first send to the last end.
    pub output_tokens_per_s: f64,
    /// Cached over all prompt tokens.
    pub prefix_hit_rate: f64,
    /// Time mean of highest minus lowest KV use among the replicas.
    pub kv_spread: f64,
    /// Requests that ended.
    pub requests: u64,
    /// Requests that nobody took.
    pub errors: u64,
    /// Times a request lost its blocks and began anew.
    pub preemptions: u64,
}

/// One figure of a summary.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// Name for people.
    pub name: &'static str,
    /// More is better.
    pub higher: bool,
    /// Digits to show.
    pub digits: usize,
    /// Its value.
    pub of: fn(&Summary) -> f64,
}

/// Collects while a run goes on.
#[derive(Debug)]
pub(super) struct Meter {
    began: f64,
    ttft: Vec<f64>,
    e2e: Vec<f64>,
    gaps: Vec<u64>,
    spread: Vec<(f64, f64)>,
    first_end: Option<f64>,
    last_end: f64,
    last_send: f64,
    tokens: u64,
    prompt_tokens: u64,
    cached_tokens: u64,
    summary: Summary,
}

/// Gaps are counted in buckets of one part in a hundred, from this many seconds.
const LEAST_GAP: f64 = 1e-4;

// === Figure ===

impl Figure {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 8] = [
        Self { name: "TTFT p50 (ms)", higher: false, digits: 0, of: |s| s.ttft_p50_ms },
        Self { name: "TTFT p99 (ms)", higher: false, digits: 0, of: |s| s.ttft_p99_ms },
        Self { name: "end to end p50 (ms)", higher: false, digits: 0, of: |s| s.e2e_p50_ms },
        Self { name: "end to end p99 (ms)", higher: false, digits: 0, of: |s| s.e2e_p99_ms },
        Self { name: "inter-token p99 (ms)", higher: false, digits: 1, of: |s| s.itl_p99_ms },
        Self { name: "output tokens/s", higher: true, digits: 0, of: |s| s.output_tokens_per_s },
        Self { name: "prefix hit rate (%)", higher: true, digits: 1, of: |s| s.prefix_hit_rate * 100.0 },
        Self { name: "KV spread (points)", higher: false, digits: 1, of: |s| s.kv_spread * 100.0 },
    ];
}

// === Meter ===

impl Meter {
    pub(super) fn new(began: f64) -> Self {
        Self {
            began,
            ttft: Vec::new(),
            e2e: Vec::new(),
            gaps: Vec::new(),
            spread: Vec::new(),
            first_end: None,
            last_end: began,
            last_send: began,
            tokens: 0,
            prompt_tokens: 0,
            cached_tokens: 0,
            summary: Summary::default(),
        }
    }

    pub(super) fn sent(&mut self, now: f64) {
        self.last_send = now;
    }

    pub(super) fn refused(&mut self) {
        self.summary.errors += 1;
    }

    pub(super) fn ttft(&mut self, seconds: f64) {
        self.ttft.push(seconds);
    }

    pub(super) fn gap(&mut self, seconds: f64) {
        let bucket = ((seconds / LEAST_GAP).max(1.0).ln() * 100.0) as usize;
        if self.gaps.len() <= bucket {
            self.gaps.resize(bucket + 1, 0);
        }
        self.gaps[bucket] += 1;
    }

    pub(super) fn ended(&mut self, now: f64, e2e: f64, outcome: &Outcome) {
        self.first_end.get_or_insert(now);
        self.last_end = now;
        self.e2e.push(e2e);
        self.tokens += u64::from(outcome.output_tokens);
        self.prompt_tokens += u64::from(outcome.prompt_tokens);
        self.cached_tokens += u64::from(outcome.cached_tokens);
        self.summary.requests += 1;
        self.summary.preemptions += u64::from(outcome.preemptions);
    }

    pub(super) fn kv(&mut self, now: f64, used: impl Iterator<Item = f64>) {
        let (low, high) = used.fold((1.0_f64, 0.0_f64), |(low, high), use_| (low.min(use_), high.max(use_)));
        self.spread.push((now, high - low));
    }

    pub(super) fn summary(mut self) -> Summary {
        let from = self.first_end.unwrap_or(self.began);
        let until = self.last_send;
        let loaded = self.spread.iter().filter(|(at, _)| (from..=until).contains(at));
        let spread: Vec<f64> = loaded.map(|(_, spread)| *spread).collect();
        self.ttft.sort_unstable_by(f64::total_cmp);
        self.e2e.sort_unstable_by(f64::total_cmp);
        Summary {
            ttft_p50_ms: 1e3 * percentile(&self.ttft, 0.50),
            ttft_p99_ms: 1e3 * percentile(&self.ttft, 0.99),
            e2e_p50_ms: 1e3 * percentile(&self.e2e, 0.50),
            e2e_p99_ms: 1e3 * percentile(&self.e2e, 0.99),
            itl_p99_ms: 1e3 * self.gap_quantile(0.99),
            output_tokens_per_s: ratio(self.tokens as f64, self.last_end - self.began),
            prefix_hit_rate: ratio(self.cached_tokens as f64, self.prompt_tokens as f64),
            kv_spread: ratio(spread.iter().sum(), spread.len() as f64),
            ..self.summary
        }
    }

    fn gap_quantile(&self, quantile: f64) -> f64 {
        let sum: u64 = self.gaps.iter().sum();
        let mut rest = (quantile * sum as f64) as u64;
        let bucket = self.gaps.iter().position(|count| match rest.checked_sub(*count) {
            Some(less) => {
                rest = less;
                false
            }
            None => true,
        });
        bucket.map_or(0.0, |bucket| LEAST_GAP * ((bucket as f64 + 0.5) / 100.0).exp())
    }
}

fn percentile(sorted: &[f64], quantile: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let position = quantile * last as f64;
    let (low, high) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    low + (high - low) * position.fract()
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
