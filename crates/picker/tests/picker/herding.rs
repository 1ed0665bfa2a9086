//! Many picks between two readings must not pile onto the replica that looked best in the first.

use warmlane_picker::{Live, Matches, Profile, Request, Signals, Strategy};

use crate::pool::{self, A10, L20, choose, history, load, pool, replicas, request, send};

/// Sends `picks` requests of `prompt_tokens` on one reading; returns how many each replica got.
fn burst(loads: Vec<Signals>, prompt_tokens: u64, picks: u64, profile: &Profile) -> Vec<u64> {
    let matches = Matches::default();
    let loads: Vec<Signals> = loads.into_iter().map(|s| Signals { mark: history(), ..s }).collect();
    let mut live = vec![Live { sent: history(), ..Live::default() }; loads.len()];
    let pool = pool(replicas(loads));
    for seed in 0..picks {
        let request = Request { prompt_tokens, ..request(&matches, &live) };
        let slot = usize::from(choose(profile, &pool, &request, seed).endpoint.0);
        send(&mut live[slot], &Request { prompt_tokens, ..pool::request(&matches, &[]) });
    }
    live.iter().map(|live| live.sent.requests - history().requests).collect()
}

fn spread(sent: &[u64]) -> u64 {
    sent.iter().max().unwrap_or(&0) - sent.iter().min().unwrap_or(&0)
}

#[test]
fn a_burst_on_empty_readings_spreads_evenly_over_equals() {
    for profile in [Profile::of(Strategy::Default), Profile::of(Strategy::PrefixCache)] {
        for (prompt_tokens, apart) in [(20, 3), (200, 2), (1_000, 1), (8_000, 1)] {
            let sent = burst(vec![load(0.0, 0.0); 8], prompt_tokens, 100, &profile);
            assert!(spread(&sent) <= apart, "{prompt_tokens} tokens: {sent:?}");
        }
    }
}

#[test]
fn a_burst_on_loaded_readings_spreads_as_well() {
    let sent = burst(vec![load(2.0, 0.4); 8], 1_000, 80, &Profile::default());
    assert!(spread(&sent) <= 1, "{sent:?}");
}

#[test]
fn the_one_that_looked_best_gets_only_what_evens_it_out() {
    let mut loads = vec![load(3.0, 0.5); 7];
    loads.push(load(0.0, 0.0));
    let sent = burst(loads, 1_000, 200, &Profile::default());
    assert!(sent[7] > 25 && sent[7] < 100, "{sent:?}");
    assert!(sent[..7].iter().all(|n| *n >= 10), "{sent:?}");
}

#[test]
fn larger_cards_take_more_of_a_burst() {
    let mut loads = vec![load(0.0, 0.0); 4];
    loads[0].kv_capacity_tokens = Some(L20);
    loads[1].kv_capacity_tokens = Some(A10);
    // Prompts are computed at once, so that only memory counts.
    let mut profile = Profile::default();
    profile.weights.work = 0.0;
    let sent = burst(loads, 1_000, 100, &profile);
    assert!(sent[0] > 2 * sent[1], "{sent:?}");
}
