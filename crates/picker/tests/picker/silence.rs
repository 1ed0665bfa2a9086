//! Readings that are old or missing mean "unknown": neither idle nor full, and never the end of service.

use warmlane_picker::{Filter, Live, Matches, Profile, Signals, Slot, Time, Verdict};

use crate::pool::{
    self, A10, choose, finish, first_byte, history, load, load_ago, pool, replicas, request, send, shares,
};

const SECOND: Time = Time::from_secs(1);

fn silent() -> Signals {
    Signals { kv_capacity_tokens: Some(A10), ..Signals::default() }
}

#[test]
fn a_fading_reading_makes_an_equal_neither_better_nor_worse() {
    for age in [1, 3, 6, 9] {
        let mut loads = vec![load(2.0, 0.5); 3];
        loads.push(load_ago(2.0, 0.5, age * SECOND));
        let shares =
            shares(&Profile::default(), &pool(replicas(loads)), &request(&Matches::default(), &[]), 1_000);
        // Four standard deviations around a quarter are 55.
        assert!(shares.iter().all(|n| n.abs_diff(250) < 60), "after {age} s: {shares:?}");
    }
}

#[test]
fn what_an_endpoint_said_before_it_fell_silent_fades_towards_the_average() {
    let estimate = |said: f32, age: u32| {
        let pool = pool(replicas([load(4.0, 0.5), load(4.0, 0.5), load_ago(said, 0.5, age * SECOND)]));
        choose(&Profile::default(), &pool, &request(&Matches::default(), &[]), 1).weighed[2].estimate.queue
    };
    for (said, toward) in [(0.0, f32::ge as fn(&f32, &f32) -> bool), (40.0, f32::le)] {
        let over_time: Vec<f32> = [2, 4, 6, 8, 10].into_iter().map(|age| estimate(said, age)).collect();
        assert_eq!(over_time[0], said, "two seconds old counts in full");
        assert!(over_time.is_sorted_by(|a, b| toward(b, a)), "{over_time:?}");
        assert_eq!(over_time[4], 4.0, "in the end it looks like the others");
    }
}

#[test]
fn one_never_heard_of_takes_its_share_like_any_other() {
    let loads = [load(2.0, 0.5), load(2.0, 0.5), silent(), load(2.0, 0.5)];
    let shares =
        shares(&Profile::default(), &pool(replicas(loads)), &request(&Matches::default(), &[]), 1_000);
    assert!(shares.iter().all(|n| n.abs_diff(250) < 60), "{shares:?}");
}

/// Ten thousand requests, sixteen at a time; the last replica never says a word, the others are read after
/// every tenth request.
#[test]
fn one_that_stays_silent_is_not_starved_by_all_it_was_ever_sent() {
    let (matches, profile) = (Matches::default(), Profile::default());
    let mut live = vec![Live { sent: history(), ..Live::default() }; 4];
    live[3].sent = history();
    let mut loads: Vec<Signals> = (0..4).map(|_| Signals { mark: history(), ..load(0.0, 0.0) }).collect();
    loads[3] = silent();
    let (mut shares, mut under_way) = ([0; 4], std::collections::VecDeque::new());
    for n in 0..10_000 {
        if n % 10 == 0 {
            for (signals, live) in loads.iter_mut().zip(&live).take(3) {
                let used = live.reserved_kv as f32 / A10 as f32;
                *signals = Signals { mark: live.sent, ..load(0.0, used) };
            }
        }
        let slot = usize::from(
            choose(&profile, &pool(replicas(loads.clone())), &request(&matches, &live), n).endpoint.0,
        );
        shares[slot] += 1;
        send(&mut live[slot], &request(&matches, &[]));
        under_way.push_back(slot);
        if under_way.len() > 16 {
            let done = under_way.pop_front().expect("sixteen are under way");
            first_byte(&mut live[done], 1_000);
            finish(&mut live[done], 1_200);
        }
    }
    assert!(shares.iter().all(|n| (1_000..5_000).contains(n)), "{shares:?}");
}

#[test]
fn one_that_stopped_talking_is_passed_over_while_others_talk_and_stands_by() {
    let loads = [load(3.0, 0.6), load(3.0, 0.6), load_ago(0.0, 0.0, 30 * SECOND)];
    let pool = pool(replicas(loads));
    let matches = Matches::default();
    let decision = choose(&Profile::default(), &pool, &request(&matches, &[]), 5);
    assert_eq!(decision.weighed[2].verdict, Verdict::Dropped(Filter::Fresh));
    assert_eq!(decision.fallbacks.len(), 2);
    assert_eq!(decision.fallbacks[1], Slot(2), "the last resort is still one");
}

#[test]
fn a_pool_in_which_all_fell_silent_serves_and_spreads() {
    let matches = Matches::default();
    for loads in [vec![load_ago(9.0, 0.9, 60 * SECOND); 4], vec![Signals::default(); 4]] {
        let pool = pool(replicas(loads));
        let shares = shares(&Profile::default(), &pool, &request(&matches, &[]), 1_000);
        assert!(shares.iter().all(|n| n.abs_diff(250) < 60), "{shares:?}");
    }
}

/// A new replica beside silent ones that were sent much before: running totals must not make it the only
/// choice.
#[test]
fn a_newcomer_in_a_silent_pool_does_not_get_everything() {
    let matches = Matches::default();
    let mut live = vec![Live { sent: history(), ..Live::default() }; 4];
    live[3] = Live::default();
    let pool = pool(replicas(vec![Signals::default(); 4]));
    let shares = shares(&Profile::default(), &pool, &request(&matches, &live), 1_000);
    assert!(shares.iter().all(|n| n.abs_diff(250) < 60), "{shares:?}");
}

#[test]
fn a_sleeper_does_not_make_the_silent_look_idle() {
    let mut three = replicas([load(8.0, 0.8), load_ago(8.0, 0.8, 8 * SECOND), load(0.0, 0.0)]);
    three[2].signals.awake = pool::reading(false, Time::ZERO);
    let decision = choose(&Profile::default(), &pool(three), &request(&Matches::default(), &[]), 1);
    assert_eq!(decision.weighed[1].estimate.queue, 8.0);
}
