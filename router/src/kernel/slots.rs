//! Which slots are free.
//!
//! A slot that is given back rests before it is taken again: a program that was already running for its old connection
//! may still write to it.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Far longer than a program can run.
const REST: Duration = Duration::from_millis(100);

/// See the module's header.
#[derive(Debug)]
pub(super) struct Slots {
    /// In the order in which they were given back, with when they have rested.
    free: Mutex<VecDeque<(Option<Instant>, u32)>>,
}

// === Slots ===

impl Slots {
    pub(super) fn new(count: u32) -> Self {
        Self { free: Mutex::new((0..count).map(|slot| (None, slot)).collect()) }
    }

    /// One that has rested.
    pub(super) fn take(&self, now: Instant) -> Option<u32> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let rested = free.front().is_some_and(|(until, _)| until.is_none_or(|until| until <= now));
        if rested { free.pop_front().map(|(_, slot)| slot) } else { None }
    }

    /// How many of `count` are taken.
    pub(super) fn taken(&self, count: u32) -> usize {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).len();
        (count as usize).saturating_sub(free)
    }

    pub(super) fn give_back(&self, slot: u32, now: Instant) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.push_back((Some(now + REST), slot));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_rests_before_it_is_taken_again() {
        let (slots, now) = (Slots::new(2), Instant::now());
        assert_eq!([slots.take(now), slots.take(now), slots.take(now)], [Some(0), Some(1), None]);
        slots.give_back(1, now);
        assert_eq!((slots.take(now), slots.taken(2)), (None, 1));
        assert_eq!(slots.take(now + REST), Some(1));
    }
}
