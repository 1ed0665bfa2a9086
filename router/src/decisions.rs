//! What was decided lately, for people who ask why: a bounded ring for each worker.
//!
//! Keeping a decision costs a few copies into buffers of the ring's own, no allocation once it has turned, and a lock that only
//! a reader of the debug pages ever contends for, who holds it while it copies pointers and outcomes. What endpoints had said is not
//! copied: a [`Record`] names the edition of the snapshot that it was made of (see `world/editions.rs`), and is explained from that.
//!
//! Bounds: `log.decisions` records of each worker, and 32 MiB of all of them; with many endpoints a record is large, and fewer are kept.

use std::sync::{Arc, Mutex, PoisonError};

use warmlane_picker::Time;

mod again;
mod record;
mod ring;

pub use again::again;
pub use record::{Outcome, Record, Refused, Served};
pub use ring::{Ring, Seen, Ticket};

/// Bytes that the records of a process may take.
const MOST_BYTES: usize = 32 << 20;

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

    /// The newest `limit` that were made after `since` and pass, newest first.
    pub fn latest(&self, since: u64, limit: usize, passes: impl Fn(&Record) -> bool) -> Vec<Seen> {
        let mut all: Vec<Seen> =
            self.rings().iter().flat_map(|ring| ring.latest(since, limit, &passes)).collect();
        all.sort_unstable_by_key(|seen| std::cmp::Reverse(seen.number));
        all.truncate(limit);
        all
    }

    fn rings(&self) -> Vec<Arc<Ring>> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A key as the tables of pins keep it, and the pages of pins show it: its first 40 bits.
pub fn kept_key(key: u64) -> u64 {
    key >> 24 << 24
}

/// When a decision of this number was made.
pub fn made_at(number: u64) -> Time {
    Time::from_nanos(number - number % RINGS)
}

#[cfg(test)]
mod tests;
