use std::collections::HashSet;

use proptest::prelude::*;
use warmlane_engine::kv_events::{Place, Removed, Stored};

use super::*;

/// A block of a prompt of its own.
fn stored(number: u64) -> Event {
    Event::Stored(Box::new(Stored {
        hashes: vec![number],
        tokens: vec![number as u32],
        block_size: 1,
        ..Stored::default()
    }))
}

fn removed(number: u64) -> Event {
    Event::Removed(Box::new(Removed { hashes: vec![number], place: Place::default() }))
}

/// A router's copy.
#[derive(Default)]
struct Copy {
    held: HashSet<u64>,
    seen: Option<u64>,
    resets: usize,
}

impl Copy {
    /// Takes what is new, and holds it against the digest.
    fn follow(&mut self, cache: &Cache) -> bool {
        let Some(delta) = cache.since(self.seen) else { return false };
        if delta.reset {
            self.held.clear();
            self.resets += 1;
        }
        for block in &delta.removed {
            assert!(self.held.remove(block), "it was not there");
        }
        for block in &delta.added {
            assert!(self.held.insert(*block), "it was there");
        }
        self.seen = Some(delta.seen);
        assert_eq!(Digest::from_iter(self.held.iter().copied()), delta.digest);
        true
    }
}

#[test]
fn what_came_and_went_in_between_is_not_told() {
    let (cache, mut copy) = (Cache::new(EngineId(1), "127.0.0.1:8000"), Copy::default());
    assert!(copy.follow(&cache) && !copy.follow(&cache), "once, that there is nothing");
    [stored(1), stored(2), removed(1), stored(3), removed(3), stored(1)]
        .iter()
        .for_each(|event| assert_eq!(cache.take(event), Fit::Whole));
    let delta = cache.since(copy.seen).expect("news");
    assert_eq!((delta.added.len(), delta.removed.len(), delta.reset, delta.block_size), (2, 0, false, 1));
    assert!(copy.follow(&cache));
    assert_eq!(copy.resets, 1);
}

#[test]
fn who_falls_too_far_behind_or_sees_a_clear_gets_everything() {
    let (cache, mut slow, mut quick) =
        (Cache::new(EngineId(1), "127.0.0.1:8000"), Copy::default(), Copy::default());
    cache.take(&stored(0));
    slow.follow(&cache);
    for number in 1..=KEPT as u64 {
        cache.take(&stored(number));
        if number % 1_000 == 0 {
            quick.follow(&cache);
        }
    }
    quick.follow(&cache);
    slow.follow(&cache);
    assert_eq!((quick.resets, slow.resets), (1, 1), "just not too far");
    (0..=KEPT as u64).for_each(|number| assert_eq!(cache.take(&removed(number)), Fit::Whole));
    slow.follow(&cache);
    assert_eq!((slow.resets, slow.held.len()), (2, 0));
    cache.take(&stored(5));
    cache.take(&Event::Cleared);
    cache.take(&stored(6));
    slow.follow(&cache);
    assert_eq!((slow.resets, slow.held.len()), (3, 1));
}

proptest! {
    #[test]
    fn a_copy_is_what_is_held_whenever_it_looks(steps in proptest::collection::vec((0_u8..4, 0_u64..12), 1..400)) {
        let (cache, mut copy) = (Cache::new(EngineId(1), "127.0.0.1:8000"), Copy::default());
        for (what, number) in steps {
            match what {
                0 | 1 => assert_eq!(cache.take(&stored(number)), Fit::Whole),
                2 => assert_eq!(cache.take(&removed(number)), Fit::Whole),
                _ if number == 0 => assert_eq!(cache.take(&Event::Cleared), Fit::Whole),
                _ => {
                    copy.follow(&cache);
                },
            }
        }
        copy.follow(&cache);
        prop_assert_eq!(copy.held.len() as u64, cache.count());
    }
}
