//! When to read an engine again. Pure.
//!
//! `interval = max(current, min, 30 * time the last page took)`, spread by up to a tenth either way but never
//! below that floor. `current` falls to `min` as soon as the load moves, and grows by half up to `max` while it
//! does not. So an engine is never asked for more than a thirtieth of its time, however fast its load moves:
//! for an engine too slow to be read every `max`, the floor wins.
//!
//! A failure that was quick (a refused connection) is tried again after `max`. An engine that did not answer in
//! time is tried after `max`, twice, four times ... up to sixteen times that.
//!
//! Where readers share a beat, each round moves to the nearest beat that leaves the engine its time: whoever reads many
//! engines is then woken once for several of them.

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
    /// Rounds begin at multiples of this.
    beat: Option<Duration>,
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
    pub(super) fn new(min: Duration, max: Duration, beat: Option<Duration>) -> Self {
        Self { min, max: max.max(min), current: min, beat: beat.filter(|beat| !beat.is_zero()), silent: 0 }
    }

    /// Time until the next round, counted from the end of this one, which is `now`. `chance` is in 0..1.
    pub(super) fn next(&mut self, seen: Seen, took: Duration, now: Duration, chance: f64) -> Duration {
        let wait = self.wait(seen, took, chance);
        let Some(beat) = self.beat else { return wait };
        let duty = if seen.answered() { took.saturating_mul(SHARE) } else { Duration::ZERO };
        to_beat(now, wait, duty.min(wait), beat)
    }

    fn wait(&mut self, seen: Seen, took: Duration, chance: f64) -> Duration {
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

/// The time from `now` to the beat that is nearest to the end of `wait`, `least` at least.
fn to_beat(now: Duration, wait: Duration, least: Duration, beat: Duration) -> Duration {
    let beats = |time: Duration| time.as_nanos() / beat.as_nanos();
    let nearest = beats(now + wait + beat / 2);
    let earliest = beats(now + least) + 1;
    let at = nearest.max(earliest).saturating_mul(beat.as_nanos());
    Duration::from_nanos(u64::try_from(at).unwrap_or(u64::MAX)).saturating_sub(now)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIN: Duration = Duration::from_millis(50);
    const MAX: Duration = Duration::from_secs(1);
    const QUICK: Duration = Duration::from_micros(300);
    const NOW: Duration = Duration::from_secs(7);

    fn pace() -> Pace {
        Pace::new(MIN, MAX, None)
    }

    #[test]
    fn it_slows_down_while_nothing_moves_and_is_fast_again_at_once() {
        let mut pace = pace();
        let waits: Vec<u128> = (0..9).map(|_| pace.next(Seen::Still, QUICK, NOW, 0.5).as_millis()).collect();
        assert_eq!(waits, [75, 112, 168, 253, 379, 569, 854, 1_000, 1_000]);
        assert_eq!(pace.next(Seen::Moved, QUICK, NOW, 0.5), MIN);
    }

    #[test]
    fn a_slow_engine_is_left_alone_thirty_times_as_long_as_it_took() {
        assert_eq!(pace().next(Seen::Moved, Duration::from_millis(4), NOW, 0.5), Duration::from_millis(120));
        assert_eq!(
            pace().next(Seen::Moved, Duration::from_millis(100), NOW, 0.0),
            Duration::from_secs(3),
            "beyond max"
        );
    }

    #[test]
    fn a_silent_engine_is_tried_ever_more_rarely_and_a_refusing_one_every_max() {
        let mut pace = pace();
        let took = Duration::from_secs(2);
        let waits: Vec<u64> = (0..6).map(|_| pace.next(Seen::Silent, took, NOW, 0.5).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 16]);
        assert_eq!(pace.next(Seen::Failed, took, NOW, 0.5), MAX);
        assert_eq!(pace.next(Seen::Silent, took, NOW, 0.5), MAX, "counted anew");
    }

    #[test]
    fn readers_that_share_a_beat_meet_on_it() {
        let mut pace = Pace::new(MIN, MAX, Some(Duration::from_millis(30)));
        let at = Duration::from_micros(100_700);
        let mut next = |took, chance| (at + pace.next(Seen::Moved, took, at, chance)).as_millis();
        assert_eq!((next(QUICK, 0.0), next(QUICK, 1.0)), (150, 150), "50 and 55 ms later");
        assert_eq!(next(Duration::from_millis(2), 0.0), 180, "60 ms are the engine's own");
    }

    proptest! {
        #[test]
        fn a_beat_is_met_and_never_at_the_engines_cost(
            now in 0_u64..1_000_000_000, wait in 0_u64..20_000_000, least in 0_u64..20_000_000, beat in 1_u64..200_000,
        ) {
            let [now, wait, least, beat] = [now, wait, least.min(wait), beat].map(Duration::from_micros);
            let found = to_beat(now, wait, least, beat);
            prop_assert_eq!((now + found).as_nanos() % beat.as_nanos(), 0);
            prop_assert!(found > least && found <= wait + beat && found + beat > wait);
        }

        #[test]
        fn the_bounds_hold_whatever_happens(rounds in prop::collection::vec((0_u8..4, 0_u64..5_000, 0.0..1.0_f64), 1..60)) {
            let mut pace = pace();
            for (seen, took, chance) in rounds {
                let seen = [Seen::Moved, Seen::Still, Seen::Failed, Seen::Silent][usize::from(seen)];
                let took = Duration::from_millis(took);
                let wait = pace.next(seen, took, NOW, chance);
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
