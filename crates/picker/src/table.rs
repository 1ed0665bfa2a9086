//! A bounded hash table for hints: fixed memory, no locks, oldest entry replaced.
//!
//! Layout: 64-byte lines of four entries; an entry is two words, `tag (40 bits) | stamp (24 bits)` and a
//! 64-bit value of the user's. A key may live in either of two lines and goes into the emptier one, which
//! keeps loss by crowding below one in a thousand up to a fill of five eighths. A lookup touches one or two cache
//! lines whatever the table's size.
//!
//! Entries are read and written without locks. A writer marks the place it changes; others wait for it a
//! moment, then go ahead. So a tag can be paired with another's value; a reader that looks in between can see
//! that too. Users must treat values as hints.
//! Two keys with equal 40-bit tags are the same key here: about one in a million lookups of an absent key
//! in a table of a million entries.
//!
//! Memory: 16 bytes per entry, allocated at once, never grown.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

mod pair;
mod stamp;

use pair::Pair;
pub use stamp::Stamp;
pub(crate) use stamp::{STAMP_BITS, STAMP_MASK};

const WAYS: usize = 4;

/// Share of the entries that can be filled before crowding loses some: see the module's header.
const FILL: f64 = 0.625;

/// The word of a place that is being given to another key: a stamp without a tag.
const CHANGING: u64 = 1;

/// Lines by which the whole table is judged: 4,096 entries tell its fill to a hundredth.
const LOOKED: usize = 1_024;

/// How often a writer looks again when another one is busy in the same lines, before it goes ahead.
const PATIENCE: usize = 100;

#[derive(Default)]
struct Entry {
    tag: AtomicU64,
    value: AtomicU64,
}

#[derive(Default)]
#[repr(align(64))]
struct Line([Entry; WAYS]);

/// See the module's header.
pub struct Table {
    lines: Box<[Line]>,
}

/// A found entry: its value can be read and replaced in place.
pub struct Cell<'t>(&'t Entry);

// === Table ===

impl Table {
    /// A table that holds at least `entries` at once.
    pub fn with_capacity(entries: usize) -> Self {
        Self { lines: (0..lines_for(entries)).map(|_| Line::default()).collect() }
    }

    /// Entries that fit by the stated fill.
    pub fn capacity(&self) -> usize {
        (self.lines.len() as f64 * WAYS as f64 * FILL) as usize
    }

    /// Bytes held, now and for ever.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.lines)
    }

    /// Entries in use: a walk over the table, for diagnostics.
    pub fn used(&self) -> usize {
        self.cells().count()
    }

    /// How much of the capacity is in use, 1 for all of it: by a look at some of the lines, spread over the table, so that it
    /// costs the same whatever the table's size.
    pub fn filled(&self) -> f64 {
        let looked = || self.lines.iter().step_by((self.lines.len() / LOOKED).max(1));
        let used =
            looked().flat_map(|line| &line.0).filter(|entry| entry.tag.load(Relaxed) > CHANGING).count();
        used as f64 / (looked().count() * WAYS) as f64 / FILL
    }

    /// Bytes of a table that [`Table::with_capacity`] makes for so many.
    pub fn bytes_for(entries: usize) -> usize {
        lines_for(entries) * size_of::<Line>()
    }

    /// Places there are, used or not.
    pub(crate) fn places_in_all(&self) -> usize {
        self.lines.len() * WAYS
    }

    /// Which of them a cell is: where things that belong to it are found beside the table.
    #[inline]
    pub(crate) fn place_of(&self, cell: &Cell<'_>) -> usize {
        let entry: *const Entry = cell.0;
        (entry.addr() - self.lines.as_ptr().addr()) / size_of::<Entry>()
    }

    /// Looks a key up.
    #[inline]
    pub fn find(&self, key: u64) -> Option<Cell<'_>> {
        let tag = tag_of(key);
        let (first, second) = self.places(tag);
        let hit = |line: &'_ Line| line.0.iter().position(|e| e.tag.load(Relaxed) >> STAMP_BITS == tag);
        if let Some(way) = hit(&self.lines[first]) {
            return Some(Cell(&self.lines[first].0[way]));
        }
        hit(&self.lines[second]).map(|way| Cell(&self.lines[second].0[way]))
    }

    /// The value of a key.
    #[inline]
    pub fn get(&self, key: u64) -> Option<u64> {
        self.find(key).map(|cell| cell.value())
    }

    /// Brings both lines of these keys near: loads that wait for nothing arrive together, and a look at a line that is
    /// far costs as much as twenty at one that is near.
    pub fn fetch(&self, keys: impl Iterator<Item = u64>) {
        let near = |line: usize| self.lines[line].0[0].tag.load(Relaxed);
        let touched = keys.fold(0, |sum, key| {
            let (first, second) = self.places(tag_of(key));
            sum ^ near(first) ^ near(second)
        });
        std::hint::black_box(touched);
    }

    /// Finds a key or takes an empty or the oldest place for it. Returns the cell, and the value that was
    /// pushed out (of an empty place: whatever its last one was). A new cell starts with `initial`.
    #[inline]
    pub fn entry(&self, key: u64, initial: u64, now: Stamp) -> (Cell<'_>, Option<u64>) {
        let tag = tag_of(key);
        for _ in 0..PATIENCE {
            let pair = self.pair(tag);
            if let Some(place) = pair.hit(tag) {
                let cell = Cell(place);
                cell.touch(now);
                return (cell, None);
            }
            let (place, seen) = pair.place(now);
            // Of two threads that add the same key, both take the same place: one is faster.
            if !pair.is_changing() && place.claim(seen) {
                return (Cell(place), Some(place.fill(tag, initial, now)));
            }
            // Another thread is putting something into these lines: perhaps this very key.
            std::hint::spin_loop();
        }
        let place = self.pair(tag).place(now).0;
        (Cell(place), Some(place.fill(tag, initial, now)))
    }

    fn pair(&self, tag: u64) -> Pair<'_> {
        let (first, second) = self.places(tag);
        let lines = [&self.lines[first], &self.lines[second]];
        Pair { lines, words: lines.map(|line| std::array::from_fn(|way| line.0[way].tag.load(Relaxed))) }
    }

    /// Every used cell.
    pub fn cells(&self) -> impl Iterator<Item = Cell<'_>> {
        self.lines.iter().flat_map(|l| &l.0).filter(|e| e.tag.load(Relaxed) > CHANGING).map(Cell)
    }

    /// Both lines in which a tag may live. They depend on the tag alone, so entries can move to a table of
    /// another size.
    #[inline]
    fn places(&self, tag: u64) -> (usize, usize) {
        let spread = tag.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mask = self.lines.len() - 1;
        ((spread >> 40) as usize & mask, (spread >> 16) as usize & mask)
    }
}

fn lines_for(entries: usize) -> usize {
    ((entries as f64 / FILL / WAYS as f64).ceil() as usize).max(2).next_power_of_two()
}

/// Never 0, which marks an empty entry.
#[inline]
fn tag_of(key: u64) -> u64 {
    (key >> STAMP_BITS).max(1)
}

/// What a table keeps of a key: what [`Cell::key`] tells.
#[inline]
pub(crate) fn kept(key: u64) -> u64 {
    tag_of(key) << STAMP_BITS
}

// === Entry ===

impl Entry {
    /// Takes the place out of use for the moment, unless somebody else was faster.
    fn claim(&self, seen: u64) -> bool {
        self.tag.compare_exchange(seen, CHANGING, Relaxed, Relaxed).is_ok()
    }

    /// Gives the place to another tag. The value is swapped, so that each one that ever stood here is handed
    /// back to exactly one writer.
    fn fill(&self, tag: u64, value: u64, now: Stamp) -> u64 {
        let old = self.value.swap(value, Relaxed);
        self.tag.store(tag << STAMP_BITS | now.word(), Relaxed);
        old
    }
}

// === Cell ===

impl Cell<'_> {
    /// The value.
    #[inline]
    pub fn value(&self) -> u64 {
        self.0.value.load(Relaxed)
    }

    /// When the cell was last touched.
    pub fn stamp(&self) -> Stamp {
        Stamp::of_word(self.0.tag.load(Relaxed))
    }

    /// A key that finds this cell again, in this table or one it is copied to.
    pub fn key(&self) -> u64 {
        self.0.tag.load(Relaxed) & !STAMP_MASK
    }

    /// Marks the cell as used now.
    pub fn touch(&self, now: Stamp) {
        let word = self.0.tag.load(Relaxed);
        if word & STAMP_MASK == now.word() {
            return;
        }
        // A failed exchange means that somebody else touched or replaced it: both are fine.
        let _ = self.0.tag.compare_exchange(word, word & !STAMP_MASK | now.word(), Relaxed, Relaxed);
    }

    /// Replaces the value if it is still `old`; else returns what it is.
    pub fn replace(&self, old: u64, new: u64) -> Result<(), u64> {
        self.0.value.compare_exchange(old, new, Relaxed, Relaxed).map(|_| ())
    }

    /// Applies `change` until it holds; returns the old and the new value.
    pub fn update(&self, mut change: impl FnMut(u64) -> u64) -> (u64, u64) {
        let mut old = self.value();
        loop {
            let new = change(old);
            match self.replace(old, new) {
                Ok(()) => return (old, new),
                Err(now) => old = now,
            }
        }
    }

    /// Sets bits of the value.
    pub fn add_bits(&self, bits: u64) {
        // Most prompts are repeats: a look spares the other cores the write.
        if self.value() & bits != bits {
            self.0.value.fetch_or(bits, Relaxed);
        }
    }

    /// Empties the place.
    pub fn clear(&self) {
        self.0.tag.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Time;

    fn spread(i: u64) -> u64 {
        crate::chain::key(3, &i.to_le_bytes())
    }

    #[test]
    fn holds_its_capacity_with_hardly_a_loss() {
        let table = Table::with_capacity(20_000);
        for i in 0..table.capacity() as u64 {
            table.entry(spread(i), i, Stamp::of(Time::from_secs(i / 100)));
        }
        let lost = (0..table.capacity() as u64).filter(|i| table.get(spread(*i)) != Some(*i)).count();
        assert!(lost * 1_000 < table.capacity(), "{lost} of {} lost", table.capacity());
    }

    #[test]
    fn its_fill_is_told_by_some_of_its_lines() {
        let table = Table::with_capacity(100_000);
        assert_eq!(table.filled(), 0.0);
        let half = table.capacity() / 2;
        for key in 0..half as u64 {
            table.entry(spread(key), 0, Stamp::of(Time::ZERO));
        }
        let filled = table.filled();
        assert!((0.45..0.55).contains(&filled), "{filled}");
        assert_eq!(Table::bytes_for(100_000), table.bytes());
    }

    #[test]
    fn replaces_the_oldest_and_never_grows() {
        let table = Table::with_capacity(1_000);
        let bytes = table.bytes();
        for i in 0..100_000 {
            table.entry(spread(i), i, Stamp::of(Time::from_secs(i)));
        }
        assert_eq!(table.bytes(), bytes);
        assert!((99_900..100_000).all(|i| table.get(spread(i)) == Some(i)), "the newest stay");
        assert!((0..50_000).all(|i| table.get(spread(i)).is_none()), "the oldest went");
    }
}
