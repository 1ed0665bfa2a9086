//! The prefix index: which endpoints were sent which prompt prefixes ("own history").
//!
//! Key: a link of the prompt's [`Chain`]. Value: the set of endpoints that hold the prefix up to there; up to
//! four inline, more as a bitmap in a side store. Because an endpoint that holds a prefix holds every
//! shorter one, its depth is found by bisection: between two links with equal owner sets nothing changes.
//! A lookup therefore costs `O(distinct depths * log(blocks))` probes, at most one per block, and a few words
//! per probe for large owner sets: never endpoints times blocks.
//!
//! Memory: 16 bytes per entry (1.25 entries per block of capacity, rounded up to a power of two) plus
//! `WIDE_SETS` bitmaps of one bit per possible endpoint. Fixed when made; the oldest prefix goes first.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

mod owners;

use owners::{EMPTY, Owners, inline_with, inline_without};

use crate::{
    Chain, Slot, Time,
    table::{Cell, Stamp, Table},
};

/// Bitmaps for prefixes that more than four endpoints hold. One prompt of 32 KB that is warm everywhere at
/// differing depths takes 512.
const WIDE_SETS: usize = 4_096;

/// A prefix that was refreshed this recently (eighths of a second) is not stamped again: repeats of a long
/// prompt then write nothing.
const REFRESH: u32 = 30 * 8;

/// How deep each endpoint's matching prefix reaches, in blocks. Reusable between requests.
#[derive(Clone, Debug, Default)]
pub struct Matches {
    depths: Vec<u32>,
    tokens_per_block: f32,
    deepest: u32,
}

/// See the module's header.
pub struct PrefixIndex {
    table: Table,
    /// `words_per_set` words per bitmap.
    wide: Box<[AtomicU64]>,
    words_per_set: usize,
    /// Unused bitmaps. Locked only when a prefix gets its fifth owner or such an entry is dropped.
    free: Mutex<Vec<u32>>,
}

// === Matches ===

impl Matches {
    /// Forgets everything; `tokens_per_block` converts depths for the request at hand.
    pub fn reset(&mut self, tokens_per_block: f32) {
        self.depths.fill(0);
        self.tokens_per_block = tokens_per_block;
        self.deepest = 0;
    }

    /// Blocks of the prompt that `slot` is believed to hold.
    #[inline]
    pub fn depth(&self, slot: Slot) -> u32 {
        self.depths.get(usize::from(slot.0)).copied().unwrap_or(0)
    }

    /// The same in tokens.
    #[inline]
    pub fn tokens(&self, slot: Slot) -> u64 {
        (self.depth(slot) as f32 * self.tokens_per_block) as u64
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
            self.depths.resize(at + 1, 0);
        }
        self.depths[at] = self.depths[at].max(depth);
        self.deepest = self.deepest.max(depth);
    }
}

// === PrefixIndex ===

impl PrefixIndex {
    /// An index for `blocks` blocks and slots below `endpoints`.
    pub fn new(blocks: usize, endpoints: usize) -> Self {
        let words_per_set = endpoints.div_ceil(64).max(1);
        Self {
            table: Table::with_capacity(blocks),
            wide: (0..WIDE_SETS * words_per_set).map(|_| AtomicU64::new(0)).collect(),
            words_per_set,
            free: Mutex::new((0..WIDE_SETS as u32).rev().collect()),
        }
    }

    /// Bytes held: a constant of the index.
    pub fn bytes(&self) -> usize {
        self.table.bytes() + size_of_val(&*self.wide) + WIDE_SETS * size_of::<u32>()
    }

    /// Blocks that fit.
    pub fn capacity(&self) -> usize {
        self.table.capacity()
    }

    /// Finds how deep each endpoint's match reaches. `matches` must be reset.
    pub fn lookup(&self, chain: &Chain, matches: &mut Matches) {
        let links = chain.links();
        let Some(first) = links.first() else { return };
        let lowest = self.owners(*first);
        if !lowest.is_empty() {
            self.bisect(links, 0, lowest, links.len(), Owners::NONE, matches);
        }
    }

    /// Between `low` (owned by `below`) and `high` (owned by `above`, already counted).
    fn bisect(
        &self,
        links: &[u64],
        low: usize,
        below: Owners<'_>,
        high: usize,
        above: Owners<'_>,
        matches: &mut Matches,
    ) {
        if below == above {
            return;
        }
        if high - low == 1 {
            below.each_not_in(&above, |slot| matches.raise(slot, high as u32));
            return;
        }
        let middle = low + (high - low) / 2;
        let mut between = self.owners(links[middle]);
        if between.is_empty() && middle + 1 < high {
            // One entry of a held prefix may have been crowded out: its neighbour tells.
            between = self.owners(links[middle + 1]);
        }
        self.bisect(links, middle, between, high, above, matches);
        self.bisect(links, low, below, middle, between, matches);
    }

    /// Remembers that `slot` was sent the prompt; `known` is its depth by [`PrefixIndex::lookup`].
    pub fn record(&self, chain: &Chain, slot: Slot, known: u32, now: Time) {
        let now = Stamp::of(now);
        let links = chain.links();
        let known = (known as usize).min(links.len());
        let refreshed = |link: &u64| self.table.find(*link).is_some_and(|c| c.stamp().age(now) < REFRESH);
        let start = if known > 0 && refreshed(&links[known - 1]) { known } else { 0 };
        for link in &links[start..] {
            self.add(*link, slot, now);
        }
    }

    fn add(&self, link: u64, slot: Slot, now: Stamp) {
        let (cell, pushed_out) = self.table.entry(link, inline_with(EMPTY, slot).unwrap_or(EMPTY), now);
        if let Some(set) = pushed_out.and_then(owners::wide_set) {
            self.release(set);
        }
        let value = cell.value();
        if let Some(set) = owners::wide_set(value) {
            self.set_bit(set, slot);
        } else if let Some(with) = inline_with(value, slot) {
            // Losing a race here loses one hint.
            let _ = cell.replace(value, with);
        } else {
            self.widen(&cell, value, slot);
        }
    }

    /// Moves four inline owners and a fifth to a bitmap; without a free one the lowest slot makes room.
    fn widen(&self, cell: &Cell<'_>, inline: u64, slot: Slot) {
        let set = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(set) = set else {
            let fewer = inline_without(inline, owners::inline_slots(inline).next().unwrap_or(slot));
            let _ = cell.replace(inline, inline_with(fewer, slot).unwrap_or(fewer));
            return;
        };
        owners::inline_slots(inline).chain([slot]).for_each(|s| self.set_bit(set, s));
        if cell.replace(inline, owners::wide_value(set)).is_err() {
            self.release(set);
        }
    }

    /// Forgets everything about a slot: its endpoint is gone or lost its cache. Walks the table; not for the
    /// request path.
    pub fn forget(&self, slot: Slot) {
        for cell in self.table.cells() {
            match owners::wide_set(cell.value()) {
                Some(set) => self.clear_bit(set, slot),
                None => {
                    let (_, left) = cell.update(|v| if owners::wide_set(v).is_some() { v } else { inline_without(v, slot) });
                    if left == EMPTY {
                        cell.clear();
                    }
                }
            }
        }
    }

    /// A larger index with the same contents.
    pub fn grown(&self, blocks: usize) -> Self {
        let grown = Self::new(blocks, self.words_per_set * 64);
        for cell in self.table.cells() {
            for slot in self.slots(cell.value()) {
                grown.add(cell.key(), slot, cell.stamp());
            }
        }
        grown
    }

    fn slots(&self, value: u64) -> Vec<Slot> {
        let mut slots = Vec::new();
        self.owners_of(value).each_not_in(&Owners::NONE, |slot| slots.push(slot));
        slots
    }

    #[inline]
    fn owners(&self, link: u64) -> Owners<'_> {
        self.table.get(link).map_or(Owners::NONE, |value| self.owners_of(value))
    }

    #[inline]
    fn owners_of(&self, value: u64) -> Owners<'_> {
        match owners::wide_set(value) {
            None => Owners::Inline(value),
            Some(set) => Owners::Wide(self.words(set)),
        }
    }

    #[inline]
    fn words(&self, set: u32) -> &[AtomicU64] {
        let start = set as usize % WIDE_SETS * self.words_per_set;
        &self.wide[start..start + self.words_per_set]
    }

    fn set_bit(&self, set: u32, slot: Slot) {
        if let Some(word) = self.words(set).get(usize::from(slot.0) / 64) {
            word.fetch_or(1 << (slot.0 % 64), Relaxed);
        }
    }

    fn clear_bit(&self, set: u32, slot: Slot) {
        if let Some(word) = self.words(set).get(usize::from(slot.0) / 64) {
            word.fetch_and(!(1 << (slot.0 % 64)), Relaxed);
        }
    }

    fn release(&self, set: u32) {
        self.words(set).iter().for_each(|word| word.store(0, Relaxed));
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(set);
    }
}

#[cfg(test)]
mod tests;
