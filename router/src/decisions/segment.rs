//! A few decisions in a row, in few bytes: what a decision takes is what it takes away from the caches of the requests after it.
//!
//! A decision is only ever appended: what its place held before is not looked at, since memory that was last touched a thousand
//! requests ago is waited for. Numbers take as many bytes as they need, and what is mostly as it was at the decision before is
//! only there where it is not; so a reader goes through all of them from the first one on.

use warmlane_picker::{Group, NoEndpoint, Profile, SlotSet};

use super::{Made, Outcome, Refused};

mod ended;
mod head;
mod read;
mod under_way;
mod wire;

use ended::Ended;
use head::{Standing, mark};
use wire::Written;

/// Links of a prompt's chain that are kept, to look it up again: all of a prompt of 32 KB, and half a megabyte of a longer one.
const MOST_LINKS: usize = 1_024;

/// See the module's header.
#[derive(Clone, Debug, Default)]
pub(super) struct Segment {
    numbers: Vec<u64>,
    heads: Written,
    /// See [`under_way`].
    changes: Written,
    ended: Ended,
    links: Vec<u64>,
    /// One where it is other than that of the decision before; they seldom change.
    profiles: Vec<Profile>,
    groups: Vec<Group>,
    refusals: Vec<Refused>,
    offered: Vec<SlotSet>,
    /// Bytes that refusals and offers have elsewhere.
    bytes_aside: usize,
    /// Bytes of `changes` that the first ones of their pools have.
    bytes_of_first: usize,
}

/// The newest decision of a segment, beside which the next one is written.
#[derive(Debug, Default)]
pub(super) struct Newest {
    standing: Standing,
    under_way: under_way::Newest,
}

// === Newest ===

impl Newest {
    /// The next one is the first of its segment.
    pub(super) fn clear(&mut self) {
        self.standing.clear();
        self.under_way.clear();
    }
}

// === Segment ===

impl Segment {
    /// Nothing is in it any more; its buffers stay.
    pub(super) fn clear(&mut self) {
        self.numbers.clear();
        self.heads.clear();
        self.changes.clear();
        self.ended.clear();
        self.links.clear();
        self.profiles.clear();
        self.groups.clear();
        self.refusals.clear();
        self.offered.clear();
        (self.bytes_aside, self.bytes_of_first) = (0, 0);
    }

    /// Decisions in it.
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The number of its last.
    pub(super) fn last(&self) -> Option<u64> {
        self.numbers.last().copied()
    }

    /// The number of its first; of an empty one none is less.
    pub(super) fn first(&self) -> u64 {
        self.numbers.first().copied().unwrap_or(u64::MAX)
    }

    /// How many have numbers less than this.
    pub(super) fn before(&self, number: u64) -> usize {
        self.numbers.partition_point(|own| *own < number)
    }

    /// One more, with a number greater than the last one's.
    pub(super) fn push(&mut self, newest: &mut Newest, number: u64, made: Made<'_>) {
        let links = made.chain.links();
        let links = &links[..links.len().min(MOST_LINKS)];
        self.numbers.push(number);
        self.links.extend_from_slice(links);
        self.bytes_of_first += newest.under_way.write(&mut self.changes, made.pool, made.request.live);
        let marks = self.aside(&made);
        head::write(&mut self.heads, &mut newest.standing, number, &made, marks, links.len());
        if let Err(refused) = made.chosen {
            self.bytes_aside += refused.bytes();
            self.refusals.push(refused);
        }
    }

    /// Appends what few decisions have, and says what that is.
    fn aside(&mut self, made: &Made<'_>) -> u64 {
        let request = made.request;
        let mut marks = if made.chosen.is_err() { mark::REFUSED } else { 0 };
        if request.model.is_some() {
            marks |= mark::MODEL;
        }
        if self.profiles.last() != Some(made.profile) {
            marks |= mark::PROFILE;
            self.profiles.push(*made.profile);
        }
        if let Some(group) = request.group {
            marks |= mark::GROUP;
            self.groups.push(*group);
        }
        if let Some(offered) = request.offered {
            marks |= mark::OFFERED;
            // A bit for each position, and it has no more than there are endpoints.
            self.bytes_aside += request.live.len().div_ceil(8);
            self.offered.push(offered.clone());
        }
        marks
    }

    /// What became of one.
    pub(super) fn end(&mut self, at: usize, outcome: &Outcome) {
        self.ended.push(at, outcome);
    }

    /// Bytes that the decisions in it take, without what the first ones have to say of all endpoints.
    pub(super) fn written(&self) -> usize {
        size_of_val(&*self.numbers)
            + self.heads.len()
            + (self.changes.len() - self.bytes_of_first)
            + self.ended.written()
            + size_of_val(&*self.links)
            + self.bytes_aside
    }

    /// Bytes that it takes, with the room in its buffers.
    pub(super) fn bytes(&self) -> usize {
        self.numbers.capacity() * size_of::<u64>()
            + self.heads.capacity()
            + self.changes.capacity()
            + self.ended.bytes()
            + self.links.capacity() * size_of::<u64>()
            + self.profiles.capacity() * size_of::<Profile>()
            + self.groups.capacity() * size_of::<Group>()
            + self.refusals.capacity() * size_of::<Refused>()
            + self.offered.capacity() * size_of::<SlotSet>()
            + self.bytes_aside
    }
}

// === Refused ===

impl Refused {
    /// Bytes that it has elsewhere.
    fn bytes(&self) -> usize {
        match self {
            Self::NoEndpoint(NoEndpoint::UnknownModel { model }) => model.len(),
            Self::NoEndpoint(_) | Self::Shed => 0,
        }
    }
}

#[cfg(test)]
mod tests;
