//! A line of the log that others can provoke, written at most once in ten seconds, with how many like it were not logged.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// Between two of them.
const PAUSE: Duration = Duration::from_secs(10);

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// See the module's header. One for each kind of line.
#[derive(Debug, Default)]
pub struct Seldom {
    /// From when on the next may be written, in milliseconds of the process.
    next: AtomicU64,
    not_logged: AtomicU64,
}

// === Seldom ===

impl Seldom {
    /// None was written yet.
    pub const fn new() -> Self {
        Self { next: AtomicU64::new(0), not_logged: AtomicU64::new(0) }
    }

    /// Whether one may be written now, and its field `not_logged`: how many were not since the last, where there are any.
    pub fn is_due(&self) -> Option<Option<u64>> {
        self.is_due_at(START.elapsed()).map(|count| (count > 0).then_some(count))
    }

    fn is_due_at(&self, now: Duration) -> Option<u64> {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let take = |next| (millis(now) >= next).then(|| millis(now + PAUSE));
        match self.next.fetch_update(Relaxed, Relaxed, take) {
            Ok(_) => Some(self.not_logged.swap(0, Relaxed)),
            Err(_) => {
                self.not_logged.fetch_add(1, Relaxed);
                None
            }
        }
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
}
