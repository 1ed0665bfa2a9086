//! Engine time: wall time since the start, multiplied by the time scale.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Timers fire up to a millisecond late; aiming this much early makes the error fall on both sides.
const TIMER_BIAS: Duration = Duration::from_micros(500);

/// The engine's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    origin: Instant,
    scale: f64,
}

// === Clock ===

impl Clock {
    pub(super) fn new(scale: f64) -> Self {
        Self { origin: Instant::now(), scale }
    }

    /// Engine seconds now.
    pub(super) fn now(&self) -> f64 {
        self.origin.elapsed().as_secs_f64() * self.scale
    }

    /// Waits until engine time `at`; lets other tasks run at least once.
    pub(super) async fn reach(&self, at: f64) {
        let due = self.origin + Duration::from_secs_f64(at / self.scale) - TIMER_BIAS;
        if due > Instant::now() {
            sleep_until(due).await;
        } else {
            tokio::task::yield_now().await;
        }
    }
}
