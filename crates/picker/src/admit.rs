//! Admission: pass a request on, or shed it.
//!
//! A Sheddable request is shed when *every* replica that could serve it is saturated: queue above
//! `shed_queue` or KV use above `shed_kv` (5 and 0.8 unless configured: the upstream picker's numbers).
//! Readings that decayed count as unknown, and unknown is not saturated: silence never sheds.

use crate::{
    Endpoint, Live, Profile, Reading, Request, Snapshot, Time,
    estimate::{ASSUMED_KV_TOKENS, MOST, still_there},
    filter::in_service,
};

/// How important a request is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Criticality {
    /// First to be shed.
    Sheddable,
    /// Served as capacity allows.
    #[default]
    Standard,
    /// Never shed.
    Critical,
}

/// What admission decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Go on to the pick.
    Pass,
    /// Refuse with 429; the client may try again after this long.
    Shed {
        /// Whole seconds for `Retry-After`.
        retry_after: Time,
    },
}

/// Seconds a shed client is asked to wait: about the time of a short answer.
const RETRY_AFTER: Time = Time::from_secs(2);

/// Decides whether a request goes on.
pub fn admit(profile: &Profile, snapshot: &Snapshot, request: &Request<'_>, now: Time) -> Admission {
    if request.criticality > Criticality::Sheddable {
        return Admission::Pass;
    }
    let serving = request.model.and_then(|model| snapshot.serving(model));
    let mut any = false;
    for (position, endpoint) in snapshot.endpoints().iter().enumerate() {
        let serves =
            serving.is_none_or(|s| s.endpoints.contains(position) || snapshot.unlisted().contains(position));
        let offered = request.offered.is_none_or(|offered| offered.contains(position));
        if !serves || !offered || !in_service(endpoint) {
            continue;
        }
        any = true;
        let live = request.live.get(position).copied().unwrap_or_default();
        if !saturated(profile, endpoint, &live, now) {
            return Admission::Pass;
        }
    }
    // With nobody to serve it the pick gives the better answer: 503 with the reason.
    if any { Admission::Shed { retry_after: RETRY_AFTER } } else { Admission::Pass }
}

fn saturated(profile: &Profile, endpoint: &Endpoint, live: &Live, now: Time) -> bool {
    let signals = &endpoint.signals;
    let since = still_there(live.sent.since(signals.mark), live);
    let counts = |r: &Reading<f32>| r.value <= MOST && r.confidence(now, profile.fresh, profile.stale) > 0.0;
    let queue = signals.queue.filter(counts).map_or(0.0, |r| r.value);
    let queue = queue + queue.min(1.0) * since.requests as f32;
    let capacity = signals.kv_capacity_tokens.unwrap_or(ASSUMED_KV_TOKENS).max(1) as f32;
    let kv = signals.kv_use.filter(counts).map_or(0.0, |r| r.value + since.kv_tokens as f32 / capacity);
    queue > profile.shed_queue || kv > profile.shed_kv
}

// === Criticality ===

impl Criticality {
    /// The name used in configuration, as in the InferenceModel resource.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sheddable => "Sheddable",
            Self::Standard => "Standard",
            Self::Critical => "Critical",
        }
    }
}
