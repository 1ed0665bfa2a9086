//! Whether an endpoint holds requests and gets nowhere with them: a process that is stuck, a card that fell off its bus, an
//! engine that sleeps. Its pages still come and look idle, so that a picker by load would send it everything.
//!
//! Stalled is who, holding at least one request, neither counts a token nor ends a request for
//! [`PATIENCE`] and the time in which the slowest engine computes a prompt as long as the mean of those that wait. Where an
//! engine counts no tokens nothing can be told.

use warmlane_picker::Time;

/// Longer than any step of an engine that works.
const PATIENCE: Time = Time::from_secs(10);

/// Prompt tokens a second that any engine computes: an A10 with a 7B model does eight times as many.
const SLOWEST: f64 = 500.0;

/// What is seen of an endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// Tokens it counted so far, if it counts.
    pub(super) tokens: Option<f64>,
    /// Requests it answered so far.
    pub(super) answered: u64,
    /// Requests it holds.
    pub(super) in_flight: u32,
    /// Prompt tokens of those without a first byte.
    pub(super) prefill_tokens: u64,
}

/// See the module's header.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stall {
    /// When it was last seen to get somewhere, and what was seen then.
    moved: Time,
    tokens: f64,
    answered: u64,
}

impl Stall {
    /// Whether it is stalled now.
    pub(super) fn look(&mut self, seen: Seen, now: Time) -> bool {
        let Some(tokens) = seen.tokens else { return false };
        if seen.in_flight == 0 || tokens != self.tokens || seen.answered != self.answered {
            *self = Self { moved: now, tokens, answered: seen.answered };
            return false;
        }
        let mean = seen.prefill_tokens as f64 / f64::from(seen.in_flight);
        let allowance = PATIENCE.as_secs_f64() + mean / SLOWEST;
        now.saturating_sub(self.moved).as_secs_f64() > allowance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(s: u64) -> Time {
        Time::from_secs(s)
    }

    fn holding(in_flight: u32, tokens: f64) -> Seen {
        Seen { tokens: Some(tokens), in_flight, prefill_tokens: 1_000 * u64::from(in_flight), answered: 3 }
    }

    #[test]
    fn who_holds_requests_and_computes_nothing_is_stalled_and_moves_by_any_sign_of_life() {
        let mut stall = Stall::default();
        assert!(!stall.look(holding(4, 100.0), secs(50)));
        assert!(!stall.look(holding(4, 100.0), secs(62)), "ten seconds, and two for a thousand tokens");
        assert!(stall.look(holding(4, 100.0), secs(63)));
        assert!(stall.look(holding(9, 100.0), secs(64)), "more of them change nothing");
        assert!(!stall.look(holding(4, 101.0), secs(65)), "a token");
        assert!(stall.look(holding(4, 101.0), secs(90)));
        assert!(!stall.look(Seen { answered: 4, ..holding(4, 101.0) }, secs(91)), "an answer");
        assert!(!stall.look(holding(0, 101.0), secs(200)), "nothing to do");
        assert!(!stall.look(holding(1, 101.0), secs(205)), "counted from when there was something to do");
    }

    #[test]
    fn a_long_prompt_has_its_time_and_who_counts_nothing_is_never_stalled() {
        let mut stall = Stall::default();
        let long = Seen { prefill_tokens: 120_000, ..holding(1, 7.0) };
        stall.look(long, secs(1));
        assert!(!stall.look(long, secs(200)));
        assert!(stall.look(long, secs(260)));
        let silent = Seen { tokens: None, ..holding(1, 0.0) };
        assert!(!Stall::default().look(silent, secs(9_000)));
    }
}
