//! A request among the endpoints of a snapshot: what is reckoned of each, and who wins.

use super::{Decision, NoEndpoint, Totals, Weighed};
use crate::{
    Group, Live, Profile, Request, Scorer, Slot, Snapshot, Time, Verdict, Weights,
    estimate::{Estimate, Glance, Reckoning},
    filter::{Applied, Failed, Filter},
    ramp,
    score::{self, Best},
    snapshot::Serving,
};

/// A request among the endpoints of a snapshot. What is reckoned of them stands in columns, one value per endpoint:
/// hundreds are then compared several at a time.
pub(super) struct Contest<'a> {
    profile: &'a Profile,
    snapshot: &'a Snapshot,
    request: &'a Request<'a>,
    serving: Option<&'a Serving>,
    estimates: Vec<Estimate>,
    failed: Vec<Failed>,
    loads: Loads,
    applied: Applied,
    /// Soft filters that were set aside.
    relaxed: Vec<Filter>,
    /// `None`: nobody competes.
    best: Option<Best>,
}

/// What the load scores read: three columns, one after the other, since each allocation costs as much as an endpoint.
struct Loads(Vec<f32>);

// === Contest ===

impl<'a> Contest<'a> {
    /// Estimates and filters.
    pub(super) fn new(
        profile: &'a Profile,
        snapshot: &'a Snapshot,
        request: &'a Request<'a>,
        serving: Option<&'a Serving>,
        now: Time,
    ) -> Self {
        let estimates = estimate_all(profile, snapshot, request, now);
        let failed = filter_all(profile, snapshot, request, serving, now, &estimates);
        let (applied, relaxed) = Applied::to(&failed);
        let loads = Loads::of(&estimates);
        let best = loads.best(|position| failed[position].passes(applied));
        Self { profile, snapshot, request, serving, estimates, failed, loads, applied, relaxed, best }
    }

    pub(super) fn decide(self, rng: &mut fastrand::Rng) -> Result<Decision, NoEndpoint> {
        let Some(best) = &self.best else { return Err(self.nobody()) };
        let totals = self.totals(best);
        let (position, tied) = totals.best(rng);
        let endpoint = self.slot(position);
        let first = rng.usize(..self.estimates.len());
        Ok(Decision {
            endpoint,
            fallbacks: self.fallbacks(&totals, position, first),
            matched_tokens: matched(self.profile, self.request, endpoint),
            source: self.request.prefix.source(endpoint).filter(|_| self.profile.strategy.needs_prefix()),
            tied,
            relaxed: self.relaxed,
            strategy: self.profile.strategy,
        })
    }

    /// Why nobody competes.
    fn nobody(&self) -> NoEndpoint {
        if nobody_offered(self.request, self.failed.len()) {
            NoEndpoint::NoneOffered
        } else {
            all_down(&self.failed, self.applied)
        }
    }

    /// Everything about everybody, for people.
    pub(super) fn weighed(&self) -> Vec<Weighed> {
        let weigh = |(position, estimate): (usize, &Estimate)| {
            let verdict = self.failed[position].verdict(self.applied);
            let best = self.best.as_ref().filter(|_| verdict == Verdict::Candidate);
            let scores = best.map_or([0.0; Scorer::COUNT], |best| self.scores(position, best));
            let total = self
                .profile
                .weights
                .as_array()
                .iter()
                .zip(&scores)
                .map(|(weight, score)| weight * score)
                .sum();
            Weighed { slot: self.slot(position), verdict, estimate: *estimate, scores, total }
        };
        self.estimates.iter().enumerate().map(weigh).collect()
    }

    /// The weighted sums. Load is weighed for everybody in one sweep; what few have in common with the request is
    /// added to those few.
    fn totals(&self, best: &Best) -> Totals {
        let weights = &self.profile.weights;
        let mut each = self.loads.weigh(weights, best);
        if self.serving.is_some_and(|serving| serving.adapter) {
            each.iter_mut().enumerate().for_each(|(at, total)| *total += weights.lora * self.lora(at));
        }
        let mut add = |slot: Slot, worth: f32| {
            if let Some(total) = self.snapshot.position(slot).and_then(|at| each.get_mut(at)) {
                *total += worth;
            }
        };
        if self.profile.strategy.needs_prefix() {
            let matched = |slot| weights.prefix * score::prefix(matched(self.profile, self.request, slot));
            self.request.prefix.holders().for_each(|slot| add(slot, matched(slot)));
        }
        self.request.session.into_iter().for_each(|slot| add(slot, weights.session));
        let group = self.request.group.into_iter().flat_map(Group::replicas);
        group.for_each(|slot| add(slot, weights.group));
        for at in self.snapshot.local().positions() {
            each[at] += weights.locality;
        }
        Totals::of(each, &self.failed, self.applied)
    }

    fn scores(&self, position: usize, best: &Best) -> [f32; Scorer::COUNT] {
        let (loads, glance) = (&self.loads, &self.snapshot.glances()[position]);
        [
            score::queue(loads.columns()[0][position], best),
            score::kv(loads.columns()[1][position], best),
            score::work(loads.columns()[2][position], best),
            self.lora(position),
            score::prefix(matched(self.profile, self.request, glance.slot)),
            score::session(self.request, glance.slot),
            score::group(self.request, glance.slot),
            f32::from(u8::from(glance.local)),
        ]
    }

    fn lora(&self, position: usize) -> f32 {
        let Some(serving) = self.serving.filter(|serving| serving.adapter) else { return 0.0 };
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
        // A profile may name any number.
        let count = self.profile.fallbacks.min(totals.each.len());
        let mut kept: Vec<(f32, Slot)> = Vec::with_capacity(count + 1);
        // What it takes to be kept once there are enough.
        let mut bar = f32::NAN;
        for turn in [first..totals.each.len(), 0..first] {
            for (position, total) in turn.clone().zip(&totals.each[turn]) {
                if *total <= bar || position == chosen || !self.failed[position].may_serve() {
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

fn estimate_all(profile: &Profile, snapshot: &Snapshot, request: &Request<'_>, now: Time) -> Vec<Estimate> {
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
    let estimate = |(at, (glance, live)): (usize, (&Glance, &Live))| reckoning.estimate(glance, at, live);
    glances.iter().zip(live).enumerate().map(estimate).collect()
}

fn filter_all(
    profile: &Profile,
    snapshot: &Snapshot,
    request: &Request<'_>,
    serving: Option<&Serving>,
    now: Time,
    estimates: &[Estimate],
) -> Vec<Failed> {
    let of = |(at, (glance, estimate)): (usize, (&Glance, &Estimate))| {
        Failed::of(profile, snapshot, at, glance.failed, estimate)
    };
    let mut failed: Vec<Failed> = snapshot.glances().iter().zip(estimates).enumerate().map(of).collect();
    if let Some(serving) = serving {
        for at in serving.endpoints.missing(snapshot.unlisted(), failed.len()) {
            failed[at].add(Filter::ServesModel, true);
        }
    }
    if let Some(offered) = request.offered {
        for (at, failed) in failed.iter_mut().enumerate() {
            failed.add(Filter::Offered, !offered.contains(at));
        }
    }
    for at in ramp::at_limit(snapshot, request.live, profile.slow_start, now).positions() {
        failed[at].add(Filter::SlowStart, true);
    }
    failed
}

/// Whether the request may go to endpoints only that the pool does not have.
fn nobody_offered(request: &Request<'_>, endpoints: usize) -> bool {
    request.offered.is_some_and(|offered| !(0..endpoints).any(|at| offered.contains(at)))
}

fn all_down(failed: &[Failed], applied: Applied) -> NoEndpoint {
    let dropped =
        |filter| failed.iter().filter(|failed| failed.verdict(applied) == Verdict::Dropped(filter)).count();
    NoEndpoint::AllDown {
        down: dropped(Filter::Ready),
        asleep: dropped(Filter::Awake),
        failed: dropped(Filter::Working),
    }
}

fn matched(profile: &Profile, request: &Request<'_>, slot: Slot) -> u64 {
    if profile.strategy.needs_prefix() { request.prefix.tokens(slot).min(request.prompt_tokens) } else { 0 }
}

// === Loads ===

impl Loads {
    fn of(estimates: &[Estimate]) -> Self {
        let mut columns = Vec::with_capacity(3 * estimates.len());
        columns.extend(estimates.iter().map(|estimate| estimate.queue));
        columns.extend(estimates.iter().map(|estimate| score::pressure(estimate.committed)));
        columns.extend(estimates.iter().map(|estimate| estimate.work));
        Self(columns)
    }

    /// Queue, pressure and work.
    fn columns(&self) -> [&[f32]; 3] {
        let (queue, rest) = self.0.split_at(self.0.len() / 3);
        let (pressure, work) = rest.split_at(queue.len());
        [queue, pressure, work]
    }

    /// The least of each among those that compete; `None` when nobody does.
    fn best(&self, competes: impl Fn(usize) -> bool) -> Option<Best> {
        let [queue, pressure, work] = self.columns();
        let least = |column: &[f32]| {
            // Chosen by arithmetic rather than by a branch, so that several are compared at once.
            let value = |(at, value): (usize, &f32)| if competes(at) { *value } else { f32::INFINITY };
            column.iter().enumerate().map(value).fold(f32::INFINITY, score::lower)
        };
        (0..queue.len()).any(&competes).then(|| Best {
            queue: least(queue),
            pressure: least(pressure),
            work: least(work),
        })
    }

    fn weigh(&self, weights: &Weights, best: &Best) -> Vec<f32> {
        let [queue, pressure, work] = self.columns();
        let weigh = |((queue, pressure), work): ((&f32, &f32), &f32)| {
            weights.queue * score::queue(*queue, best)
                + weights.kv * score::kv(*pressure, best)
                + weights.work * score::work(*work, best)
        };
        queue.iter().zip(pressure).zip(work).map(weigh).collect()
    }
}
