//! One worker's ring: the newest decisions, as many as fit.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use warmlane_picker::Time;

use super::{Found, Outcome, RINGS, Record, Wanted, numbered};

/// A record that is larger than this, beside 64 bytes for each endpoint, is not used again.
const LARGE: usize = 4 << 10;

/// See the module's header. Written by its worker, read by the debug pages.
#[derive(Debug)]
pub struct Ring {
    /// The rest that its numbers leave.
    place: u64,
    most: usize,
    most_bytes: usize,
    kept: Mutex<Decided>,
}

/// In the order of their numbers.
#[derive(Debug, Default)]
struct Decided {
    all: VecDeque<Kept>,
    /// Those that made room: the first of `all` was the one after so many.
    gone: u64,
    bytes: usize,
    last: u64,
}

#[derive(Debug)]
struct Kept {
    number: u64,
    record: Arc<Record>,
    /// Of the record.
    bytes: usize,
    outcome: Option<Outcome>,
}

/// A decision that is kept, for what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    number: u64,
    /// How many were kept before it.
    nth: u64,
}

/// A decision, as somebody found it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Grows with time; no two decisions have the same.
    pub number: u64,
    /// The decision.
    pub record: Arc<Record>,
    /// What became of it, if that is known yet.
    pub outcome: Option<Outcome>,
}

// === Ticket ===

impl Ticket {
    /// The decision's number.
    pub fn number(self) -> u64 {
        self.number
    }
}

// === Ring ===

impl Ring {
    pub(super) fn new(place: u64, most: usize, most_bytes: usize) -> Self {
        Self { place, most, most_bytes, kept: Mutex::default() }
    }

    /// Keeps one more decision. `fill` writes all of it.
    ///
    /// The clock is read while the ring is held, so that who reads the clock first and the ring then finds all numbers up to there.
    pub fn add(&self, clock: impl FnOnce() -> Time, fill: impl FnOnce(&mut Record)) -> Ticket {
        let kept = &mut *self.kept();
        // It may stand still between two looks.
        let number = (numbered(clock()) + self.place).max(kept.last + RINGS);
        kept.last = number;
        let mut record = kept.spare(self.most, self.most_bytes);
        // Just made, or nobody else's.
        if let Some(record) = Arc::get_mut(&mut record) {
            fill(record);
        }
        let bytes = record.bytes();
        let nth = kept.gone + kept.all.len() as u64;
        kept.bytes += bytes;
        kept.all.push_back(Kept { number, record, bytes, outcome: None });
        while kept.bytes > self.most_bytes && kept.all.len() > 1 {
            kept.pop();
        }
        Ticket { number, nth }
    }

    /// What became of a decision, if it is still kept.
    pub fn end(&self, Ticket { nth, .. }: Ticket, outcome: Outcome) {
        let mut kept = self.kept();
        let at = nth.checked_sub(kept.gone).and_then(|at| usize::try_from(at).ok());
        if let Some(kept) = at.and_then(|at| kept.all.get_mut(at)) {
            kept.outcome = Some(outcome);
        }
    }

    pub(super) fn count(&self) -> usize {
        self.kept().all.len()
    }

    /// Adds what is wanted of it.
    pub(super) fn find(&self, wanted: Wanted, passes: impl Fn(&Record) -> bool, found: &mut Found) {
        let Wanted { since, until, limit } = wanted;
        // Outside of the lock.
        let room = limit.min(self.most);
        found.seen.reserve(room);
        let kept = self.kept();
        let is_later = |kept: &&Kept| kept.number >= until;
        let later = kept.all.iter().rev().take_while(is_later).count();
        found.made += kept.gone + (kept.all.len() - later) as u64;
        let newest_first = kept.all.iter().rev().skip(later).take_while(|kept| kept.number > since);
        let mut left = room;
        for kept in newest_first {
            found.newer += 1;
            if !passes(&kept.record) {
                continue;
            }
            if left == 0 {
                found.left_out += 1;
                continue;
            }
            left -= 1;
            found.seen.push(Seen {
                number: kept.number,
                record: kept.record.clone(),
                outcome: kept.outcome.clone(),
            });
        }
    }

    fn kept(&self) -> MutexGuard<'_, Decided> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === Decided ===

impl Decided {
    /// A record to fill: the oldest one's, once there is no more room, unless somebody looks at it or it is too large to stay.
    fn spare(&mut self, most: usize, most_bytes: usize) -> Arc<Record> {
        let mut spare = None;
        while self.all.len() >= most.max(1) || (self.bytes >= most_bytes && !self.all.is_empty()) {
            spare = self.pop();
        }
        let is_of_use = |record: &Arc<Record>| {
            Arc::strong_count(record) == 1 && record.bytes() <= LARGE + record.inputs.live.len() * 64
        };
        spare.filter(is_of_use).unwrap_or_default()
    }

    fn pop(&mut self) -> Option<Arc<Record>> {
        let oldest = self.all.pop_front()?;
        self.gone += 1;
        self.bytes -= oldest.bytes;
        Some(oldest.record)
    }
}
