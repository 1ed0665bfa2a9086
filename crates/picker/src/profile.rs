//! How to weigh: strategies, weights and thresholds. Every number has its source beside it.

use std::{fmt, str::FromStr};

use crate::Time;

/// A named way of weighing, chosen per pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// Queue and KV use, LoRA affinity, pins.
    #[default]
    Default,
    /// The same plus prefix reuse.
    PrefixCache,
}

/// An unknown strategy name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown routing strategy {0:?}; valid ones are DEFAULT, PREFIX_CACHE")]
pub struct UnknownStrategy(pub String);

/// Weight of each scorer. A pick compares `sum(weight * score)`.
///
/// A point is worth about 4 s: 16,384 prompt tokens at the 4,000 tokens/s of an A10 with a 7B model. So the weight of
/// a load scorer says how many points its whole span is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// Waiting requests.
    pub queue: f32,
    /// KV cache committed.
    pub kv: f32,
    /// Work in the way.
    pub work: f32,
    /// Adapter already active.
    pub lora: f32,
    /// Prompt tokens that need no computing.
    pub prefix: f32,
    /// Session pin.
    pub session: f32,
    /// Prefix-group pin.
    pub group: f32,
    /// Same node.
    pub locality: f32,
}

/// All that a pick needs to know besides the snapshot and the request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    /// Which strategy the weights come from.
    pub strategy: Strategy,
    /// Scorer weights.
    pub weights: Weights,
    /// A reading this young counts in full.
    pub fresh: Time,
    /// A reading this old counts as unknown.
    pub stale: Time,
    /// Sheddable requests are shed when every replica waits longer than this queue ...
    pub shed_queue: f32,
    /// ... or has more than this share of its KV cache in use.
    pub shed_kv: f32,
    /// An endpoint with a longer queue is passed over while another has room.
    pub headroom_queue: f32,
    /// An endpoint with more of its KV cache in use is passed over while another has room.
    pub headroom_kv: f32,
    /// An endpoint that joins a pool at work takes its full share after this; see [`crate::Filter::SlowStart`].
    pub slow_start: Time,
    /// Number of fallbacks that a decision carries.
    pub fallbacks: usize,
}

// === Strategy ===

impl Strategy {
    /// The name used in configuration and annotations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "DEFAULT",
            Self::PrefixCache => "PREFIX_CACHE",
        }
    }

    /// Whether decisions need the prompt's blocks.
    pub const fn needs_prefix(self) -> bool {
        matches!(self, Self::PrefixCache)
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(name: &str) -> Result<Self, UnknownStrategy> {
        match name {
            "DEFAULT" => Ok(Self::Default),
            "PREFIX_CACHE" => Ok(Self::PrefixCache),
            other => Err(UnknownStrategy(other.to_owned())),
        }
    }
}

// === Weights ===

impl Weights {
    /// In the order of [`crate::Scorer::ALL`].
    pub const fn as_array(&self) -> [f32; crate::Scorer::COUNT] {
        [self.queue, self.kv, self.work, self.lora, self.prefix, self.session, self.group, self.locality]
    }
}

// === Profile ===

impl Profile {
    /// The profile of a strategy with its default weights.
    pub fn of(strategy: Strategy) -> Self {
        let prefix = if strategy.needs_prefix() { 1.0 } else { 0.0 };
        Self {
            strategy,
            weights: Weights {
                // Half a second for each request that waits. Simulation `lora` with three routers: at 0, where each
                // sees only its own requests' work, TTFT p99 is more than twice as long.
                queue: 2.0,
                // Half a point for a whole cache, so that larger caches take more before smaller ones are full.
                // Simulation `mixed`: at 0 end to end p99 is 13 % longer; at 6 the burst of the demo's load has
                // a 7 % longer TTFT p99, because larger caches do not compute faster.
                kv: 2.0,
                // A point for 16,384 tokens: what a point is.
                work: 4.0,
                // A slot is worth 8 s: adapters in use rarely give theirs up. Simulation `lora`: at 1, TTFT p99 is a
                // quarter longer and KV use as uneven as at random.
                lora: 2.0,
                // Twice what `work` counts for a token: reuse spares this request and those behind it. Simulation
                // `prefix`: at 4, a point fewer hits and an 18 % longer TTFT p99; at 0, 63 % longer.
                prefix: 8.0 * prefix,
                // Two seconds and one. Simulation `prefix`: without them two points fewer hits.
                session: 0.5,
                group: 0.25 * prefix,
                // Less than half a second: the way to another node costs far less.
                locality: 0.1,
            },
            // Engines are read at most every second when idle, so two seconds is one missed reading.
            fresh: Time::from_secs(2),
            stale: Time::from_secs(10),
            // The upstream endpoint picker's saturation thresholds.
            shed_queue: 5.0,
            shed_kv: 0.8,
            headroom_queue: 64.0,
            headroom_kv: 0.97,
            // Long enough for ten readings of an idle engine and for the first answers to show whether it works.
            slow_start: Time::from_secs(20),
            fallbacks: 3,
        }
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self::of(Strategy::Default)
    }
}
