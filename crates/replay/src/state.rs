//! A snapshot and a profile, as a file keeps them.
//!
//! Times are nanoseconds by the clock of the router that wrote them. Of a number that JSON cannot say (an engine's page may state
//! one) the file has `null`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use warmlane_picker::{Endpoint, Profile, Scorer, Snapshot, Time, UnknownStrategy, Weights};

mod endpoint;

use endpoint::EndpointState;

/// What many decisions were made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Decisions name it by this.
    pub id: u64,
    /// The pool.
    pub pool: String,
    endpoints: Vec<EndpointState>,
}

/// How it was weighed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ProfileState {
    strategy: String,
    weights: BTreeMap<String, f32>,
    fresh_ns: u64,
    stale_ns: u64,
    shed_queue: f32,
    shed_kv: f32,
    headroom_queue: f32,
    headroom_kv: f32,
    slow_start_ns: u64,
    fallbacks: usize,
}

// === State ===

impl State {
    /// As it is.
    pub fn of(id: u64, pool: &str, snapshot: &Snapshot) -> Self {
        let endpoint = |(at, endpoint): (usize, &Endpoint)| EndpointState::of(endpoint, snapshot.models(at));
        let endpoints = snapshot.endpoints().iter().enumerate().map(endpoint).collect();
        Self { id, pool: pool.to_owned(), endpoints }
    }

    /// The snapshot again.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.endpoints.iter().map(EndpointState::entry).collect())
    }
}

// === ProfileState ===

impl ProfileState {
    /// As it is.
    pub(crate) fn of(profile: &Profile) -> Self {
        Self {
            strategy: profile.strategy.name().to_owned(),
            weights: weights(&profile.weights),
            fresh_ns: nanos(profile.fresh),
            stale_ns: nanos(profile.stale),
            shed_queue: profile.shed_queue,
            shed_kv: profile.shed_kv,
            headroom_queue: profile.headroom_queue,
            headroom_kv: profile.headroom_kv,
            slow_start_ns: nanos(profile.slow_start),
            fallbacks: profile.fallbacks,
        }
    }

    /// The profile again.
    ///
    /// # Errors
    /// Where its strategy is not known here.
    pub(crate) fn profile(&self) -> Result<Profile, UnknownStrategy> {
        let weight = |scorer: Scorer| self.weights.get(scorer.name()).copied().unwrap_or_default();
        Ok(Profile {
            strategy: self.strategy.parse()?,
            weights: Weights {
                queue: weight(Scorer::Queue),
                kv: weight(Scorer::Kv),
                work: weight(Scorer::Work),
                lora: weight(Scorer::Lora),
                prefix: weight(Scorer::Prefix),
                session: weight(Scorer::Session),
                group: weight(Scorer::Group),
                locality: weight(Scorer::Locality),
            },
            fresh: Time::from_nanos(self.fresh_ns),
            stale: Time::from_nanos(self.stale_ns),
            shed_queue: self.shed_queue,
            shed_kv: self.shed_kv,
            headroom_queue: self.headroom_queue,
            headroom_kv: self.headroom_kv,
            slow_start: Time::from_nanos(self.slow_start_ns),
            fallbacks: self.fallbacks,
        })
    }
}

/// Weights by the names of their scores.
pub fn weights(weights: &Weights) -> BTreeMap<String, f32> {
    let named = Scorer::ALL.into_iter().zip(weights.as_array());
    named.map(|(scorer, weight)| (scorer.name().to_owned(), weight)).collect()
}

pub(crate) fn nanos(time: Time) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
