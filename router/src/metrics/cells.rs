//! One counter per value of an enum, in one array.

use std::{
    fmt,
    marker::PhantomData,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

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
    cells: Box<[AtomicU64]>,
    label: PhantomData<L>,
}

// === Counts ===

impl<L: Label> Counts<L> {
    /// All zero.
    pub fn new() -> Self {
        Self { cells: L::ALL.iter().map(|_| AtomicU64::new(0)).collect(), label: PhantomData }
    }

    /// Counts one.
    #[inline]
    pub fn add(&self, label: L) {
        self.cells[label.index()].fetch_add(1, Relaxed);
    }

    /// The count of one value.
    pub fn get(&self, label: L) -> u64 {
        self.cells[label.index()].load(Relaxed)
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
