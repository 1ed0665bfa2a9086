//! A few decisions in a row, each part of them in one buffer for all.
//!
//! A decision is only ever appended: what its place held before is not looked at, since memory that was last touched a thousand
//! requests ago is waited for. Of what the router had under way, which is 64 bytes for each endpoint, it has only what differs from
//! the decision before; the first one has all.

use warmlane_picker::{Criticality, Group, Live, NoEndpoint, Profile, Slot, SlotSet, Source};
use warmlane_replay::Held;

use super::{Made, Outcome, Refused, kept_id};
use crate::metrics::Listener;

mod ended;
mod read;

use ended::Ended;

/// Links of a prompt's chain that are kept, to look it up again: all of a prompt of 32 KB, and half a megabyte of a longer one.
const MOST_LINKS: usize = 1_024;

/// See the module's header.
#[derive(Clone, Debug, Default)]
pub(super) struct Segment {
    heads: Vec<Head>,
    ended: Vec<Option<Ended>>,
    texts: Vec<u8>,
    links: Vec<u64>,
    held: Vec<Held>,
    changes: Vec<Change>,
    /// A decision has the last one that was there by then. They seldom change.
    profiles: Vec<Profile>,
    groups: Vec<Group>,
    refusals: Vec<Refused>,
    offered: Vec<SlotSet>,
    /// What was under way at the newest decision.
    under_way: Vec<Live>,
    /// Bytes that refusals and offers have elsewhere.
    bytes_aside: usize,
    /// Bytes of `changes` that the first one has.
    bytes_of_all: usize,
}

/// What every decision has. Plain data: to write one nothing has to be dropped.
#[derive(Clone, Copy, Debug)]
struct Head {
    number: u64,
    id_hash: u64,
    edition: u64,
    session_key: u64,
    at_nanos: u64,
    seed: u64,
    prompt_tokens: u64,
    output_tokens: u64,
    matched_tokens: u64,
    /// Endpoints of the snapshot.
    endpoints: u32,
    /// Tokens in a block of the prompt's text, and in one of those that are held.
    tokens_per_block: (f32, f32),
    session: Option<Slot>,
    source: Option<Source>,
    listener: Listener,
    criticality: Criticality,
    names_model: bool,
    ends: Ends,
}

/// Where a decision's parts end; they begin where those of the one before do.
#[derive(Clone, Copy, Debug, Default)]
struct Ends {
    request_id: u32,
    pool: u32,
    asked: u32,
    model: u32,
    endpoint: u32,
    links: u32,
    held: u32,
    changes: u32,
    profiles: u32,
    groups: u32,
    refusals: u32,
    offered: u32,
}

/// What the router had under way at an endpoint, since it is not what it was.
#[derive(Clone, Copy, Debug)]
struct Change {
    position: u32,
    live: Live,
}

// === Segment ===

impl Segment {
    /// Nothing is in it any more; its buffers stay.
    pub(super) fn clear(&mut self) {
        self.heads.clear();
        self.ended.clear();
        self.texts.clear();
        self.links.clear();
        self.held.clear();
        self.changes.clear();
        self.profiles.clear();
        self.groups.clear();
        self.refusals.clear();
        self.offered.clear();
        self.under_way.clear();
        (self.bytes_aside, self.bytes_of_all) = (0, 0);
    }

    /// Decisions in it.
    pub(super) fn len(&self) -> usize {
        self.heads.len()
    }

    /// The number of its first; of an empty one none is less.
    pub(super) fn first(&self) -> u64 {
        self.heads.first().map_or(u64::MAX, |head| head.number)
    }

    /// How many have numbers less than this.
    pub(super) fn before(&self, number: u64) -> usize {
        self.heads.partition_point(|head| head.number < number)
    }

    /// One more, with a number greater than the last one's.
    pub(super) fn push(&mut self, number: u64, made: Made<'_>) {
        let request = made.request;
        let decision = made.chosen.as_ref().ok().map(|(decision, _)| *decision);
        self.changed(request.live);
        let head = Head {
            number,
            id_hash: made.id_hash,
            edition: made.edition,
            session_key: made.session,
            at_nanos: made.at.as_nanos() as u64,
            seed: made.seed,
            prompt_tokens: request.prompt_tokens,
            output_tokens: request.output_tokens,
            matched_tokens: decision.map_or(0, |decision| decision.matched_tokens),
            endpoints: request.live.len() as u32,
            tokens_per_block: (made.tokens_per_block, request.prefix.tokens_per_block()),
            session: request.session,
            source: decision.and_then(|decision| decision.source),
            listener: made.listener,
            criticality: request.criticality,
            names_model: request.model.is_some(),
            ends: self.parts(made),
        };
        self.heads.push(head);
        self.ended.push(None);
    }

    /// Appends all that has no size of its own.
    fn parts(&mut self, made: Made<'_>) -> Ends {
        let request = made.request;
        let mut ends = Ends {
            request_id: self.text(kept_id(made.request_id)),
            pool: self.text(made.pool.as_bytes()),
            asked: self.text(made.asked.as_bytes()),
            model: self.text(request.model.unwrap_or_default().as_bytes()),
            ..Ends::default()
        };
        match made.chosen {
            Ok((_, address)) => ends.endpoint = self.text(address.as_bytes()),
            Err(refused) => {
                ends.endpoint = ends.model;
                self.bytes_aside += refused.bytes();
                self.refusals.push(refused);
            }
        }
        let links = made.chain.links();
        self.links.extend_from_slice(&links[..links.len().min(MOST_LINKS)]);
        self.held.extend(Held::all(request.prefix));
        if self.profiles.last() != Some(made.profile) {
            self.profiles.push(*made.profile);
        }
        self.groups.extend(request.group);
        if let Some(offered) = request.offered {
            // A bit for each position, and it has no more than there are endpoints.
            self.bytes_aside += request.live.len().div_ceil(8);
            self.offered.push(offered.clone());
        }
        ends.links = self.links.len() as u32;
        ends.held = self.held.len() as u32;
        ends.changes = self.changes.len() as u32;
        ends.profiles = self.profiles.len() as u32;
        ends.groups = self.groups.len() as u32;
        ends.refusals = self.refusals.len() as u32;
        ends.offered = self.offered.len() as u32;
        ends
    }

    fn text(&mut self, text: &[u8]) -> u32 {
        self.texts.extend_from_slice(text);
        self.texts.len() as u32
    }

    /// Appends what is under way where it is not what it was.
    fn changed(&mut self, live: &[Live]) {
        let known = self.under_way.len().min(live.len());
        let (again, new) = live.split_at(known);
        for (position, (was, is)) in self.under_way.iter_mut().zip(again).enumerate() {
            if was != is {
                *was = *is;
                self.changes.push(Change { position: position as u32, live: *is });
            }
        }
        let new_ones = new.iter().enumerate();
        self.changes.extend(new_ones.map(|(at, live)| Change { position: (known + at) as u32, live: *live }));
        self.under_way.truncate(known);
        self.under_way.extend_from_slice(new);
        if self.heads.is_empty() {
            self.bytes_of_all = size_of_val(&*self.changes);
        }
    }

    /// What became of one.
    pub(super) fn end(&mut self, at: usize, outcome: Outcome) {
        if let Some(kept) = self.ended.get_mut(at) {
            *kept = Some(outcome.into());
        }
    }

    /// Bytes that the decisions in it take, without what the first one has to say of all endpoints.
    pub(super) fn written(&self) -> usize {
        size_of_val(&*self.heads)
            + size_of_val(&*self.ended)
            + self.texts.len()
            + size_of_val(&*self.links)
            + size_of_val(&*self.held)
            + (size_of_val(&*self.changes) - self.bytes_of_all)
            + self.bytes_aside
    }

    /// Bytes that it takes, with the room in its buffers.
    pub(super) fn bytes(&self) -> usize {
        self.heads.capacity() * size_of::<Head>()
            + self.ended.capacity() * size_of::<Option<Ended>>()
            + self.texts.capacity()
            + self.links.capacity() * size_of::<u64>()
            + self.held.capacity() * size_of::<Held>()
            + self.changes.capacity() * size_of::<Change>()
            + self.profiles.capacity() * size_of::<Profile>()
            + self.groups.capacity() * size_of::<Group>()
            + self.refusals.capacity() * size_of::<Refused>()
            + self.offered.capacity() * size_of::<SlotSet>()
            + self.under_way.capacity() * size_of::<Live>()
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
