//! Properties of every decision, whatever the pool and the request look like.

use proptest::{collection::vec, option, prelude::*};
use warmlane_picker::{
    Chain, Criticality, Endpoint, Filter, Health, Live, Lora, Matches, Models, NoEndpoint, Profile, Reading,
    Request, Signals, Slot, Snapshot, Strategy as Routing, Time, Verdict, Work, pick, pick::TIE,
};

use crate::pool::{Explained, MODEL, NOW, explained, load, pool, replica, replicas, request, serves, shares};

/// Values as a page may state them, garbage included.
fn stated() -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => 0.0_f32..100.0,
        4 => 0.0_f32..1.0,
        1 => prop::sample::select(vec![f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0, -0.0, f32::MAX, 1e30]),
    ]
}

fn told() -> impl Strategy<Value = Option<Reading<f32>>> {
    let reading =
        |(value, age): (f32, u64)| Reading { value, at: NOW.saturating_sub(Time::from_millis(age)) };
    option::weighted(0.9, (stated(), 0_u64..15_000).prop_map(reading))
}

fn signals() -> impl Strategy<Value = Signals> {
    let capacity = option::of(prop_oneof![Just(95_000), Just(380_000), Just(0), Just(u64::MAX)]);
    let awake = option::weighted(0.3, (prop::bool::weighted(0.7), 0_u64..15_000));
    (told(), told(), told(), capacity, awake, any::<bool>()).prop_map(
        |(queue, running, kv_use, capacity, awake, lora)| Signals {
            queue,
            running,
            kv_use,
            kv_capacity_tokens: capacity,
            lora: lora.then(|| Reading {
                value: Lora { active: vec!["travel".to_owned()], waiting: Vec::new(), max: 1 },
                at: NOW,
            }),
            awake: awake.map(|(value, age)| Reading { value, at: NOW - Time::from_millis(age) }),
            mark: Work::default(),
        },
    )
}

fn models() -> impl Strategy<Value = Models> {
    let both = Models::Known { base: vec![MODEL.to_owned()], adapters: vec!["travel".to_owned()] };
    prop_oneof![3 => Just(both), 2 => Just(serves(MODEL)), 1 => Just(serves("other")), 1 => Just(Models::Unknown)]
}

fn endpoint() -> impl Strategy<Value = (Endpoint, Models)> {
    let health = prop_oneof![
        6 => Just(Health::Healthy),
        1 => Just(Health::Degraded("row remap pending".into())),
        1 => Just(Health::Failed("XID 79".into())),
    ];
    (signals(), health, prop::bool::weighted(0.85), any::<bool>(), models()).prop_map(
        |(signals, health, ready, local, models)| {
            (Endpoint { ready, health, local, ..replica(0, signals) }, models)
        },
    )
}

fn live() -> impl Strategy<Value = Live> {
    let counts =
        (0_u32..100, 0_u64..50_000, 0_u64..400_000, 0_u32..2, prop_oneof![0_u64..500_000, Just(u64::MAX)]);
    counts.prop_map(|(in_flight, tokens, reserved_kv, same_adapter, sent)| Live {
        in_flight,
        pending_prefill: tokens,
        unstreamed_prefill: tokens / 2,
        reserved_kv,
        same_adapter,
        sent: Work { requests: sent, prefill_tokens: sent, kv_tokens: sent },
        ..Live::default()
    })
}

/// A pool, what the router knows, and a request.
#[derive(Debug, Clone)]
struct Case {
    snapshot: Snapshot,
    live: Vec<Live>,
    depths: Vec<u32>,
    model: Option<&'static str>,
    prompt_tokens: u64,
    session: Option<Slot>,
    routing: Routing,
    seed: u64,
}

fn case() -> impl Strategy<Value = Case> {
    let model = prop::sample::select(vec![Some(MODEL), Some("travel"), Some("other"), Some("nowhere"), None]);
    let prompt = prop_oneof![0_u64..100_000, Just(u64::MAX)];
    let routing = prop::sample::select(vec![Routing::Default, Routing::PrefixCache]);
    let session = option::of((0_u16..14).prop_map(Slot));
    let endpoints = (vec(endpoint(), 1..12), vec(live(), 0..12), vec(0_u32..2_000, 12));
    (endpoints, model, prompt, session, routing, any::<u64>()).prop_map(
        |((mut entries, live, depths), model, prompt_tokens, session, routing, seed)| {
            (0..).zip(&mut entries).for_each(|(slot, (endpoint, _))| endpoint.slot = Slot(slot));
            let snapshot = Snapshot::new(entries);
            Case { snapshot, live, depths, model, prompt_tokens, session, routing, seed }
        },
    )
}

impl Case {
    fn pick(&self) -> Result<Explained, NoEndpoint> {
        let mut matches = Matches::default();
        matches.reset(16.0);
        (0..).zip(&self.depths).for_each(|(slot, depth)| matches.raise(Slot(slot), *depth));
        let request = Request {
            model: self.model,
            prompt_tokens: self.prompt_tokens,
            session: self.session,
            ..request(&matches, &self.live)
        };
        explained(&Profile::of(self.routing), &self.snapshot, &request, self.seed)
    }

    /// Stated anew, apart from the code under test: may this endpoint serve the request at all?
    fn may_serve(&self, position: usize) -> bool {
        let endpoint = &self.snapshot.endpoints()[position];
        let listed = |model| self.snapshot.serving(model).is_some_and(|s| s.endpoints.contains(position));
        let serves = self.model.is_none_or(|m| listed(m) || self.snapshot.unlisted().contains(position));
        let failed = matches!(endpoint.health, Health::Failed(_));
        let lately = |r: &Reading<bool>| NOW - r.at < Time::from_secs(10);
        let asleep = endpoint.signals.awake.filter(lately).is_some_and(|r| !r.value);
        serves && endpoint.ready && !failed && !asleep
    }

    fn able(&self) -> usize {
        (0..self.snapshot.endpoints().len()).filter(|p| self.may_serve(*p)).count()
    }
}

fn at(decision: &Explained, slot: Slot) -> usize {
    decision.weighed.iter().position(|w| w.slot == slot).expect("every slot named is in the pool")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_same_inputs_and_seed_give_the_same_decision(case in case()) {
        // Debug text, because an estimate that were no number would differ from itself.
        prop_assert_eq!(format!("{:?}", case.pick()), format!("{:?}", case.pick()));
    }

    #[test]
    fn the_chosen_may_serve_and_has_the_best_total(case in case()) {
        let Ok(decision) = case.pick() else { return Ok(()) };
        let chosen = at(&decision, decision.endpoint);
        prop_assert!(case.may_serve(chosen));
        let chosen = &decision.weighed[chosen];
        prop_assert_eq!(chosen.verdict, Verdict::Candidate);
        for w in decision.weighed.iter().filter(|w| w.competes()) {
            prop_assert!(chosen.total >= w.total - TIE * 1.01, "{} against {}", chosen.total, w.total);
        }
    }

    #[test]
    fn somebody_is_chosen_exactly_when_somebody_can_serve(case in case()) {
        match case.pick() {
            Ok(_) => prop_assert!(case.able() > 0),
            Err(why) => prop_assert_eq!((case.able(), why == NoEndpoint::EmptyPool), (0, false)),
        }
    }

    #[test]
    fn every_score_is_a_share_and_totals_are_their_weighted_sum(case in case()) {
        let Ok(decision) = case.pick() else { return Ok(()) };
        let weights = Profile::of(case.routing).weights.as_array();
        for w in &decision.weighed {
            prop_assert!(w.scores.iter().all(|score| (0.0..=1.0).contains(score)), "{:?}", w.scores);
            let sum: f32 = weights.iter().zip(&w.scores).map(|(weight, score)| weight * score).sum();
            prop_assert!((w.total - sum).abs() < 1e-5);
            prop_assert!(w.competes() || w.total == 0.0);
        }
    }

    #[test]
    fn fallbacks_are_others_that_may_serve_best_first(case in case()) {
        let Ok(decision) = case.pick() else { return Ok(()) };
        let profile = Profile::of(case.routing);
        prop_assert_eq!(decision.fallbacks.len(), profile.fallbacks.min(case.able() - 1));
        let places: Vec<usize> = decision.fallbacks.iter().map(|slot| at(&decision, *slot)).collect();
        for (nth, place) in places.iter().enumerate() {
            prop_assert!(case.may_serve(*place) && decision.fallbacks[nth] != decision.endpoint);
            prop_assert!(!places[..nth].contains(place), "named twice");
        }
        let ranks: Vec<(bool, f32)> =
            places.iter().map(|p| (decision.weighed[*p].competes(), decision.weighed[*p].total)).collect();
        prop_assert!(ranks.is_sorted_by(|a, b| a >= b), "{:?}", ranks);
        let left_out = (0..decision.weighed.len())
            .filter(|p| decision.weighed[*p].competes() && decision.weighed[*p].slot != decision.endpoint)
            .filter(|p| !places.contains(p));
        let last = ranks.last().map_or((true, f32::INFINITY), |last| *last);
        for p in left_out {
            prop_assert!(last >= (true, decision.weighed[p].total), "a better one was left out");
        }
    }

    #[test]
    fn a_filter_is_set_aside_only_when_it_is_soft_and_nobody_passes(case in case()) {
        let Ok(decision) = case.pick() else { return Ok(()) };
        for filter in &decision.relaxed {
            prop_assert!(Filter::SOFT.contains(filter));
            prop_assert!(decision.weighed.iter().all(|w| w.verdict != Verdict::Dropped(*filter)));
        }
    }
}

#[test]
fn equals_are_chosen_equally_often() {
    let pool = pool(replicas(vec![load(1.0, 0.5); 8]));
    let shares = shares(&Profile::default(), &pool, &request(&Matches::default(), &[]), 4_000);
    // Four standard deviations: 4 * sqrt(4000 / 8 * 7 / 8) is 84.
    assert!(shares.iter().all(|n| n.abs_diff(500) < 84), "{shares:?}");
}

#[test]
fn those_who_leave_a_dead_endpoint_do_not_all_go_to_one_other() {
    let mut loads = vec![load(2.0, 0.5); 5];
    loads[1] = load(0.0, 0.0);
    let (pool, matches) = (pool(replicas(loads)), Matches::default());
    let mut next = [0; 5];
    for seed in 0..1_000 {
        let decision = crate::pool::choose(&Profile::default(), &pool, &request(&matches, &[]), seed);
        assert_eq!(decision.endpoint, Slot(1));
        next[usize::from(decision.fallbacks[0].0)] += 1;
    }
    // The one after the chosen gets the turns of both places; none gets most.
    assert!([0, 2, 3, 4].iter().all(|slot| (140..500).contains(&next[*slot])), "{next:?}");
}

#[test]
fn garbage_readings_never_win_and_never_spoil_the_others() {
    for garbage in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -5.0, f32::MAX] {
        let loads = [load(garbage, garbage), load(3.0, 0.6), load(0.0, 0.1), load(f32::NAN, 0.9)];
        let pool = pool(replicas(loads));
        let shares = shares(&Profile::default(), &pool, &request(&Matches::default(), &[]), 50);
        assert_eq!(shares, [0, 0, 50, 0], "{garbage}");
    }
}

#[test]
fn weights_that_are_no_numbers_still_choose_somebody_who_competes() {
    let mut profile = Profile::default();
    profile.weights.queue = f32::NAN;
    let mut pool_of = replicas(vec![load(0.0, 0.0); 3]);
    pool_of[0].ready = false;
    let shares = shares(&profile, &pool(pool_of), &request(&Matches::default(), &[]), 100);
    assert!(shares[0] == 0 && shares[1] > 20 && shares[2] > 20, "{shares:?}");
}

#[test]
fn an_unknown_model_is_told_only_when_every_ready_list_is_known() {
    let ask = |entries: Vec<(Endpoint, Models)>| {
        let matches = Matches::default();
        let request = Request { model: Some("nowhere"), ..request(&matches, &[]) };
        let mut rng = fastrand::Rng::with_seed(1);
        pick(&Profile::default(), &Snapshot::new(entries), &request, NOW, &mut rng).map(|d| d.endpoint)
    };
    let known = |slot| (replica(slot, load(0.0, 0.0)), serves(MODEL));
    let unlisted = |slot, ready| (Endpoint { ready, ..replica(slot, load(9.0, 0.9)) }, Models::Unknown);
    let unknown = Err(NoEndpoint::UnknownModel { model: "nowhere".to_owned() });
    assert_eq!(ask(vec![known(0), known(1)]), unknown);
    assert_eq!(ask(vec![known(0), unlisted(1, false)]), unknown, "one that is down does not count");
    assert_eq!(ask(vec![known(0), unlisted(1, true)]), Ok(Slot(1)), "only that one may serve it");
    assert_eq!(ask(vec![]), Err(NoEndpoint::EmptyPool));
}

#[test]
fn a_pool_that_is_out_of_service_says_why() {
    let mut three = replicas(vec![load(0.0, 0.0); 3]);
    three[0].ready = false;
    three[1].signals.awake = Some(Reading { value: false, at: NOW });
    three[2].health = Health::Failed("XID 79".into());
    let mut entries: Vec<(Endpoint, Models)> = three.into_iter().map(|e| (e, serves(MODEL))).collect();
    entries.push((replica(3, load(0.0, 0.0)), serves("other")));
    let matches = Matches::default();
    let mut rng = fastrand::Rng::with_seed(1);
    let said = pick(&Profile::default(), &Snapshot::new(entries), &request(&matches, &[]), NOW, &mut rng);
    assert_eq!(said, Err(NoEndpoint::AllDown { down: 1, asleep: 1, failed: 1 }));
}

#[test]
fn soft_filters_pass_over_the_worse_but_never_close_a_pool() {
    let degraded = Health::Degraded("power brake".into());
    let mut two = replicas(vec![load(0.0, 0.0), load(4.0, 0.8)]);
    two[0].health = degraded.clone();
    let matches = Matches::default();
    let choice = |pool_of: &[Endpoint]| {
        crate::pool::choose(&Profile::default(), &pool(pool_of.to_vec()), &request(&matches, &[]), 1)
    };
    let decision = choice(&two);
    assert_eq!(
        (decision.endpoint, decision.weighed[0].verdict),
        (Slot(1), Verdict::Dropped(Filter::Healthy))
    );
    assert_eq!(decision.fallbacks, [Slot(0)], "it still stands by");
    two[1].health = degraded;
    let decision = choice(&two);
    assert_eq!((decision.endpoint, decision.relaxed.clone()), (Slot(0), vec![Filter::Healthy]));
}

#[test]
fn the_criticality_of_a_request_does_not_move_its_pick() {
    let pool = pool(replicas([load(3.0, 0.2), load(0.0, 0.2)]));
    let matches = Matches::default();
    for criticality in [Criticality::Critical, Criticality::Standard, Criticality::Sheddable] {
        let request = Request { criticality, ..request(&matches, &[]) };
        assert_eq!(crate::pool::choose(&Profile::default(), &pool, &request, 1).endpoint, Slot(1));
    }
}

#[test]
fn a_prompt_goes_where_its_prefix_is_warm_only_under_prefix_cache() {
    let pool = pool(replicas(vec![load(0.0, 0.3); 4]));
    let index = warmlane_picker::PrefixIndex::new(1_000, 4);
    let chain = Chain::new(1, &[7; 60]);
    index.record(&chain, Slot(2), 0, NOW);
    let mut matches = Matches::default();
    matches.reset(16.0);
    index.lookup(&chain, &mut matches);
    let warm = shares(&Profile::of(Routing::PrefixCache), &pool, &request(&matches, &[]), 100);
    assert_eq!(warm, [0, 0, 100, 0]);
    let blind = shares(&Profile::of(Routing::Default), &pool, &request(&matches, &[]), 100);
    assert!(blind.iter().all(|n| *n > 5), "{blind:?}");
}
