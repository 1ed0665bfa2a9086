use std::time::Duration;

use warmlane_picker::{Endpoint, Models, Slot, Snapshot};
use warmlane_replay::Inputs;

use super::{sample::Sample, *};
use crate::{
    chooser::Chooser,
    config::Config,
    world::{World, pools::Wanted as Wants},
};

mod bounds;

const fn micros(micros: u64) -> Time {
    Time::from_micros(micros)
}

fn add(ring: &Ring, at: Time, id: &str) -> Ticket {
    Sample::of(id).add(ring, at)
}

fn ids(seen: &[Seen]) -> Vec<String> {
    seen.iter().map(|seen| String::from_utf8_lossy(&seen.record.request_id).into_owned()).collect()
}

fn outcome(status: u16) -> Outcome {
    Outcome {
        status: Some(status),
        end: "complete",
        served: Served::Nobody,
        first_byte: None,
        bytes: None,
        lane_bytes: 0,
        spent: [Duration::ZERO; 6],
    }
}

#[test]
fn the_newest_of_all_workers_come_first_and_the_oldest_make_room() {
    let decisions = Decisions::new(20, 2);
    let rings = [decisions.ring().expect("on"), decisions.ring().expect("on")];
    for at in 0..100_u64 {
        add(&rings[at as usize % 2], micros(at * 10), &at.to_string());
    }
    assert_eq!(decisions.kept(), 40);
    let latest = decisions.latest(3, |_| true);
    assert_eq!(ids(&latest), ["99", "98", "97"]);
    let all = decisions.latest(1_000, |_| true);
    assert_eq!(all.len(), 40);
    assert_eq!(ids(&all).last().map(String::as_str), Some("60"));
    let since = Wanted { since: latest[2].number, until: u64::MAX, limit: 1_000 };
    assert_eq!(ids(&decisions.find(since, |_| true).seen), ["99", "98"], "what came after a cursor");
    let odd = decisions.latest(2, |record| record.request_id.ends_with(b"1"));
    assert_eq!(ids(&odd), ["91", "81"]);
}

#[test]
fn numbers_grow_where_the_clock_stands_still_and_differ_between_workers() {
    let decisions = Decisions::new(8, 2);
    let rings = [decisions.ring().expect("on"), decisions.ring().expect("on")];
    for ring in [0, 1, 0, 1] {
        add(&rings[ring], micros(5), "x");
    }
    let mut numbers: Vec<u64> = decisions.latest(10, |_| true).iter().map(|seen| seen.number).collect();
    numbers.dedup();
    assert_eq!(numbers.len(), 4, "{numbers:?}");
    let first = numbers.last().copied().expect("four");
    assert!(micros(5).saturating_sub(made_at(first)) < micros(2), "{:?}", made_at(first));
}

#[test]
fn what_becomes_of_a_decision_goes_to_it_and_to_no_later_one() {
    let decisions = Decisions::new(16, 1);
    let ring = decisions.ring().expect("on");
    let tickets: Vec<Ticket> = (1..=17).map(|at| add(&ring, micros(at), &at.to_string())).collect();
    ring.end(tickets[0], &outcome(200));
    ring.end(tickets[1], &outcome(201));
    let status = |id: &str| {
        let seen = decisions.latest(1, |record| record.request_id == id.as_bytes());
        seen.first().map(|seen| seen.outcome.as_ref().and_then(|outcome| outcome.status))
    };
    assert_eq!(status("1"), None, "it has made room");
    assert_eq!(status("17"), Some(None), "which came in its place");
    assert_eq!(status("2"), Some(Some(201)));
}

#[test]
fn what_somebody_looks_at_stays_as_it_was() {
    let decisions = Decisions::new(1, 1);
    let ring = decisions.ring().expect("on");
    add(&ring, micros(1), "looked-at");
    let seen = decisions.latest(1, |_| true);
    add(&ring, micros(2), "newer");
    assert_eq!(ids(&seen), ["looked-at"]);
    assert_eq!(ids(&decisions.latest(9, |_| true)), ["newer"]);
}

#[test]
fn none_are_kept_where_none_are_wanted() {
    assert!(Decisions::new(0, 4).ring().is_none());
    assert!(!Decisions::new(0, 4).is_on());
}

/// As a reader does: what is newer than the last time, up to now.
fn next(decisions: &Decisions, since: &mut u64, now: Time, limit: usize) -> Found {
    let until = numbered(now);
    let found = decisions.find(Wanted { since: *since, until, limit }, |_| true);
    *since = until - 1;
    found
}

#[test]
fn what_was_made_and_is_not_shown_is_counted() {
    let decisions = Decisions::new(16, 2);
    let rings = [decisions.ring().expect("on"), decisions.ring().expect("on")];
    let (mut since, mut at) = (0, 0);
    let mut make = |count: u64| {
        for _ in 0..count {
            at += 10;
            add(&rings[at as usize / 10 % 2], micros(at), &at.to_string());
        }
        micros(at + 5)
    };
    let first = next(&decisions, &mut since, make(6), 100);
    assert_eq!((first.seen.len(), first.newer, first.left_out, first.made), (6, 6, 0, 6));
    let limited = next(&decisions, &mut since, make(10), 4);
    assert_eq!((limited.seen.len(), limited.newer, limited.left_out, limited.made), (4, 10, 6, 16));
    let many = next(&decisions, &mut since, make(50), 100);
    assert_eq!((many.seen.len(), many.newer, many.made), (32, 32, 66), "18 of 50 were thrown out before");
    let none = decisions.find(Wanted { since, until: u64::MAX, limit: 9 }, |_| true);
    assert_eq!((none.seen.len(), none.newer, none.made), (0, 0, 66));
}

#[test]
fn what_was_made_before_a_look_and_is_kept_after_it_is_in_the_next_one() {
    let decisions = Decisions::new(16, 2);
    let rings = [decisions.ring().expect("on"), decisions.ring().expect("on")];
    let mut since = 0;
    assert!(next(&decisions, &mut since, micros(100), 9).seen.is_empty());
    for ring in &rings {
        add(ring, micros(50), "late");
    }
    assert_eq!(ids(&next(&decisions, &mut since, micros(200), 9).seen), ["late", "late"]);
    assert!(next(&decisions, &mut since, micros(300), 9).seen.is_empty(), "once");
}

#[test]
fn a_reader_that_filters_finds_all_in_however_many_batches() {
    let decisions = Decisions::new(1_000, 1);
    let ring = decisions.ring().expect("on");
    for at in 0..1_000 {
        add(&ring, micros(at * 10), &at.to_string());
    }
    let all = decisions
        .find(Wanted { since: 0, until: u64::MAX, limit: 99 }, |record| record.request_id.ends_with(b"0"));
    assert_eq!((all.seen.len(), all.left_out, all.newer, all.made), (99, 1, 1_000, 1_000));
    assert!(all.seen.is_sorted_by(|a, b| a.number > b.number));
    assert_eq!(ids(&all.seen).last().map(String::as_str), Some("10"));
}

#[test]
fn a_reader_sees_each_decision_of_all_workers_once() {
    const EACH: usize = 4_000;
    let decisions = Decisions::new(EACH * 2, 4);
    let begun = std::time::Instant::now();
    let mut seen = Vec::new();
    let mut since = 0;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let ring = decisions.ring().expect("on");
                scope.spawn(move || {
                    for _ in 0..EACH {
                        let sample = Sample::of("x");
                        ring.add(Made { at: begun.elapsed(), ..sample.made(&sample.request()) });
                    }
                })
            })
            .collect();
        loop {
            let is_over = workers.iter().all(std::thread::ScopedJoinHandle::is_finished);
            // Numbers may be ahead of a clock that is asked faster than they grow.
            let now = begun.elapsed() + Duration::from_secs(u64::from(is_over));
            seen.extend(next(&decisions, &mut since, now, usize::MAX).seen.iter().map(|seen| seen.number));
            if is_over {
                break;
            }
        }
    });
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!((count, seen.len()), (EACH * 4, EACH * 4));
}

fn record() -> Record {
    let decisions = Decisions::new(1, 1);
    add(&decisions.ring().expect("on"), micros(1), "x");
    decisions.latest(1, |_| true).remove(0).record
}

#[test]
fn what_was_offered_is_kept_to_or_it_is_said_that_it_cannot() {
    let config = Arc::new(Config::for_endpoints(vec!["a:1".to_owned()]));
    let world = Arc::new(World::new(&config, 1));
    world.pools.want(&Wants::of(&config));
    let pool = world.pools.first().expect("the configured one");
    let chooser = Chooser::of_pages(world, config);
    let publish = |slots: &[u16]| {
        let endpoint = |slot: &u16| {
            let endpoint = Endpoint::ready(Slot(*slot), "pod:8000", ([10, 0, 0, 1], 8000).into());
            (endpoint, Models::Unknown)
        };
        pool.publish(Arc::new(Snapshot::new(slots.iter().map(endpoint).collect())));
        pool.snapshot().number()
    };
    let offered = |edition| {
        let inputs = Inputs { offered: Some([0, 2].into_iter().collect()), ..Inputs::default() };
        let record = Record { pool: pool.name.to_string(), edition, inputs, ..record() };
        again(&chooser, &record).map(|(snapshot, _, inputs)| {
            let positions = inputs.offered.expect("still a part").positions().collect::<Vec<_>>();
            positions.into_iter().map(|at| snapshot.endpoints()[at].slot.0).collect::<Vec<_>>()
        })
    };
    let edition = publish(&[4, 5, 6]);
    pool.snapshot().mark_used();
    assert_eq!(offered(edition), Ok(vec![4, 6]));
    publish(&[3, 6, 5]);
    assert_eq!(offered(edition), Ok(vec![6]), "5 was not offered, and 3 has come since");
    assert_eq!(offered(edition + 1_000), Err(Lost::Offered), "to nobody knows whom, and not to nobody");
    let of_all = Record { pool: pool.name.to_string(), edition: edition + 1_000, ..record() };
    assert_eq!(again(&chooser, &of_all).map(|(_, _, inputs)| inputs.offered), Ok(None));
}
