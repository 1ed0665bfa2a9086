//! What is promised of the aware policy, in virtual time: the same seeds give the same figures on any machine.

use warmlane_picker::PlainPolicy;
use warmlane_sim::cluster::{
    Figure, Pace, Policy, Scenario, Scrape, Shape, Span, Summary, Trial, judge, run,
};

const RANDOM: Policy = Policy::Plain(PlainPolicy::Random);
const LEAST_REQUEST: Policy = Policy::Plain(PlainPolicy::LeastRequest);

/// Every promise about `scenario`, over five seeds.
fn hold(scenario: Scenario) {
    let aware = Policy::Strategy(scenario.strategy);
    let trial = Trial::run(scenario, &[RANDOM, LEAST_REQUEST, aware], 5, &|| {});
    let bars = judge(&trial);
    assert!(bars.len() >= 6);
    let broken: Vec<_> = bars.iter().filter(|bar| !bar.holds).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Random and the aware policy on a third of the load test.
fn against_random(scenario: Scenario) -> (Summary, Summary) {
    let scenario = Scenario { prompts: scenario.prompts / 3, ..scenario };
    let (random, aware) = (run(&scenario, RANDOM, 1), run(&scenario, Policy::Strategy(scenario.strategy), 1));
    for summary in [random, aware] {
        assert_eq!((summary.requests, summary.errors), (scenario.prompts as u64, 0));
    }
    (random, aware)
}

#[track_caller]
fn beats_random(scenario: Scenario) {
    let (random, aware) = against_random(scenario);
    assert!(aware.ttft_p99_ms < random.ttft_p99_ms, "{aware:?} {random:?}");
    assert!(aware.output_tokens_per_s > random.output_tokens_per_s, "{aware:?} {random:?}");
}

#[test]
fn promises_hold_on_alike_cards() {
    hold(Scenario::random());
}

#[test]
fn promises_hold_on_mixed_cards() {
    hold(Scenario::mixed());
}

#[test]
fn promises_hold_with_shared_prefixes() {
    hold(Scenario::prefix());
}

#[test]
fn promises_hold_with_adapters() {
    hold(Scenario::lora());
}

#[test]
fn a_seed_fixes_every_figure() {
    let scenario = Scenario { prompts: 150, ..Scenario::lora() };
    for policy in Policy::ALL {
        assert_eq!(run(&scenario, policy, 7), run(&scenario, policy, 7), "{}", policy.name());
    }
    assert_ne!(run(&scenario, RANDOM, 7), run(&scenario, RANDOM, 8));
}

#[test]
fn routers_that_see_only_their_own_requests_do_not_herd() {
    for scenario in Scenario::all() {
        beats_random(Scenario { routers: 3, ..scenario });
    }
}

#[test]
fn readings_a_second_old_are_enough() {
    let scrape = Scrape { min: 1.0, max: 2.0, took: 0.03 };
    for scenario in Scenario::all() {
        beats_random(Scenario { scrape, ..scenario });
    }
}

#[test]
fn output_lengths_need_not_be_stated() {
    beats_random(Scenario { declared: false, ..Scenario::random() });
    beats_random(Scenario { declared: false, ..Scenario::mixed() });
}

#[test]
fn a_replica_that_joins_empty_is_not_flooded() {
    beats_random(Scenario { joins_after: Some(60.0), ..Scenario::random() });
    beats_random(Scenario { joins_after: Some(60.0), ..Scenario::mixed() });
}

#[test]
fn short_answers_are_bound_by_prefill_on_large_cards_too() {
    let shape = Shape::Random { prefix: 10, input: Span::new(1550, 0.2), output: Span::new(150, 0.5) };
    beats_random(Scenario { shape, ..Scenario::mixed() });
}

#[test]
fn an_open_loop_near_saturation_keeps_its_tail() {
    for (scenario, per_second) in
        [(Scenario::random(), 2.0), (Scenario::prefix(), 7.0), (Scenario::lora(), 6.0)]
    {
        let (random, aware) = against_random(Scenario { pace: Pace::Open { per_second }, ..scenario });
        assert!(aware.ttft_p99_ms < 0.7 * random.ttft_p99_ms, "{aware:?} {random:?}");
    }
}

#[test]
fn one_hot_prefix_does_not_melt_one_replica() {
    let Shape::Sessions { open, turns, question, answer, .. } = Scenario::prefix().shape else { panic!() };
    let shape = Shape::Sessions { systems: 1, system: Span::new(6000, 0.0), open, turns, question, answer };
    let (random, aware) = against_random(Scenario { shape, ..Scenario::prefix() });
    assert!(aware.kv_spread < random.kv_spread, "{aware:?} {random:?}");
    assert!(aware.e2e_p99_ms < random.e2e_p99_ms, "{aware:?} {random:?}");
}

#[test]
fn figures_of_a_run_are_those_of_its_load() {
    let scenario = Scenario { prompts: 200, pace: Pace::Closed { concurrency: 1 }, ..Scenario::random() };
    let alone = run(&scenario, LEAST_REQUEST, 1);
    // One request at a time: 1,560 prompt tokens at 4,112 tokens/s, then 25.3 ms a token and a little for KV.
    assert!((350.0..420.0).contains(&alone.ttft_p50_ms), "{alone:?}");
    assert!((25.3..26.5).contains(&alone.itl_p99_ms), "{alone:?}");
    assert_eq!(alone.preemptions, 0);
    assert!(Figure::ALL.iter().all(|figure| (figure.of)(&alone) >= 0.0));
}
