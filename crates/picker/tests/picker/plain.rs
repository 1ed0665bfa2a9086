//! The plain listener's policies spread as an ordinary balancer would, and read no signal.

use warmlane_picker::{Health, Live, PlainPolicy, Slot, Snapshot, Time, plain};

use crate::pool::{NOW, load, pool, replicas};

const POLICIES: [PlainPolicy; 3] = [PlainPolicy::Random, PlainPolicy::RoundRobin, PlainPolicy::LeastRequest];

const SLOW_START: Time = Time::from_secs(20);

/// Six replicas of very different load; the third is not ready.
fn six() -> Snapshot {
    let mut six = replicas((0..6).map(|n| load(f32::from(n as u8) * 20.0, f32::from(n as u8) / 6.0)));
    six[2].ready = false;
    pool(six)
}

/// How often each replica comes first over 5,000 requests.
fn firsts(policy: PlainPolicy, live: &[Live]) -> Vec<usize> {
    let (pool, mut rng) = (six(), fastrand::Rng::with_seed(3));
    let mut firsts = vec![0; 6];
    for turn in 0..5_000 {
        firsts[usize::from(plain(policy, &pool, live, SLOW_START, NOW, turn, &mut rng)[0].0)] += 1;
    }
    firsts
}

fn busy<const N: usize>(in_flight: [u32; N]) -> Vec<Live> {
    in_flight.into_iter().map(|in_flight| Live { in_flight, ..Live::default() }).collect()
}

#[test]
fn every_ready_replica_is_named_once_and_no_other() {
    for policy in POLICIES {
        let mut rng = fastrand::Rng::with_seed(1);
        for turn in 0..50 {
            let mut named = plain(policy, &six(), &[], SLOW_START, NOW, turn, &mut rng);
            named.sort_unstable();
            assert_eq!(named, [0, 1, 3, 4, 5].map(Slot), "{policy}");
        }
    }
}

#[test]
fn random_and_round_robin_share_equally_whatever_is_in_flight() {
    let live = busy([90, 0, 0, 5, 0, 40]);
    // Four standard deviations around 1,000 of 5,000 are 113.
    let random = firsts(PlainPolicy::Random, &live);
    assert!([0, 1, 3, 4, 5].iter().all(|slot| random[*slot].abs_diff(1_000) < 113), "{random:?}");
    assert_eq!(firsts(PlainPolicy::RoundRobin, &live), [1_000, 1_000, 0, 1_000, 1_000, 1_000]);
}

#[test]
fn least_request_takes_the_least_busy_and_shares_among_equals() {
    let shared = firsts(PlainPolicy::LeastRequest, &busy([2, 1, 0, 1, 7, 1]));
    assert_eq!((shared[0], shared[2], shared[4]), (0, 0, 0));
    // Four standard deviations around a third of 5,000 are 133.
    assert!([1, 3, 5].iter().all(|slot| shared[*slot].abs_diff(1_667) < 133), "{shared:?}");
}

#[test]
fn least_request_orders_fallbacks_by_what_is_in_flight() {
    let mut rng = fastrand::Rng::with_seed(1);
    let order =
        plain(PlainPolicy::LeastRequest, &six(), &busy([4, 3, 0, 9, 1, 2]), SLOW_START, NOW, 0, &mut rng);
    assert_eq!(order, [4, 5, 1, 0, 3].map(Slot));
}

#[test]
fn nothing_ready_means_nobody_and_no_panic() {
    for policy in POLICIES {
        let mut rng = fastrand::Rng::with_seed(1);
        assert_eq!(plain(policy, &Snapshot::default(), &[], SLOW_START, NOW, 7, &mut rng), []);
    }
}

#[test]
fn policies_are_parsed_by_their_names_only() {
    for policy in POLICIES {
        assert_eq!(policy.to_string().parse(), Ok(policy));
    }
    let said = "fastest".parse::<PlainPolicy>().expect_err("no such policy").to_string();
    assert!(said.contains("random, round-robin, least-request"), "{said}");
}

#[test]
fn degraded_replicas_come_last_but_serve_for_want_of_another() {
    let mut replicas = replicas((0..3).map(|_| load(0.0, 0.0)));
    replicas[1].health = Health::Degraded("5 failures in a row".into());
    let mut rng = fastrand::Rng::with_seed(5);
    for policy in POLICIES {
        for turn in 0..50 {
            let order = plain(policy, &pool(replicas.clone()), &[], SLOW_START, NOW, turn, &mut rng);
            assert_eq!((order.len(), order[2]), (3, Slot(1)), "{policy}");
        }
    }
    let only = pool(vec![replicas[1].clone()]);
    assert_eq!(plain(PlainPolicy::Random, &only, &[], SLOW_START, NOW, 0, &mut rng), [Slot(1)]);
}

#[test]
fn a_newcomer_comes_first_only_up_to_its_share() {
    let mut replicas = replicas((0..3).map(|_| load(0.0, 0.0)));
    replicas[2].joined = Some(NOW - Time::from_secs(10));
    let mut rng = fastrand::Rng::with_seed(5);
    let mut first = |newcomer| {
        let live = busy([20, 20, newcomer]);
        plain(PlainPolicy::LeastRequest, &pool(replicas.clone()), &live, SLOW_START, NOW, 0, &mut rng)[0]
    };
    assert_eq!(first(9), Slot(2), "half of its slow start: half of what the others have");
    assert_ne!(first(10), Slot(2));
}
