//! The choice: filter, score, take the best, and say why.
//!
//! `pick` is a pure function: the same profile, snapshot, request, time and random seed give the same
//! decision. Cost is linear in endpoints with a small constant, and independent of prompt length: the prefix
//! lookup happens before ([`crate::PrefixIndex::lookup`]).

use crate::{
    Profile, Request, Scorer, Slot, Snapshot, Source, Strategy, Time, Verdict,
    estimate::Estimate,
    filter::{Applied, Failed, Filter},
    snapshot::Serving,
};

mod contest;

use contest::Contest;

/// Totals closer than this are a tie: the worth of some 80 prompt tokens at the default weights.
pub const TIE: f32 = 0.005;

/// Below every total: the endpoint does not compete.
const OUT: f32 = f32::NEG_INFINITY;

/// What a total counts as at least: one that is no number (weights out of range) never wins, and still serves
/// when nothing else is left.
const WORST: f32 = f32::MIN;

/// One endpoint in the explanation of a decision.
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

/// The outcome of a pick; [`explain`] tells what led to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The endpoint to use.
    pub endpoint: Slot,
    /// Where to go next if it fails before answering, best first.
    pub fallbacks: Vec<Slot>,
    /// How many endpoints tied for the best total; the choice among them was random.
    pub tied: usize,
    /// Soft filters that were set aside because nobody passed them.
    pub relaxed: Vec<Filter>,
    /// Prompt tokens the endpoint is believed to hold.
    pub matched_tokens: u64,
    /// Where that is known from; `None` when it holds none.
    pub source: Option<Source>,
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
    /// None of those that the request may go to is in the pool.
    #[error("none of the endpoints that this request may go to is in the pool")]
    NoneOffered,
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
    Contest::new(profile, snapshot, request, serving, now).decide(rng)
}

/// The same choice, with all that led to it: every endpoint, also where nobody can be chosen.
pub fn explain(
    profile: &Profile,
    snapshot: &Snapshot,
    request: &Request<'_>,
    now: Time,
    rng: &mut fastrand::Rng,
) -> (Result<Decision, NoEndpoint>, Vec<Weighed>) {
    let nobody = Serving::default();
    let (serving, known) = match resolve(snapshot, request, &nobody) {
        Ok(serving) => (serving, Ok(())),
        Err(none) => (Some(&nobody), Err(none)),
    };
    let contest = Contest::new(profile, snapshot, request, serving, now);
    let weighed = contest.weighed();
    (known.and_then(|()| contest.decide(rng)), weighed)
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

// === Totals ===

impl Totals {
    /// Takes those out that do not compete.
    fn of(mut each: Vec<f32>, failed: &[Failed], applied: Applied) -> Self {
        for (total, failed) in each.iter_mut().zip(failed) {
            let valid = if *total > WORST { *total } else { WORST };
            *total = if failed.passes(applied) { valid } else { OUT };
        }
        let top = each.iter().fold(OUT, |top, total| if *total > top { *total } else { top });
        Self { each, top }
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
