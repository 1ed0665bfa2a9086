//! Numbers for endpoints.
//!
//! The lowest free one is given, so that tables of slots stay small. The number of an endpoint that left is given again only when
//! nothing speaks of the old one any more: it has been gone for [`QUARANTINE`], so that updates about it have been taken; no request
//! is under way there; and the tables that remember slots were swept.

use std::collections::BTreeSet;

use warmlane_picker::{Slot, Time};

use crate::world::MAX_ENDPOINTS;

/// Longer than an update waits in a channel.
const QUARANTINE: Time = Time::from_secs(10);

/// See the module's header.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// Numbers below this have been given at some time.
    next: u16,
    free: BTreeSet<Slot>,
    /// Those that left, oldest first.
    leaving: Vec<(Slot, Time)>,
    /// Those that tables are being swept of.
    sweeping: BTreeSet<Slot>,
}

// === Slots ===

impl Slots {
    /// A number for an endpoint; `None` when all are taken.
    pub(super) fn take(&mut self) -> Option<Slot> {
        if let Some(slot) = self.free.pop_first() {
            return Some(slot);
        }
        let slot = Slot(self.next);
        (usize::from(self.next) < MAX_ENDPOINTS).then(|| {
            self.next += 1;
            slot
        })
    }

    /// Its endpoint is gone.
    pub(super) fn leave(&mut self, slot: Slot, now: Time) {
        self.leaving.push((slot, now));
    }

    /// Those that tables are to be swept of now; `is_idle`: no request is under way there.
    pub(super) fn due(&mut self, now: Time, is_idle: impl Fn(Slot) -> bool) -> Vec<Slot> {
        let is_due =
            |(slot, since): &(Slot, Time)| now.saturating_sub(*since) >= QUARANTINE && is_idle(*slot);
        let due: Vec<Slot> =
            self.leaving.iter().filter(|entry| is_due(entry)).map(|(slot, _)| *slot).collect();
        self.leaving.retain(|(slot, _)| !due.contains(slot));
        self.sweeping.extend(&due);
        due
    }

    /// Tables were swept of it: if its endpoint has left, the number may be given again.
    pub(super) fn swept(&mut self, slot: Slot) {
        if self.sweeping.remove(&slot) {
            self.free.insert(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(s: u64) -> Time {
        Time::from_secs(s)
    }

    #[test]
    fn a_number_is_given_again_once_nothing_speaks_of_who_had_it() {
        let mut slots = Slots::default();
        assert_eq!([slots.take(), slots.take(), slots.take()], [Some(Slot(0)), Some(Slot(1)), Some(Slot(2))]);
        slots.leave(Slot(1), secs(5));
        slots.leave(Slot(0), secs(5));
        assert!(slots.due(secs(14), |_| true).is_empty(), "too early");
        assert_eq!(
            slots.due(secs(15), |slot| slot == Slot(0)),
            [Slot(0)],
            "the other one has a request under way"
        );
        assert_eq!(slots.take(), Some(Slot(3)), "not before it is swept");
        slots.swept(Slot(0));
        slots.swept(Slot(2));
        assert_eq!(slots.take(), Some(Slot(0)));
        assert_eq!(
            slots.take(),
            Some(Slot(4)),
            "whose endpoint is there is swept after a restart, and stays"
        );
        assert_eq!(slots.due(secs(15), |_| true), [Slot(1)]);
    }

    #[test]
    fn there_are_no_more_than_the_bound() {
        let mut slots = Slots::default();
        assert_eq!((0..=MAX_ENDPOINTS).filter(|_| slots.take().is_some()).count(), MAX_ENDPOINTS);
    }
}
