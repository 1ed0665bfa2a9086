//! What is promised of the aware policy, held against trials.
//!
//! A promise about two policies is one about the paired difference: it holds when the whole 95 % interval lies on
//! the right side of the limit.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use serde::Serialize;
use warmlane_picker::PlainPolicy;

use super::{
    compare::Comparison,
    policy::Policy,
    run::run,
    scenario::{Scenario, Shape},
    summary::{Figure, Summary},
};
use crate::model::Profile;

/// One scenario under several policies, with the same seeds for each.
#[derive(Debug)]
pub struct Trial {
    /// What was simulated.
    pub scenario: Scenario,
    /// One summary per seed.
    pub results: Vec<(Policy, Vec<Summary>)>,
}

/// One promise: `value` is the worse end of the 95 % interval of the paired difference, in percent and
/// counted so that more is worse; it must stay under `limit`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bar {
    /// What is compared.
    pub what: String,
    /// What was found.
    pub value: f64,
    /// What is promised.
    pub limit: f64,
    /// Whether it is kept.
    pub holds: bool,
}

/// Positions in [`Figure::ALL`].
const TTFT_P50: usize = 0;
const TTFT_P99: usize = 1;
const E2E_P50: usize = 2;
const E2E_P99: usize = 3;
const THROUGHPUT: usize = 5;
const HIT_RATE: usize = 6;
const KV_SPREAD: usize = 7;

const RANDOM: Policy = Policy::Plain(PlainPolicy::Random);
const LEAST_REQUEST: Policy = Policy::Plain(PlainPolicy::LeastRequest);

/// How far the aware policy may lag behind least request where no picker can do much better.
const MARGIN: f64 = 5.0;

// === Trial ===

impl Trial {
    /// Runs every policy with seeds 1 to `seeds`, on as many threads as there are cores. `done` is told after each
    /// run.
    pub fn run(scenario: Scenario, policies: &[Policy], seeds: u64, done: &(dyn Fn() + Sync)) -> Self {
        let jobs: Vec<(usize, u64)> =
            (1..=seeds).flat_map(|seed| (0..policies.len()).map(move |policy| (policy, seed))).collect();
        let (next, found) = (AtomicUsize::new(0), Mutex::new(vec![Summary::default(); jobs.len()]));
        let work = || {
            while let Some(&(policy, seed)) = jobs.get(next.fetch_add(1, Relaxed)) {
                let summary = run(&scenario, policies[policy], seed);
                let at = (seed - 1) as usize * policies.len() + policy;
                found.lock().unwrap_or_else(PoisonError::into_inner)[at] = summary;
                done();
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(jobs.len());
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(work);
            }
        });
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let of = |policy: usize| found.iter().skip(policy).step_by(policies.len()).copied().collect();
        let results = policies.iter().enumerate().map(|(at, policy)| (*policy, of(at))).collect();
        Self { scenario, results }
    }

    /// The summaries of a policy.
    pub fn of(&self, policy: Policy) -> Option<&[Summary]> {
        self.results.iter().find(|(other, _)| *other == policy).map(|(_, summaries)| summaries.as_slice())
    }

    fn bar(&self, figure: usize, other: Policy, limit: f64) -> Option<Bar> {
        let (figure, aware) = (&Figure::ALL[figure], Policy::Strategy(self.scenario.strategy));
        let relative = Comparison::new(figure, self.of(aware)?, self.of(other)?).relative;
        let worse = if figure.higher { -relative.mean } else { relative.mean };
        let value = 100.0 * (worse + relative.half.unwrap_or(0.0));
        // Where more is better the shortfall is what must stay below the limit.
        let of = if figure.higher { "shortfall of " } else { "" };
        let what = format!("{}: aware to {}, {of}{}, %", self.scenario.name, other.name(), figure.name);
        Some(Bar { what, value, limit, holds: value < limit })
    }
}

/// The promises about this trial's scenario.
pub fn judge(trial: &Trial) -> Vec<Bar> {
    let alike = trial.scenario.cards.iter().all(|card| *card == Profile::A10);
    let promises: Vec<(usize, Policy, f64)> = match trial.scenario.shape {
        Shape::Random { .. } if alike => {
            let mut all = vec![(TTFT_P99, RANDOM, 0.0), (KV_SPREAD, RANDOM, 0.0)];
            let close = [TTFT_P50, TTFT_P99, E2E_P50, E2E_P99, THROUGHPUT];
            all.extend(close.map(|figure| (figure, LEAST_REQUEST, MARGIN)));
            all
        }
        Shape::Random { .. } => {
            let mut all = both(&[TTFT_P50, TTFT_P99, E2E_P99, THROUGHPUT, KV_SPREAD]);
            // Where least request is near its best, and random is not: its median varies too much to say more.
            all.push((E2E_P50, LEAST_REQUEST, MARGIN));
            all
        }
        Shape::Sessions { .. } => {
            let mut all = both(&[HIT_RATE, TTFT_P50, TTFT_P99, E2E_P50, THROUGHPUT]);
            all.push((KV_SPREAD, RANDOM, 0.0));
            all
        }
        Shape::Adapters { .. } => {
            // Least request holds less KV, because half of its requests wait for slots: its spread is no measure.
            let mut all = both(&[TTFT_P50, TTFT_P99, E2E_P50, E2E_P99, THROUGHPUT]);
            all.push((KV_SPREAD, RANDOM, 0.0));
            all
        }
    };
    promises.into_iter().filter_map(|(figure, other, limit)| trial.bar(figure, other, limit)).collect()
}

/// Better than both random and least request.
fn both(figures: &[usize]) -> Vec<(usize, Policy, f64)> {
    figures.iter().flat_map(|figure| [(*figure, RANDOM, 0.0), (*figure, LEAST_REQUEST, 0.0)]).collect()
}
