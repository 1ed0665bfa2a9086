//! Requests under way whose end nobody tells: a gateway that asks only where a request should go says no more of it.
//!
//! Each stays on its endpoint's account until the first of these:
//! - a reading of the engine leaves no room for it: one that was asked for [`GRACE`] after the request went off and counts
//!   fewer requests, waiting and running, than are kept here from before. The oldest are taken off then;
//! - its estimated time has passed: [`SECONDS_PER_PROMPT_TOKEN`] and [`SECONDS_PER_OUTPUT_TOKEN`] for each token.
//!
//! Readings count requests of others too, so the correction errs to the side of keeping; the estimate is what bounds it.
//! Bound: [`MOST`] for the process; what comes beyond that is taken off at once, so an account may then be short.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use warmlane_picker::{Slot, Time};

use super::InFlight;

/// Most requests kept.
const MOST: usize = 65_536;

/// A request is on its way through the gateway, and its prompt is made into tokens, before an engine counts it.
const GRACE: Duration = Duration::from_millis(500);

/// An A10 with a 7B model (as for the picker's estimates): 243 us for each prompt token, and a token each 50 ms
/// when it is busy.
const SECONDS_PER_PROMPT_TOKEN: f64 = 243e-6;
const SECONDS_PER_OUTPUT_TOKEN: f64 = 0.05;

/// See the module's header. A lock is taken once for each such request, and once for each reading.
#[derive(Debug, Default)]
pub struct Lingering(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    by_slot: HashMap<Slot, VecDeque<Entry>>,
    count: usize,
}

#[derive(Debug)]
struct Entry {
    sent: Time,
    until: Time,
    /// On the account until it is dropped.
    _in_flight: InFlight,
}

// === Lingering ===

impl Lingering {
    /// Keeps a request that was sent at that time.
    pub fn keep(&self, in_flight: InFlight, sent: Time) {
        let load = in_flight.load;
        let output = load.kv_tokens.saturating_sub(load.prefill_tokens);
        let seconds =
            load.prefill_tokens as f64 * SECONDS_PER_PROMPT_TOKEN + output as f64 * SECONDS_PER_OUTPUT_TOKEN;
        let until = sent + Duration::from_secs_f64(seconds) + GRACE;
        let mut kept = self.kept();
        if kept.count < MOST {
            kept.count += 1;
            let entries = kept.by_slot.entry(in_flight.slot()).or_default();
            // In the order in which they were sent; most are the last.
            let at = entries.partition_point(|entry| entry.sent <= sent);
            entries.insert(at, Entry { sent, until, _in_flight: in_flight });
        }
    }

    /// An engine was asked at `at`, and counted so many requests.
    pub fn settle(&self, slot: Slot, at: Time, counted: usize) {
        let mut kept = self.kept();
        let Some(entries) = kept.by_slot.get_mut(&slot) else { return };
        let seen = entries.partition_point(|entry| entry.sent + GRACE <= at);
        let gone = seen.saturating_sub(counted);
        entries.drain(..gone);
        kept.count -= gone;
    }

    /// Lets go of those whose time has passed.
    pub fn expire(&self, now: Time) {
        let mut kept = self.kept();
        for entries in kept.by_slot.values_mut() {
            entries.retain(|entry| entry.until > now);
        }
        kept.by_slot.retain(|_, entries| !entries.is_empty());
        kept.count = kept.by_slot.values().map(VecDeque::len).sum();
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.kept().count
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{
        super::{Ledger, Load},
        *,
    };

    const MILLI: Time = Time::from_millis(1);

    fn load() -> Load {
        Load { prefill_tokens: 1_000, kv_tokens: 1_100, streamed: false, adapter: 0 }
    }

    fn with(count: u32) -> (Arc<Ledger>, Lingering) {
        let (ledger, lingering) = (Arc::new(Ledger::new(2)), Lingering::default());
        (0..count).for_each(|n| lingering.keep(ledger.open(Slot(1), load()), MILLI * n));
        (ledger, lingering)
    }

    #[test]
    fn a_reading_takes_those_off_that_it_does_not_count() {
        let (ledger, lingering) = with(10);
        let in_flight = || ledger.account(Slot(1)).in_flight();
        lingering.settle(Slot(1), MILLI * 400, 0);
        assert_eq!(in_flight(), 10, "too early to say anything of them");
        lingering.settle(Slot(1), MILLI * 504, 3);
        assert_eq!(in_flight(), 8, "of the first five, three may be there still");
        lingering.settle(Slot(1), MILLI * 600, 100);
        assert_eq!(in_flight(), 8, "others' requests are counted too");
        lingering.settle(Slot(0), MILLI * 600, 0);
        assert_eq!(in_flight(), 8, "another endpoint's reading");
        lingering.settle(Slot(1), MILLI * 600, 0);
        assert_eq!((in_flight(), lingering.len()), (0, 0));
    }

    #[test]
    fn those_that_were_sent_first_are_taken_off_first() {
        let (ledger, lingering) = with(0);
        let long = Load { prefill_tokens: 5_000, ..load() };
        lingering.keep(ledger.open(Slot(1), load()), MILLI * 20);
        lingering.keep(ledger.open(Slot(1), long), MILLI * 10);
        lingering.settle(Slot(1), MILLI * 600, 1);
        assert_eq!(ledger.account(Slot(1)).prefill_under_way(), 1_000, "the older one is gone");
    }

    #[test]
    fn without_readings_time_takes_them_off() {
        let (ledger, lingering) = with(2);
        // 1,000 prompt tokens, 100 of output, and the grace.
        let until = MILLI * (243 + 5_000 + 500);
        lingering.expire(until - MILLI);
        assert_eq!(ledger.account(Slot(1)).in_flight(), 2);
        lingering.expire(until);
        assert_eq!(ledger.account(Slot(1)).in_flight(), 1, "the second was sent a millisecond later");
        lingering.expire(until + MILLI);
        assert_eq!(lingering.len(), 0);
    }

    #[test]
    fn no_more_than_the_bound_are_kept() {
        let (ledger, lingering) = with(MOST as u32 + 5);
        assert_eq!((lingering.len(), ledger.account(Slot(1)).in_flight()), (MOST, MOST as u32));
    }
}
