//! How deep each endpoint's matching prefix reaches, and the search for it.
//!
//! An endpoint that holds a prefix holds every shorter one. The search starts with everybody who holds the
//! first block, looks at the middle of the chain, and parts them: those who hold it are searched for in the
//! upper half, the others in the lower. Nobody in a half: not a look. So each endpoint takes part in at most
//! `log2(blocks)` steps, 64 of them at a time, and no link is looked at twice.
//!
//! Depths are told in blocks, as exact as links are (see `marks`) for up to [`FINE`] of them and wherever few
//! endpoints differ. Where more than [`FEW`] end within one grain (a [`FINE`]th of a longer
//! prompt's links, at most [`COARSEST`]), all get its lower end: telling them apart would cost a look per link, and is
//! worth less than one percent of the prompt.

use std::sync::atomic::Ordering::Relaxed;

use super::owners::{Owners, slots_of};
use crate::{Slot, SlotSet, chain::marks};

/// Up to this many links are searched one by one, more of them in about as many grains.
const FINE: usize = 128;

/// Most links in a grain.
const COARSEST: usize = 16;

/// So few endpoints are told apart within a grain too.
const FEW: usize = 4;

/// Grains that are looked at together, so that their cache lines arrive together.
const BATCH: usize = 8;

/// How deep each endpoint's matching prefix reaches, in blocks. Reusable between requests.
#[derive(Clone, Debug, Default)]
pub struct Matches {
    depths: Vec<u32>,
    tokens_per_block: f32,
    deepest: u32,
    /// Slots whose depth is known, a bit each.
    found: Vec<u64>,
    /// Slots whose engines say so themselves.
    pub(super) told: SlotSet,
    /// Stack of the slots whose depth is searched for.
    sought: Vec<Sought>,
    grain: usize,
}

/// Some of the 64 slots of one word.
#[derive(Clone, Copy, Debug)]
struct Sought {
    word: usize,
    bits: u64,
}

/// Who goes to the end of the stack; as a mask over those who own.
#[derive(Clone, Copy)]
#[repr(u64)]
enum Leave {
    Owners = 0,
    Others = u64::MAX,
}

// === Matches ===

impl Matches {
    /// Forgets everything; `tokens_per_block` converts depths for the request at hand.
    pub fn reset(&mut self, tokens_per_block: f32) {
        self.depths.fill(0);
        self.found.fill(0);
        self.told.clear();
        self.tokens_per_block = tokens_per_block;
        self.deepest = 0;
    }

    /// What [`Matches::reset`] was told.
    pub fn tokens_per_block(&self) -> f32 {
        self.tokens_per_block
    }

    /// Blocks of the prompt that `slot` is believed to hold.
    #[inline]
    pub fn depth(&self, slot: Slot) -> u32 {
        self.depths.get(usize::from(slot.0)).copied().unwrap_or(0)
    }

    /// The same in tokens.
    #[inline]
    pub fn tokens(&self, slot: Slot) -> u64 {
        u64::from((self.depth(slot) as f32 * self.tokens_per_block) as u32)
    }

    /// The endpoints that hold something of the prompt.
    pub fn holders(&self) -> impl Iterator<Item = Slot> {
        self.found.iter().enumerate().flat_map(|(word, bits)| slots_of(word, *bits))
    }

    /// The deepest match of any endpoint.
    pub fn deepest(&self) -> u32 {
        self.deepest
    }

    /// States that `slot` holds the first `depth` blocks.
    #[inline]
    pub fn raise(&mut self, slot: Slot, depth: u32) {
        let at = usize::from(slot.0);
        if self.depths.len() <= at {
            self.make_room(at + 1);
        }
        self.depths[at] = self.depths[at].max(depth);
        self.found[at / 64] |= 1 << (at % 64);
        self.deepest = self.deepest.max(depth);
    }

    /// Room for slots below `slots`.
    fn make_room(&mut self, slots: usize) {
        let words = slots.div_ceil(64).max(self.found.len());
        self.found.resize(words, 0);
        self.depths.resize(words * 64, 0);
    }

    /// Searches a chain of so many links, whose owners `at` tells; all of `first` hold the link `low`.
    pub(super) fn search<'i>(
        &mut self,
        low: usize,
        count: usize,
        first: Owners<'i>,
        at: &impl Fn(usize) -> Owners<'i>,
    ) {
        if let Owners::Bits(bits) = first {
            self.make_room(64);
            return self.descend_word(low, count, bits, at);
        }
        self.sought.clear();
        self.sought.extend(first.words().map(|(word, bits)| Sought { word, bits }));
        if let Some(last) = self.sought.last() {
            self.make_room((last.word + 1) * 64);
            self.grain = (count / FINE).clamp(1, COARSEST);
            self.descend(low, count, 0, at);
        }
    }

    /// The search when a word holds everybody: those `sought` hold the link `low` and not the link `high`.
    /// Whoever holds the middle and was not found deeper belongs in the upper half, whether sought or not:
    /// a shorter prefix may have been crowded out and learnt anew.
    fn descend_word<'i>(
        &mut self,
        low: usize,
        mut high: usize,
        mut sought: u64,
        at: &impl Fn(usize) -> Owners<'i>,
    ) {
        while sought != 0 && high - low > 1 {
            let (middle, owners) = look(low + (high - low) / 2, high, at);
            let owners = owners.word(0);
            self.descend_word(middle, high, owners & !self.found[0], at);
            sought &= !owners;
            high = middle;
        }
        slots_of(0, sought).for_each(|slot| self.raise(slot, marks::depth(low + 1) as u32));
    }

    /// Those sought from `start` on hold the link `low` and not the link `high`. Leaves the stack at `start`.
    fn descend<'i>(&mut self, low: usize, mut high: usize, start: usize, at: &impl Fn(usize) -> Owners<'i>) {
        while self.sought.len() > start && high - low > 1 {
            if high - low <= BATCH * self.grain && self.are_many(start) {
                if high - low <= self.grain {
                    break;
                }
                return self.scan(low, high, start, at);
            }
            let (middle, owners) = look(low + (high - low) / 2, high, at);
            let (rest, held) = self.part(start, &owners, Leave::Owners);
            self.add_strays(&owners, held);
            self.descend(middle, high, held, at);
            self.sought.truncate(rest);
            high = middle;
        }
        self.settle(low, start);
    }

    /// The same for a few grains with somebody ending in most of them.
    fn scan<'i>(&mut self, mut low: usize, high: usize, start: usize, at: &impl Fn(usize) -> Owners<'i>) {
        let grain = self.grain;
        let ends = (low + grain..high).step_by(grain);
        let mut owners = [Owners::Bits(0); BATCH];
        owners
            .iter_mut()
            .zip(ends.clone())
            .for_each(|(owners, end)| *owners = look(end, high.min(end + 2), at).1);
        for (end, owners) in ends.zip(&owners) {
            let (held, others) = self.part(start, owners, Leave::Others);
            self.descend(low, end, others, at);
            self.sought.truncate(held);
            low = end;
        }
        self.settle(low, start);
    }

    /// Those sought from `start` on hold the link `low`, and what lies deeper is not told apart.
    fn settle(&mut self, low: usize, start: usize) {
        for at in start..self.sought.len() {
            let Sought { word, bits } = self.sought[at];
            slots_of(word, bits).for_each(|slot| self.raise(slot, marks::depth(low + 1) as u32));
        }
        self.sought.truncate(start);
    }

    fn are_many(&self, start: usize) -> bool {
        let sought = &self.sought[start..];
        sought.len() > FEW || sought.iter().map(|s| s.bits.count_ones() as usize).sum::<usize>() > FEW
    }

    /// Moves some of those sought from `start` on to the end of the stack. Returns where the others end now,
    /// and where those moved begin.
    fn part(&mut self, start: usize, owners: &Owners<'_>, leave: Leave) -> (usize, usize) {
        match *owners {
            Owners::Wide(words) => {
                self.part_by(start, leave, |at| words.get(at).map_or(0, |w| w.load(Relaxed)))
            }
            few => self.part_by(start, leave, |at| few.word(at)),
        }
    }

    fn part_by(&mut self, start: usize, leave: Leave, owners: impl Fn(usize) -> u64) -> (usize, usize) {
        let end = self.sought.len();
        // Written without a branch, which would be guessed wrong every other time: so there must be room for all.
        self.sought.resize(2 * end - start, Sought { word: 0, bits: 0 });
        let (sought, leavers) = self.sought[start..].split_at_mut(end - start);
        let (mut stay, mut left) = (0, 0);
        for at in 0..sought.len() {
            let Sought { word, bits } = sought[at];
            let leaving = bits & (owners(word) ^ leave as u64);
            leavers[left] = Sought { word, bits: leaving };
            left += usize::from(leaving != 0);
            sought[stay] = Sought { word, bits: bits & !leaving };
            stay += usize::from(bits != leaving);
        }
        self.sought.truncate(end + left);
        (start + stay, end)
    }

    /// Owners who were sought lower down, because they are missing from a shorter prefix: it was crowded out
    /// and has had to be learnt anew.
    fn add_strays(&mut self, owners: &Owners<'_>, end: usize) {
        // A bitmap is looked at only for those who are sought: it is long, and made before longer prefixes' are.
        if matches!(owners, Owners::Wide(_)) {
            return;
        }
        for (word, bits) in owners.words() {
            let held = self.sought[end..].iter().filter(|s| s.word == word).fold(0, |bits, s| bits | s.bits);
            let stray = bits & !held & !self.found.get(word).copied().unwrap_or(0);
            if stray != 0 {
                self.sought.push(Sought { word, bits: stray });
            }
        }
    }
}

/// The owners of a link; of the next one, below `high`, where one entry of a held prefix was crowded out.
#[inline]
fn look<'i>(link: usize, high: usize, at: &impl Fn(usize) -> Owners<'i>) -> (usize, Owners<'i>) {
    let owners = at(link);
    if owners.is_empty() && link + 1 < high { (link + 1, at(link + 1)) } else { (link, owners) }
}
