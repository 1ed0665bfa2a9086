//! The choice: filter, score, take the best, and say why.
//!
//! `pick` is a pure function: the same profile, snapshot, request, time and random seed give the same
//! decision. Cost is linear in endpoints with a small constant, and independent of prompt length: the prefix
//! lookup happens before ([`crate::PrefixIndex::lookup`]).

use crate::{
    Endpoint, Live, Profile, Request, Scorer, Slot, Snapshot, Strategy, Time, Verdict,
    estimate::{Estimate, Glance, Reckoning},
    filter::{Applied, Failed, Filter},
    ramp,
    score::{self, Best},
    snapshot::Serving,
};

/// Totals closer than this are a tie: the worth of some 80 prompt tokens at the default weights.
pub const TIE: f32 = 0.005;

/// Below every total: the endpoint does not compete.
const OUT: f32 = f32::NEG_INFINITY;

/// What a total counts as at least: one that is no number (weights out of range) never wins, and still serves
/// when nothing else is left.
const WORST: f32 = f32::MIN;

/// One endpoint in a decision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weighed {
    /// Which endpoint.
    pub slot: Slot,
    /// Whether it competed.
    pub verdict: Verdict,
    pub(crate) failed: Failed,
    /// Its estimated load.
    pub estimate: Estimate,
    /// Score per [`Scorer`], each 0..=1; zeros when it did not compete.
    pub scores: [f32; Scorer::COUNT],
    /// Weighted sum.
    pub total: f32,
}

/// The outcome of a pick, with everything that led to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The endpoint to use.
    pub endpoint: Slot,
    /// Where to go next if it fails before answering, best first.
    pub fallbacks: Vec<Slot>,
    /// Every endpoint of the snapshot, in its order.
    pub weighed: Vec<Weighed>,
    /// How many endpoints tied for the best total; the choice among them was random.
    pub tied: usize,
    /// Soft filters that were set aside because nobody passed them.
    pub relaxed: Vec<Filter>,
    /// Prompt tokens the endpoint is believed to hold.
    pub matched_tokens: u64,
    /// The strategy that weighed.
    pub strategy: Strategy,
}

/// Why no endpoint can serve a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEndpoint {
    /// The pool is empty.
    #[error("the pool has no endpoints")]
    EmptyPool,
    /// Every list is known and none has the name.
    #[error("no replica serves model {model:?}")]
    UnknownModel {
        /// The name asked for.
        model: String,
    },
    /// Endpoints exist but all are down, asleep or failed.
    #[error("no replica can serve now: {down} not ready, {asleep} asleep, {failed} failed")]
    AllDown {
        /// Not ready.
        down: usize,
        /// Asleep.
        asleep: usize,
        /// Failed hardware.
        failed: usize,
    },
}

/// The totals by themselves, so that choosing among many endpoints reads little memory.
struct Totals {
    /// One per endpoint; [`OUT`] for those that do not compete.
    each: Vec<f32>,
    top: f32,
}

/// Chooses the endpoint for a request.
///
/// # Errors
/// [`NoEndpoint`] says whether the pool is empty, the model unknown or every replica out of service.
pub fn pick(
    profile: &Profile,
    snapshot: &Snapshot,
    request: &Request<'_>,
    now: Time,
    rng: &mut fastrand::Rng,
) -> Result<Decision, NoEndpoint> {
    let nobody = Serving::default();
    let serving = resolve(snapshot, request, &nobody)?;
    let mut weighed = estimate_all(profile, snapshot, request, serving, now);
    let at_limit = ramp::at_limit(snapshot, request.live, profile.slow_start, now);
    for (position, w) in weighed.iter_mut().enumerate().filter(|_| !at_limit.is_empty()) {
        w.failed.add(Filter::SlowStart, at_limit.contains(position));
    }
    let (applied, relaxed) = Applied::to(|| weighed.iter().map(|w| w.failed));
    weighed.iter_mut().for_each(|w| w.verdict = w.failed.verdict(applied));
    if !weighed.iter().any(Weighed::competes) {
        return Err(all_down(&weighed));
    }
    let totals = score_all(profile, snapshot, request, serving, &mut weighed);
    let (position, tied) = totals.best(rng);
    let endpoint = weighed[position].slot;
    let first = rng.usize(..weighed.len());
    Ok(Decision {
        endpoint,
        fallbacks: fallbacks(&weighed, &totals, position, first, profile.fallbacks),
        matched_tokens: matched(profile, request, endpoint),
        weighed,
        tied,
        relaxed,
        strategy: profile.strategy,
    })
}

/// Who serves the model; `None` when any endpoint will do.
fn resolve<'s>(
    snapshot: &'s Snapshot,
    request: &Request<'_>,
    nobody: &'s Serving,
) -> Result<Option<&'s Serving>, NoEndpoint> {
    if snapshot.endpoints().is_empty() {
        return Err(NoEndpoint::EmptyPool);
    }
    let Some(model) = request.model else { return Ok(None) };
    match snapshot.serving(model) {
        Some(serving) => Ok(Some(serving)),
        None if snapshot.lists_complete() => Err(NoEndpoint::UnknownModel { model: model.to_owned() }),
        // Those that have not listed their models yet may serve it: let the engine itself judge the name.
        None => Ok(Some(nobody)),
    }
}

fn estimate_all(
    profile: &Profile,
    snapshot: &Snapshot,
    request: &Request<'_>,
    serving: Option<&Serving>,
    now: Time,
) -> Vec<Weighed> {
    let reckoning = Reckoning::new(profile, snapshot, request, now);
    let glances = snapshot.glances();
    let padded: Vec<Live>;
    let live = match request.live.get(..glances.len()) {
        Some(live) => live,
        None => {
            let idle = std::iter::repeat(Live::default());
            padded = request.live.iter().copied().chain(idle).take(glances.len()).collect();
            &padded
        }
    };
    let weigh = |(position, (glance, live)): (usize, (&Glance, &Live))| {
        let estimate = reckoning.estimate(glance, position, live);
        Weighed {
            slot: glance.slot,
            verdict: Verdict::Candidate,
            failed: Failed::of(profile, snapshot, serving, position, glance.failed, &estimate),
            estimate,
            scores: [0.0; Scorer::COUNT],
            total: 0.0,
        }
    };
    glances.iter().zip(live).enumerate().map(weigh).collect()
}

/// Fills in scores and totals of those that compete.
fn score_all(
    profile: &Profile,
    snapshot: &Snapshot,
    request: &Request<'_>,
    serving: Option<&Serving>,
    weighed: &mut [Weighed],
) -> Totals {
    let mut best = Best::NONE;
    weighed.iter().filter(|w| w.competes()).for_each(|w| best.take(&w.estimate));
    let weights = profile.weights.as_array();
    let adapter = serving.filter(|s| s.adapter);
    let mut totals = Totals { each: vec![OUT; weighed.len()], top: OUT };
    let pairs = weighed.iter_mut().zip(snapshot.glances()).enumerate();
    for (position, (w, glance)) in pairs.filter(|(_, (w, _))| w.competes()) {
        let lora = adapter.map_or(0.0, |s| lora_score(s, &snapshot.endpoints()[position], position, request));
        w.scores = [
            score::queue(&w.estimate, &best),
            score::kv(&w.estimate, &best),
            score::work(&w.estimate, &best),
            lora,
            score::prefix(matched(profile, request, w.slot)),
            score::session(request, w.slot),
            score::group(request, w.slot),
            f32::from(u8::from(glance.local)),
        ];
        w.total = weights.iter().zip(&w.scores).map(|(weight, score)| weight * score).sum();
        totals.put(position, w.total);
    }
    totals
}

fn lora_score(serving: &Serving, endpoint: &Endpoint, position: usize, request: &Request<'_>) -> f32 {
    let live = request.live.get(position).copied().unwrap_or_default();
    // Of what was sent in a burst the engine has said nothing yet.
    let taken = |active: usize| (active as u32).max(live.adapters);
    let free = endpoint.signals.lora.as_ref().is_none_or(|r| taken(r.value.active.len()) < r.value.max);
    score::lora(serving, position, live.same_adapter, free)
}

fn matched(profile: &Profile, request: &Request<'_>, slot: Slot) -> u64 {
    if profile.strategy.needs_prefix() { request.prefix.tokens(slot).min(request.prompt_tokens) } else { 0 }
}

/// The next best candidates; when those run out, endpoints that only a soft filter dropped. Equals stand in
/// turns from `first` on: what many requests fall back to must not be one neighbour.
fn fallbacks(weighed: &[Weighed], totals: &Totals, chosen: usize, first: usize, count: usize) -> Vec<Slot> {
    let mut kept: Vec<(f32, Slot)> = Vec::with_capacity(count + 1);
    // What it takes to be kept once there are enough.
    let mut bar = f32::NAN;
    for turn in [first..weighed.len(), 0..first] {
        for (position, total) in turn.clone().zip(&totals.each[turn]) {
            if *total <= bar || position == chosen || !weighed[position].failed.may_serve() {
                continue;
            }
            let at = kept.partition_point(|k| k.0 >= *total);
            kept.insert(at, (*total, weighed[position].slot));
            kept.truncate(count);
            if kept.len() == count {
                bar = kept.last().map_or(f32::INFINITY, |last| last.0);
            }
        }
    }
    kept.into_iter().map(|(_, slot)| slot).collect()
}

fn all_down(weighed: &[Weighed]) -> NoEndpoint {
    let dropped = |filter| weighed.iter().filter(|w| w.verdict == Verdict::Dropped(filter)).count();
    NoEndpoint::AllDown {
        down: dropped(Filter::Ready),
        asleep: dropped(Filter::Awake),
        failed: dropped(Filter::Working),
    }
}

// === Totals ===

impl Totals {
    #[inline]
    fn put(&mut self, position: usize, total: f32) {
        let total = if total > WORST { total } else { WORST };
        self.each[position] = total;
        self.top = if total > self.top { total } else { self.top };
    }

    /// Position of the best total, one of the tied at random so that equals share the load; and how many tied.
    fn best(&self, rng: &mut fastrand::Rng) -> (usize, usize) {
        let bar = (self.top - TIE).max(WORST);
        let tied = self.each.iter().filter(|total| **total >= bar).count();
        let chosen = if tied > 1 { rng.usize(..tied) } else { 0 };
        let position = self.each.iter().enumerate().filter(|(_, total)| **total >= bar).nth(chosen);
        (position.map_or(0, |(position, _)| position), tied)
    }
}

// === Weighed ===

impl Weighed {
    /// True while no filter has dropped it.
    pub fn competes(&self) -> bool {
        self.verdict == Verdict::Candidate
    }

    /// The score one scorer gave.
    pub fn score(&self, scorer: Scorer) -> f32 {
        self.scores[scorer as usize]
    }
}

#[cfg(test)]
mod tests;
