//! One worker's ring: the newest decisions, as many as fit.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use warmlane_picker::Time;

use super::{Found, Outcome, RINGS, Record, Wanted, numbered};

/// A record that is larger than this, beside 64 bytes for each endpoint, is not used again.
const LARGE: usize = 4 << 10;

/// Decisions that a reader looks at, and bytes that it copies, before it lets the worker go on.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 64 << 10;
/// Time that it gives the worker then: whoever takes a lock again at once is mostly first.
const PAUSE: Duration = Duration::from_micros(50);

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
    /// Of all places, taken or not, and of what is kept in them.
    bytes: usize,
    last: u64,
}

/// All in one place: what a request writes was last touched a thousand requests ago, and each pointer followed to it is a wait
/// for memory.
#[derive(Debug, Default)]
struct Kept {
    number: u64,
    record: Record,
    /// Of the record's buffers.
    bytes: usize,
    outcome: Option<Outcome>,
}

/// What a reader saw.
struct Looked {
    /// How many were ever made up to the upper bound.
    made: u64,
    /// The number of the last that it looked at, where there are more.
    oldest: Option<u64>,
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
        // All places at once, so that none is ever moved; half of the bytes are left for what is kept in them.
        let most = most.min(most_bytes / 2 / size_of::<Kept>()).max(1);
        let all = VecDeque::with_capacity(most);
        let bytes = all.capacity() * size_of::<Kept>();
        Self { place, most, most_bytes, kept: Mutex::new(Decided { all, bytes, ..Decided::default() }) }
    }

    /// Keeps one more decision. `fill` writes all of it.
    ///
    /// The clock is read while the ring is held, so that who reads the clock first and the ring then finds all numbers up to there.
    pub fn add(&self, clock: impl FnOnce() -> Time, fill: impl FnOnce(&mut Record)) -> Ticket {
        let decided = &mut *self.kept();
        // It may stand still between two looks.
        let number = (numbered(clock()) + self.place).max(decided.last + RINGS);
        decided.last = number;
        let kept = decided.next(self.most, self.most_bytes);
        (kept.number, kept.outcome) = (number, None);
        fill(&mut kept.record);
        kept.bytes = kept.record.bytes();
        decided.bytes += kept.bytes;
        while decided.bytes > self.most_bytes && decided.all.len() > 1 {
            decided.pop();
        }
        Ticket { number, nth: decided.gone + decided.all.len() as u64 - 1 }
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
        let mut left = wanted.limit;
        let mut looked = self.kept().look(wanted, &passes, &mut left, found);
        found.made += looked.made;
        while let Some(until) = looked.oldest {
            thread::sleep(PAUSE);
            // Others come in between only above it.
            looked = self.kept().look(Wanted { until, ..wanted }, &passes, &mut left, found);
        }
    }

    /// What it takes, as it is counted and as it is.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> (usize, usize) {
        let kept = self.kept();
        let buffers: usize = kept.all.iter().map(|kept| kept.record.bytes()).sum();
        (kept.bytes, kept.all.capacity() * size_of::<Kept>() + buffers)
    }

    fn kept(&self) -> MutexGuard<'_, Decided> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === Decided ===

impl Decided {
    /// The place of the next one, at the end: the oldest one's, with its buffers, where there is no more room.
    fn next(&mut self, most: usize, most_bytes: usize) -> &mut Kept {
        // Or another one that is as large as the oldest would be too much.
        let is_full = |oldest: &Kept| self.all.len() >= most || self.bytes + oldest.bytes > most_bytes;
        if self.all.front().is_some_and(is_full) {
            // Where all places are taken, nothing is moved by it.
            self.all.rotate_left(1);
            self.gone += 1;
        } else {
            self.all.push_back(Kept::default());
        }
        let at = self.all.len() - 1;
        let kept = &mut self.all[at];
        let bytes = mem::take(&mut kept.bytes);
        self.bytes -= bytes;
        if bytes > LARGE + kept.record.inputs.live.len() * 64 {
            kept.record = Record::default();
        }
        kept
    }

    fn pop(&mut self) {
        if let Some(oldest) = self.all.pop_front() {
            self.gone += 1;
            self.bytes -= oldest.bytes;
        }
    }

    /// Adds those among the newest between the bounds that pass, and no more than are left to find. A few at a time: the worker
    /// waits meanwhile.
    fn look(
        &self,
        Wanted { since, until, .. }: Wanted,
        passes: impl Fn(&Record) -> bool,
        left: &mut usize,
        found: &mut Found,
    ) -> Looked {
        let end = self.all.partition_point(|kept| kept.number < until);
        let newest_first = self.all.range(..end).rev().take_while(|kept| kept.number > since);
        let mut looked = Looked { made: self.gone + end as u64, oldest: None };
        let mut copied = 0;
        for (nth, kept) in newest_first.enumerate() {
            found.newer += 1;
            match left.checked_sub(1) {
                _ if !passes(&kept.record) => {}
                None => found.left_out += 1,
                Some(fewer) => {
                    (*left, copied) = (fewer, copied + kept.bytes);
                    found.seen.push(kept.seen());
                }
            }
            if nth + 1 == BATCH || copied > BATCH_BYTES {
                looked.oldest = Some(kept.number);
                break;
            }
        }
        looked
    }
}

// === Kept ===

impl Kept {
    fn seen(&self) -> Seen {
        Seen { number: self.number, record: Arc::new(self.record.clone()), outcome: self.outcome.clone() }
    }
}
