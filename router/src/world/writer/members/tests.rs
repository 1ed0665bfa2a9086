use warmlane_engine::models::ModelList;
use warmlane_picker::{Endpoint, Health, Outcomes, Reading, Signals};

use super::*;
use crate::{
    config::Config,
    world::{pools::Wanted, writer::Failure},
};

const A: Slot = Slot(0);
const SLOW_START: Time = Time::from_secs(20);
/// Long after the start.
const LATER: Time = Time::from_secs(500);

fn pool(count: usize) -> Members {
    let endpoints: Vec<String> = (0..count).map(|n| format!("10.0.0.{n}:8000")).collect();
    members(&endpoints)
}

fn members(endpoints: &[String]) -> Members {
    let mut members = Members::new(BreakerRule::default(), SLOW_START);
    members.want(&Wanted::of(&Config::for_endpoints(endpoints.to_vec())), Time::ZERO);
    members
}

fn reading(value: f32, at: u64) -> Option<Reading<f32>> {
    Some(Reading { value, at: Time::from_secs(at) })
}

fn load(slot: Slot, signals: Signals, progress: Option<f64>) -> Update {
    Update::Load(Box::new(Load { slot, signals, progress }))
}

fn queue(value: f32, at: u64) -> Signals {
    Signals { queue: reading(value, at), ..Signals::default() }
}

fn list(names: &str, at: u64) -> Update {
    let models = names.split(' ').map(|name| match name.strip_prefix('+') {
        Some(adapter) => format!(r#"{{"id":"{adapter}","parent":"base"}}"#),
        None => format!(r#"{{"id":"{name}"}}"#),
    });
    let models: Vec<String> = models.collect();
    let list = ModelList::parse(format!(r#"{{"data":[{}]}}"#, models.join(",")).as_bytes()).expect("list");
    Update::Models { slot: A, at: Time::from_secs(at), list }
}

fn endpoint(pool: &Members, slot: Slot) -> Endpoint {
    pool.snapshot().endpoint(slot).expect("endpoint").clone()
}

#[test]
fn endpoints_get_slots_in_order_and_start_unready() {
    let snapshot = pool(3).snapshot();
    let slots: Vec<u16> = snapshot.endpoints().iter().map(|e| e.slot.0).collect();
    assert_eq!(slots, [0, 1, 2]);
    assert!(snapshot.endpoints().iter().all(|e| !e.ready));
    assert_eq!(snapshot.endpoints()[2].socket, "10.0.0.2:8000".parse().expect("address"));
}

#[test]
fn what_a_page_leaves_out_stays_as_it_was_and_ages() {
    let mut pool = pool(1);
    let both = Signals { queue: reading(4.0, 1), kv_use: reading(0.5, 1), ..Signals::default() };
    assert!(matches!(pool.apply(load(A, both, None), LATER), Some(News::Up { .. })));
    assert_eq!(pool.apply(load(A, queue(6.0, 2), None), LATER), Some(News::Readings));
    let signals = endpoint(&pool, A).signals;
    assert_eq!(signals.queue, reading(6.0, 2));
    assert_eq!(signals.kv_use, reading(0.5, 1), "with its own age");
}

#[test]
fn a_page_that_comes_behind_a_newer_one_changes_nothing() {
    let mut pool = pool(1);
    pool.apply(load(A, queue(5.0, 3), Some(100.0)), LATER);
    assert_eq!(pool.apply(load(A, queue(9.0, 2), Some(90.0)), LATER), None, "no restart either");
    assert_eq!(endpoint(&pool, A).signals.queue, reading(5.0, 3));
    let news = pool.apply(load(A, queue(6.0, 4), Some(110.0)), LATER);
    assert_eq!(news, Some(News::Readings));
}

#[test]
fn a_count_that_falls_back_means_a_new_process() {
    let mut pool = pool(1);
    pool.apply(load(A, Signals { kv_use: reading(0.9, 1), ..Signals::default() }, Some(1_000.0)), LATER);
    assert_eq!(
        pool.apply(load(A, queue(0.0, 2), None), LATER),
        Some(News::Readings),
        "not saying is no restart"
    );
    let news = pool.apply(load(A, queue(0.0, 3), Some(10.0)), LATER);
    assert!(matches!(news, Some(News::Restarted { slot: A, .. })), "{news:?}");
    assert_eq!(endpoint(&pool, A).signals.kv_use, None, "nothing of the old process is believed");
    assert_eq!(pool.apply(load(A, queue(0.0, 4), Some(11.0)), LATER), Some(News::Readings), "told once");
}

#[test]
fn models_and_adapters_are_told_apart_and_expire() {
    let mut pool = pool(1);
    pool.apply(list("base +tuned", 100), LATER);
    let snapshot = pool.snapshot();
    assert_eq!(snapshot.model_names(), ["base", "tuned"]);
    assert!(snapshot.serving("tuned").expect("listed").adapter);
    assert!(!snapshot.serving("base").expect("listed").adapter);
    assert!(snapshot.lists_complete());
    assert!(!pool.expire(Time::from_secs(100) + LIST_LIFETIME), "just not too old");
    assert!(pool.expire(Time::from_secs(101) + LIST_LIFETIME));
    let snapshot = pool.snapshot();
    assert!(snapshot.model_names().is_empty() && !snapshot.lists_complete());
    assert!(!pool.expire(Time::from_secs(200)), "nothing left to forget");
}

#[test]
fn trouble_is_shown_as_the_reason_until_the_endpoint_answers_again() {
    let mut pool = pool(1);
    pool.apply(Update::Alive { slot: A }, LATER);
    assert!(endpoint(&pool, A).ready);
    let news = pool.apply(Update::Unreachable { slot: A, why: Failure::Refused }, LATER);
    assert!(matches!(news, Some(News::Down { .. })));
    let down = endpoint(&pool, A);
    assert!(!down.ready);
    assert!(down.health.reason().is_some_and(|why| why.contains("connection refused")));
    assert!(matches!(pool.apply(Update::Alive { slot: A }, LATER), Some(News::Up { .. })));
    assert_eq!(endpoint(&pool, A).health, Health::Healthy);
}

#[test]
fn a_new_address_is_news_and_the_same_one_is_not() {
    let mut pool = members(&["gpu-a:8000".to_owned()]);
    let resolved =
        || Update::Resolved { slot: A, socket: "10.1.0.7:8000".parse().expect("address"), local: true };
    assert_eq!(pool.apply(resolved(), LATER), Some(News::Readings));
    assert_eq!(pool.apply(resolved(), LATER), None);
    let endpoint = endpoint(&pool, A);
    assert_eq!((endpoint.socket.to_string().as_str(), endpoint.local), ("10.1.0.7:8000", true));
}

#[test]
fn updates_for_slots_of_nobody_are_dropped() {
    assert_eq!(pool(1).apply(Update::Alive { slot: Slot(1) }, LATER), None);
}

fn all_up(count: u16) -> Members {
    let mut pool = pool(usize::from(count));
    for slot in 0..count {
        pool.apply(Update::Alive { slot: Slot(slot) }, Time::from_secs(1));
    }
    pool.look(Time::from_secs(1), |_| Conduct::default());
    pool
}

fn failing(bad: &[u16]) -> impl Fn(Slot) -> Conduct {
    move |slot| {
        let outcomes = match bad.contains(&slot.0) {
            true => Outcomes { good: 0, bad: 5, in_a_row: 5 },
            false => Outcomes { good: 100, bad: 0, in_a_row: 0 },
        };
        Conduct { outcomes, ..Conduct::default() }
    }
}

#[test]
fn an_endpoint_whose_requests_fail_rests_and_comes_back_by_a_slow_start() {
    let mut pool = all_up(3);
    pool.apply(Update::Failed { slot: A }, LATER);
    assert!(pool.is_suspicious());
    let news = pool.look(LATER, failing(&[0]));
    assert!(
        matches!(&news[..], [News::Resting { why, .. }] if why.contains("last 5 requests failed")),
        "{news:?}"
    );
    assert!(!pool.is_suspicious());
    let rests = endpoint(&pool, A);
    assert!(rests.ready && matches!(rests.health, Health::Degraded(_)), "used for want of another only");
    let after = LATER + BreakerRule::default().rest;
    assert!(matches!(pool.look(after, failing(&[0]))[..], [News::Trying { .. }]));
    let tries = endpoint(&pool, A);
    assert_eq!((tries.health, tries.joined), (Health::Healthy, Some(after)));
    assert!(matches!(pool.look(after + SLOW_START, failing(&[0]))[..], [News::Readings]));
    assert_eq!(endpoint(&pool, A).joined, None);
}

#[test]
fn one_that_refuses_connections_is_not_said_to_get_requests_when_its_rest_is_over() {
    for refuses in [false, true] {
        let mut pool = all_up(3);
        pool.look(LATER, failing(&[0]));
        if refuses {
            pool.apply(Update::Unreachable { slot: A, why: Failure::Refused }, LATER);
        }
        let news = pool.look(LATER + BreakerRule::default().rest, failing(&[0]));
        let is_true = match &news[..] {
            [News::Rested { why, .. }] => refuses && why.contains("connection refused"),
            [News::Trying { .. }] => !refuses,
            _ => false,
        };
        assert!(is_true, "refuses: {refuses}: {news:?}");
    }
}

#[test]
fn at_most_half_of_the_pool_rests() {
    for (count, most) in [(1, 0), (2, 1), (3, 1), (5, 2)] {
        let mut pool = all_up(count);
        pool.look(LATER, failing(&[0, 1, 2, 3, 4]));
        let rest = (0..count).filter(|slot| endpoint(&pool, Slot(*slot)).health != Health::Healthy).count();
        assert_eq!(rest, most, "of {count}");
    }
}

#[test]
fn one_that_is_shutting_down_gets_nothing_until_it_was_restarted_or_time_has_shown_otherwise() {
    let mut pool = all_up(2);
    let terminating = || Update::Terminating { slot: A };
    assert!(matches!(pool.apply(terminating(), LATER), Some(News::Terminating { .. })));
    assert_eq!(pool.apply(terminating(), LATER), None, "told once");
    assert!(!endpoint(&pool, A).ready);
    assert!(!matches!(endpoint(&pool, A).health, Health::Failed(_)), "what it has under way may end well");
    pool.apply(Update::Alive { slot: A }, LATER);
    assert!(!endpoint(&pool, A).ready, "its /health says nothing");
    pool.apply(Update::Unreachable { slot: A, why: Failure::Refused }, LATER);
    pool.apply(Update::Alive { slot: A }, LATER);
    assert!(endpoint(&pool, A).ready, "a new process");
    assert_eq!(endpoint(&pool, A).joined, Some(LATER));
    pool.apply(terminating(), LATER);
    assert!(matches!(
        pool.look(LATER + TERMINATION, failing(&[]))[..],
        [News::Readings] | [News::Trying { .. }]
    ));
    pool.look(LATER + TERMINATION, failing(&[]));
    assert!(endpoint(&pool, A).ready);
}

#[test]
fn who_is_there_from_the_start_has_no_slow_start() {
    assert_eq!(endpoint(&all_up(1), A).joined, None);
}

#[test]
fn one_that_holds_requests_and_computes_nothing_is_out_until_they_have_left() {
    let mut pool = all_up(2);
    pool.apply(load(A, queue(0.0, 500), Some(1_000.0)), LATER);
    let holding = |in_flight| move |_| Conduct { in_flight, ..Conduct::default() };
    assert_eq!(pool.look(LATER, holding(3)), []);
    let later = LATER + Time::from_secs(11);
    assert!(matches!(pool.look(later, holding(3))[..], [News::Stalled { .. }]));
    let stalled = endpoint(&pool, A);
    assert!(!stalled.ready && matches!(stalled.health, Health::Failed(_)));
    assert!(endpoint(&pool, Slot(1)).ready, "who counts no tokens is not judged");
    assert!(matches!(pool.look(later, holding(0))[..], [News::Trying { .. }]));
    assert_eq!((endpoint(&pool, A).ready, endpoint(&pool, A).joined), (true, Some(later)));
}

#[test]
fn a_failed_gpu_takes_its_endpoint_out_until_it_works_again() {
    let mut pool = all_up(2);
    let gpu = |health: &Health| Update::Gpu { slot: A, health: health.clone() };
    let failed = Health::Failed("its GPU: XID 79".into());
    let news = pool.apply(gpu(&failed), LATER);
    assert!(matches!(news, Some(News::Gpu { health: Health::Failed(_), .. })));
    assert_eq!(pool.apply(gpu(&failed), LATER), None, "no news");
    pool.apply(load(A, queue(0.0, 500), None), LATER);
    assert_eq!(endpoint(&pool, A).health, failed, "an idle page does not heal it");
    assert_eq!(endpoint(&pool, Slot(1)).health, Health::Healthy);
    let hot = Health::Degraded("its GPU: hot".into());
    pool.apply(gpu(&hot), LATER);
    assert_eq!(endpoint(&pool, A).health, hot);
    pool.apply(gpu(&Health::Healthy), LATER);
    assert_eq!(endpoint(&pool, A).health, Health::Healthy);
    pool.apply(gpu(&failed), LATER);
    pool.apply(Update::Unreachable { slot: A, why: Failure::Refused }, LATER);
    let Health::Failed(why) = endpoint(&pool, A).health else { panic!("it is down") };
    assert!(why.contains("refused"), "the engine's own trouble is told first: {why}");
}
