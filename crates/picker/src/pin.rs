//! Session pins: which endpoint a session was last sent to. Bounded; the session idle longest goes first.
//!
//! A pin is a hint for the picker, which leaves it when the endpoint is gone or so much hotter than the
//! others that reuse is not worth it; the next pick is then pinned instead.

use crate::{
    Slot, Time,
    table::{Stamp, Table},
};

/// See the module's header. 26 bytes per session, rounded up to a power of two of them.
pub struct PinTable {
    table: Table,
    /// Pins idle longer than this (eighths of a second) no longer count.
    lifetime: u32,
}

// === PinTable ===

impl PinTable {
    /// Room for `sessions` at once, each forgotten after `lifetime` without use.
    pub fn new(sessions: usize, lifetime: Time) -> Self {
        let lifetime = (lifetime.as_millis() / 125).min(u128::from(u32::MAX)) as u32;
        Self { table: Table::with_capacity(sessions), lifetime }
    }

    /// The endpoint a session is pinned to.
    pub fn get(&self, session: u64, now: Time) -> Option<Slot> {
        let cell = self.table.find(session)?;
        (cell.stamp().age(Stamp::of(now)) <= self.lifetime).then(|| Slot(cell.value() as u16))
    }

    /// Pins a session, or moves its pin. True when it was pinned elsewhere before.
    pub fn pin(&self, session: u64, slot: Slot, now: Time) -> bool {
        let new = u64::from(slot.0);
        let (cell, _) = self.table.entry(session, new, Stamp::of(now));
        let (old, _) = cell.update(|_| new);
        old != new
    }

    /// Drops all pins to a slot, because its endpoint is gone. Walks the table; not for the request path.
    pub fn forget(&self, slot: Slot) {
        self.table.cells().filter(|c| c.value() == u64::from(slot.0)).for_each(|c| c.clear());
    }

    /// Pins held: a walk, for diagnostics.
    pub fn len(&self) -> usize {
        self.table.used()
    }

    /// True when nothing is pinned.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_stays_pinned_until_moved_forgotten_or_too_old() {
        let pins = PinTable::new(100, Time::from_secs(600));
        let at = Time::from_secs;
        assert!(!pins.pin(77 << 30, Slot(3), at(0)));
        assert_eq!(pins.get(77 << 30, at(10)), Some(Slot(3)));
        assert!(pins.pin(77 << 30, Slot(4), at(20)), "a move is reported");
        assert_eq!(pins.get(77 << 30, at(620)), Some(Slot(4)));
        assert_eq!(pins.get(77 << 30, at(621)), None, "ten idle minutes end it");
        pins.pin(77 << 30, Slot(4), at(700));
        pins.forget(Slot(4));
        assert_eq!(pins.get(77 << 30, at(700)), None);
    }
}
