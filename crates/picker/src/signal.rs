//! What is known of an endpoint's load, each value with the moment it was true.
//!
//! Confidence in a reading of age `a`: 1 while `a <= fresh`, falling linearly to 0 at `a = stale`. A value
//! without confidence counts as *unknown*, which is neither idle nor overloaded (see [`crate::estimate`]).

use crate::{Time, request::Work};

/// A value and the moment it was true.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading<T> {
    /// The value as the engine stated it.
    pub value: T,
    /// When the request for it was sent: the value is at least this fresh.
    pub at: Time,
}

/// Adapter slots of one engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lora {
    /// Adapters that running requests use.
    pub active: Vec<String>,
    /// Adapters that waiting requests ask for.
    pub waiting: Vec<String>,
    /// Most adapters that can be active at once.
    pub max: u32,
}

/// Everything an engine said of its load. `None` means that it never said so.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signals {
    /// Requests waiting for the scheduler.
    pub queue: Option<Reading<f32>>,
    /// Requests in the running batch.
    pub running: Option<Reading<f32>>,
    /// Share of KV cache in use, 0..=1.
    pub kv_use: Option<Reading<f32>>,
    /// KV cache size in tokens.
    pub kv_capacity_tokens: Option<u64>,
    /// Adapter slots.
    pub lora: Option<Reading<Lora>>,
    /// False while the engine sleeps: it then reports an idle page and answers nothing.
    pub awake: Option<Reading<bool>>,
    /// What this router had sent to the endpoint when the readings were asked for.
    pub mark: Work,
}

// === Reading ===

impl<T> Reading<T> {
    /// Age at `now`; zero when the clock of the reading is ahead.
    pub fn age(&self, now: Time) -> Time {
        now.saturating_sub(self.at)
    }

    /// Confidence 0..=1 at `now`: see the module's header.
    pub fn confidence(&self, now: Time, fresh: Time, stale: Time) -> f32 {
        let age = self.age(now);
        if age <= fresh {
            return 1.0;
        }
        if age >= stale {
            return 0.0;
        }
        let span = stale.saturating_sub(fresh).as_secs_f32();
        (stale.saturating_sub(age)).as_secs_f32() / span
    }
}

// === Signals ===

impl Signals {
    /// The newest moment at which any load signal was true.
    pub fn last_heard(&self) -> Option<Time> {
        [self.queue.map(|r| r.at), self.running.map(|r| r.at), self.kv_use.map(|r| r.at)]
            .into_iter()
            .flatten()
            .max()
    }

    /// True unless the engine said that it sleeps.
    pub fn is_awake(&self) -> bool {
        self.awake.is_none_or(|r| r.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(s: u64) -> Time {
        Time::from_secs(s)
    }

    #[test]
    fn confidence_decays_linearly_between_fresh_and_stale() {
        let reading = Reading { value: 1.0_f32, at: secs(10) };
        assert_eq!(reading.confidence(secs(5), secs(2), secs(10)), 1.0, "a reading from the future is fresh");
        assert_eq!(reading.confidence(secs(12), secs(2), secs(10)), 1.0);
        assert_eq!(reading.confidence(secs(16), secs(2), secs(10)), 0.5);
        assert_eq!(reading.confidence(secs(20), secs(2), secs(10)), 0.0);
    }
}
