//! What the kernel lane carried for the entries of a table: an account beside each of its places.
//!
//! An account names the key it is of. It changes hands when a key is credited at whose place the account is still another's, and
//! then starts at zero; nothing is done when a place is given to another key, so the table itself is as fast as without accounts.
//! Who adds to an account is counted in the word that names its key, and it changes hands only while nobody does: what was
//! carried for one key never counts for another.
//!
//! What may be lost: a credit whose key leaves the table meanwhile; one that comes while the account changes hands, if that
//! takes longer than `PATIENCE` looks; one whose key is in the table twice, when the other entry is found. What was counted is
//! lost when another key is credited at the same place. An account of a key that was dropped, and came back to the same place
//! before that, goes on.
//!
//! Memory: 32 bytes per place of the table, allocated at once, never grown.

use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};

use crate::{
    Time,
    table::{self, Cell, Stamp, Table},
};

/// The part of an account's first word that counts who is adding to it; the rest is the key as the table keeps it.
const ADDING: u64 = table::STAMP_MASK;

/// The first word of an account that is changing hands: nobody's, and busy.
const CHANGING: u64 = 1;

/// How often a credit looks again at an account that others are busy with, before it is lost.
const PATIENCE: usize = 100;

/// What the kernel lane carried without the router.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// Responses that took the lane.
    pub responses: u64,
    /// Their payload that did, in bytes.
    pub bytes: u64,
    /// Messages that went by without waking the router.
    pub wakeups: u64,
}

/// See the module's header.
pub(crate) struct Accounts(Box<[Account]>);

/// An entry of a table with its account.
pub(crate) struct Kept {
    /// A key that finds it again: the first 40 bits are all that the table has.
    pub(crate) key: u64,
    pub(crate) value: u64,
    pub(crate) idle: Time,
    pub(crate) saved: Saved,
}

/// Half a cache line: a credit touches one.
#[derive(Default)]
#[repr(align(32))]
struct Account {
    owner: AtomicU64,
    responses: AtomicU64,
    bytes: AtomicU64,
    wakeups: AtomicU64,
}

// === Accounts ===

impl Accounts {
    /// Accounts for the places of a table.
    pub(crate) fn beside(table: &Table) -> Self {
        Self((0..table.places_in_all()).map(|_| Account::default()).collect())
    }

    /// Bytes held, now and for ever.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }

    /// Adds to the account of a key, if the table has the key. Takes no lock, waits for nobody for long.
    pub(crate) fn credit(&self, table: &Table, key: u64, saved: Saved) {
        let Some(cell) = table.find(key) else { return };
        let account = &self.0[table.place_of(&cell)];
        let key = table::kept(key);
        for _ in 0..PATIENCE {
            if account.add(key, saved) || cell.key() != key || account.change_hands(&cell, key, saved) {
                return;
            }
            std::hint::spin_loop();
        }
    }

    /// Every entry of the table with its account: a walk, not for the request path. An entry that is given to another key at
    /// this very moment is left out.
    pub(crate) fn walk(&self, table: &Table, now: Time) -> impl Iterator<Item = Kept> {
        let now = Stamp::of(now);
        table.cells().filter_map(move |cell| {
            let (key, idle, value) = (cell.key(), cell.stamp().idle(now), cell.value());
            let saved = self.0[table.place_of(&cell)].read(key).unwrap_or_default();
            (key != 0 && cell.key() == key).then_some(Kept { key, value, idle, saved })
        })
    }
}

// === Account ===

impl Account {
    /// Adds, if the account is the key's.
    fn add(&self, key: u64, saved: Saved) -> bool {
        let mut owner = self.owner.load(Relaxed);
        loop {
            if owner & !ADDING != key {
                return false;
            }
            match self.owner.compare_exchange_weak(owner, owner + 1, Acquire, Relaxed) {
                Ok(_) => break,
                Err(now) => owner = now,
            }
        }
        self.responses.fetch_add(saved.responses, Relaxed);
        self.bytes.fetch_add(saved.bytes, Relaxed);
        self.wakeups.fetch_add(saved.wakeups, Relaxed);
        self.owner.fetch_sub(1, Release);
        true
    }

    /// Gives the account of another key, or of none, to the key of the cell, with this for a beginning.
    fn change_hands(&self, cell: &Cell<'_>, key: u64, saved: Saved) -> bool {
        let owner = self.owner.load(Relaxed);
        let taken =
            owner & ADDING == 0 && self.owner.compare_exchange(owner, CHANGING, Acquire, Relaxed).is_ok();
        if !taken {
            return false;
        }
        // The place may have gone to another key since it was found, and the account to that one: its count is not for us
        // to throw away. Who credited it had seen its key in the cell, so we see it too.
        if cell.key() != key {
            self.owner.store(owner, Release);
            return false;
        }
        // For readers: whoever sees one of the new numbers sees that the account is no longer the old key's.
        fence(Release);
        self.responses.store(saved.responses, Relaxed);
        self.bytes.store(saved.bytes, Relaxed);
        self.wakeups.store(saved.wakeups, Relaxed);
        self.owner.store(key, Release);
        true
    }

    /// The numbers, if they are the key's. Between two of them others may have added.
    fn read(&self, key: u64) -> Option<Saved> {
        let is_ours = |owner: u64| owner & !ADDING == key;
        if !is_ours(self.owner.load(Acquire)) {
            return None;
        }
        let saved = Saved {
            responses: self.responses.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            wakeups: self.wakeups.load(Relaxed),
        };
        fence(Acquire);
        is_ours(self.owner.load(Relaxed)).then_some(saved)
    }
}

#[cfg(test)]
mod tests;
