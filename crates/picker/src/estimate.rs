//! Load of each endpoint at this instant, estimated from its last readings and from what the router itself
//! has sent since.
//!
//! With confidence `c` in a reading (see [`crate::signal`]) and the confidence-weighted mean `m` of all
//! ready endpoints, a signal counts as `c * value + (1 - c) * m`: an endpoint that fell silent looks average,
//! never idle and never full. Then
//!
//! - `queue = signal + min(1, signal) * requests sent since`: what is sent to an engine that already queues
//!   will queue too;
//! - `kv = max(signal + kv tokens sent since / capacity, reserved / capacity)`, plus this request's own share,
//!   where `reserved` is what the router's requests in flight will hold at their end: an engine full of young
//!   requests is fuller than it looks;
//! - `work = max(prefill tokens pending, prefill tokens sent since)`.
//!
//! Adding what was sent since the reading was taken is what keeps a burst from piling onto the one replica
//! that looked empty in the last scrape.

use crate::{Endpoint, Live, Profile, Reading, Request, Snapshot, Time};

/// Capacity assumed for an engine that has not stated one: about an A10 with a 7B model.
pub const ASSUMED_KV_TOKENS: u64 = 95_000;

/// Load of one endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Requests waiting.
    pub queue: f32,
    /// Share of KV cache spoken for, this request included; may exceed 1.
    pub kv: f32,
    /// Prompt tokens to be computed before this request's.
    pub work: f32,
    /// Whether any reading still counts in full.
    pub known: bool,
}

/// What silent endpoints are taken for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Average {
    queue: f32,
    kv: f32,
    capacity: u64,
}

// === Average ===

impl Average {
    /// Confidence-weighted means over ready endpoints.
    pub(crate) fn of(profile: &Profile, snapshot: &Snapshot, now: Time) -> Self {
        let (mut queue, mut queue_weight, mut kv, mut kv_weight) = (0.0, 0.0, 0.0, 0.0);
        let (mut capacity, mut stated) = (0, 0);
        for endpoint in snapshot.endpoints().iter().filter(|e| e.ready) {
            let signals = &endpoint.signals;
            add(signals.queue, profile, now, &mut queue, &mut queue_weight);
            add(signals.kv_use, profile, now, &mut kv, &mut kv_weight);
            if let Some(tokens) = signals.kv_capacity_tokens {
                capacity += tokens;
                stated += 1;
            }
        }
        let mean = |sum: f32, weight: f32| if weight > 0.0 { sum / weight } else { 0.0 };
        Self {
            queue: mean(queue, queue_weight),
            kv: mean(kv, kv_weight),
            capacity: capacity.checked_div(stated).unwrap_or(ASSUMED_KV_TOKENS).max(1),
        }
    }
}

fn add(reading: Option<Reading<f32>>, profile: &Profile, now: Time, sum: &mut f32, weight: &mut f32) {
    if let Some(reading) = reading {
        let confidence = reading.confidence(now, profile.fresh, profile.stale);
        *sum += confidence * reading.value;
        *weight += confidence;
    }
}

// === Estimate ===

impl Estimate {
    pub(crate) fn of(
        profile: &Profile,
        average: &Average,
        endpoint: &Endpoint,
        live: &Live,
        request: &Request<'_>,
        now: Time,
    ) -> Self {
        let signals = &endpoint.signals;
        let since = live.sent.since(signals.mark);
        let (queue, queue_known) = blend(signals.queue, average.queue, profile, now);
        let (kv, kv_known) = blend(signals.kv_use, average.kv, profile, now);
        let capacity = signals.kv_capacity_tokens.unwrap_or(average.capacity).max(1) as f32;
        let own = (request.prompt_tokens + request.output_tokens) as f32;
        let seen = kv * capacity + since.kv_tokens as f32;
        Self {
            queue: queue + queue.min(1.0) * since.requests as f32,
            kv: (seen.max(live.reserved_kv as f32) + own) / capacity,
            work: live.pending_prefill.max(since.prefill_tokens) as f32,
            known: queue_known || kv_known,
        }
    }
}

/// The value to reckon with, and whether the reading still has any weight in it.
#[inline]
fn blend(reading: Option<Reading<f32>>, average: f32, profile: &Profile, now: Time) -> (f32, bool) {
    match reading {
        None => (average, false),
        Some(reading) => {
            let confidence = reading.confidence(now, profile.fresh, profile.stale);
            (confidence * reading.value + (1.0 - confidence) * average, confidence > 0.0)
        }
    }
}
