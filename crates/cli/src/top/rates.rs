//! Requests a second, by replica, of counters that pages show. Pure.
//!
//! A page half a second after another sees few requests, so the rate follows by an exponential mean:
//! `rate += (1 - exp(-dt / 3 s)) * (requests / dt - rate)`.

use std::{collections::HashMap, time::Duration};

use warmlane_api::admin::Endpoint;

/// What was longer ago counts little.
const MEMORY: Duration = Duration::from_secs(3);

/// By the router's number of a replica. As many as its last page had.
#[derive(Clone, Debug, Default)]
pub(super) struct Rates {
    taken: Option<Duration>,
    counted: HashMap<u16, Counted>,
}

#[derive(Clone, Copy, Debug)]
struct Counted {
    requests: u64,
    rate: Option<f32>,
}

// === Rates ===

impl Rates {
    /// Takes the counters of a page that came at this moment.
    pub(super) fn take(&mut self, endpoints: &[Endpoint], now: Duration) {
        let passed = self.taken.map(|before| now.saturating_sub(before)).filter(|passed| !passed.is_zero());
        let next = |endpoint: &Endpoint| {
            let before = self.counted.get(&endpoint.slot);
            let rate = before.zip(passed).and_then(|(before, passed)| before.rate(endpoint.requests, passed));
            (endpoint.slot, Counted { requests: endpoint.requests, rate })
        };
        self.counted = endpoints.iter().map(next).collect();
        self.taken = Some(now);
    }

    /// After two pages at least.
    pub(super) fn of(&self, endpoint: &Endpoint) -> Option<f32> {
        self.counted.get(&endpoint.slot)?.rate
    }
}

// === Counted ===

impl Counted {
    fn rate(self, requests: u64, passed: Duration) -> Option<f32> {
        // A router that was started anew counts from 0, and so does a replica that took the number of another.
        let more = requests.checked_sub(self.requests)? as f32 / passed.as_secs_f32();
        let share = 1.0 - (-passed.as_secs_f32() / MEMORY.as_secs_f32()).exp();
        Some(self.rate.map_or(more, |rate| rate + share * (more - rate)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(requests: u64) -> Vec<Endpoint> {
        vec![Endpoint { slot: 7, requests, ..Endpoint::default() }]
    }

    #[test]
    fn a_steady_rate_is_shown_as_it_is_and_a_router_that_began_anew_begins_anew() {
        let (mut rates, mut at) = (Rates::default(), Duration::ZERO);
        rates.take(&page(100), at);
        assert_eq!(rates.of(&page(0)[0]), None);
        for beat in 1..=20 {
            at += Duration::from_millis(500);
            rates.take(&page(100 + beat * 5), at);
            assert_eq!(rates.of(&page(0)[0]), Some(10.0));
        }
        at += Duration::from_millis(500);
        rates.take(&page(3), at);
        assert_eq!(rates.of(&page(0)[0]), None);
        rates.take(&page(9), at);
        assert_eq!(rates.of(&page(0)[0]), None, "no time has passed");
    }

    #[test]
    fn what_stopped_fades() {
        let mut rates = Rates::default();
        for (requests, second) in [(0, 0), (300, 3), (300, 6), (300, 9)] {
            rates.take(&page(requests), Duration::from_secs(second));
        }
        let rate = rates.of(&page(0)[0]).expect("a rate");
        assert!((13.0..14.0).contains(&rate), "100 / e / e is 13.5: {rate}");
    }
}
