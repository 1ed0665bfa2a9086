//! Scorers: each maps one concern to 0..=1, where 1 is best. They read estimates and never each other.
//!
//! Load scores are *differences to the best candidate over a fixed span*: `1 - (x - best) / span`, not below
//! 0. A pick by weighted sum is then the endpoint with the least linear cost `sum(weight / span * x)`: a
//! small difference in load stays a small difference in score, whatever the others do. (Scaling by the
//! observed range instead would turn a queue of 1 against 0 into the full weight.)

use crate::{Request, Slot, snapshot::Serving};

/// What the scores of a decision are about, in the order in which decisions list them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scorer {
    /// Waiting requests.
    Queue,
    /// KV cache committed.
    Kv,
    /// Work ahead of this request.
    Work,
    /// LoRA affinity.
    Lora,
    /// Prefix reuse.
    Prefix,
    /// Session pin.
    Session,
    /// Prefix-group pin.
    Group,
    /// Same node.
    Locality,
}

/// Queue length beyond the best candidate's at which the score reaches 0.
pub const QUEUE_SPAN: f32 = 16.0;
/// KV pressure (see `pressure`) beyond the best candidate's at which the score reaches 0.
pub const KV_SPAN: f32 = 4.0;
/// Work beyond the best candidate's at which the score reaches 0, in prompt tokens: 16 s at 4,000 tokens/s.
pub const WORK_SPAN: f32 = 65_536.0;

/// Committed share of KV cache from which requests must expect to wait for memory. Answers in flight are half said
/// on average, so with answers as long as prompts 4/3 of the cache can be committed before it is full.
pub const FULL: f32 = 4.0 / 3.0;
/// How much more a committed share counts beyond [`FULL`]: there requests wait for others to end, which takes
/// longer than computing does, so room must outweigh a short queue. Simulation `random`, whose caches are full:
/// without the KV scorer TTFT p99 is a tenth longer.
pub const OVERFULL: f32 = 16.0;

/// The best value of each load concern among candidates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Best {
    pub(crate) queue: f32,
    pub(crate) pressure: f32,
    pub(crate) work: f32,
}

// === Scorer ===

impl Scorer {
    /// Number of scorers.
    pub const COUNT: usize = 8;

    /// All scorers in order.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Queue,
        Self::Kv,
        Self::Work,
        Self::Lora,
        Self::Prefix,
        Self::Session,
        Self::Group,
        Self::Locality,
    ];

    /// Name in explanations and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Kv => "kv",
            Self::Work => "work",
            Self::Lora => "lora",
            Self::Prefix => "prefix",
            Self::Session => "session",
            Self::Group => "group",
            Self::Locality => "locality",
        }
    }
}

/// Estimates are numbers; `f32::min`, which minds those that are not, takes three times as long.
#[inline]
pub(crate) fn lower(a: f32, b: f32) -> f32 {
    if b < a { b } else { a }
}

#[inline]
fn below(value: f32, best: f32, span: f32) -> f32 {
    (1.0 - (value - best) / span).clamp(0.0, 1.0)
}

#[inline]
pub(crate) fn queue(queue: f32, best: &Best) -> f32 {
    below(queue, best.queue, QUEUE_SPAN)
}

#[inline]
pub(crate) fn kv(pressure: f32, best: &Best) -> f32 {
    below(pressure, best.pressure, KV_SPAN)
}

/// `committed + OVERFULL * (what of it is beyond FULL)`.
#[inline]
pub(crate) fn pressure(committed: f32) -> f32 {
    let beyond = committed - FULL;
    if beyond > 0.0 { committed + OVERFULL * beyond } else { committed }
}

#[inline]
pub(crate) fn work(work: f32, best: &Best) -> f32 {
    below(work, best.work, WORK_SPAN)
}

/// Active 1, a free slot 0.85, waiting for it 0.6, else 0: nearly the steps of the upstream endpoint picker (0.8
/// for a free slot). Simulation `lora`: nearer to 1, popular adapters take the slots of rare ones (at 0.9 TTFT p99 is
/// a fifth longer); lower, they crowd on fewer replicas and KV use is less even.
#[inline]
pub(crate) fn lora(serving: &Serving, position: usize, same_adapter: u32, free_slot: bool) -> f32 {
    if serving.active.contains(position) || same_adapter > 0 {
        1.0
    } else if free_slot {
        0.85
    } else if serving.waiting.contains(position) {
        0.6
    } else {
        0.0
    }
}

/// Tokens that need no computing, over the span of [`work`]: reuse and load are compared in one unit.
#[inline]
pub(crate) fn prefix(matched_tokens: u64) -> f32 {
    (matched_tokens as f32 / WORK_SPAN).min(1.0)
}

#[inline]
pub(crate) fn session(request: &Request<'_>, slot: Slot) -> f32 {
    f32::from(u8::from(request.session == Some(slot)))
}

#[inline]
pub(crate) fn group(request: &Request<'_>, slot: Slot) -> f32 {
    f32::from(u8::from(request.group.is_some_and(|group| group.holds(slot))))
}
