use std::time::Duration;

use warmlane_picker::Live;

use super::{record::MOST_ID, *};

const fn micros(micros: u64) -> Time {
    Time::from_micros(micros)
}

fn add(ring: &Ring, at: Time, id: &str) -> Ticket {
    ring.add(at, |record| {
        record.name(id.as_bytes(), 0);
        record.inputs.live.resize(8, Live::default());
    })
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
    let latest = decisions.latest(0, 3, |_| true);
    assert_eq!(ids(&latest), ["99", "98", "97"]);
    let all = decisions.latest(0, 1_000, |_| true);
    assert_eq!(all.len(), 40);
    assert_eq!(ids(&all).last().map(String::as_str), Some("60"));
    let newer = decisions.latest(latest[2].number, 1_000, |_| true);
    assert_eq!(ids(&newer), ["99", "98"], "what came after a cursor");
    let odd = decisions.latest(0, 2, |record| record.request_id.ends_with(b"1"));
    assert_eq!(ids(&odd), ["91", "81"]);
}

#[test]
fn numbers_grow_where_the_clock_stands_still_and_differ_between_workers() {
    let decisions = Decisions::new(8, 2);
    let rings = [decisions.ring().expect("on"), decisions.ring().expect("on")];
    for ring in [0, 1, 0, 1] {
        add(&rings[ring], micros(5), "x");
    }
    let mut numbers: Vec<u64> = decisions.latest(0, 10, |_| true).iter().map(|seen| seen.number).collect();
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
    ring.end(tickets[0], outcome(200));
    ring.end(tickets[1], outcome(201));
    let status = |id: &str| {
        let seen = decisions.latest(0, 1, |record| record.request_id == id.as_bytes());
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
    let seen = decisions.latest(0, 1, |_| true);
    add(&ring, micros(2), "newer");
    assert_eq!(ids(&seen), ["looked-at"]);
    assert_eq!(ids(&decisions.latest(0, 9, |_| true)), ["newer"]);
}

/// One among so many endpoints.
fn among(ring: &Ring, at: Time, endpoints: usize) -> Ticket {
    ring.add(at, |record| record.inputs.live.resize(endpoints, Live::default()))
}

#[test]
fn no_more_bytes_are_kept_than_there_may_be_whatever_the_records_hold() {
    let decisions = Decisions::new(100_000, 1);
    let ring = decisions.ring().expect("on");
    for at in 0..3_000 {
        among(&ring, micros(at), 1_000);
    }
    let bytes = |decisions: &Decisions| -> usize {
        decisions.latest(0, usize::MAX, |_| true).iter().map(|seen| seen.record.bytes()).sum()
    };
    assert!((MOST_BYTES / 2..=MOST_BYTES).contains(&bytes(&decisions)), "{}", bytes(&decisions));
    let id = vec![b'x'; 60_000];
    for at in 3_000..40_000 {
        ring.add(micros(at), |record| {
            record.name(&id, 7);
            record.links.resize(1_024, 0);
        });
    }
    assert!(bytes(&decisions) <= MOST_BYTES, "{}", bytes(&decisions));
    let newest = decisions.latest(0, 1, |record| record.id_hash == 7);
    assert!(newest.first().is_some_and(|seen| seen.record.request_id.len() == MOST_ID));
}

#[test]
fn a_large_pool_takes_the_room_of_the_oldest_decisions_of_a_small_one() {
    let decisions = Decisions::new(100_000, 16);
    let ring = decisions.ring().expect("on");
    let tickets: Vec<Ticket> = (0..1_000).map(|at| among(&ring, micros(at), 8)).collect();
    among(&ring, micros(1_000), 1_000);
    ring.end(tickets[999], outcome(200));
    let kept = decisions.latest(0, usize::MAX, |_| true);
    assert!(kept.len() > 500 && kept[1].outcome.is_some(), "the newest are there: {}", kept.len());
    assert!(kept.is_sorted_by(|a, b| a.number > b.number));
}

#[test]
fn none_are_kept_where_none_are_wanted() {
    assert!(Decisions::new(0, 4).ring().is_none());
    assert!(!Decisions::new(0, 4).is_on());
}
