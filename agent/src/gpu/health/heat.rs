//! Whether a card slows itself down for long: a bucket that fills while it does and drains while it does not.
//!
//! NVML may report a slowdown for a moment at every change of clocks, so a single reading says nothing.

use std::time::Duration;

use crate::gpu::sample::Slowdown;

/// Slowed for so long, it counts. Changes of clocks are over within a second; a card that is really too hot stays so.
pub(super) const LASTS: Duration = Duration::from_secs(10);

/// The bucket drains this many times slower than it fills: what is slowed more than a third of the time gets there,
/// and is over it only after 20 s without.
pub(super) const DRAIN: u32 = 2;

/// Most time that one reading stands for: nobody knows what happened in a longer gap.
const STEP: Duration = Duration::from_secs(5);

/// See the module's header.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heat {
    level: Duration,
    /// Reached the brim, and has not been empty since.
    hot: bool,
    /// The last slowdown seen.
    slowdown: Option<Slowdown>,
    /// Time of the last reading.
    felt: Option<Duration>,
}

// === Heat ===

impl Heat {
    /// Takes a reading, which stands for the time since the last one.
    pub(super) fn feel(&mut self, now: Duration, slowdown: Option<Slowdown>) {
        let last = self.felt.replace(now).unwrap_or(now);
        let passed = now.saturating_sub(last).min(STEP);
        if slowdown.is_some() {
            self.slowdown = slowdown;
            self.level = (self.level + passed).min(LASTS);
        } else {
            self.level = self.level.saturating_sub(passed / DRAIN);
        }
        self.hot = self.level >= LASTS || (self.hot && !self.level.is_zero());
    }

    /// What slows it, once that has lasted.
    pub(super) fn hot(&self) -> Option<Slowdown> {
        self.slowdown.filter(|_| self.hot)
    }
}
