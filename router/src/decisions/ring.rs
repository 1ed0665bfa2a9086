//! One worker's ring: the newest decisions, as many as fit.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use warmlane_replay::Inputs;

use super::{
    Found, Made, Outcome, RINGS, Record, Wanted, numbered,
    segment::{Newest, Segment},
};

/// Decisions in a segment, at most: what goes goes by segments, and a reader copies one at a time.
const MOST_IN_SEGMENT: usize = 64;
/// Bytes that its decisions take before the next one is begun, what it says of all endpoints aside.
const BYTES_IN_SEGMENT: usize = 256 << 10;
/// Segments of a ring, at least.
const SEGMENTS: usize = 16;

/// See the module's header. Written by its worker, read by the debug pages.
#[derive(Debug)]
pub struct Ring {
    /// The rest that its numbers leave.
    place: u64,
    most: usize,
    most_bytes: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// In the order of their decisions' numbers; none is empty.
    segments: VecDeque<Segment>,
    /// Segments that made room.
    gone: u64,
    /// Decisions in them.
    gone_decisions: u64,
    /// Decisions in all segments, the last ones of which are shown.
    decisions: usize,
    /// Bytes of all segments but the last.
    bytes: usize,
    /// The number of the newest decision, or what its number has to be greater than.
    last: u64,
    newest: Newest,
}

/// A part of the ring, for a reader.
struct Looked {
    segment: Arc<Segment>,
    /// Those before it are more than are kept.
    from: usize,
}

/// A decision that is kept, for what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    number: u64,
    /// How many segments were begun before its own.
    segment: u64,
    at: usize,
}

/// A decision, as somebody found it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Grows with time; no two decisions have the same.
    pub number: u64,
    /// The decision, but for what the router had under way.
    pub record: Record,
    /// What became of it, if that is known yet.
    pub outcome: Option<Outcome>,
    segment: Arc<Segment>,
    at: usize,
}

// === Seen ===

impl Seen {
    /// All that the picker read, what the router had under way included: 64 bytes for each endpoint.
    pub fn inputs(&self) -> Inputs {
        Inputs { live: self.segment.under_way(self.at), ..self.record.inputs.clone() }
    }
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
        Self { place, most, most_bytes, kept: Mutex::new(Kept { last: place, ..Kept::default() }) }
    }

    /// Keeps one more decision.
    pub fn add(&self, made: Made<'_>) -> Ticket {
        let kept = &mut *self.kept();
        // The clock may stand still between two looks, and a reader may have come up to now meanwhile.
        let number = (numbered(made.at) + self.place).max(kept.last + RINGS);
        kept.last = number;
        let (segment, newest) = kept.open(self.most, self.most_bytes);
        segment.push(newest, number, made);
        let at = segment.len() - 1;
        let segment = kept.gone + kept.segments.len() as u64 - 1;
        kept.decisions += 1;
        kept.fit(self.most_bytes);
        Ticket { number, segment, at }
    }

    /// What became of a decision, if it is still kept.
    pub fn end(&self, ticket: Ticket, outcome: &Outcome) {
        let kept = &mut *self.kept();
        let nth = ticket.segment.checked_sub(kept.gone).and_then(|nth| usize::try_from(nth).ok());
        let Some(nth) = nth.filter(|nth| *nth < kept.segments.len()) else { return };
        let is_last = nth + 1 == kept.segments.len();
        let segment = &mut kept.segments[nth];
        let before = segment.bytes();
        segment.end(ticket.at, outcome);
        if !is_last {
            kept.bytes += segment.bytes() - before;
        }
        kept.fit(self.most_bytes);
    }

    pub(super) fn count(&self) -> usize {
        self.kept().decisions.min(self.most)
    }

    /// Adds what is wanted of it, newest first. The worker waits only while a segment is copied.
    pub(super) fn find(&self, wanted: Wanted, passes: impl Fn(&Record) -> bool, found: &mut Found) {
        let mut left = wanted.limit;
        let (made, mut looked) = {
            let kept = &mut *self.kept();
            if wanted.until < u64::MAX {
                // What is kept from now on is newer, however long ago it was made.
                kept.last = kept.last.max((wanted.until + self.place).saturating_sub(RINGS));
            }
            kept.look(wanted.until, self.most)
        };
        found.made += made;
        while let Some(Looked { segment, from }) = looked
            && segment.last() > Some(wanted.since)
        {
            let shown = from..segment.before(wanted.until);
            let all = segment.records().zip(segment.outcomes()).enumerate();
            let mut shown: Vec<_> = all.filter(|(at, _)| shown.contains(at)).collect();
            while let Some((at, (record, outcome))) = shown.pop() {
                let number = segment.number(at);
                if number <= wanted.since {
                    return;
                }
                found.newer += 1;
                match left.checked_sub(1) {
                    _ if !passes(&record) => {}
                    None => found.left_out += 1,
                    Some(fewer) => {
                        left = fewer;
                        found.seen.push(Seen { number, record, outcome, segment: segment.clone(), at });
                    }
                }
            }
            // Others come in between only above it.
            looked = self.kept().look(segment.first(), self.most).1;
        }
    }

    /// What it takes, as it is counted and as it is.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> (usize, usize) {
        let kept = self.kept();
        let last = kept.segments.back().map_or(0, Segment::bytes);
        (kept.bytes + last, kept.segments.iter().map(Segment::bytes).sum())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === Kept ===

impl Kept {
    /// The segment of the next decision: the last one, or a new one in the place of the oldest where that may go.
    fn open(&mut self, most: usize, most_bytes: usize) -> (&mut Segment, &mut Newest) {
        let most_in_segment = most.div_ceil(SEGMENTS).min(MOST_IN_SEGMENT);
        let bytes_in_segment = (most_bytes / SEGMENTS).min(BYTES_IN_SEGMENT);
        let is_full = |last: &Segment| last.len() >= most_in_segment || last.written() >= bytes_in_segment;
        if self.segments.back().is_none_or(is_full) {
            let next = self.next(most, most_bytes);
            self.segments.push_back(next);
            self.newest.clear();
        }
        let last = self.segments.len() - 1;
        (&mut self.segments[last], &mut self.newest)
    }

    /// An empty segment, with the buffers of the oldest where that may go.
    fn next(&mut self, most: usize, most_bytes: usize) -> Segment {
        let last = self.segments.back().map_or(0, Segment::bytes);
        self.bytes += last;
        let oldest = self.segments.front().map_or(0, Segment::len);
        // Another one that is as large as the last would be too much.
        let may_go = self.decisions - oldest >= most || self.bytes + last > most_bytes;
        if self.segments.len() < 2 || !may_go {
            return Segment::default();
        }
        let mut oldest = self.pop();
        // Many of one's size would leave little room for others, unless all are as large.
        if oldest.bytes() > last.max(most_bytes / SEGMENTS) * 2 {
            return Segment::default();
        }
        oldest.clear();
        oldest
    }

    /// Throws out the oldest where they are too much: the last one too, if it alone is.
    fn fit(&mut self, most_bytes: usize) {
        let last = self.segments.back().map_or(0, Segment::bytes);
        while self.bytes + last > most_bytes && self.segments.len() > 1 {
            self.pop();
        }
        if last > most_bytes {
            self.bytes += last;
            self.pop();
        }
    }

    fn pop(&mut self) -> Segment {
        let oldest = self.segments.pop_front().unwrap_or_default();
        self.gone += 1;
        self.gone_decisions += oldest.len() as u64;
        self.decisions -= oldest.len();
        self.bytes -= oldest.bytes();
        oldest
    }

    /// How many decisions with a number less than this were ever made, and the newest segment that has such.
    fn look(&self, until: u64, most: usize) -> (u64, Option<Looked>) {
        let count = self.segments.partition_point(|segment| segment.first() < until);
        let Some(nth) = count.checked_sub(1) else { return (self.gone_decisions, None) };
        let segment = &self.segments[nth];
        let before: usize = self.segments.range(..nth).map(Segment::len).sum();
        let made = self.gone_decisions + (before + segment.before(until)) as u64;
        let from = self.decisions.saturating_sub(most).saturating_sub(before);
        (made, (from < segment.len()).then(|| Looked { segment: Arc::new(segment.clone()), from }))
    }
}
