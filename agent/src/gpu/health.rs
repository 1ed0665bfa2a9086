//! Whether a card should be given requests: a state machine over readings, XID events and time. Pure.
//!
//! ```text
//!               XID that asks for a reset, double-bit ECC, off the bus, lost, row remap failed, 30 s of silence
//!   Healthy ------------------------------------------------------------------------------> Failed
//!      ^  |                                                                                   |
//!      |  | slowed down for long, new uncorrectable errors, unknown XID, link, 5 s of silence |
//!      |  v                                                                                   |
//!     Degraded <------------------------------------------------------------------------------+
//!                                        the card was reset
//! ```
//!
//! What happened is held against the card as a fault with an end. The verdict is the worst fault that has not ended;
//! each repetition moves the end away, so a card that flaps stays where it is. The way back:
//!
//! - A fault that a reset cures ends [`CALM`] after a reset was seen, and is `Degraded` until then. A reset shows in
//!   counters that start again with the driver (energy, volatile ECC) and in a lost card that answers again.
//! - Where none is seen, it ends after [`LONG_QUIET`]: cards that count no energy must not stay out for ever.
//! - A failed row remap ends only with a reading that says so.
//!
//! Nothing is remembered over a restart of the process: what still holds (loss, row remap, slowdown) is read again.

use std::{mem, time::Duration};

use super::{sample::Sample, xid::Class};
use heat::Heat;

mod heat;
mod verdict;

pub use verdict::{Absence, Cause, Verdict};

/// How long a card must be well before a fault that has passed is forgotten. Our choice: sixty readings in a row, so
/// that a card that comes and goes within a minute stays out.
pub const CALM: Duration = Duration::from_secs(60);

/// How long a card is held back after new uncorrectable memory errors or an XID that is not in the table. Our choice:
/// a replica less for five minutes costs little, and what was serious has shown a worse sign by then.
pub const DOUBT: Duration = Duration::from_secs(300);

/// When a fault that only a reset cures is forgotten though no reset was seen. Our choice: resetting a card and
/// loading a model take minutes, so half an hour covers both. Returned too early, a card costs the requests that the
/// router's breaker then catches; too late, a replica.
pub const LONG_QUIET: Duration = Duration::from_secs(1_800);

/// A question without an answer for so long degrades. A driver without persistence takes 1 to 3 s to wake a card
/// (NVIDIA, "Driver Persistence"); a card in use answers within milliseconds.
pub const SLOW: Duration = Duration::from_secs(5);

/// And for so long, fails. The driver gives up on its card's firmware after 6 s (the text of XID 119), so this is five
/// such timeouts in a row.
pub const SILENT: Duration = Duration::from_secs(30);

/// The state of one card. Times are since any fixed start; one that goes back counts as standing still.
#[derive(Clone, Debug, Default)]
pub struct Health {
    now: Duration,
    /// When the oldest question without an answer was asked.
    asked: Option<Duration>,
    absent: bool,
    heat: Heat,
    last: Counters,
    /// At most one per cause and severity, so bounded.
    faults: Vec<Fault>,
}

/// Something that happened, and for how long it counts.
#[derive(Clone, Copy, Debug)]
struct Fault {
    failed: bool,
    why: Cause,
    until: Duration,
    /// A reset ends it.
    reset_cures: bool,
}

/// Counters that only a reset, a driver reload or an administrator who settles an old matter sets back.
#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    energy: Option<u64>,
    uncorrected: Option<u64>,
}

// === Health ===

impl Health {
    /// A question was put to the card. Asking again before the answer changes nothing.
    pub fn asked(&mut self, now: Duration) {
        self.advance(now);
        self.asked.get_or_insert(self.now);
    }

    /// It answered with this.
    pub fn read(&mut self, now: Duration, sample: &Sample) {
        self.advance(now);
        self.forgive_silence();
        let (counters, last) = (Counters::of(sample), self.last);
        if mem::take(&mut self.absent) || counters.fell_below(last) {
            self.was_reset();
        } else {
            self.count_errors(counters.uncorrected, last.uncorrected);
        }
        self.last = counters.or(last);
        match sample.remap.failed {
            Some(true) => self.hold(true, Cause::RowRemapFailed, Duration::MAX, false),
            Some(false) => self.faults.retain(|fault| fault.why != Cause::RowRemapFailed),
            None => {}
        }
        self.heat.feel(self.now, sample.throttle.and_then(|throttle| throttle.slowdown()));
    }

    /// NVML cannot reach it.
    pub fn absent(&mut self, now: Duration, how: Absence) {
        self.advance(now);
        self.asked = None;
        self.absent = true;
        self.hold(true, Cause::Absent(how), Duration::MAX, true);
    }

    /// The driver reported an XID.
    pub fn xid(&mut self, now: Duration, code: u64) {
        self.advance(now);
        let class = Class::of(code);
        let (failed, length) = match class {
            Class::Reset | Class::DoubleBitEcc | Class::OffBus => (true, LONG_QUIET),
            Class::Link => (false, LONG_QUIET),
            Class::Unknown => (false, DOUBT),
            Class::Application | Class::Ignored => return,
        };
        self.hold(failed, Cause::Xid { code, class }, self.now.saturating_add(length), true);
    }

    /// What is thought of the card now.
    pub fn verdict(&self, now: Duration) -> Verdict {
        let now = now.max(self.now);
        let silent = self.silence(now).map(|failed| (failed, Duration::MAX, Cause::Unresponsive));
        let slowed = self.heat.hot().map(|slowdown| (false, now, Cause::Slowed(slowdown)));
        let held = self.faults.iter().filter(|fault| fault.until > now);
        // Of equal ones, the one that holds longest: it decides when the card is back.
        let worst = held
            .map(|fault| (fault.failed, fault.until, fault.why))
            .chain(silent)
            .chain(slowed)
            .max_by_key(|(failed, until, _)| (*failed, *until));
        match worst {
            None => Verdict::Healthy,
            Some((false, _, why)) => Verdict::Degraded { why },
            Some((true, _, why)) => Verdict::Failed { why },
        }
    }

    /// Whether NVML could not reach it when last asked.
    pub fn is_absent(&self) -> bool {
        self.absent
    }

    fn advance(&mut self, now: Duration) {
        self.now = self.now.max(now);
        self.faults.retain(|fault| fault.until > self.now);
    }

    /// Whether it has been silent for long, and if so whether for too long.
    fn silence(&self, now: Duration) -> Option<bool> {
        let silent = now.saturating_sub(self.asked?);
        (silent >= SLOW).then_some(silent >= SILENT)
    }

    fn forgive_silence(&mut self) {
        if let Some(failed) = self.silence(self.now) {
            self.hold(failed, Cause::Unresponsive, self.now.saturating_add(CALM), false);
        }
        self.asked = None;
    }

    fn count_errors(&mut self, uncorrected: Option<u64>, last: Option<u64>) {
        // The first reading is the mark: what was there before is an old story.
        let errors = uncorrected.zip(last).map_or(0, |(now, before)| now.saturating_sub(before));
        if errors > 0 {
            self.hold(false, Cause::UncorrectableEcc { errors }, self.now.saturating_add(DOUBT), true);
        }
    }

    fn was_reset(&mut self) {
        let calm = self.now.saturating_add(CALM);
        let (cured, rest) = mem::take(&mut self.faults).into_iter().partition(|fault| fault.reset_cures);
        self.faults = rest;
        for Fault { why, until, .. } in cured {
            self.hold(false, why, until.min(calm), true);
        }
    }

    /// Holds a fault in place of an earlier one of its kind and severity.
    fn hold(&mut self, failed: bool, why: Cause, until: Duration, reset_cures: bool) {
        let kind = mem::discriminant(&why);
        self.faults.retain(|held| held.failed != failed || mem::discriminant(&held.why) != kind);
        self.faults.push(Fault { failed, why, until, reset_cures });
    }
}

// === Counters ===

impl Counters {
    fn of(sample: &Sample) -> Self {
        Self { energy: sample.energy, uncorrected: sample.ecc.uncorrected }
    }

    fn fell_below(self, last: Self) -> bool {
        let fell =
            |now: Option<u64>, before: Option<u64>| now.zip(before).is_some_and(|(now, before)| now < before);
        fell(self.energy, last.energy) || fell(self.uncorrected, last.uncorrected)
    }

    /// These, and the last ones where one could not be read.
    fn or(self, last: Self) -> Self {
        Self { energy: self.energy.or(last.energy), uncorrected: self.uncorrected.or(last.uncorrected) }
    }
}

#[cfg(test)]
mod tests;
