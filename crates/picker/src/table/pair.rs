//! The two lines in which a key may live, and which place of theirs it gets.

use super::{CHANGING, Entry, Line, STAMP_BITS, Stamp, WAYS};

/// Both lines in which a key may live, and their words as they were read.
pub(super) struct Pair<'t> {
    pub(super) lines: [&'t Line; 2],
    pub(super) words: [[u64; WAYS]; 2],
}

// === Pair ===

impl<'t> Pair<'t> {
    #[inline]
    pub(super) fn hit(&self, tag: u64) -> Option<&'t Entry> {
        let hit = |words: &[u64; WAYS]| words.iter().position(|word| word >> STAMP_BITS == tag);
        (0..2).find_map(|line| hit(&self.words[line]).map(|way| &self.lines[line].0[way]))
    }

    /// An empty place in the emptier of the two lines, or the oldest place of both; and its word.
    #[inline]
    pub(super) fn place(&self, now: Stamp) -> (&'t Entry, u64) {
        let used = self.words.map(|words| words.iter().filter(|word| **word != 0).count());
        let [first, second] = self.words.map(|words| stalest(&words, now));
        let full = used == [WAYS; 2];
        let line = usize::from(if full { second.0 > first.0 } else { used[1] < used[0] });
        let way = [first.1, second.1][line];
        (&self.lines[line].0[way], self.words[line][way])
    }

    pub(super) fn is_changing(&self) -> bool {
        self.words.iter().flatten().any(|word| *word == CHANGING)
    }
}

/// How stale the first empty place of a line is, or its oldest; and which.
#[inline]
fn stalest(words: &[u64; WAYS], now: Stamp) -> (u32, usize) {
    // Chosen by arithmetic: which of four is oldest would be guessed wrong more often than not.
    let ranked = |way: usize| u64::from(staleness(words[way], now)) << 2 | (WAYS - 1 - way) as u64;
    let best = (0..WAYS).map(ranked).fold(0, u64::max);
    ((best >> 2) as u32, WAYS - 1 - (best & 3) as usize)
}

/// Empty places first, then the oldest.
#[inline]
fn staleness(word: u64, now: Stamp) -> u32 {
    let age = Stamp::of_word(word).age(now);
    let age = if word == CHANGING { 0 } else { age };
    if word == 0 { u32::MAX } else { age }
}
