use std::collections::{HashMap, HashSet};

use proptest::{collection::vec, prelude::*};

use super::*;

const LATER: Time = Time::from_secs(1);

fn depths(index: &PrefixIndex, chain: &Chain, slots: u16) -> Vec<u32> {
    let mut matches = Matches::default();
    matches.reset(16.0);
    index.lookup(chain, &mut matches);
    (0..slots).map(|slot| matches.depth(Slot(slot))).collect()
}

fn record(index: &PrefixIndex, chain: &Chain, slot: u16, now: Time) {
    let mut matches = Matches::default();
    matches.reset(16.0);
    index.lookup(chain, &mut matches);
    index.record(chain, Slot(slot), matches.depth(Slot(slot)), now);
}

/// The same, told by keeping everything.
#[derive(Default)]
struct Naive(HashMap<u64, HashSet<u16>>);

impl Naive {
    fn record(&mut self, chain: &Chain, slot: u16) {
        for link in chain.links() {
            self.0.entry(*link).or_default().insert(slot);
        }
    }

    fn forget(&mut self, slot: u16) {
        self.0.values_mut().for_each(|owners| {
            owners.remove(&slot);
        });
    }

    fn depth(&self, chain: &Chain, slot: u16) -> u32 {
        let holds = |link: &&u64| self.0.get(link).is_some_and(|owners| owners.contains(&slot));
        marks::depth(chain.links().iter().take_while(holds).count()) as u32
    }
}

#[derive(Clone, Debug)]
enum Step {
    Record { prompt: usize, blocks: usize, slot: u16 },
    Forget { slot: u16 },
}

/// Steps over prompts that share prefixes, and slots below `slots`.
fn steps(slots: u16, blocks: usize) -> impl Strategy<Value = Vec<Step>> {
    let record = (0..PROMPTS, 1..=blocks, 0..slots);
    let step = prop_oneof![
        20 => record.prop_map(|(prompt, blocks, slot)| Step::Record { prompt, blocks, slot }),
        1 => (0..slots).prop_map(|slot| Step::Forget { slot }),
    ];
    vec(step, 1..80)
}

const PROMPTS: usize = 6;

/// Prompt `n` shares its first `8 * n` blocks with the prompts after it.
fn prompt(n: usize, blocks: usize) -> Chain {
    let own = |block: usize| if block < 8 * n { 0 } else { n as u64 + 1 };
    let blocks: Vec<u64> = (0..blocks).map(|block| own(block) * 10_000 + block as u64).collect();
    Chain::new(1, &blocks)
}

/// Runs steps on both and compares every prompt's depths, allowing the index to fall `short` of the truth.
fn agree(
    index: &PrefixIndex,
    steps: &[Step],
    slots: u16,
    blocks: usize,
    short: u32,
) -> Result<(), TestCaseError> {
    let mut naive = Naive::default();
    for (at, step) in (0..).zip(steps) {
        match *step {
            Step::Record { prompt: n, blocks, slot } => {
                let chain = prompt(n, blocks);
                record(index, &chain, slot, Time::from_secs(at * 7));
                naive.record(&chain, slot);
            }
            Step::Forget { slot } => {
                index.forget(Slot(slot));
                naive.forget(slot);
            }
        }
    }
    for n in 0..PROMPTS {
        let chain = prompt(n, blocks);
        for (slot, found) in (0..).zip(depths(index, &chain, slots)) {
            let truth = naive.depth(&chain, slot);
            prop_assert!(found <= truth && found + short >= truth, "prompt {n}, {slot}: {found} for {truth}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50))]

    #[test]
    fn an_index_of_words_tells_what_a_map_tells(steps in steps(6, 100)) {
        agree(&PrefixIndex::new(10_000, 6), &steps, 6, 100, 0)?;
    }

    #[test]
    fn an_index_of_few_owners_each_tells_what_a_map_tells(steps in steps(4, 100)) {
        agree(&PrefixIndex::new(10_000, 100), &steps, 4, 100, 0)?;
    }

    #[test]
    fn an_index_of_bitmaps_tells_what_a_map_tells(steps in steps(90, 120)) {
        agree(&PrefixIndex::new(10_000, 100), &steps, 90, 120, 0)?;
    }

    #[test]
    fn long_prompts_are_told_to_the_link_for_a_word_of_endpoints(steps in steps(60, 700)) {
        agree(&PrefixIndex::new(40_000, 64), &steps, 60, 700, 0)?;
    }

    #[test]
    fn long_prompts_of_many_endpoints_are_told_to_the_grain(steps in steps(200, 9_000)) {
        // 9,000 blocks have 441 links, in grains of 441 / 128, of at most 32 blocks each.
        agree(&PrefixIndex::new(80_000, 200), &steps, 200, 9_000, 3 * 32)?;
    }

    #[test]
    fn a_resized_index_tells_the_same(steps in steps(50, 100), endpoints in 50..300_usize) {
        let index = PrefixIndex::new(10_000, 50);
        agree(&index, &steps, 50, 100, 0)?;
        let resized = index.resized(20_000, endpoints);
        let again = resized.grown(40_000).resized(10_000, 64);
        for n in 0..PROMPTS {
            let chain = prompt(n, 100);
            prop_assert_eq!(depths(&index, &chain, 50), depths(&resized, &chain, 50));
            prop_assert_eq!(depths(&index, &chain, 50), depths(&again, &chain, 50));
        }
    }
}

#[test]
fn an_empty_prompt_and_an_unknown_one_match_nowhere() {
    let index = PrefixIndex::new(100, 8);
    index.record(&Chain::default(), Slot(1), 0, Time::ZERO);
    assert_eq!(depths(&index, &Chain::default(), 8), [0; 8]);
    assert_eq!(depths(&index, &prompt(0, 50), 8), [0; 8]);
}

#[test]
fn memory_stays_the_same_through_a_million_blocks_and_the_newest_stay() {
    for endpoints in [16, 500] {
        let index = PrefixIndex::new(20_000, endpoints);
        let bytes = index.bytes();
        let alone = |n: u64| Chain::new(n + 1, &(0..100).collect::<Vec<u64>>());
        for n in 0..10_000 {
            index.record(&alone(n), Slot(n as u16 % 16), 0, Time::from_secs(n));
        }
        assert_eq!(index.bytes(), bytes);
        let whole = |n: &u64| depths(&index, &alone(*n), 16)[*n as usize % 16] == 100;
        assert!((9_900..10_000).all(|n| whole(&n)), "the newest half of what fits is there");
        assert_eq!((0..8_500).filter(whole).count(), 0, "the oldest went");
    }
}

/// Bitmaps go back with the entries that used them, so that new prefixes get some.
#[test]
fn bitmaps_outlive_any_number_of_prefixes() {
    let index = PrefixIndex::new(2_000, 100);
    let mut rng = fastrand::Rng::with_seed(1);
    for n in 0..300_u64 {
        let chain = Chain::new(n, &(0..100).collect::<Vec<u64>>());
        (0..8).for_each(|_| index.record(&chain, Slot(rng.u16(..100)), 0, Time::from_secs(n)));
        if n % 10 == 9 {
            index.forget(Slot(rng.u16(..100)));
        }
    }
    let chain = Chain::new(999, &(0..100).collect::<Vec<u64>>());
    (0..100).for_each(|slot| index.record(&chain, Slot(slot), 0, Time::from_secs(999)));
    assert_eq!(depths(&index, &chain, 100), [100; 100]);
}

#[test]
fn without_a_bitmap_left_four_owners_are_kept_and_newcomers_are_among_them() {
    let mut index = PrefixIndex::new(1_000, 100);
    index.bitmaps = Some(Bitmaps::new(0, 2));
    let chain = prompt(0, 48);
    for slot in 0..90 {
        index.record(&chain, Slot(slot), 0, Time::ZERO);
        let depths = depths(&index, &chain, 100);
        assert_eq!(depths[usize::from(slot)], 48, "the newest is there");
        assert!(depths.iter().filter(|depth| **depth > 0).count() <= 4);
    }
}

#[test]
fn a_prefix_in_use_outlives_others_though_only_its_end_grows() {
    for endpoints in [8, 200] {
        let index = PrefixIndex::new(3_000, endpoints);
        // A conversation grows by ten blocks every 20 s, sooner than any one link would be stamped again.
        for turn in 0..40_u64 {
            let now = Time::from_secs(turn * 20);
            let grown = prompt(0, 100 + 10 * turn as usize);
            let said_before = if turn == 0 { 0 } else { 90 + 10 * turn as usize };
            let told = marks::depth(marks::count(said_before)) as u32;
            assert_eq!(depths(&index, &grown, 8)[3], told, "turn {turn}");
            record(&index, &grown, 3, now);
            for other in 0..4 {
                let blocks: Vec<u64> = (0..100).collect();
                index.record(&Chain::new(1_000 + turn * 10 + other, &blocks), Slot(5), 0, now);
            }
        }
    }
}

#[test]
fn a_link_that_was_crowded_out_hides_neither_what_is_deeper_nor_other_owners() {
    for endpoints in [8, 200] {
        let index = PrefixIndex::new(1_000, endpoints);
        let chain = prompt(0, 64);
        (0..4).for_each(|slot| index.record(&chain, Slot(slot), 0, Time::ZERO));
        for lost in [0, 13, 14, 20] {
            index.table.find(chain.links()[lost]).expect("it was recorded").clear();
            assert_eq!(depths(&index, &chain, 4), [64; 4], "without link {lost}");
        }
        // Learnt anew by one endpoint, the first link no longer names the others.
        record(&index, &prompt(0, 1), 6, LATER);
        assert_eq!(depths(&index, &chain, 4), [64; 4]);
    }
}

#[test]
fn slots_beyond_the_index_are_ignored() {
    for (endpoints, beyond) in [(8, 64), (100, 128)] {
        let index = PrefixIndex::new(1_000, endpoints);
        assert_eq!(index.endpoints(), usize::from(beyond));
        index.record(&prompt(0, 20), Slot(beyond), 0, Time::ZERO);
        index.record(&prompt(0, 20), Slot(u16::MAX), 0, Time::ZERO);
        index.forget(Slot(u16::MAX));
        index.record(&prompt(0, 20), Slot(beyond - 1), 0, Time::ZERO);
        let found = depths(&index, &prompt(0, 20), beyond + 1);
        assert_eq!((found[usize::from(beyond) - 1], found[usize::from(beyond)]), (20, 0));
    }
}

#[test]
fn depths_become_tokens_and_are_forgotten_by_a_reset() {
    let mut matches = Matches::default();
    matches.reset(16.0);
    matches.raise(Slot(70), 10);
    matches.raise(Slot(70), 4);
    assert_eq!((matches.depth(Slot(70)), matches.tokens(Slot(70)), matches.deepest()), (10, 160, 10));
    assert_eq!(matches.depth(Slot(500)), 0);
    matches.reset(1.0);
    assert_eq!((matches.depth(Slot(70)), matches.deepest()), (0, 0));
}

#[test]
fn what_engines_state_can_be_taken_back_to_nothing() {
    for endpoints in [6, 100] {
        let index = PrefixIndex::new(10_000, endpoints);
        let blocks: Vec<u64> = (1..=100).map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        let mut chain = Chain::default();
        chain.follow(&Chain::marked(&blocks), blocks.len());
        for slot in 0..6 {
            blocks.iter().for_each(|block| index.hold(*block, Slot(slot), LATER));
        }
        index.hold(blocks[0], Slot(500), LATER);
        let all = marks::depth(chain.links().len()) as u32;
        assert_eq!(depths(&index, &chain, 6), [all; 6]);
        // Engines drop the ends of prompts first.
        blocks[8..].iter().rev().for_each(|block| index.release(*block, Slot(2)));
        assert_eq!(depths(&index, &chain, 6), [all, all, 8, all, all, all]);
        for slot in 0..6 {
            blocks.iter().for_each(|block| index.release(*block, Slot(slot)));
        }
        index.release(blocks[0], Slot(500));
        assert_eq!((depths(&index, &chain, 6), index.table.used()), (vec![0; 6], 0));
    }
}
