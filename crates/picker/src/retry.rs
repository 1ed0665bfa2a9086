//! How many requests may be sent once more: a budget that keeps retries a small part of all traffic.
//!
//! Every request adds `share` of a retry, time adds `per_second`, and each retry takes one. So when a pool fails as
//! a whole, retries add at most `share` to its load, and a quiet pool can still retry. Bound: [`MOST`] retries saved.

use crate::Time;

/// Most retries that can be saved up.
pub const MOST: f32 = 100.0;

/// What a budget earns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryRule {
    /// Retries per request.
    pub share: f32,
    /// Retries per second, whatever the traffic.
    pub per_second: f32,
}

/// See the module's header.
#[derive(Clone, Copy, Debug)]
pub struct RetryBudget {
    rule: RetryRule,
    saved: f32,
    last: Time,
}

// === RetryRule ===

impl Default for RetryRule {
    /// Finagle's and linkerd's defaults.
    fn default() -> Self {
        Self { share: 0.2, per_second: 10.0 }
    }
}

// === RetryBudget ===

impl RetryBudget {
    /// A budget with one second's retries in it.
    pub fn new(rule: RetryRule, now: Time) -> Self {
        Self { rule, saved: rule.per_second.min(MOST), last: now }
    }

    /// A request came.
    #[inline]
    pub fn earn(&mut self) {
        self.saved = (self.saved + self.rule.share).min(MOST);
    }

    /// Takes one retry; false when there is none.
    pub fn spend(&mut self, now: Time) -> bool {
        let granted = self.has_any(now);
        if granted {
            self.saved -= 1.0;
        }
        granted
    }

    /// Whether there is one to take.
    pub fn has_any(&mut self, now: Time) -> bool {
        let passed = now.saturating_sub(self.last).as_secs_f32();
        self.saved = (self.saved + passed * self.rule.per_second).min(MOST);
        self.last = self.last.max(now);
        self.saved >= 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(budget: &mut RetryBudget, now: Time, most: usize) -> usize {
        (0..most).take_while(|_| budget.spend(now)).count()
    }

    #[test]
    fn a_fifth_of_the_requests_may_be_repeated() {
        let mut budget = RetryBudget::new(RetryRule { share: 0.2, per_second: 0.0 }, Time::ZERO);
        (0..250).for_each(|_| budget.earn());
        let count = spent(&mut budget, Time::ZERO, 1_000);
        assert!((49..=50).contains(&count), "{count}");
    }

    #[test]
    fn a_quiet_pool_can_still_retry_and_nothing_is_saved_for_ever() {
        let mut budget = RetryBudget::new(RetryRule { share: 0.2, per_second: 10.0 }, Time::ZERO);
        assert_eq!(spent(&mut budget, Time::ZERO, 1_000), 10);
        assert_eq!(spent(&mut budget, Time::from_secs(1), 1_000), 10);
        assert_eq!(spent(&mut budget, Time::from_secs(86_400), 1_000), MOST as usize);
        assert_eq!(spent(&mut budget, Time::from_secs(5), 1_000), 0, "a clock that jumps back earns nothing");
    }
}
