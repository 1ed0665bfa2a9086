//! What the programs have counted, over all CPUs.

use warmlane_abi::count;

/// All counters of [`count`], by their number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    values: Vec<u64>,
}

// === Counts ===

impl Counts {
    pub(super) fn read(mut of: impl FnMut(u32) -> u64) -> Self {
        Self { values: (0..count::LEN).map(&mut of).collect() }
    }

    /// One of them: a number of [`warmlane_abi::count`].
    pub fn of(&self, number: u32) -> u64 {
        self.values.get(number as usize).copied().unwrap_or(0)
    }

    /// Hand-overs for this one of [`warmlane_abi::reason`].
    pub fn handed_over(&self, reason: u32) -> u64 {
        self.of(count::HANDED_OVER + reason)
    }
}
