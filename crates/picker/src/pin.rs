//! Session pins: which endpoint a session was last sent to. Bounded; the session idle longest goes first.
//!
//! A pin is a hint for the picker, which leaves it when the endpoint is gone or so much hotter than the
//! others that reuse is not worth it; the next pick is then pinned instead.

use crate::{
    Saved, Slot, Time,
    saved::Accounts,
    table::{Stamp, Table},
};

/// See the module's header. 77 bytes per session, 51 of them for its account, rounded up to a power of two of them: 6 MiB for
/// 65,536 sessions.
pub struct PinTable {
    table: Table,
    accounts: Accounts,
    /// Pins idle longer than this (eighths of a second) no longer count.
    lifetime: u32,
}

/// A session that is pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Its key, as far as the table keeps it: the first 40 bits, then zeros. It finds the pin again.
    pub session: u64,
    /// Where it was sent last.
    pub slot: Slot,
    /// Time since then, to an eighth of a second.
    pub idle: Time,
    /// What the kernel lane carried for it.
    pub saved: Saved,
}

// === PinTable ===

impl PinTable {
    /// Room for `sessions` at once, each forgotten after `lifetime` without use.
    pub fn new(sessions: usize, lifetime: Time) -> Self {
        let lifetime = (lifetime.as_millis() / 125).min(u128::from(u32::MAX)) as u32;
        let table = Table::with_capacity(sessions);
        Self { accounts: Accounts::beside(&table), table, lifetime }
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

    /// Puts to a session's account what the kernel lane carried for it; nothing if the session is no longer known. Once per
    /// response, from any thread: takes no lock and allocates nothing.
    pub fn credit(&self, session: u64, saved: Saved) {
        self.accounts.credit(&self.table, session, saved);
    }

    /// Every session that is pinned now, in no order. Walks the table; not for the request path.
    pub fn each(&self, now: Time) -> impl Iterator<Item = Pin> {
        let lifetime = self.lifetime();
        let pins = self.accounts.walk(&self.table, now).filter(move |kept| kept.idle <= lifetime);
        pins.map(|kept| Pin {
            session: kept.key,
            slot: Slot(kept.value as u16),
            idle: kept.idle,
            saved: kept.saved,
        })
    }

    /// A session idle longer is no longer pinned. To an eighth of a second.
    pub fn lifetime(&self) -> Time {
        Time::from_millis(u64::from(self.lifetime) * 125)
    }

    /// Sessions that fit without any being lost by chance; a few more are kept where there is room.
    pub fn capacity(&self) -> usize {
        self.table.capacity()
    }

    /// Bytes held, now and for ever.
    pub fn bytes(&self) -> usize {
        self.table.bytes() + self.accounts.bytes()
    }

    /// Unpins a session. Whether it was pinned, and not for too long.
    pub fn remove(&self, session: u64, now: Time) -> bool {
        let was = self.get(session, now).is_some();
        if let Some(cell) = self.table.find(session) {
            cell.clear();
        }
        was
    }

    /// Drops all pins to a slot, because its endpoint is gone. Walks the table; not for the request path.
    pub fn forget(&self, slot: Slot) {
        self.table.cells().filter(|c| c.value() == u64::from(slot.0)).for_each(|c| c.clear());
    }

    /// Pins held, those included that are older than their lifetime: a walk, for diagnostics.
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

    #[test]
    fn each_pinned_session_is_told_of_with_its_account() {
        let pins = PinTable::new(100, Time::from_secs(600));
        let at = Time::from_secs;
        let saved = Saved { responses: 1, bytes: 9_000, wakeups: 90 };
        pins.pin(77 << 30 | 5, Slot(3), at(0));
        pins.pin(78 << 30, Slot(4), at(8));
        pins.credit(77 << 30 | 5, saved);
        pins.credit(79 << 30, saved);
        pins.pin(77 << 30 | 5, Slot(4), at(10));
        let mut told: Vec<Pin> = pins.each(at(608)).collect();
        told.sort_by_key(|pin| pin.session);
        let moved = Pin { session: 77 << 30, slot: Slot(4), idle: at(598), saved };
        let other = Pin { session: 78 << 30, slot: Slot(4), idle: at(600), saved: Saved::default() };
        assert_eq!(told, [moved, other], "an account stays with a session that moves");
        assert_eq!(pins.each(at(609)).count(), 1, "one is too old");
        pins.forget(Slot(4));
        assert_eq!(pins.each(at(10)).count(), 0);
        pins.credit(77 << 30, saved);
        assert_eq!(pins.each(at(10)).count(), 0, "a credit pins nobody");
    }

    #[test]
    fn a_session_that_is_removed_is_pinned_anew_by_its_next_request_only() {
        let pins = PinTable::new(100, Time::from_secs(600));
        let at = Time::from_secs;
        pins.pin(77 << 30, Slot(3), at(0));
        pins.pin(78 << 30, Slot(3), at(0));
        assert!(pins.remove(77 << 30, at(1)) && !pins.remove(77 << 30, at(1)), "once");
        assert!(!pins.remove(78 << 30, at(700)), "it was idle for too long");
        assert_eq!((pins.get(77 << 30, at(1)), pins.len()), (None, 0));
        assert!(!pins.pin(77 << 30, Slot(4), at(2)), "no move is reported");
        assert_eq!(pins.get(77 << 30, at(2)), Some(Slot(4)));
    }

    #[test]
    fn memory_is_as_stated() {
        let pins = PinTable::new(65_536, Time::from_secs(600));
        assert_eq!(pins.bytes(), 6 << 20, "77 bytes each, rounded up");
    }
}
