//! Policies of the plain listener: what an ordinary load balancer would do. No signal is read; endpoints that are
//! degraded or at the limit of their slow start come last.

use std::{fmt, str::FromStr};

use crate::{Health, Live, Slot, Snapshot, Time, ramp};

/// How the plain listener spreads requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlainPolicy {
    /// Any ready endpoint, as a Kubernetes Service does per connection.
    #[default]
    Random,
    /// Each ready endpoint in turn.
    RoundRobin,
    /// The ready endpoint with the fewest of this router's requests in flight; ties at random.
    LeastRequest,
}

/// An unknown policy name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown plain policy {0:?}; valid ones are random, round-robin, least-request")]
pub struct UnknownPolicy(pub String);

/// Chooses an endpoint and the order of fallbacks. Empty when nothing is ready.
///
/// `turn` is a counter that the caller advances for each request; `slow_start` as in [`crate::Profile`].
pub fn plain(
    policy: PlainPolicy,
    snapshot: &Snapshot,
    live: &[Live],
    slow_start: Time,
    now: Time,
    turn: usize,
    rng: &mut fastrand::Rng,
) -> Vec<Slot> {
    let in_flight = |position: usize| live.get(position).map_or(0, |l| l.in_flight);
    let at_limit = ramp::at_limit(snapshot, live, slow_start, now);
    let mut ready: Vec<Candidate> = snapshot
        .endpoints()
        .iter()
        .enumerate()
        .filter(|(_, e)| e.ready)
        .map(|(position, e)| Candidate {
            slot: e.slot,
            in_flight: in_flight(position),
            last: e.health != Health::Healthy || at_limit.contains(position),
        })
        .collect();
    match policy {
        PlainPolicy::Random => rng.shuffle(&mut ready),
        PlainPolicy::RoundRobin if ready.is_empty() => {}
        PlainPolicy::RoundRobin => {
            let by = turn % ready.len();
            ready.rotate_left(by);
        }
        PlainPolicy::LeastRequest => {
            rng.shuffle(&mut ready);
            ready.sort_by_key(|candidate| candidate.in_flight);
        }
    }
    // Stable: within both parts the policy's order stays.
    ready.sort_by_key(|candidate| candidate.last);
    ready.into_iter().map(|candidate| candidate.slot).collect()
}

/// An endpoint that is ready.
struct Candidate {
    slot: Slot,
    in_flight: u32,
    /// Only for want of another.
    last: bool,
}

// === PlainPolicy ===

impl PlainPolicy {
    /// The name used in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::RoundRobin => "round-robin",
            Self::LeastRequest => "least-request",
        }
    }
}

impl fmt::Display for PlainPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PlainPolicy {
    type Err = UnknownPolicy;

    fn from_str(name: &str) -> Result<Self, UnknownPolicy> {
        [Self::Random, Self::RoundRobin, Self::LeastRequest]
            .into_iter()
            .find(|policy| policy.name() == name)
            .ok_or_else(|| UnknownPolicy(name.to_owned()))
    }
}
