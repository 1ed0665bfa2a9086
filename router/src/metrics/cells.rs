//! Counters with one writing thread each, and arrays of them: one per value of an enum.

use std::{
    fmt,
    marker::PhantomData,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// A counter that one thread writes and any thread reads. It takes no locked instruction, which would cost as much as a
/// dozen others, and stands in that thread's own sheet.
#[derive(Debug, Default)]
pub struct Tally(AtomicU64);

/// An enum whose values are label values.
pub trait Label: Copy + 'static {
    /// Every value, in the order of [`Label::index`].
    const ALL: &'static [Self];

    /// Position in [`Label::ALL`].
    fn index(self) -> usize;

    /// The label value.
    fn name(self) -> &'static str;
}

/// A counter for each value of `L`.
pub struct Counts<L> {
    cells: Box<[Tally]>,
    label: PhantomData<L>,
}

// === Tally ===

impl Tally {
    /// Adds to it. Only for the thread that it belongs to: of two that add at once, one is forgotten.
    #[inline]
    pub fn add(&self, more: u64) {
        if cfg!(feature = "uncounted") {
            return;
        }
        self.0.store(self.get().wrapping_add(more), Relaxed);
    }

    /// Takes from it, as [`Tally::add`] adds.
    #[inline]
    pub fn sub(&self, less: u64) {
        if cfg!(feature = "uncounted") {
            return;
        }
        self.0.store(self.get().wrapping_sub(less), Relaxed);
    }

    /// What it stands at.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

// === Counts ===

impl<L: Label> Counts<L> {
    /// All zero.
    pub fn new() -> Self {
        Self { cells: L::ALL.iter().map(|_| Tally::default()).collect(), label: PhantomData }
    }

    /// Counts one; see [`Tally::add`].
    #[inline]
    pub fn add(&self, label: L) {
        self.cells[label.index()].add(1);
    }

    /// Adds another's counts.
    pub(super) fn absorb(&self, other: &Self) {
        self.cells.iter().zip(&other.cells).for_each(|(cell, more)| cell.add(more.get()));
    }

    /// The count of one value.
    pub fn get(&self, label: L) -> u64 {
        self.cells[label.index()].get()
    }

    /// Every value with its count.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&'static str, u64)> {
        L::ALL.iter().map(|label| (label.name(), self.get(*label)))
    }
}

impl<L: Label> Default for Counts<L> {
    fn default() -> Self {
        Self::new()
    }
}

impl<L: Label> fmt::Debug for Counts<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.rows()).finish()
    }
}
