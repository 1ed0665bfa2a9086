//! What was decided lately, for people who ask why: a bounded ring for each worker.
//!
//! Keeping a decision costs some 200 bytes at the end of buffers of the ring's own, hardly an allocation once it has turned, and a
//! lock that only a reader of the debug pages ever contends for, who holds it for a few at a time. What endpoints had said is not
//! copied: a [`Record`] names the edition of the snapshot that it was made of (see `world/editions.rs`), and is explained from that.
//!
//! Bounds: `log.decisions` decisions of each worker, and 32 MiB of all of them; where they are large (long prompts, thousands of
//! endpoints), fewer are kept. Beside them each worker has what was under way at the newest one: 64 bytes for each endpoint of up
//! to eight pools. A reader has at most as much again, and of the rows that it shows what they say.

use std::sync::{Arc, Mutex, PoisonError};

use warmlane_picker::Time;

use crate::world::World;

mod again;
mod record;
mod ring;
mod segment;

pub use again::{Lost, again};
pub use record::{Made, Outcome, Record, Refused, Served};
pub use ring::{Ring, Seen, Ticket};

/// Bytes that the decisions of a process may take.
const MOST_BYTES: usize = 32 << 20;

/// Bytes of a request's id that are kept.
pub const MOST_ID: usize = 128;

/// Places of rings in a decision's number.
const RINGS: u64 = 1_024;

/// All rings.
#[derive(Debug, Default)]
pub struct Decisions {
    /// Records in each ring.
    each: usize,
    bytes_each: usize,
    rings: Mutex<Vec<Arc<Ring>>>,
}

/// Which decisions are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Numbers greater than this.
    pub since: u64,
    /// Numbers less than this.
    pub until: u64,
    /// Most of them, the newest.
    pub limit: usize,
}

/// Decisions that were looked for.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Those that pass, newest first.
    pub seen: Vec<Seen>,
    /// Those that pass too and are more than were wanted.
    pub left_out: usize,
    /// Those that are kept and were made within the bounds, whether they pass or not.
    pub newer: usize,
    /// Made up to the upper bound since the router started, whether they are kept or not.
    pub made: u64,
}

// === Decisions ===

impl Decisions {
    /// Room for so many records of each of so many workers; 0: none are kept.
    pub fn new(records: usize, workers: usize) -> Self {
        Self { each: records, bytes_each: MOST_BYTES / workers.max(1), rings: Mutex::default() }
    }

    /// One more worker's ring; `None` where no decisions are kept.
    pub fn ring(&self) -> Option<Arc<Ring>> {
        if self.each == 0 {
            return None;
        }
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = Arc::new(Ring::new(rings.len() as u64 % RINGS, self.each, self.bytes_each));
        rings.push(ring.clone());
        Some(ring)
    }

    /// Whether any are kept.
    pub fn is_on(&self) -> bool {
        self.each > 0
    }

    /// Records that are kept now.
    pub fn kept(&self) -> usize {
        self.rings().iter().map(|ring| ring.count()).sum()
    }

    /// The newest that pass. Complete up to `until`, which is no later than now, or none: of two calls, the second with the first
    /// one's `until` as `since`, each decision is in exactly one.
    pub fn find(&self, wanted: Wanted, passes: impl Fn(&Record) -> bool) -> Found {
        let mut found = Found::default();
        self.rings().iter().for_each(|ring| ring.find(wanted, &passes, &mut found));
        found.seen.sort_unstable_by_key(|seen| std::cmp::Reverse(seen.number));
        found.left_out += found.seen.len().saturating_sub(wanted.limit);
        found.seen.truncate(wanted.limit);
        found
    }

    /// The newest `limit` that pass, newest first.
    #[cfg(test)]
    fn latest(&self, limit: usize, passes: impl Fn(&Record) -> bool) -> Vec<Seen> {
        self.find(Wanted { since: 0, until: u64::MAX, limit }, passes).seen
    }

    fn rings(&self) -> Vec<Arc<Ring>> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A key as the tables of pins keep it, and the pages of pins show it: its first 40 bits.
pub fn kept_key(key: u64) -> u64 {
    key >> 24 << 24
}

/// What is kept of a request's id.
pub fn kept_id(id: &[u8]) -> &[u8] {
    &id[..id.len().min(MOST_ID)]
}

/// What tells a request by its id beside what is kept of that: of one that is kept whole, nothing.
pub fn id_hash(world: &World, id: &[u8]) -> u64 {
    if id.len() > MOST_ID { world.hash(id) } else { 0 }
}

/// The first number of this moment.
pub fn numbered(at: Time) -> u64 {
    at.as_nanos() as u64 / RINGS * RINGS
}

/// When a decision of this number was made.
pub fn made_at(number: u64) -> Time {
    Time::from_nanos(number - number % RINGS)
}

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
