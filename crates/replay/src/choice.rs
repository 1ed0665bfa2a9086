//! A decision made again, with all that was weighed.

use std::collections::BTreeMap;

use warmlane_api::admin::{Choice, Considered, Estimate, Stated};
use warmlane_picker::{
    Admission, Decision, Endpoint, Live, Matches, NoEndpoint, Profile, Scorer, Slot, Snapshot, Time, Verdict,
    Weighed, admit, pick, signal,
};

use crate::{Inputs, why};

/// What is asked again.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// How it is weighed.
    pub profile: &'a Profile,
    /// Who is weighed.
    pub snapshot: &'a Snapshot,
    /// For which request.
    pub inputs: &'a Inputs,
    /// Whether it may be shed.
    pub admission: Admit,
}

/// How a request comes past admission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// As it did: [`Inputs::shed`].
    AsThen,
    /// Judged anew, by this profile and snapshot.
    Anew,
}

/// Why nobody was chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody could be.
    #[error(transparent)]
    NoEndpoint(#[from] NoEndpoint),
    /// Admission comes before the pick.
    #[error("every replica is busy, and a request that is Sheddable is then shed")]
    Shed,
}

/// The same decision again, with all that led to it.
pub fn explain(asked: Asked<'_>, matches: &Matches) -> (Result<Decision, Refusal>, Vec<Weighed>) {
    let Asked { profile, snapshot, inputs, admission } = asked;
    let request = inputs.request(matches);
    let mut rng = fastrand::Rng::with_seed(inputs.seed);
    let (decision, weighed) = pick::explain(profile, snapshot, &request, inputs.at, &mut rng);
    let shed = match admission {
        Admit::AsThen => inputs.shed,
        Admit::Anew => admit(profile, snapshot, &request, inputs.at) != Admission::Pass,
    };
    (if shed { Err(Refusal::Shed) } else { decision.map_err(Refusal::from) }, weighed)
}

/// The same for people.
pub fn choice(asked: Asked<'_>) -> Choice {
    let matches = asked.inputs.matches();
    let (decision, weighed) = explain(asked, &matches);
    let name = |slot: Slot| asked.snapshot.endpoint(slot).map(|endpoint| endpoint.address.to_string());
    let endpoints = considered(asked, &matches, &weighed);
    let decision = match decision {
        Ok(decision) => decision,
        Err(refusal) => {
            let refusal = refusal.to_string();
            return Choice { why: refusal.clone(), refusal: Some(refusal), endpoints, ..Choice::default() };
        }
    };
    let chosen = weighed.iter().find(|weighed| weighed.slot == decision.endpoint);
    let other = best_but(&weighed, decision.endpoint);
    let ahead = chosen.map(|chosen| why::ahead(&asked.profile.weights, chosen, other)).unwrap_or_default();
    Choice {
        why: sentence(asked.profile, asked.snapshot, &decision, &weighed),
        endpoint: name(decision.endpoint),
        refusal: None,
        ahead: ahead.into_iter().map(|(scorer, points)| (scorer.name().to_owned(), points)).collect(),
        fallbacks: decision.fallbacks.iter().filter_map(|slot| name(*slot)).collect(),
        tied: decision.tied,
        relaxed: decision.relaxed.iter().map(|filter| filter.name().to_owned()).collect(),
        endpoints,
    }
}

/// Why a decision came out so, in one sentence.
pub fn sentence(profile: &Profile, snapshot: &Snapshot, decision: &Decision, weighed: &[Weighed]) -> String {
    let chosen = weighed.iter().find(|weighed| weighed.slot == decision.endpoint);
    let other = best_but(weighed, decision.endpoint);
    let ahead = chosen.map(|chosen| why::ahead(&profile.weights, chosen, other)).unwrap_or_default();
    let named = other.and_then(|other| Some((other, snapshot.endpoint(other.slot)?.address.to_string())));
    why::sentence(decision, weighed, named, &ahead)
}

/// The best of the others that competed.
fn best_but(weighed: &[Weighed], chosen: Slot) -> Option<&Weighed> {
    let others = weighed.iter().filter(|weighed| weighed.slot != chosen && weighed.competes());
    others.max_by(|a, b| a.total.total_cmp(&b.total))
}

fn considered(asked: Asked<'_>, matches: &Matches, weighed: &[Weighed]) -> Vec<Considered> {
    let mut order: Vec<&Weighed> = weighed.iter().collect();
    order.sort_by(|a, b| b.competes().cmp(&a.competes()).then(b.total.total_cmp(&a.total)));
    let row = |weighed: &Weighed| {
        let position = asked.snapshot.position(weighed.slot)?;
        let live = asked.inputs.live.get(position).copied().unwrap_or_default();
        Some(row(asked, matches, weighed, &asked.snapshot.endpoints()[position], &live))
    };
    order.into_iter().filter_map(row).collect()
}

fn row(
    asked: Asked<'_>,
    matches: &Matches,
    weighed: &Weighed,
    endpoint: &Endpoint,
    live: &Live,
) -> Considered {
    let scores = Scorer::ALL.map(|scorer| (scorer.name().to_owned(), weighed.score(scorer)));
    let estimate = weighed.estimate;
    Considered {
        address: endpoint.address.to_string(),
        verdict: verdict(weighed.verdict).to_owned(),
        total: weighed.total,
        scores: BTreeMap::from(scores),
        estimate: Estimate {
            queue: estimate.queue,
            kv: estimate.kv,
            committed: estimate.committed,
            work: estimate.work,
        },
        signals: signals(endpoint, asked.inputs.at),
        in_flight: live.in_flight,
        matched_tokens: matches.tokens(weighed.slot).min(asked.inputs.prompt_tokens),
        matched_by: matches.source(weighed.slot).map(|source| source.name().to_owned()),
        local: endpoint.local,
        trouble: endpoint.health.reason().map(str::to_owned),
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Candidate => "candidate",
        Verdict::Dropped(filter) => filter.name(),
    }
}

/// The readings that scores of load are made of.
fn signals(endpoint: &Endpoint, at: Time) -> BTreeMap<String, Stated> {
    let signals = &endpoint.signals;
    let named = [("queue", signals.queue), ("running", signals.running), ("kv_use", signals.kv_use)];
    let reading = |reading: signal::Reading<f32>| {
        let age_ms = u64::try_from(reading.age(at).as_millis()).unwrap_or(u64::MAX);
        Stated { value: reading.value, age_ms }
    };
    // What is no number is no reading to the picker either.
    let is_number = |reading: &signal::Reading<f32>| reading.value.is_finite();
    let stated =
        |(name, stated): (&str, Option<_>)| Some((name.to_owned(), stated.filter(is_number).map(reading)?));
    named.into_iter().filter_map(stated).collect()
}
