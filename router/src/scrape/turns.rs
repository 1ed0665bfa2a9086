//! Turns of readers, so that many engines together are not read more often than one thread can take.
//!
//! A line in order of coming, whose head moves on at a fixed rate; nobody's turn is saved up. An engine that was never read does not
//! wait, as it gets no requests before: its reading is made up for by those behind it.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use warmlane_picker::Time;

/// See the module's header.
#[derive(Debug)]
pub(super) struct Turns {
    /// Between two readings.
    gap: Duration,
    /// When the next one is due.
    free: Mutex<Time>,
}

// === Turns ===

impl Turns {
    /// So many in a second.
    pub(super) fn new(rate: usize) -> Self {
        let gap = Duration::from_secs(1).checked_div(u32::try_from(rate).unwrap_or(u32::MAX));
        Self { gap: gap.unwrap_or_default(), free: Mutex::default() }
    }

    /// Takes the next turn: how long it is until then.
    pub(super) fn take(&self, now: Time) -> Duration {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = (*free).max(now);
        *free = turn + self.gap;
        turn.saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_follow_each_other_at_the_rate_and_no_turn_is_saved_up() {
        let turns = Turns::new(100);
        let at = Time::from_secs(5);
        let waits: Vec<u128> = (0..3).map(|_| turns.take(at).as_millis()).collect();
        assert_eq!(waits, [0, 10, 20]);
        let later = Time::from_secs(60);
        assert_eq!((turns.take(later).as_millis(), turns.take(later).as_millis()), (0, 10));
    }
}
