//! Combines the series of one page into signals: sums, means, and what is not to be believed.
//!
//! It does not read text. Formula: a signal comes from the first row of the table that has any
//! series; it is `None` when one series of that row was unreadable or dishonest.

use std::ops::Range;

use super::page::{Labels, Sample, unescape};
use super::table::{AdapterLabels, CacheLabels, Engine, MAX_FAMILIES, Signal, Tells};
use super::{Lora, MAX_ADAPTER_NAME, MAX_ADAPTERS, Metrics};

/// How far a share may stray outside 0 to 1 and still be a rounding error.
const ROUNDING: f64 = 1e-3;

/// What the page said so far, row by row of one engine's table.
#[derive(Debug)]
pub(super) struct Readings<'a> {
    engine: &'static Engine,
    series: [Series; MAX_FAMILIES],
    cache: Cache,
    lora: Option<LoraReading<'a>>,
}

/// The series of one row, combined.
#[derive(Clone, Copy, Debug)]
struct Series {
    count: u32,
    sum: f64,
    least: f64,
    most: f64,
    dishonest: bool,
}

/// The cache layouts of one page, combined.
#[derive(Clone, Copy, Debug, Default)]
struct Cache {
    /// Tokens of all series.
    tokens: Claim<u64>,
    /// The one block size they share.
    block_size: Claim<u32>,
}

/// A value that several series state and one of them may spoil.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Claim<T> {
    #[default]
    Absent,
    Stated(T),
    Spoilt,
}

/// The newest adapter reading; older series of the family stay on the page for ever.
#[derive(Clone, Copy, Debug)]
struct LoraReading<'a> {
    at: f64,
    labels: Labels<'a>,
    names: AdapterLabels,
}

// === Readings ===

impl<'a> Readings<'a> {
    pub(super) fn new(engine: &'static Engine) -> Self {
        Self { engine, series: [Series::NONE; MAX_FAMILIES], cache: Cache::default(), lora: None }
    }

    pub(super) fn is_of(&self, engine: &'static Engine) -> bool {
        self.engine.kind == engine.kind
    }

    /// Adds a sample of the family in `rows`; `None` is one that could not be read.
    pub(super) fn add(&mut self, rows: Range<usize>, sample: Option<Sample<'a>>) {
        for row in rows {
            let family = &self.engine.families[row];
            if let (Some(sample), Some((label, value))) = (sample, family.when)
                && sample.labels.get(label) != Some(value)
            {
                continue;
            }
            match (family.tells, sample) {
                (Tells::Value(signal), Some(sample)) => self.series[row].add(signal.honest(sample.value)),
                // Without its labels it may belong to any row of the name, so none can be trusted.
                (Tells::Value(_), None) => self.series[row].add(None),
                (Tells::Cache(names), Some(sample)) => self.cache.add(names, sample.labels),
                (Tells::Cache(_), None) => self.cache = Cache::SPOILT,
                (Tells::Adapters(names), Some(sample)) => self.add_adapters(names, sample),
                // Another series of the family may well be the newest.
                (Tells::Adapters(_), None) => {}
            }
        }
    }

    pub(super) fn metrics(&self) -> Metrics {
        let cache_block_size = self.cache.block_size.stated();
        let block_size = self.row(Signal::BlockSize).and_then(Series::same).and_then(whole);
        let block_size = block_size.and_then(|size| u32::try_from(size).ok()).or(cache_block_size);
        Metrics {
            kind: self.engine.kind,
            queue: self.total(Signal::Queue),
            running: self.total(Signal::Running),
            kv_use: self.row(Signal::KvUse).and_then(Series::mean),
            kv_capacity_tokens: self.capacity(block_size),
            block_size,
            awake: self.row(Signal::Awake).and_then(Series::min).map(|least| least > 0.0),
            lora: self.lora.map(LoraReading::adapters),
            prefix_queries: self.total(Signal::PrefixQueries),
            prefix_hits: self.total(Signal::PrefixHits),
            preemptions: self.total(Signal::Preemptions),
            prompt_tokens: self.total(Signal::PromptTokens),
            generation_tokens: self.total(Signal::GenerationTokens),
        }
    }

    fn capacity(&self, block_size: Option<u32>) -> Option<u64> {
        if self.row(Signal::Capacity).is_some() {
            return self.total(Signal::Capacity).and_then(whole);
        }
        if self.cache.tokens != Claim::Absent {
            return self.cache.tokens.stated();
        }
        whole(self.total(Signal::Blocks)?)?.checked_mul(u64::from(block_size?))
    }

    fn total(&self, signal: Signal) -> Option<f64> {
        self.row(signal).and_then(Series::sum)
    }

    /// The series of the first row that tells this signal and appeared on the page.
    fn row(&self, signal: Signal) -> Option<Series> {
        let tells = |row: &usize| self.engine.families[*row].tells == Tells::Value(signal);
        (0..self.engine.families.len())
            .filter(tells)
            .map(|row| self.series[row])
            .find(|series| series.count > 0)
    }

    fn add_adapters(&mut self, names: AdapterLabels, sample: Sample<'a>) {
        let newer = self.lora.is_none_or(|known| sample.value >= known.at);
        if sample.value.is_finite() && newer {
            self.lora = Some(LoraReading { at: sample.value, labels: sample.labels, names });
        }
    }
}

// === Signal ===

impl Signal {
    /// The value if it can be one of this signal.
    fn honest(self, value: f64) -> Option<f64> {
        match self {
            Self::KvUse if (-ROUNDING..=1.0 + ROUNDING).contains(&value) => Some(value.clamp(0.0, 1.0)),
            Self::KvUse => None,
            Self::Queue
            | Self::Running
            | Self::Capacity
            | Self::Blocks
            | Self::BlockSize
            | Self::Awake
            | Self::PrefixQueries
            | Self::PrefixHits
            | Self::Preemptions
            | Self::PromptTokens
            | Self::GenerationTokens => (value.is_finite() && value >= 0.0).then_some(value),
        }
    }
}

// === Series ===

impl Series {
    const NONE: Self = Self { count: 0, sum: 0.0, least: f64::INFINITY, most: 0.0, dishonest: false };

    fn add(&mut self, value: Option<f64>) {
        self.count = self.count.saturating_add(1);
        match value {
            Some(value) => {
                self.sum += value;
                self.least = self.least.min(value);
                self.most = self.most.max(value);
            }
            None => self.dishonest = true,
        }
    }

    fn sum(self) -> Option<f64> {
        // Honest values can still add up to infinity.
        (!self.dishonest && self.sum.is_finite()).then_some(self.sum)
    }

    fn mean(self) -> Option<f64> {
        self.sum().map(|sum| sum / f64::from(self.count))
    }

    fn min(self) -> Option<f64> {
        (!self.dishonest).then_some(self.least)
    }

    fn same(self) -> Option<f64> {
        self.min().filter(|least| *least == self.most)
    }
}

// === Cache ===

impl Cache {
    const SPOILT: Self = Self { tokens: Claim::Spoilt, block_size: Claim::Spoilt };

    fn add(&mut self, names: CacheLabels, labels: Labels<'_>) {
        let number = |name| labels.get(name)?.parse::<u64>().ok().filter(|number| *number > 0);
        let block_size = number(names.block_size);
        let product = || number(names.blocks)?.checked_mul(block_size?);
        let tokens = names.tokens.and_then(number).or_else(product);
        self.tokens = self.tokens.and(tokens, u64::checked_add);
        let block_size = block_size.and_then(|size| u32::try_from(size).ok());
        self.block_size = self.block_size.and(block_size, |known, size| (known == size).then_some(size));
    }
}

// === Claim ===

impl<T: Copy> Claim<T> {
    fn and(self, next: Option<T>, combine: impl Fn(T, T) -> Option<T>) -> Self {
        let combined = match self {
            Self::Absent => next,
            Self::Stated(known) => next.and_then(|next| combine(known, next)),
            Self::Spoilt => None,
        };
        combined.map_or(Self::Spoilt, Self::Stated)
    }

    fn stated(self) -> Option<T> {
        match self {
            Self::Stated(value) => Some(value),
            Self::Absent | Self::Spoilt => None,
        }
    }
}

// === LoraReading ===

impl LoraReading<'_> {
    fn adapters(self) -> Lora {
        let list = |label| self.labels.get(label).map(adapters).unwrap_or_default();
        Lora {
            active: list(self.names.active),
            waiting: list(self.names.waiting),
            max: self.labels.get(self.names.max).and_then(|max| max.parse().ok()).unwrap_or(0),
        }
    }
}

fn adapters(label: &str) -> Vec<String> {
    unescape(label)
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty() && name.len() <= MAX_ADAPTER_NAME)
        .take(MAX_ADAPTERS)
        .map(str::to_owned)
        .collect()
}

/// A count as an integer; `None` for 0, fractions and what no float holds exactly.
fn whole(value: f64) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    ((1.0..=EXACT).contains(&value) && value.fract() == 0.0).then_some(value as u64)
}
