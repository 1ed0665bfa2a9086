//! How long to wait before the next try: longer each time, up to a bound, and never the same for two routers, so that an API
//! server that comes back is not met by all of them at once.

use std::time::Duration;

/// The first wait, about.
const FIRST: Duration = Duration::from_millis(200);
/// The longest, about. What is served does not depend on it, only how soon news are seen after an outage.
const LONGEST: Duration = Duration::from_secs(15);

/// Counts tries that failed in a row.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    failed: u32,
}

// === Pace ===

impl Pace {
    /// After a success.
    pub(crate) fn reset(&mut self) {
        self.failed = 0;
    }

    /// After a failure: how long to wait.
    pub(crate) fn next(&mut self) -> Duration {
        let full = FIRST.saturating_mul(1 << self.failed.min(16)).min(LONGEST);
        self.failed = self.failed.saturating_add(1);
        full.mul_f32(0.5 + fastrand::f32())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_begin_anew_after_a_success() {
        let mut pace = Pace::default();
        let waits: Vec<_> = (0..40).map(|_| pace.next()).collect();
        assert!(waits[0] < FIRST * 2, "{waits:?}");
        assert!(waits[39] >= LONGEST / 2 && waits.iter().all(|wait| *wait <= LONGEST * 3 / 2), "{waits:?}");
        pace.reset();
        assert!(pace.next() < FIRST * 2);
    }
}
