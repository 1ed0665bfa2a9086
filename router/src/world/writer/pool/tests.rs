use warmlane_picker::Reading;

use super::*;
use crate::world::writer::Failure;

const A: Slot = Slot(0);

fn pool(count: usize) -> Pool {
    let endpoints: Vec<String> = (0..count).map(|n| format!("10.0.0.{n}:8000")).collect();
    Pool::new(&endpoints)
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

fn endpoint(pool: &Pool, slot: Slot) -> Endpoint {
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
    assert!(matches!(pool.apply(load(A, both, None)), Some(News::Up { .. })));
    assert_eq!(pool.apply(load(A, queue(6.0, 2), None)), Some(News::Readings));
    let signals = endpoint(&pool, A).signals;
    assert_eq!(signals.queue, reading(6.0, 2));
    assert_eq!(signals.kv_use, reading(0.5, 1), "with its own age");
}

#[test]
fn a_count_that_falls_back_means_a_new_process() {
    let mut pool = pool(1);
    pool.apply(load(A, Signals { kv_use: reading(0.9, 1), ..Signals::default() }, Some(1_000.0)));
    assert_eq!(pool.apply(load(A, queue(0.0, 2), None)), Some(News::Readings), "not saying is no restart");
    let news = pool.apply(load(A, queue(0.0, 3), Some(10.0)));
    assert!(matches!(news, Some(News::Restarted { slot: A, .. })), "{news:?}");
    assert_eq!(endpoint(&pool, A).signals.kv_use, None, "nothing of the old process is believed");
    assert_eq!(pool.apply(load(A, queue(0.0, 4), Some(11.0))), Some(News::Readings), "told once");
}

#[test]
fn models_and_adapters_are_told_apart_and_expire() {
    let mut pool = pool(1);
    pool.apply(list("base +tuned", 100));
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
    pool.apply(Update::Alive { slot: A });
    assert!(endpoint(&pool, A).ready);
    let news = pool.apply(Update::Unreachable { slot: A, why: Failure::Refused });
    assert!(matches!(news, Some(News::Down { .. })));
    let down = endpoint(&pool, A);
    assert!(!down.ready);
    assert!(down.health.reason().is_some_and(|why| why.contains("connection refused")));
    assert!(matches!(pool.apply(Update::Alive { slot: A }), Some(News::Up { .. })));
    assert_eq!(endpoint(&pool, A).health, Health::Healthy);
}

#[test]
fn a_new_address_is_news_and_the_same_one_is_not() {
    let mut pool = Pool::new(&["gpu-a:8000".to_owned()]);
    let resolved =
        || Update::Resolved { slot: A, socket: "10.1.0.7:8000".parse().expect("address"), local: true };
    assert_eq!(pool.apply(resolved()), Some(News::Readings));
    assert_eq!(pool.apply(resolved()), None);
    let endpoint = endpoint(&pool, A);
    assert_eq!((endpoint.socket.to_string().as_str(), endpoint.local), ("10.1.0.7:8000", true));
}

#[test]
fn updates_for_slots_of_nobody_are_dropped() {
    assert_eq!(pool(1).apply(Update::Alive { slot: Slot(1) }), None);
}
