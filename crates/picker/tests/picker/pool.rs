//! Small pools to pick from.

use std::net::SocketAddr;

use warmlane_picker::{
    Criticality, Decision, Endpoint, Live, Matches, Models, NoEndpoint, Profile, Reading, Request, Signals,
    Slot, Snapshot, Time, Weighed, Work, explain, pick,
};

pub(crate) const MODEL: &str = "/model/qwen";

/// The moment at which tests pick, unless they say otherwise.
pub(crate) const NOW: Time = Time::from_secs(1_000);

/// KV tokens of an A10 and of an L20 with the same model.
pub(crate) const A10: u64 = 95_000;
pub(crate) const L20: u64 = 380_000;

/// A reading taken `age` before [`NOW`].
pub(crate) fn reading<T>(value: T, age: Time) -> Option<Reading<T>> {
    Some(Reading { value, at: NOW.saturating_sub(age) })
}

/// Load stated just now by an A10.
pub(crate) fn load(queue: f32, kv_use: f32) -> Signals {
    Signals {
        queue: reading(queue, Time::ZERO),
        kv_use: reading(kv_use, Time::ZERO),
        running: reading(queue, Time::ZERO),
        kv_capacity_tokens: Some(A10),
        ..Signals::default()
    }
}

/// The same stated `age` ago.
pub(crate) fn load_ago(queue: f32, kv_use: f32, age: Time) -> Signals {
    let mut signals = load(queue, kv_use);
    for signal in [&mut signals.queue, &mut signals.kv_use, &mut signals.running] {
        *signal = signal.and_then(|r| reading(r.value, age));
    }
    signals
}

/// A replica in working order.
pub(crate) fn replica(slot: u16, signals: Signals) -> Endpoint {
    let socket = SocketAddr::from(([10, 0, 0, slot as u8], 8_000));
    Endpoint { signals, ..Endpoint::ready(Slot(slot), &format!("10.0.0.{slot}:8000"), socket) }
}

/// Replicas with these loads, in slots 0, 1, 2 ...
pub(crate) fn replicas(loads: impl IntoIterator<Item = Signals>) -> Vec<Endpoint> {
    (0..).zip(loads).map(|(slot, signals)| replica(slot, signals)).collect()
}

/// A pool whose replicas all list [`MODEL`].
pub(crate) fn pool(replicas: Vec<Endpoint>) -> Snapshot {
    Snapshot::new(replicas.into_iter().map(|replica| (replica, serves(MODEL))).collect())
}

pub(crate) fn serves(model: &str) -> Models {
    Models::Known { base: vec![model.to_owned()], adapters: Vec::new() }
}

/// A request of 1,000 tokens that expects 200.
pub(crate) fn request<'a>(prefix: &'a Matches, live: &'a [Live]) -> Request<'a> {
    Request {
        model: Some(MODEL),
        prompt_tokens: 1_000,
        output_tokens: 200,
        criticality: Criticality::Standard,
        prefix,
        session: None,
        group: None,
        offered: None,
        live,
    }
}

/// A decision and what led to it.
#[derive(Debug)]
pub(crate) struct Explained {
    pub(crate) decision: Decision,
    pub(crate) weighed: Vec<Weighed>,
}

impl std::ops::Deref for Explained {
    type Target = Decision;

    fn deref(&self) -> &Decision {
        &self.decision
    }
}

/// Picks twice, for the decision alone and for what led to it: both must say the same.
pub(crate) fn explained(
    profile: &Profile,
    pool: &Snapshot,
    request: &Request<'_>,
    seed: u64,
) -> Result<Explained, NoEndpoint> {
    let alone = pick(profile, pool, request, NOW, &mut fastrand::Rng::with_seed(seed));
    let (decision, weighed) = explain(profile, pool, request, NOW, &mut fastrand::Rng::with_seed(seed));
    assert_eq!(alone, decision);
    assert_eq!(weighed.len(), pool.endpoints().len(), "everybody is explained, also where nobody is chosen");
    decision.map(|decision| Explained { decision, weighed })
}

pub(crate) fn choose(profile: &Profile, pool: &Snapshot, request: &Request<'_>, seed: u64) -> Explained {
    explained(profile, pool, request, seed).expect("somebody can serve")
}

/// How often each replica is chosen over `picks` seeds; slots are positions.
pub(crate) fn shares(profile: &Profile, pool: &Snapshot, request: &Request<'_>, picks: u64) -> Vec<usize> {
    let mut shares = vec![0; pool.endpoints().len()];
    for seed in 0..picks {
        shares[usize::from(choose(profile, pool, request, seed).endpoint.0)] += 1;
    }
    shares
}

/// What the router's ledger does when it sends a streamed request that nobody holds a prefix of.
pub(crate) fn send(live: &mut Live, request: &Request<'_>) {
    let kv_tokens = request.prompt_tokens + request.output_tokens;
    live.in_flight += 1;
    live.pending_prefill += request.prompt_tokens;
    live.reserved_kv += kv_tokens;
    live.sent.requests += 1;
    live.sent.prefill_tokens += request.prompt_tokens;
    live.sent.kv_tokens += kv_tokens;
}

/// What it does when the first byte of a request is back.
pub(crate) fn first_byte(live: &mut Live, request_prompt: u64) {
    live.pending_prefill -= request_prompt;
}

/// What it does when a request is over; its first byte was back.
pub(crate) fn finish(live: &mut Live, kv_tokens: u64) {
    live.in_flight -= 1;
    live.reserved_kv -= kv_tokens;
}

/// Work that was long done when the readings were taken.
pub(crate) fn history() -> Work {
    Work { requests: 9_000, prefill_tokens: 9_000_000, kv_tokens: 11_000_000 }
}
