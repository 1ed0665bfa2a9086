//! Whether an endpoint that keeps failing is left alone for a while: a circuit breaker over counted outcomes.
//!
//! Not a health check: it knows only how requests ended, and nothing of why. What counts as a failure is the
//! caller's word; refusals that are the client's fault (4xx) or mean "busy" (503) must not be among them.
//!
//! ```text
//!            in_a_row failures, or an outlier
//!   Closed -----------------------------------> Open { until }
//!     ^  ^                                        |      ^
//!     |  +--- TRIALS successes --- Trying <-- until      | a failure
//!     |                              |___________________|
//! ```
//!
//! An *outlier* failed at least `share` of at least [`LEAST`] requests within [`WINDOW`], and [`FAR`] times the
//! share of all others: what fails everywhere is not one endpoint's fault. Each opening soon after the last rests
//! twice as long, up to `longest_rest`.

use crate::Time;

/// Requests that end in the window before their share says anything.
pub const LEAST: u64 = 20;

/// Over how long shares are counted.
pub const WINDOW: Time = Time::from_secs(10);

/// How much more often than the others an outlier fails.
pub const FAR: f32 = 3.0;

/// Successes after a rest that close the breaker.
pub const TRIALS: u64 = 3;

/// How requests ended at an endpoint: running totals that never fall.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// Answered.
    pub good: u64,
    /// Failed.
    pub bad: u64,
    /// Failed since the last that was answered.
    pub in_a_row: u32,
}

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BreakerRule {
    /// Failures in a row that open it; 0: it never opens.
    pub in_a_row: u32,
    /// Share of failures that makes an outlier; above 1: no share does.
    pub share: f32,
    /// First rest.
    pub rest: Time,
    /// Longest rest.
    pub longest_rest: Time,
}

/// The breaker of one endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub struct Breaker {
    state: State,
    /// Openings, each soon after the last.
    openings: u32,
    /// When it closed last.
    closed: Time,
    /// When the present window began, and the totals then.
    window: Time,
    mark: Outcomes,
}

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Requests flow.
    #[default]
    Closed,
    /// The endpoint is left alone.
    Open {
        /// Until then.
        until: Time,
    },
    /// A few requests show whether it works again.
    Trying,
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Left alone from now on.
    Opened {
        /// For so long.
        rest: Time,
    },
    /// May be tried.
    Trying,
    /// Works again.
    Closed,
}

// === Outcomes ===

impl Outcomes {
    /// What came after `mark`.
    pub fn since(self, mark: Self) -> Self {
        let (good, bad) = (self.good.saturating_sub(mark.good), self.bad.saturating_sub(mark.bad));
        Self { good, bad, in_a_row: self.in_a_row }
    }

    /// Both together; rows of different endpoints do not add up.
    pub fn plus(self, other: Self) -> Self {
        Self { good: self.good + other.good, bad: self.bad + other.bad, in_a_row: 0 }
    }

    /// Share of failures; 0 where nothing ended.
    pub fn share(self) -> f32 {
        let all = self.good + self.bad;
        if all == 0 { 0.0 } else { self.bad as f32 / all as f32 }
    }
}

// === BreakerRule ===

impl Default for BreakerRule {
    fn default() -> Self {
        Self {
            // As in Envoy's outlier detection.
            in_a_row: 5,
            share: 0.5,
            // An engine that restarts needs a minute or more; a short first rest costs a few trials only.
            rest: Time::from_secs(5),
            longest_rest: Time::from_secs(120),
        }
    }
}

// === Breaker ===

impl Breaker {
    /// A breaker for an endpoint that begins anew with these totals.
    pub fn new(now: Time, totals: Outcomes) -> Self {
        Self { closed: now, window: now, mark: totals, ..Self::default() }
    }

    /// Whether the endpoint is to be left alone.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// What ended in the present window.
    pub fn recent(&self, totals: Outcomes) -> Outcomes {
        totals.since(self.mark)
    }

    /// Looks at the totals of now; `others` is what ended at all other endpoints in their windows. With `may_open`
    /// false it stays closed whatever it sees.
    pub fn look(
        &mut self,
        rule: &BreakerRule,
        now: Time,
        totals: Outcomes,
        others: Outcomes,
        may_open: bool,
    ) -> Option<Turn> {
        let recent = self.recent(totals);
        match self.state {
            State::Open { until } if now < until => None,
            State::Open { .. } => {
                self.begin_window(now, totals);
                self.state = State::Trying;
                Some(Turn::Trying)
            }
            State::Trying if recent.bad > 0 => Some(self.open(rule, now)),
            State::Trying if recent.good >= TRIALS => {
                self.begin_window(now, totals);
                (self.state, self.closed) = (State::Closed, now);
                Some(Turn::Closed)
            }
            State::Trying => None,
            State::Closed => {
                let in_a_row = rule.in_a_row > 0 && recent.bad > 0 && totals.in_a_row >= rule.in_a_row;
                if may_open && (in_a_row || is_outlier(rule, recent, others)) {
                    return Some(self.open(rule, now));
                }
                if now.saturating_sub(self.window) >= WINDOW {
                    self.begin_window(now, totals);
                }
                None
            }
        }
    }

    fn open(&mut self, rule: &BreakerRule, now: Time) -> Turn {
        // One that worked for longer than any rest begins anew.
        let soon = now.saturating_sub(self.closed) <= rule.longest_rest;
        let trying = self.state == State::Trying;
        self.openings = if self.openings > 0 && (soon || trying) { self.openings + 1 } else { 1 };
        let doubled = rule.rest.saturating_mul(1 << (self.openings - 1).min(16));
        let rest = doubled.min(rule.longest_rest.max(rule.rest));
        self.state = State::Open { until: now + rest };
        Turn::Opened { rest }
    }

    fn begin_window(&mut self, now: Time, totals: Outcomes) {
        (self.window, self.mark) = (now, totals);
    }
}

fn is_outlier(rule: &BreakerRule, recent: Outcomes, others: Outcomes) -> bool {
    let share = recent.share();
    recent.good + recent.bad >= LEAST && share >= rule.share && share >= FAR * others.share()
}

#[cfg(test)]
mod tests;
