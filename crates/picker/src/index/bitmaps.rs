//! A fixed store of bitmaps, one bit per endpoint, for prefixes that more endpoints hold than fit into a word.
//!
//! Bits are set and cleared without locks. A bitmap that was handed back may get a bit from a writer that
//! still saw it in use: one wrong hint.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use crate::Slot;

/// See the module's header.
pub(super) struct Bitmaps {
    words: Box<[AtomicU64]>,
    words_each: usize,
    count: u32,
    /// Unused ones. Locked only when one is taken or handed back.
    free: Mutex<Vec<u32>>,
}

// === Bitmaps ===

impl Bitmaps {
    /// `count` bitmaps of `words_each` words.
    pub(super) fn new(count: u32, words_each: usize) -> Self {
        Self {
            words: (0..count as usize * words_each).map(|_| AtomicU64::new(0)).collect(),
            words_each,
            count,
            free: Mutex::new((0..count).rev().collect()),
        }
    }

    /// Bytes held, now and for ever.
    pub(super) fn bytes(&self) -> usize {
        Self::bytes_for(self.count, self.words_each)
    }

    /// The same of so many bitmaps of `words_each` words.
    pub(super) fn bytes_for(count: u32, words_each: usize) -> usize {
        count as usize * (words_each * size_of::<u64>() + size_of::<u32>())
    }

    /// An empty bitmap, if one is left.
    pub(super) fn take(&self) -> Option<u32> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Empties a bitmap and hands it back.
    pub(super) fn release(&self, set: u32) {
        self.of(set).iter().for_each(|word| word.store(0, Relaxed));
        self.free.lock().unwrap_or_else(PoisonError::into_inner).push(set);
    }

    /// The words of one bitmap; none for a number that is out of range.
    #[inline]
    pub(super) fn of(&self, set: u32) -> &[AtomicU64] {
        let start = set as usize * self.words_each;
        self.words.get(start..start + self.words_each).unwrap_or_default()
    }

    /// Adds a slot.
    pub(super) fn insert(&self, set: u32, slot: Slot) {
        let Some(word) = self.of(set).get(usize::from(slot.0) / 64) else { return };
        let bit = 1 << (slot.0 % 64);
        // Most prompts are repeats: a look spares the other cores the write.
        if word.load(Relaxed) & bit == 0 {
            word.fetch_or(bit, Relaxed);
        }
    }

    /// Takes a slot out; true when that left the bitmap empty.
    pub(super) fn remove(&self, set: u32, slot: Slot) -> bool {
        let words = self.of(set);
        if let Some(word) = words.get(usize::from(slot.0) / 64) {
            word.fetch_and(!(1 << (slot.0 % 64)), Relaxed);
        }
        words.iter().all(|word| word.load(Relaxed) == 0)
    }
}
