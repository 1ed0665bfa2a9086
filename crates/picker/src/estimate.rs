//! Load of each endpoint at this instant, estimated from its last readings and from what the router itself
//! has sent since.
//!
//! With confidence `c` in a reading (see [`crate::signal`]) and the confidence-weighted mean `m` of all
//! endpoints in service, a signal counts as `c * value + (1 - c) * m`: an endpoint that fell silent looks
//! average, never idle and never full. Values that no engine can mean (not a number, below zero, beyond
//! [`MOST`]) are no readings. Then
//!
//! - `queue = signal + min(1, signal) * requests sent since`: what is sent to an engine that already queues
//!   will queue too;
//! - `kv = (signal * capacity + prompt tokens sent since + own prompt) / capacity`: the share in use once this
//!   request is admitted;
//! - `committed = (max(signal * capacity + kv tokens sent since, reserved) + own kv tokens) / capacity`, where
//!   `reserved` is what the router's requests in flight will hold at their end: an engine full of young
//!   requests is fuller than it looks;
//! - `work = pending + min(unstreamed, sent since) + DECODE_SHARE * committed tokens`: prompt tokens of streams
//!   without a first byte, and of requests that are not streamed as far as they were sent since the reading; and
//!   what decoding for those already there costs each newcomer (see [`DECODE_SHARE`]).
//!
//! Adding what was sent since the reading was taken is what keeps a burst from piling onto the one replica
//! that looked empty in the last scrape. Without a reading that still counts there is no such moment, and
//! running totals would grow for ever; then what was sent and is still in flight takes their place.

use std::cell::OnceCell;

use crate::{
    Endpoint, Live, Profile, Reading, Request, Slot, Snapshot, Time, Work,
    filter::{self, Failed},
};

/// Capacity assumed for an engine that has not stated one: about an A10 with a 7B model.
pub const ASSUMED_KV_TOKENS: u64 = 95_000;

/// What a KV token held costs a newcomer, in prompt tokens to compute. Every decode step reads all KV held: on an
/// A10 that takes 96 ns a token and step, and computing a prompt token 243 us (data sheets), so over an answer of
/// 600 tokens the one is a quarter of the other. Counted in tokens, not in shares of the cache: a card with more
/// memory does not read faster for it. Simulation `mixed`: with shares alone the larger cards get so much that
/// throughput is 4 % below least request; with this it is 5 % above.
pub const DECODE_SHARE: f32 = 0.25;

/// No queue is longer and no share larger: what a page states beyond this is garbage.
pub const MOST: f32 = 1e9;

/// Load of one endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Requests waiting.
    pub queue: f32,
    /// Share of KV cache in use once this request is admitted; may exceed 1.
    pub kv: f32,
    /// Share of KV cache that all requests there will hold at their end, this one included; may exceed 1.
    pub committed: f32,
    /// Work in this request's way, in prompt tokens.
    pub work: f32,
    /// Whether any reading still counts.
    pub known: bool,
    /// Whether it said that it sleeps, not so long ago that this no longer counts: silence must not keep it out
    /// for ever.
    pub asleep: bool,
}

/// What nearly every estimate needs of an endpoint, side by side: a pick among 1,000 endpoints then reads a fifth
/// of the memory that they take.
#[derive(Clone, Debug)]
pub(crate) struct Glance {
    /// The older one of its queue and KV readings. `None` when that is not all there is to say: one is missing
    /// or garbage, it has not stated its capacity, or it sleeps.
    heard: Option<Time>,
    queue: f32,
    kv: f32,
    capacity: f32,
    mark: Work,
    pub(crate) slot: Slot,
    pub(crate) local: bool,
    /// The filters that it fails whatever is asked for.
    pub(crate) failed: Failed,
}

/// Which readings still count, and what silent endpoints are taken for.
pub(crate) struct Reckoning<'s> {
    snapshot: &'s Snapshot,
    now: Time,
    fresh: Time,
    stale: Time,
    /// Readings from here on count in full.
    fresh_since: Time,
    /// This request's prompt.
    prompt: f32,
    /// Its prompt and output.
    own: f32,
    /// Made when the first endpoint turns up that has not said everything: mostly never.
    average: OnceCell<Average>,
}

/// Means over the endpoints in service.
#[derive(Clone, Copy, Debug)]
struct Average {
    queue: f32,
    kv: f32,
    capacity: f32,
}

/// A sum of values, each counted by its confidence.
#[derive(Clone, Copy, Default)]
struct Mean {
    sum: f32,
    weight: f32,
}

// === Glance ===

impl Glance {
    pub(crate) fn of(endpoint: &Endpoint) -> Self {
        let signals = &endpoint.signals;
        let (queue, kv) = (signals.queue.filter(is_sane), signals.kv_use.filter(is_sane));
        let capacity = stated_capacity(endpoint);
        let heard = queue.zip(kv).map(|(queue, kv)| queue.at.min(kv.at));
        Self {
            heard: heard.filter(|_| capacity.is_some() && signals.is_awake()),
            queue: queue.map_or(0.0, |reading| reading.value),
            kv: kv.map_or(0.0, |reading| reading.value),
            capacity: float(capacity.unwrap_or(ASSUMED_KV_TOKENS)),
            mark: signals.mark,
            slot: endpoint.slot,
            local: endpoint.local,
            failed: Failed::always(endpoint),
        }
    }
}

// === Reckoning ===

impl<'s> Reckoning<'s> {
    pub(crate) fn new(profile: &Profile, snapshot: &'s Snapshot, request: &Request<'_>, now: Time) -> Self {
        Self {
            snapshot,
            now,
            fresh: profile.fresh,
            stale: profile.stale,
            fresh_since: now.saturating_sub(profile.fresh),
            prompt: float(request.prompt_tokens),
            own: float(request.prompt_tokens.saturating_add(request.output_tokens)),
            average: OnceCell::new(),
        }
    }

    #[inline]
    pub(crate) fn estimate(&self, glance: &Glance, position: usize, live: &Live) -> Estimate {
        if glance.heard.is_some_and(|at| at >= self.fresh_since) {
            self.reckon(glance.queue, glance.kv, glance.capacity, live.sent.since(glance.mark), live)
        } else {
            self.look_closely(&self.snapshot.endpoints()[position], live)
        }
    }

    #[cold]
    fn look_closely(&self, endpoint: &Endpoint, live: &Live) -> Estimate {
        let signals = &endpoint.signals;
        let (queue, queue_known) = self.blend(&signals.queue, |average| average.queue);
        let (kv, kv_known) = self.blend(&signals.kv_use, |average| average.kv);
        let capacity = stated_capacity(endpoint).map_or_else(|| self.average().capacity, float);
        Estimate {
            known: queue_known || kv_known || self.weigh(&signals.running).1 > 0.0,
            asleep: !signals.is_awake() && signals.awake.is_some_and(|reading| self.fading(&reading) > 0.0),
            ..self.reckon(queue, kv, capacity, live.sent.since(signals.mark), live)
        }
    }

    /// The formulas of the module's header, for an endpoint that is awake and known.
    #[inline]
    fn reckon(&self, queue: f32, kv: f32, capacity: f32, sent: Work, live: &Live) -> Estimate {
        let since = still_there(sent, live);
        let used = kv * capacity;
        let committed = (used + float(since.kv_tokens)).max(float(live.reserved_kv)) + self.own;
        let pending = live.pending_prefill.saturating_add(live.unstreamed_prefill.min(since.prefill_tokens));
        Estimate {
            queue: queue + queue.min(1.0) * float(since.requests),
            kv: (used + float(since.prefill_tokens) + self.prompt) / capacity,
            committed: committed / capacity,
            work: float(pending) + DECODE_SHARE * committed,
            known: true,
            asleep: false,
        }
    }

    /// The value to reckon with, and whether the reading has any weight in it.
    fn blend(&self, reading: &Option<Reading<f32>>, mean: impl Fn(&Average) -> f32) -> (f32, bool) {
        match self.weigh(reading) {
            (value, 1.0) => (value, true),
            (value, confidence) => {
                (confidence * value + (1.0 - confidence) * mean(self.average()), confidence > 0.0)
            }
        }
    }

    /// The value and the confidence in it; 0 for a reading that is missing, garbage or too old.
    fn weigh(&self, reading: &Option<Reading<f32>>) -> (f32, f32) {
        match reading {
            Some(reading) if is_sane(reading) => (reading.value, self.fading(reading)),
            _ => (0.0, 0.0),
        }
    }

    fn fading<T>(&self, reading: &Reading<T>) -> f32 {
        reading.confidence(self.now, self.fresh, self.stale)
    }

    fn average(&self) -> &Average {
        self.average.get_or_init(|| self.survey())
    }

    /// A sleeping engine reports an idle page: counting it would make silent ones look idle.
    fn survey(&self) -> Average {
        let (mut queue, mut kv) = (Mean::default(), Mean::default());
        let (mut capacity, mut stated) = (0_u64, 0);
        for endpoint in self.snapshot.endpoints().iter().filter(|e| filter::in_service(e)) {
            queue.add(self.weigh(&endpoint.signals.queue));
            kv.add(self.weigh(&endpoint.signals.kv_use));
            if let Some(tokens) = stated_capacity(endpoint) {
                capacity = capacity.saturating_add(tokens);
                stated += 1;
            }
        }
        let capacity = float(capacity.checked_div(stated).unwrap_or(ASSUMED_KV_TOKENS));
        Average { queue: queue.value(), kv: kv.value(), capacity }
    }
}

fn is_sane(reading: &Reading<f32>) -> bool {
    (0.0..=MOST).contains(&reading.value)
}

fn stated_capacity(endpoint: &Endpoint) -> Option<u64> {
    endpoint.signals.kv_capacity_tokens.filter(|tokens| *tokens > 0)
}

/// The part of what was sent that has not left again: requests that ended since are no load, whatever the last
/// reading said.
#[inline]
pub(crate) fn still_there(sent: Work, live: &Live) -> Work {
    Work {
        requests: sent.requests.min(u64::from(live.in_flight)),
        prefill_tokens: sent.prefill_tokens.min(live.pending_prefill.saturating_add(live.unstreamed_prefill)),
        kv_tokens: sent.kv_tokens.min(live.reserved_kv),
    }
}

/// By way of `i64`, which converts in one instruction; nothing counted here comes near its end.
#[inline]
fn float(count: u64) -> f32 {
    count.min(i64::MAX as u64) as i64 as f32
}

// === Mean ===

impl Mean {
    fn add(&mut self, (value, confidence): (f32, f32)) {
        self.sum += confidence * value;
        self.weight += confidence;
    }

    fn value(self) -> f32 {
        if self.weight > 0.0 { self.sum / self.weight } else { 0.0 }
    }
}
