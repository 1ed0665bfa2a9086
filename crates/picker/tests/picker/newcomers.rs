//! A replica that joins a pool at work looks emptier than all others; it must not draw everything at once.

use warmlane_picker::{Filter, Live, Matches, Profile, Slot, Time, Verdict};

use crate::pool::{NOW, choose, load, pool, replicas, request, send};

/// Three busy replicas, and one that joined `age` ago.
fn with_newcomer(age: Time) -> warmlane_picker::Snapshot {
    let mut all = replicas([load(2.0, 0.5), load(2.0, 0.5), load(2.0, 0.5), load(0.0, 0.0)]);
    all[3].joined = Some(NOW - age);
    pool(all)
}

fn live(others: u32, newcomer: u32) -> Vec<Live> {
    [others, others, others, newcomer].map(|in_flight| Live { in_flight, ..Live::default() }).to_vec()
}

fn chosen(age: u64, others: u32, newcomer: u32) -> Slot {
    let (live, prefix) = (live(others, newcomer), Matches::default());
    choose(&Profile::default(), &with_newcomer(Time::from_secs(age)), &request(&prefix, &live), 1).endpoint
}

#[test]
fn its_share_grows_with_its_age_up_to_all() {
    let newcomer = Slot(3);
    assert_eq!(chosen(0, 40, 0), newcomer, "one request at once");
    assert_ne!(chosen(0, 40, 1), newcomer);
    assert_eq!(chosen(5, 40, 9), newcomer, "a quarter of the slow start");
    assert_ne!(chosen(5, 40, 10), newcomer);
    assert_eq!(chosen(10, 40, 19), newcomer);
    assert_ne!(chosen(10, 40, 20), newcomer);
    assert_eq!(chosen(20, 40, 39), newcomer, "its slow start is over");
    assert_eq!(chosen(20, 40, 400), newcomer, "and nothing but its load counts");
}

#[test]
fn a_burst_goes_past_it_and_the_decision_says_why() {
    let (snapshot, prefix) = (with_newcomer(Time::from_secs(1)), Matches::default());
    let mut live = live(10, 0);
    let (mut to_newcomer, mut passed_over) = (0, 0);
    for seed in 0..60 {
        let decision = choose(&Profile::default(), &snapshot, &request(&prefix, &live), seed);
        passed_over += u32::from(decision.weighed[3].verdict == Verdict::Dropped(Filter::SlowStart));
        to_newcomer += u32::from(decision.endpoint == Slot(3));
        let asked = request(&prefix, &[]);
        send(&mut live[usize::from(decision.endpoint.0)], &asked);
    }
    assert!((1..=2).contains(&to_newcomer), "{to_newcomer} of 60");
    assert_eq!(passed_over, 60 - to_newcomer);
}

#[test]
fn a_pool_of_newcomers_has_no_limit_and_one_that_fails_falls_back_to_it() {
    let mut all = replicas([load(0.0, 0.0), load(0.0, 0.0)]);
    all.iter_mut().for_each(|replica| replica.joined = Some(NOW));
    let (live, prefix) = (live(9, 9), Matches::default());
    let decision = choose(&Profile::default(), &pool(all.clone()), &request(&prefix, &live), 1);
    assert!(decision.weighed.iter().all(|w| w.verdict == Verdict::Candidate));
    all[0].joined = None;
    all[0].ready = false;
    let decision = choose(&Profile::default(), &pool(all), &request(&prefix, &live), 1);
    assert_eq!(decision.endpoint, Slot(1));
}
