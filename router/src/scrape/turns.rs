//! Turns of readers, so that many engines together are not read more often than one thread can take.
//!
//! A line in order of coming, whose head moves on at a fixed rate; nobody's turn is saved up. An engine that was never read does not
//! wait, as it gets no requests before: its reading is made up for by those behind it. Where there are so many engines that readings
//! would be taken for stale before the next, the rate is higher.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use warmlane_picker::Time;

/// See the module's header.
#[derive(Debug)]
pub(super) struct Turns {
    /// Between two readings, where that suffices.
    gap: Duration,
    next: Mutex<Next>,
}

#[derive(Debug)]
struct Next {
    /// Between two readings.
    gap: Duration,
    /// When the next one is due.
    free: Time,
}

// === Turns ===

impl Turns {
    /// So many in a second.
    pub(super) fn new(rate: usize) -> Self {
        let gap = Duration::from_secs(1).checked_div(u32::try_from(rate).unwrap_or(u32::MAX));
        let gap = gap.unwrap_or_default();
        Self { gap, next: Mutex::new(Next { gap, free: Time::ZERO }) }
    }

    /// There are so many engines, each of which is to be read once within this time at least.
    pub(super) fn among(&self, engines: usize, within: Duration) {
        let most = within.checked_div(u32::try_from(engines).unwrap_or(u32::MAX)).unwrap_or(within);
        self.next().gap = self.gap.min(most);
    }

    /// Takes the next turn: how long it is until then.
    pub(super) fn take(&self, now: Time) -> Duration {
        let mut next = self.next();
        let turn = next.free.max(now);
        next.free = turn + next.gap;
        turn.saturating_sub(now)
    }

    fn next(&self) -> MutexGuard<'_, Next> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
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
        turns.among(1_000, Duration::from_secs(5));
        assert_eq!((turns.take(at).as_millis(), turns.take(at).as_millis()), (30, 35), "they would be stale");
        turns.among(10, Duration::from_secs(5));
        let later = Time::from_secs(60);
        assert_eq!((turns.take(later).as_millis(), turns.take(later).as_millis()), (0, 10));
    }
}
