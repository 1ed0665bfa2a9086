//! How much is kept, and what that takes.

use super::*;

fn bytes(ring: &Ring) -> usize {
    let (counted, taken) = ring.bytes();
    assert_eq!(counted, taken);
    taken
}

#[test]
fn no_more_bytes_are_kept_than_there_may_be_whatever_the_decisions_hold() {
    let decisions = Decisions::new(100_000, 1);
    let ring = decisions.ring().expect("on");
    for at in 0..3_000 {
        Sample::among(1_000, at).add(&ring, micros(at));
    }
    assert!((MOST_BYTES / 2..=MOST_BYTES).contains(&bytes(&ring)), "{}", bytes(&ring));
    let mut long = Sample { id: vec![b'x'; 60_000], id_hash: 7, ..Sample::default() };
    long.chain.set(1, &(0..1_024).collect::<Vec<_>>());
    let tickets: Vec<Ticket> = (3_000..40_000).map(|at| long.add(&ring, micros(at))).collect();
    // The newest first: segments that are written no more grow by what became of theirs.
    tickets.iter().rev().for_each(|ticket| ring.end(*ticket, &outcome(200)));
    assert!(bytes(&ring) <= MOST_BYTES, "{}", bytes(&ring));
    let newest = decisions.latest(1, |record| record.id_hash == 7);
    assert!(newest.first().is_some_and(|seen| seen.record.request_id.len() == MOST_ID));
}

#[test]
fn what_does_not_change_is_not_kept_again() {
    let decisions = Decisions::new(1_024, 1);
    let ring = decisions.ring().expect("on");
    let mut sample = Sample::among(1_000, 7);
    for at in 0..10_000 {
        sample.live[at % 1_000].in_flight += 1;
        sample.add(&ring, micros(at as u64));
    }
    assert_eq!(decisions.kept(), 1_024, "a thousand endpoints leave room for all");
    assert!(bytes(&ring) < 6 << 20, "{}", bytes(&ring));
}

#[test]
fn buffers_are_used_again_whatever_the_bound() {
    let grows = |decisions: &Decisions, endpoints| {
        let ring = decisions.ring().expect("on");
        let fill = |range: std::ops::Range<u64>| {
            range.for_each(|at| {
                Sample::among(endpoints, at).add(&ring, micros(at));
            });
            bytes(&ring)
        };
        let before = fill(0..40_000);
        fill(40_000..80_000) - before
    };
    assert_eq!(grows(&Decisions::new(256, 1), 8), 0, "bound by how many");
    assert_eq!(grows(&Decisions::new(100_000, 16), 8), 0, "by bytes");
}

#[test]
fn a_large_pool_takes_the_room_of_the_oldest_decisions_of_a_small_one() {
    let decisions = Decisions::new(100_000, 16);
    let ring = decisions.ring().expect("on");
    let tickets: Vec<Ticket> = (0..1_000).map(|at| Sample::among(8, at).add(&ring, micros(at))).collect();
    Sample::among(1_000, 0).add(&ring, micros(1_000));
    ring.end(tickets[999], &outcome(200));
    let kept = decisions.latest(usize::MAX, |_| true);
    assert!(kept.len() > 400 && kept[1].outcome.is_some(), "the newest are there: {}", kept.len());
    assert!(kept.is_sorted_by(|a, b| a.number > b.number));
}

#[test]
fn the_share_of_a_worker_holds_for_large_pools_and_buffers_settle() {
    for (workers, endpoints) in [(16, 2_000), (64, 1_000), (64, 10_000), (1_024, 10_000)] {
        let decisions = Decisions::new(1_024, workers);
        let ring = decisions.ring().expect("on");
        let mut sample = Sample::among(endpoints, 1 << 40);
        let mut grown = 0;
        let mut before = 0;
        for at in 0..1_000 {
            sample.live[at * 7 % endpoints].sent.kv_tokens += 3_000;
            ring.end(sample.add(&ring, micros(at as u64)), &outcome(200));
            let now = bytes(&ring);
            assert!(now <= MOST_BYTES / workers, "{workers} {endpoints}: {now}");
            grown += usize::from(at > 700 && now > before);
            before = now;
        }
        assert!(grown <= 100 || endpoints == 10_000, "{workers} {endpoints}: {grown}");
        // All that one of the last says of its endpoints is more than such a worker may have, and is kept for a moment only.
        let least = [0, 1, 64][usize::from(workers < 1_024) + usize::from(endpoints < 10_000)];
        assert!(decisions.kept() >= least, "{workers} {endpoints}: {}", decisions.kept());
    }
}

#[test]
fn pools_that_take_turns_leave_as_much_room_as_one() {
    let decisions = Decisions::new(1_024, 16);
    let ring = decisions.ring().expect("on");
    let mut samples = [Sample::among(1_000, 7), Sample::among(900, 9)];
    for at in 0..10_000 {
        let sample = &mut samples[at % 2];
        sample.live[at % 900].in_flight += 1;
        let request = sample.request();
        ring.add(Made { pool: ["a", "b"][at % 2], at: micros(at as u64), ..sample.made(&request) });
    }
    assert_eq!(decisions.kept(), 1_024);
    let newest = decisions.latest(2, |_| true);
    assert_eq!(newest.iter().map(|seen| seen.inputs().live.len()).collect::<Vec<_>>(), [900, 1_000]);
}
