//! A request among the endpoints of a snapshot: what is reckoned of each, and who wins.

use super::{Decision, NoEndpoint, OUT, Totals, Weighed};
use crate::{
    Live, Profile, Request, Scorer, Slot, Snapshot, Time, Verdict,
    estimate::{Estimate, Glance, Reckoning},
    filter::{Applied, Failed, Filter},
    ramp,
    score::{self, Best},
    snapshot::Serving,
};

/// What a pick keeps of each endpoint: little, since it is written for each of hundreds.
#[derive(Clone, Copy)]
struct Contender {
    estimate: Estimate,
    failed: Failed,
}

/// A request among the endpoints of a snapshot.
pub(super) struct Contest<'a> {
    profile: &'a Profile,
    snapshot: &'a Snapshot,
    request: &'a Request<'a>,
    serving: Option<&'a Serving>,
    contenders: Vec<Contender>,
    applied: Applied,
    best: Best,
}

// === Contest ===

impl<'a> Contest<'a> {
    /// Estimates and filters; also says which soft filters were set aside.
    pub(super) fn new(
        profile: &'a Profile,
        snapshot: &'a Snapshot,
        request: &'a Request<'a>,
        serving: Option<&'a Serving>,
        now: Time,
    ) -> Result<(Self, Vec<Filter>), NoEndpoint> {
        let (mut contenders, failing) = estimate_all(profile, snapshot, request, serving, now);
        let at_limit = ramp::at_limit(snapshot, request.live, profile.slow_start, now);
        for (position, contender) in contenders.iter_mut().enumerate().filter(|_| !at_limit.is_empty()) {
            contender.failed.add(Filter::SlowStart, at_limit.contains(position));
        }
        let (applied, relaxed) = if failing.is_empty() && at_limit.is_empty() {
            (Applied::ALL, Vec::new())
        } else {
            Applied::to(|| contenders.iter().map(|c| c.failed))
        };
        let mut best = Best::NONE;
        let mut any = false;
        for contender in contenders.iter().filter(|c| c.failed.passes(applied)) {
            best.take(&contender.estimate);
            any = true;
        }
        if any {
            Ok((Self { profile, snapshot, request, serving, contenders, applied, best }, relaxed))
        } else {
            Err(all_down(&contenders, applied))
        }
    }

    pub(super) fn decide(&self, relaxed: Vec<Filter>, rng: &mut fastrand::Rng) -> Decision {
        let totals = self.totals();
        let (position, tied) = totals.best(rng);
        let endpoint = self.slot(position);
        let first = rng.usize(..self.contenders.len());
        Decision {
            endpoint,
            fallbacks: self.fallbacks(&totals, position, first),
            matched_tokens: matched(self.profile, self.request, endpoint),
            tied,
            relaxed,
            strategy: self.profile.strategy,
        }
    }

    /// Everything about everybody, for people.
    pub(super) fn weighed(&self) -> Vec<Weighed> {
        let weigh = |(position, contender): (usize, &Contender)| {
            let verdict = contender.failed.verdict(self.applied);
            let competes = verdict == Verdict::Candidate;
            let scores = if competes { self.scores(position) } else { [0.0; Scorer::COUNT] };
            let (slot, estimate) = (self.slot(position), contender.estimate);
            Weighed {
                slot,
                verdict,
                estimate,
                scores,
                total: if competes { self.total(&scores) } else { 0.0 },
            }
        };
        self.contenders.iter().enumerate().map(weigh).collect()
    }

    fn totals(&self) -> Totals {
        let mut totals = Totals { each: vec![OUT; self.contenders.len()], top: OUT };
        for (position, contender) in self.contenders.iter().enumerate() {
            if contender.failed.passes(self.applied) {
                totals.put(position, self.total(&self.scores(position)));
            }
        }
        totals
    }

    #[inline]
    fn total(&self, scores: &[f32; Scorer::COUNT]) -> f32 {
        self.profile.weights.as_array().iter().zip(scores).map(|(weight, score)| weight * score).sum()
    }

    #[inline]
    fn scores(&self, position: usize) -> [f32; Scorer::COUNT] {
        let (estimate, glance) = (&self.contenders[position].estimate, &self.snapshot.glances()[position]);
        [
            score::queue(estimate, &self.best),
            score::kv(estimate, &self.best),
            score::work(estimate, &self.best),
            self.serving
                .filter(|serving| serving.adapter)
                .map_or(0.0, |serving| self.lora(serving, position)),
            score::prefix(matched(self.profile, self.request, glance.slot)),
            score::session(self.request, glance.slot),
            score::group(self.request, glance.slot),
            f32::from(u8::from(glance.local)),
        ]
    }

    fn lora(&self, serving: &Serving, position: usize) -> f32 {
        let live = self.request.live.get(position).copied().unwrap_or_default();
        // Of what was sent in a burst the engine has said nothing yet.
        let taken = |active: usize| (active as u32).max(live.adapters);
        let lora = &self.snapshot.endpoints()[position].signals.lora;
        let free = lora.as_ref().is_none_or(|r| taken(r.value.active.len()) < r.value.max);
        score::lora(serving, position, live.same_adapter, free)
    }

    fn slot(&self, position: usize) -> Slot {
        self.snapshot.glances()[position].slot
    }

    /// The next best candidates; when those run out, endpoints that only a soft filter dropped. Equals stand in
    /// turns from `first` on: what many requests fall back to must not be one neighbour.
    fn fallbacks(&self, totals: &Totals, chosen: usize, first: usize) -> Vec<Slot> {
        let count = self.profile.fallbacks;
        let mut kept: Vec<(f32, Slot)> = Vec::with_capacity(count + 1);
        // What it takes to be kept once there are enough.
        let mut bar = f32::NAN;
        for turn in [first..totals.each.len(), 0..first] {
            for (position, total) in turn.clone().zip(&totals.each[turn]) {
                if *total <= bar || position == chosen || !self.contenders[position].failed.may_serve() {
                    continue;
                }
                let at = kept.partition_point(|k| k.0 >= *total);
                kept.insert(at, (*total, self.slot(position)));
                kept.truncate(count);
                if kept.len() == count {
                    bar = kept.last().map_or(f32::INFINITY, |last| last.0);
                }
            }
        }
        kept.into_iter().map(|(_, slot)| slot).collect()
    }
}

fn estimate_all(
    profile: &Profile,
    snapshot: &Snapshot,
    request: &Request<'_>,
    serving: Option<&Serving>,
    now: Time,
) -> (Vec<Contender>, Failed) {
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
    let mut failing = Failed::default();
    let estimate = |(position, (glance, live)): (usize, (&Glance, &Live))| {
        let estimate = reckoning.estimate(glance, position, live);
        let failed = Failed::of(profile, snapshot, serving, position, glance.failed, &estimate);
        failing.join(failed);
        Contender { estimate, failed }
    };
    (glances.iter().zip(live).enumerate().map(estimate).collect(), failing)
}

fn all_down(contenders: &[Contender], applied: Applied) -> NoEndpoint {
    let dropped =
        |filter| contenders.iter().filter(|c| c.failed.verdict(applied) == Verdict::Dropped(filter)).count();
    NoEndpoint::AllDown {
        down: dropped(Filter::Ready),
        asleep: dropped(Filter::Awake),
        failed: dropped(Filter::Working),
    }
}

fn matched(profile: &Profile, request: &Request<'_>, slot: Slot) -> u64 {
    if profile.strategy.needs_prefix() { request.prefix.tokens(slot).min(request.prompt_tokens) } else { 0 }
}
