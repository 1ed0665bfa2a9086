//! A line of the log that others can provoke: written so often in ten seconds, once unless said otherwise, with how many like it
//! were not.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// The time that lines are counted in: it begins with the first.
const PAUSE: Duration = Duration::from_secs(10);

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// See the module's header. One for each kind of line.
#[derive(Debug)]
pub struct Seldom {
    most: u64,
    /// From when on lines are counted anew, in milliseconds of the process.
    next: AtomicU64,
    written: AtomicU64,
    not_logged: AtomicU64,
}

// === Seldom ===

impl Seldom {
    /// None was written yet.
    pub const fn new() -> Self {
        Self::of(1)
    }

    /// So many in ten seconds.
    pub const fn of(most: u64) -> Self {
        Self { most, next: AtomicU64::new(0), written: AtomicU64::new(0), not_logged: AtomicU64::new(0) }
    }

    /// Whether one may be written now, and its field `not_logged`: how many were not since the last, where there are any.
    pub fn is_due(&self) -> Option<Option<u64>> {
        self.is_due_at(START.elapsed()).map(|count| (count > 0).then_some(count))
    }

    /// How many were not written, once the time in which they were too many is over: for who tells it without waiting for another.
    pub fn left_over(&self) -> Option<u64> {
        self.left_over_at(START.elapsed())
    }

    fn left_over_at(&self, now: Duration) -> Option<u64> {
        let is_over = millis(now) >= self.next.load(Relaxed);
        Some(self.not_logged.load(Relaxed)).filter(|count| is_over && *count > 0)?;
        Some(self.not_logged.swap(0, Relaxed)).filter(|count| *count > 0)
    }

    fn is_due_at(&self, now: Duration) -> Option<u64> {
        let begin = |next| (millis(now) >= next).then(|| millis(now + PAUSE));
        if self.next.fetch_update(Relaxed, Relaxed, begin).is_ok() {
            self.written.store(0, Relaxed);
        }
        if self.written.fetch_add(1, Relaxed) < self.most {
            return Some(self.not_logged.swap(0, Relaxed));
        }
        self.not_logged.fetch_add(1, Relaxed);
        None
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

impl Default for Seldom {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_written_and_then_one_in_each_pause_with_the_count_of_others() {
        let (seldom, second) = (Seldom::new(), Duration::from_secs(1));
        assert_eq!(seldom.is_due_at(second), Some(0));
        assert_eq!(seldom.is_due_at(second), None);
        assert_eq!(seldom.is_due_at(second + PAUSE / 2), None);
        assert_eq!(seldom.is_due_at(second + PAUSE), Some(2));
        assert_eq!(seldom.is_due_at(second + 2 * PAUSE), Some(0));
    }

    #[test]
    fn several_may_be_written_in_a_row_and_then_none_for_a_while() {
        let (seldom, second) = (Seldom::of(3), Duration::from_secs(1));
        let due = |now| seldom.is_due_at(now);
        assert_eq!(
            [due(second), due(second), due(2 * second), due(3 * second)],
            [Some(0), Some(0), Some(0), None]
        );
        assert_eq!([due(second + PAUSE), due(second + PAUSE)], [Some(1), Some(0)]);
    }

    #[test]
    fn what_was_not_written_can_be_told_without_another() {
        let (seldom, second) = (Seldom::new(), Duration::from_secs(1));
        assert_eq!(seldom.left_over_at(second), None);
        for _ in 0..4 {
            seldom.is_due_at(second);
        }
        assert_eq!(seldom.left_over_at(second + PAUSE / 2), None, "more may come");
        assert_eq!(
            [seldom.left_over_at(second + PAUSE), seldom.left_over_at(second + PAUSE)],
            [Some(3), None]
        );
        assert_eq!(seldom.is_due_at(second + PAUSE), Some(0), "they were told of");
    }
}
