//! A time in which nothing new takes the lane. Without it each response would ask for a connection of its own, just when the
//! machine is short of memory.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// See the module's header.
#[derive(Debug)]
pub(super) struct Pause {
    made: Instant,
    /// Milliseconds from there to its end.
    until: AtomicU64,
}

// === Pause ===

impl Pause {
    const LENGTH: Duration = Duration::from_secs(5);

    /// From now on; true where none lasted.
    pub(super) fn begins(&self) -> bool {
        let now = self.made.elapsed();
        let before = self.until.swap((now + Self::LENGTH).as_millis() as u64, Relaxed);
        now.as_millis() >= u128::from(before)
    }

    pub(super) fn lasts(&self) -> bool {
        self.made.elapsed().as_millis() < u128::from(self.until.load(Relaxed))
    }
}

impl Default for Pause {
    fn default() -> Self {
        Self { made: Instant::now(), until: AtomicU64::new(0) }
    }
}
