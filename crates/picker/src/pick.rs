//! The choice: filter, score, take the best, and say why.
//!
//! `pick` is a pure function: the same profile, snapshot, request, time and random seed give the same
//! decision. Cost is linear in endpoints with a small constant, and independent of prompt length: the prefix
//! lookup happens before ([`crate::PrefixIndex::lookup`]).

use crate::{
    Live, Profile, Request, Scorer, Slot, Snapshot, Strategy, Time, Verdict,
    estimate::{Average, Estimate},
    filter::{Failed, Filter},
    score::{self, Best},
    snapshot::Serving,
};

/// Totals closer than this are a tie: half a waiting request's worth at the default weight.
pub const TIE: f32 = 0.005;

/// One endpoint in a decision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weighed {
    /// Which endpoint.
    pub slot: Slot,
    /// Whether it competed.
    pub verdict: Verdict,
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
    let serving = resolve(snapshot, request)?;
    let average = Average::of(profile, snapshot, now);
    let mut failed = Vec::with_capacity(snapshot.endpoints().len());
    let mut weighed = estimate_all(profile, snapshot, request, serving, &average, now, &mut failed);
    let relaxed = apply_filters(&mut weighed, &failed);
    if !weighed.iter().any(Weighed::competes) {
        return Err(all_down(&weighed));
    }
    score_all(profile, snapshot, request, serving, &mut weighed);
    let (position, tied) = best(&weighed, rng);
    let endpoint = weighed[position].slot;
    Ok(Decision {
        endpoint,
        fallbacks: fallbacks(&weighed, &failed, endpoint, profile.fallbacks),
        matched_tokens: matched(profile, request, endpoint),
        weighed,
        tied,
        relaxed,
        strategy: profile.strategy,
    })
}

fn resolve<'s>(snapshot: &'s Snapshot, request: &Request<'_>) -> Result<Option<&'s Serving>, NoEndpoint> {
    if snapshot.endpoints().is_empty() {
        return Err(NoEndpoint::EmptyPool);
    }
    let Some(model) = request.model else { return Ok(None) };
    match snapshot.serving(model) {
        Some(serving) => Ok(Some(serving)),
        None if snapshot.lists_complete() => Err(NoEndpoint::UnknownModel { model: model.to_owned() }),
        // Somebody has not listed its models yet: let the engine itself judge the name.
        None => Ok(None),
    }
}

fn estimate_all(
    profile: &Profile,
    snapshot: &Snapshot,
    request: &Request<'_>,
    serving: Option<&Serving>,
    average: &Average,
    now: Time,
    failed: &mut Vec<Failed>,
) -> Vec<Weighed> {
    let idle = Live::default();
    let weigh = |(position, endpoint): (usize, &crate::Endpoint)| {
        let live = request.live.get(position).unwrap_or(&idle);
        let estimate = Estimate::of(profile, average, endpoint, live, request, now);
        failed.push(Failed::of(profile, snapshot, serving, position, endpoint, &estimate));
        Weighed {
            slot: endpoint.slot,
            verdict: Verdict::Candidate,
            estimate,
            scores: [0.0; Scorer::COUNT],
            total: 0.0,
        }
    };
    snapshot.endpoints().iter().enumerate().map(weigh).collect()
}

/// Sets verdicts; returns the soft filters that nobody passed.
fn apply_filters(weighed: &mut [Weighed], failed: &[Failed]) -> Vec<Filter> {
    for (w, f) in weighed.iter_mut().zip(failed) {
        if let Some(filter) = f.first_hard() {
            w.verdict = Verdict::Dropped(filter);
        }
    }
    let mut relaxed = Vec::new();
    for filter in Filter::SOFT {
        let (mut pass, mut fail) = (false, false);
        for (_, f) in weighed.iter().zip(failed).filter(|(w, _)| w.competes()) {
            pass |= !f.fails(filter);
            fail |= f.fails(filter);
        }
        if !fail {
            continue;
        }
        if !pass {
            relaxed.push(filter);
            continue;
        }
        for (w, f) in weighed.iter_mut().zip(failed) {
            if w.competes() && f.fails(filter) {
                w.verdict = Verdict::Dropped(filter);
            }
        }
    }
    relaxed
}

fn score_all(
    profile: &Profile,
    snapshot: &Snapshot,
    request: &Request<'_>,
    serving: Option<&Serving>,
    weighed: &mut [Weighed],
) {
    let mut best = Best::NONE;
    weighed.iter().filter(|w| w.competes()).for_each(|w| best.take(&w.estimate));
    let weights = &profile.weights;
    let adapter = serving.filter(|s| s.adapter);
    for (position, w) in weighed.iter_mut().enumerate().filter(|(_, w)| w.competes()) {
        let endpoint = &snapshot.endpoints()[position];
        let lora = adapter.map_or(0.0, |s| lora_score(s, endpoint, position, request));
        w.scores = [
            score::queue(&w.estimate, &best),
            score::kv(&w.estimate, &best),
            score::work(&w.estimate, &best),
            lora,
            score::prefix(matched(profile, request, w.slot)),
            score::session(request, w.slot),
            score::group(request, w.slot),
            f32::from(u8::from(endpoint.local)),
        ];
        w.total = weights.as_array().iter().zip(&w.scores).map(|(weight, score)| weight * score).sum();
    }
}

fn lora_score(serving: &Serving, endpoint: &crate::Endpoint, position: usize, request: &Request<'_>) -> f32 {
    let same = request.live.get(position).map_or(0, |live| live.same_adapter);
    let free = endpoint.signals.lora.as_ref().is_none_or(|r| (r.value.active.len() as u32) < r.value.max);
    score::lora(serving, position, same, free)
}

fn matched(profile: &Profile, request: &Request<'_>, slot: Slot) -> u64 {
    if profile.strategy.needs_prefix() { request.prefix.tokens(slot).min(request.prompt_tokens) } else { 0 }
}

/// Position of the best total; one of the tied at random, so that equals share the load.
fn best(weighed: &[Weighed], rng: &mut fastrand::Rng) -> (usize, usize) {
    let candidates = || weighed.iter().enumerate().filter(|(_, w)| w.competes());
    let top = candidates().map(|(_, w)| w.total).fold(f32::NEG_INFINITY, f32::max);
    let tied = candidates().filter(|(_, w)| w.total >= top - TIE).count();
    let chosen = if tied > 1 { rng.usize(..tied) } else { 0 };
    let position = candidates().filter(|(_, w)| w.total >= top - TIE).nth(chosen).map_or(0, |(p, _)| p);
    (position, tied)
}

/// The next best candidates; when those run out, endpoints that only a soft filter dropped.
fn fallbacks(weighed: &[Weighed], failed: &[Failed], chosen: Slot, count: usize) -> Vec<Slot> {
    let mut kept: Vec<(bool, f32, Slot)> = Vec::with_capacity(count + 1);
    for (w, f) in weighed.iter().zip(failed) {
        if w.slot == chosen || !f.may_serve() {
            continue;
        }
        let entry = (w.competes(), w.total, w.slot);
        let at = kept.partition_point(|k| (k.0, k.1) >= (entry.0, entry.1));
        if at < count {
            kept.insert(at, entry);
            kept.truncate(count);
        }
    }
    kept.into_iter().map(|(_, _, slot)| slot).collect()
}

fn all_down(weighed: &[Weighed]) -> NoEndpoint {
    let dropped = |filter| weighed.iter().filter(|w| w.verdict == Verdict::Dropped(filter)).count();
    NoEndpoint::AllDown {
        down: dropped(Filter::Ready) + dropped(Filter::ServesModel),
        asleep: dropped(Filter::Awake),
        failed: dropped(Filter::Working),
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
