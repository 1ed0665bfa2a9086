//! One worker's ring.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use warmlane_picker::Time;

use super::{Outcome, RINGS, Record};

/// Fewest records that are kept, however large they are.
const FEWEST: usize = 16;

/// See the module's header. Written by its worker, read by the debug pages.
#[derive(Debug)]
pub struct Ring {
    /// The rest that its numbers leave.
    place: u64,
    most: usize,
    most_bytes: usize,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    kept: Vec<Kept>,
    next: usize,
    last: u64,
}

#[derive(Debug, Default)]
struct Kept {
    number: u64,
    record: Arc<Record>,
    outcome: Option<Outcome>,
}

/// Where a decision is kept, for what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    at: usize,
    number: u64,
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

// === Ring ===

impl Ring {
    pub(super) fn new(place: u64, most: usize, most_bytes: usize) -> Self {
        Self { place, most, most_bytes, slots: Mutex::default() }
    }

    /// Keeps one more decision, made among so many endpoints. `fill` writes all of it.
    pub fn add(&self, at: Time, endpoints: usize, fill: impl FnOnce(&mut Record)) -> Ticket {
        let most = (self.most_bytes / Record::bytes_among(endpoints)).clamp(FEWEST.min(self.most), self.most);
        let slots = &mut *self.slots();
        // The clock may stand still between two looks.
        let number = (at.as_nanos() as u64 / RINGS * RINGS + self.place).max(slots.last + RINGS);
        slots.last = number;
        let at = slots.turn(most);
        let kept = &mut slots.kept[at];
        (kept.number, kept.outcome) = (number, None);
        // Somebody may be looking at the record that stood here: then it is theirs.
        if Arc::get_mut(&mut kept.record).is_none() {
            kept.record = Arc::default();
        }
        if let Some(record) = Arc::get_mut(&mut kept.record) {
            fill(record);
        }
        Ticket { at, number }
    }

    /// What became of a decision, if it is still kept.
    pub fn end(&self, ticket: Ticket, outcome: Outcome) {
        let mut slots = self.slots();
        if let Some(kept) = slots.kept.get_mut(ticket.at).filter(|kept| kept.number == ticket.number) {
            kept.outcome = Some(outcome);
        }
    }

    pub(super) fn kept(&self) -> usize {
        self.slots().kept.len()
    }

    pub(super) fn latest(&self, since: u64, limit: usize, passes: impl Fn(&Record) -> bool) -> Vec<Seen> {
        let slots = self.slots();
        let (newer, older) = slots.kept.split_at(slots.next.min(slots.kept.len()));
        let newest_first = newer.iter().rev().chain(older.iter().rev());
        let seen = |kept: &Kept| Seen {
            number: kept.number,
            record: kept.record.clone(),
            outcome: kept.outcome.clone(),
        };
        let wanted = newest_first.take_while(|kept| kept.number > since).filter(|kept| passes(&kept.record));
        wanted.take(limit).map(seen).collect()
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === Slots ===

impl Slots {
    /// The slot of the next one, when there may be `most`.
    fn turn(&mut self, most: usize) -> usize {
        if self.kept.len() > most {
            // What is beyond is not the oldest; but this happens only when a pool has grown.
            self.kept.truncate(most);
        }
        if self.next >= most {
            self.next = 0;
        }
        if self.next == self.kept.len() {
            self.kept.push(Kept::default());
        }
        self.next += 1;
        self.next - 1
    }
}
