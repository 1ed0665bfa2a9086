//! The prefix index: which endpoints were sent which prompt prefixes ("own history").
//!
//! Key: a link of the prompt's [`Chain`]. Value: the set of endpoints that hold the prefix up to there: a bit
//! each in an index of up to 64 endpoints; in a larger one up to four inline, more as a bitmap in a side
//! store. Because an endpoint that holds a prefix holds every shorter one, depths are found by bisection (see
//! [`Matches`]). A lookup therefore costs `O(distinct depths * log(blocks))` probes, at most one per block,
//! and works on 64 endpoints at a time: never endpoints times blocks.
//!
//! Memory: 16 bytes per entry (1.6 entries per block of capacity, rounded up to a power of two), and a
//! quarter as much or `FEWEST_BITMAPS` in bitmaps. Fixed when made; the prefix unused longest goes first.

use crate::{
    Chain, Slot, Time,
    chain::marks,
    table::{Cell, Stamp, Table},
};

mod bitmaps;
mod combined;
mod matches;
mod owners;

use bitmaps::Bitmaps;
pub use combined::{Source, Told};
pub use matches::Matches;
use owners::{EMPTY, Owners, inline_with, inline_without};

/// One prompt of 32 KB that is warm everywhere at differing depths takes 512 bitmaps.
const FEWEST_BITMAPS: usize = 4_096;

/// Endpoints whose set is one word.
const WORD: usize = 64;

/// Entries whose cache lines are fetched together.
const BATCH: usize = 32;

/// Shortest prefixes that may be missing while longer ones are there.
const HEAD: usize = 4;

/// A prefix that was refreshed this recently (eighths of a second) is not stamped again: repeats of a long
/// prompt then write nothing.
const REFRESH: u32 = 30 * 8;

/// See the module's header.
pub struct PrefixIndex {
    table: Table,
    endpoints: usize,
    /// None while a word holds everybody.
    bitmaps: Option<Bitmaps>,
}

// === PrefixIndex ===

impl PrefixIndex {
    /// An index for `blocks` blocks and slots below `endpoints`. What is recorded of other slots is lost.
    pub fn new(blocks: usize, endpoints: usize) -> Self {
        let words_each = words_for(endpoints);
        let table = Table::with_capacity(blocks);
        let bitmaps =
            (words_each > 1).then(|| Bitmaps::new(bitmaps_beside(table.bytes(), words_each), words_each));
        Self { table, endpoints: words_each * WORD, bitmaps }
    }

    /// Bytes of an index that [`PrefixIndex::new`] makes of these.
    pub fn bytes_for(blocks: usize, endpoints: usize) -> usize {
        let (words_each, table) = (words_for(endpoints), Table::bytes_for(blocks));
        let bitmaps = if words_each > 1 { bitmaps_beside(table, words_each) } else { 0 };
        table + Bitmaps::bytes_for(bitmaps, words_each)
    }

    /// Bytes held: a constant of the index.
    pub fn bytes(&self) -> usize {
        self.table.bytes() + self.bitmaps.as_ref().map_or(0, Bitmaps::bytes)
    }

    /// Blocks that fit.
    pub fn capacity(&self) -> usize {
        self.table.capacity()
    }

    /// How much of the capacity is in use, about; 1: all of it.
    pub fn filled(&self) -> f64 {
        self.table.filled()
    }

    /// Slots below this can be recorded.
    pub fn endpoints(&self) -> usize {
        self.endpoints
    }

    /// Finds how deep each endpoint's match reaches. `matches` must be reset.
    pub fn lookup(&self, chain: &Chain, matches: &mut Matches) {
        let links = chain.links();
        // Of a short prompt nearly all links are looked at, here or when it is recorded; one after the other they would be
        // waited for one after the other.
        if links.len() <= BATCH {
            self.table.fetch(links.iter().copied());
        }
        let owners = |at: usize| self.owners(links[at]);
        let head = (0..links.len().min(HEAD)).map(|at| (at, owners(at)));
        if let Some((low, first)) = head.into_iter().find(|(_, first)| !first.is_empty()) {
            matches.search(low, links.len(), first, &owners);
        }
    }

    /// Remembers that `slot` was sent the prompt; `known` is its depth by [`PrefixIndex::lookup`].
    pub fn record(&self, chain: &Chain, slot: Slot, known: u32, now: Time) {
        if usize::from(slot.0) >= self.endpoints {
            return;
        }
        let now = Stamp::of(now);
        let links = chain.links();
        let known = marks::count(known as usize).min(links.len());
        let start = if self.is_fresh(&links[..known], now) { known } else { 0 };
        for batch in links[start..].chunks(BATCH) {
            self.table.fetch(batch.iter().copied());
            batch.iter().for_each(|link| self.add(*link, slot, now));
        }
    }

    /// Whether a known prefix need not be stamped again. A shorter one may be older than a longer one, which
    /// was added to it later: so looks at the last link, half way, a quarter ...
    fn is_fresh(&self, known: &[u64], now: Stamp) -> bool {
        let fresh = |link: u64| self.table.find(link).is_some_and(|cell| cell.stamp().age(now) < REFRESH);
        let mut at = known.len();
        while at > 0 {
            if !fresh(known[at - 1]) {
                return false;
            }
            at /= 2;
        }
        !known.is_empty()
    }

    /// Adds a slot to the owners of a link.
    fn add(&self, link: u64, slot: Slot, now: Stamp) {
        let alone =
            if self.bitmaps.is_some() { inline_with(EMPTY, slot).unwrap_or(EMPTY) } else { 1 << slot.0 };
        let cell = match self.table.entry(link, alone, now) {
            (cell, None) => cell,
            (_, Some(pushed_out)) => return self.drop_value(pushed_out),
        };
        match &self.bitmaps {
            None => cell.add_bits(alone),
            Some(bitmaps) => join(&cell, slot, bitmaps),
        }
    }

    /// States that `slot` holds what this link stands for. For an index of what engines say they hold, which has one
    /// writer: what was stated can be taken back.
    pub fn hold(&self, link: u64, slot: Slot, now: Time) {
        if usize::from(slot.0) < self.endpoints {
            self.add(link, slot, Stamp::of(now));
        }
    }

    /// Takes back what [`PrefixIndex::hold`] stated.
    pub fn release(&self, link: u64, slot: Slot) {
        if let Some(cell) = self.table.find(link).filter(|_| usize::from(slot.0) < self.endpoints) {
            self.remove(&cell, slot);
        }
    }

    fn drop_value(&self, value: u64) {
        if let (Some(bitmaps), Some(set)) = (&self.bitmaps, owners::wide_set(value)) {
            bitmaps.release(set);
        }
    }

    /// Forgets everything about a slot: its endpoint is gone or lost its cache. Walks the table; not for the
    /// request path.
    pub fn forget(&self, slot: Slot) {
        if usize::from(slot.0) >= self.endpoints {
            return;
        }
        self.table.cells().for_each(|cell| self.remove(&cell, slot));
    }

    /// Takes a slot out of an entry; one that nobody is in makes room.
    fn remove(&self, cell: &Cell<'_>, slot: Slot) {
        match &self.bitmaps {
            Some(bitmaps) => leave(cell, slot, bitmaps),
            None => {
                if cell.update(|bits| bits & !(1 << slot.0)).1 == 0 {
                    cell.clear();
                }
            }
        }
    }

    /// A larger index with the same contents.
    pub fn grown(&self, blocks: usize) -> Self {
        self.resized(blocks, self.endpoints)
    }

    /// An index of another size with the same contents, as far as they fit.
    pub fn resized(&self, blocks: usize, endpoints: usize) -> Self {
        let resized = Self::new(blocks, endpoints);
        for cell in self.table.cells() {
            let (link, stamp) = (cell.key(), cell.stamp());
            for (word, bits) in self.owners_of(cell.value()).words() {
                let fits = |slot: &Slot| usize::from(slot.0) < resized.endpoints;
                for slot in owners::slots_of(word, bits).filter(fits) {
                    resized.add(link, slot, stamp);
                }
            }
        }
        resized
    }

    #[inline]
    fn owners(&self, link: u64) -> Owners<'_> {
        self.table.get(link).map_or(Owners::Bits(0), |value| self.owners_of(value))
    }

    #[inline]
    fn owners_of(&self, value: u64) -> Owners<'_> {
        match &self.bitmaps {
            None => Owners::Bits(value),
            Some(bitmaps) => match owners::wide_set(value) {
                None => Owners::Inline(value),
                Some(set) => Owners::Wide(bitmaps.of(set)),
            },
        }
    }
}

fn words_for(endpoints: usize) -> usize {
    endpoints.div_ceil(WORD).max(1)
}

/// How many bitmaps stand beside a table of so many bytes.
fn bitmaps_beside(table: usize, words_each: usize) -> u32 {
    (table / 4 / (words_each * size_of::<u64>())).max(FEWEST_BITMAPS) as u32
}

/// Adds a slot to an entry of a large index. Losing a race loses one hint.
fn join(cell: &Cell<'_>, slot: Slot, bitmaps: &Bitmaps) {
    let value = cell.value();
    if let Some(set) = owners::wide_set(value) {
        bitmaps.insert(set, slot);
    } else if let Some(with) = inline_with(value, slot) {
        let _ = cell.replace(value, with);
    } else if let Some(set) = bitmaps.take() {
        owners::inline_slots(value).chain([slot]).for_each(|s| bitmaps.insert(set, s));
        if cell.replace(value, owners::wide_value(set)).is_err() {
            bitmaps.release(set);
        }
    } else {
        let _ = cell.replace(value, owners::inline_instead(value, slot));
    }
}

/// Takes a slot out of an entry of a large index; an entry without owners makes room.
fn leave(cell: &Cell<'_>, slot: Slot, bitmaps: &Bitmaps) {
    let value = cell.value();
    let Some(set) = owners::wide_set(value) else {
        let without = |v| if owners::wide_set(v).is_some() { v } else { inline_without(v, slot) };
        if cell.update(without).1 == EMPTY {
            cell.clear();
        }
        return;
    };
    if bitmaps.remove(set, slot) && cell.replace(value, EMPTY).is_ok() {
        cell.clear();
        bitmaps.release(set);
    }
}

#[cfg(test)]
mod tests;
