//! KV use is weighed in tokens: the same share of a larger card is more room.

use warmlane_picker::{Filter, Matches, Profile, Request, Signals, Slot, Verdict};

use crate::pool::{A10, L20, choose, load, pool, replicas, request, shares};

fn on(capacity: u64, kv_use: f32) -> Signals {
    Signals { kv_capacity_tokens: Some(capacity), ..load(0.0, kv_use) }
}

#[test]
fn at_equal_shares_a_big_prompt_goes_where_more_tokens_are_free() {
    let pool = pool(replicas([on(A10, 0.8), on(L20, 0.8)]));
    let matches = Matches::default();
    // It would fill the A10 to the brim.
    let request = Request { prompt_tokens: 18_500, ..request(&matches, &[]) };
    assert_eq!(shares(&Profile::default(), &pool, &request, 50), [0, 50]);
}

#[test]
fn a_prompt_that_fits_only_the_larger_card_goes_there_though_it_is_fuller() {
    let pool = pool(replicas([on(A10, 0.7), on(L20, 0.85)]));
    let matches = Matches::default();
    let request = Request { prompt_tokens: 40_000, ..request(&matches, &[]) };
    let decision = choose(&Profile::default(), &pool, &request, 1);
    assert_eq!(decision.endpoint, Slot(1));
    assert_eq!(decision.weighed[0].verdict, Verdict::Dropped(Filter::Headroom));
}

#[test]
fn a_prompt_that_fits_nowhere_is_still_served() {
    let pool = pool(replicas([on(A10, 0.2), on(L20, 0.2)]));
    let matches = Matches::default();
    let request = Request { prompt_tokens: 900_000, ..request(&matches, &[]) };
    let decision = choose(&Profile::default(), &pool, &request, 1);
    assert_eq!(decision.relaxed, [Filter::Headroom]);
}

#[test]
fn an_engine_that_states_no_capacity_is_taken_for_the_mean_of_the_others() {
    let third = |capacity: Option<u64>| {
        let mut loads = [on(100_000, 0.5), on(300_000, 0.5), on(1, 0.5)];
        loads[2].kv_capacity_tokens = capacity;
        let pool = pool(replicas(loads));
        choose(&Profile::default(), &pool, &request(&Matches::default(), &[]), 1).weighed[2].estimate
    };
    assert_eq!(third(None), third(Some(200_000)));
    assert_eq!(third(Some(0)), third(Some(200_000)), "nor is nothing a capacity");
}
