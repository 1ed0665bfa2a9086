//! When to read an engine again. Pure.
//!
//! `interval = max(current, min, 30 * time the last page took)`, spread by up to a tenth either way but never
//! below that floor. `current` falls to `min` as soon as the load moves, and grows by half up to `max` while it
//! does not. So an engine is never asked for more than a thirtieth of its time, however fast its load moves:
//! for an engine too slow to be read every `max`, the floor wins.
//!
//! A failure that was quick (a refused connection) is tried again after `max`. An engine that did not answer in
//! time is tried after `max`, twice, four times ... up to sixteen times that.

use std::time::Duration;

/// Share of its time that an engine may spend on being read: one part in this many.
const SHARE: u32 = 30;
/// Growth of the interval while nothing moves.
const GROWTH: f64 = 1.5;
/// Largest multiple of `max` between tries of a silent engine.
const PATIENCE: u32 = 16;
/// Largest share of an interval that chance adds or takes.
const JITTER: f64 = 0.1;

/// See the module's header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    min: Duration,
    max: Duration,
    current: Duration,
    /// Rounds in a row without an answer in time.
    silent: u32,
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The load differs from the last reading.
    Moved,
    /// It does not, or the engine does not tell.
    Still,
    /// It failed quickly.
    Failed,
    /// No answer in time.
    Silent,
}

// === Seen ===

impl Seen {
    pub(super) fn answered(self) -> bool {
        matches!(self, Self::Moved | Self::Still)
    }
}

// === Pace ===

impl Pace {
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max: max.max(min), current: min, silent: 0 }
    }

    /// Time until the next round, counted from the end of this one. `chance` is in 0..1.
    pub(super) fn next(&mut self, seen: Seen, took: Duration, chance: f64) -> Duration {
        self.silent = if seen == Seen::Silent { self.silent + 1 } else { 0 };
        self.current = match seen {
            Seen::Moved => self.min,
            Seen::Still => self.current.mul_f64(GROWTH).clamp(self.min, self.max),
            Seen::Failed => self.max,
            Seen::Silent => self.max.saturating_mul(PATIENCE.min(1 << (self.silent - 1).min(8))),
        };
        let floor = if seen.answered() { self.min.max(took.saturating_mul(SHARE)) } else { self.min };
        let spread = 1.0 + JITTER * (2.0 * chance - 1.0);
        self.current.max(floor).mul_f64(spread).max(floor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIN: Duration = Duration::from_millis(50);
    const MAX: Duration = Duration::from_secs(1);
    const QUICK: Duration = Duration::from_micros(300);

    fn pace() -> Pace {
        Pace::new(MIN, MAX)
    }

    #[test]
    fn it_slows_down_while_nothing_moves_and_is_fast_again_at_once() {
        let mut pace = pace();
        let waits: Vec<u128> = (0..9).map(|_| pace.next(Seen::Still, QUICK, 0.5).as_millis()).collect();
        assert_eq!(waits, [75, 112, 168, 253, 379, 569, 854, 1_000, 1_000]);
        assert_eq!(pace.next(Seen::Moved, QUICK, 0.5), MIN);
    }

    #[test]
    fn a_slow_engine_is_left_alone_thirty_times_as_long_as_it_took() {
        assert_eq!(pace().next(Seen::Moved, Duration::from_millis(4), 0.5), Duration::from_millis(120));
        assert_eq!(
            pace().next(Seen::Moved, Duration::from_millis(100), 0.0),
            Duration::from_secs(3),
            "beyond max"
        );
    }

    #[test]
    fn a_silent_engine_is_tried_ever_more_rarely_and_a_refusing_one_every_max() {
        let mut pace = pace();
        let took = Duration::from_secs(2);
        let waits: Vec<u64> = (0..6).map(|_| pace.next(Seen::Silent, took, 0.5).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 16]);
        assert_eq!(pace.next(Seen::Failed, took, 0.5), MAX);
        assert_eq!(pace.next(Seen::Silent, took, 0.5), MAX, "counted anew");
    }

    proptest! {
        #[test]
        fn the_bounds_hold_whatever_happens(rounds in prop::collection::vec((0_u8..4, 0_u64..5_000, 0.0..1.0_f64), 1..60)) {
            let mut pace = pace();
            for (seen, took, chance) in rounds {
                let seen = [Seen::Moved, Seen::Still, Seen::Failed, Seen::Silent][usize::from(seen)];
                let took = Duration::from_millis(took);
                let wait = pace.next(seen, took, chance);
                prop_assert!(wait >= MIN);
                prop_assert!(wait <= MAX.mul_f64(1.1).max(took * 30).mul_f64(1.1) || seen == Seen::Silent);
                prop_assert!(wait <= MAX.mul_f64(17.6).max(took * 33));
                if seen.answered() {
                    prop_assert!(wait >= took * 30);
                }
            }
        }
    }
}
