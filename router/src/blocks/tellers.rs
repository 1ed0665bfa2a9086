//! Whose word on KV blocks counts.

use std::collections::HashMap;

use warmlane_engine::kv_events::Digest;
use warmlane_picker::SlotSet;

/// Replicas that tell of their blocks, all in blocks of one size: the most common one, since a prompt is cut into blocks
/// once. Of those that cut otherwise, own history is all that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tellers {
    /// Tokens in a block; 0 while nobody tells.
    pub block_size: u32,
    /// Slots of those of which all is known.
    pub wholly: SlotSet,
    /// Slots of those of which a part is known.
    pub partly: SlotSet,
}

/// What one replica has said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    /// Of all blocks that it holds.
    pub(super) digest: Digest,
    /// Tokens in a block; 0 while none has been seen.
    pub(super) block_size: u32,
    /// All that it holds is known.
    pub(super) whole: bool,
    /// An agent tells of it.
    pub(super) tells: bool,
    /// Since it told everything, the table was too small for what was told: some of it may be lost.
    pub(super) lost: bool,
}

// === Word ===

impl Word {
    /// Whether both count in the same way, whatever is held.
    pub(super) fn speaks_like(&self, other: &Self) -> bool {
        let of = |word: &Self| (word.block_size, word.whole, word.tells, word.lost);
        of(self) == of(other)
    }
}

// === Tellers ===

impl Tellers {
    /// Those among so many replicas.
    pub(super) fn of(words: &[Word]) -> Self {
        let mut sizes: HashMap<u32, usize> = HashMap::new();
        for word in words.iter().filter(|word| word.tells && word.block_size > 0) {
            *sizes.entry(word.block_size).or_default() += 1;
        }
        // Of equally common ones the larger, so that it does not depend on the map's order.
        let common = sizes.into_iter().max_by_key(|(size, count)| (*count, *size));
        let mut tellers = Self { block_size: common.map_or(0, |(size, _)| size), ..Self::default() };
        for (slot, word) in words.iter().enumerate().filter(|(_, word)| word.tells) {
            // One that has stored nothing yet, and is known wholly, holds nothing: in blocks of any size.
            match (word.whole && !word.lost, word.block_size == tellers.block_size || word.block_size == 0) {
                (true, true) => tellers.wholly.insert(slot),
                (false, true) => tellers.partly.insert(slot),
                (_, false) => {}
            }
        }
        tellers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(block_size: u32, whole: bool) -> Word {
        Word { block_size, whole, tells: true, ..Word::default() }
    }

    #[test]
    fn those_count_that_cut_prompts_as_most_do() {
        let silent = Word { tells: false, ..word(32, true) };
        let lost = Word { lost: true, ..word(16, true) };
        let words = [word(16, true), word(32, true), word(16, false), word(0, true), silent, lost];
        let tellers = Tellers::of(&words);
        assert_eq!(tellers.block_size, 16);
        assert_eq!(tellers.wholly.positions().collect::<Vec<_>>(), [0, 3]);
        assert_eq!(tellers.partly.positions().collect::<Vec<_>>(), [2, 5]);
        assert_eq!(Tellers::of(&[silent]), Tellers::default());
    }
}
