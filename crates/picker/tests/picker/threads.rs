//! The index under many writers, readers and sweepers at once: it stays bounded and goes on telling the truth.

use std::thread;

use warmlane_picker::{Chain, Matches, PrefixIndex, Slot, Time};

fn prompt(n: u64, blocks: u64) -> Chain {
    let blocks: Vec<u64> =
        (0..blocks).map(|block| if block < 8 { block } else { n * 1_000 + block }).collect();
    Chain::new(5, &blocks)
}

/// Four threads write far more than fits, all sharing a short prefix, while slots come and go.
fn storm(endpoints: u16) -> PrefixIndex {
    let index = PrefixIndex::new(4_000, usize::from(endpoints));
    thread::scope(|scope| {
        for worker in 0..4_u64 {
            let index = &index;
            scope.spawn(move || {
                let mut rng = fastrand::Rng::with_seed(worker);
                let mut matches = Matches::default();
                for n in 0..1_500_u64 {
                    let chain = prompt(rng.u64(..200), 8 + rng.u64(..60));
                    let slot = Slot(rng.u16(..endpoints));
                    matches.reset(16.0);
                    index.lookup(&chain, &mut matches);
                    assert!(matches.deepest() as usize <= Chain::depth(chain.links().len()));
                    index.record(&chain, slot, matches.depth(slot), Time::from_secs(n));
                    if n % 500 == 499 {
                        index.forget(slot);
                    }
                }
            });
        }
    });
    index
}

fn still_learns(index: &PrefixIndex, endpoints: u16) {
    let chain = prompt(999_999, 60);
    let mut matches = Matches::default();
    for slot in (0..endpoints).step_by(7).map(Slot) {
        index.record(&chain, slot, 0, Time::from_secs(9_000));
        matches.reset(16.0);
        index.lookup(&chain, &mut matches);
        assert_eq!(matches.depth(slot), 60, "{slot:?}");
    }
}

#[test]
fn an_index_of_words_survives_a_storm() {
    let index = storm(40);
    assert_eq!(index.bytes(), PrefixIndex::new(4_000, 40).bytes());
    still_learns(&index, 40);
}

#[test]
fn an_index_of_bitmaps_survives_a_storm() {
    let index = storm(300);
    assert_eq!(index.bytes(), PrefixIndex::new(4_000, 300).bytes());
    still_learns(&index, 300);
}

/// Prompts of 0..200 that all four slots are known to hold in full.
fn found(index: &PrefixIndex) -> usize {
    let mut matches = Matches::default();
    let all = |n: &u64| {
        matches.reset(16.0);
        index.lookup(&prompt(*n, 40), &mut matches);
        (0..4).all(|slot| matches.depth(Slot(slot)) == 40)
    };
    (0..200).filter(all).count()
}

#[test]
fn what_threads_record_at_once_is_found_and_what_a_race_lost_is_learnt_again() {
    let index = PrefixIndex::new(200_000, 64);
    thread::scope(|scope| {
        for slot in 0..4_u16 {
            let index = &index;
            scope.spawn(move || {
                for n in 0..200 {
                    index.record(&prompt(n, 40), Slot(slot), 0, Time::ZERO);
                }
            });
        }
    });
    let at_first = found(&index);
    assert!(at_first > 50, "{at_first} of 200");
    for n in 0..200 {
        (0..4).for_each(|slot| index.record(&prompt(n, 40), Slot(slot), 0, Time::ZERO));
    }
    assert_eq!(found(&index), 200);
}
