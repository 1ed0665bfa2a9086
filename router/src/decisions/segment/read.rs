//! A segment's decisions, as they were made.

use std::slice::Iter;

use warmlane_picker::{Group, Live, Profile, SlotSet, Time};
use warmlane_replay::Inputs;

use super::{
    Segment,
    head::{Head, Standing, mark},
    under_way,
    wire::Reading,
};
use crate::decisions::{Outcome, Record, Refused};

/// One after another, but for what was under way.
struct Records<'a> {
    numbers: Iter<'a, u64>,
    heads: Reading<'a>,
    standing: Standing,
    links: &'a [u64],
    profiles: Iter<'a, Profile>,
    profile: Profile,
    groups: Iter<'a, Group>,
    refusals: Iter<'a, Refused>,
    offered: Iter<'a, SlotSet>,
}

impl Segment {
    /// The number of one.
    pub(in crate::decisions) fn number(&self, at: usize) -> u64 {
        self.numbers[at]
    }

    /// All of them, but for what was under way.
    pub(in crate::decisions) fn records(&self) -> impl Iterator<Item = Record> {
        Records {
            numbers: self.numbers.iter(),
            heads: self.heads.read(),
            standing: Standing::default(),
            links: &self.links,
            profiles: self.profiles.iter(),
            profile: Profile::default(),
            groups: self.groups.iter(),
            refusals: self.refusals.iter(),
            offered: self.offered.iter(),
        }
    }

    /// What became of each of them, if that is known yet.
    pub(in crate::decisions) fn outcomes(&self) -> Vec<Option<Outcome>> {
        self.ended.of_all(self.len())
    }

    /// What was under way at one of them.
    pub(in crate::decisions) fn under_way(&self, at: usize) -> Vec<Live> {
        under_way::at(self.changes.read(), at)
    }
}

impl Iterator for Records<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let number = *self.numbers.next()?;
        let head = Head::read(&mut self.heads, &mut self.standing, number);
        let has = |mark| head.marks & mark != 0;
        if has(mark::PROFILE) {
            self.profile = self.profiles.next().copied().unwrap_or_default();
        }
        let group = if has(mark::GROUP) { self.groups.next().copied() } else { None };
        let refusal = if has(mark::REFUSED) { self.refusals.next().cloned() } else { None };
        let offered = if has(mark::OFFERED) { self.offered.next().cloned() } else { None };
        let model = has(mark::MODEL).then(|| text(&self.standing.model));
        let (links, later) = self.links.split_at(head.links);
        self.links = later;
        Some(Record {
            request_id: head.request_id.to_vec(),
            id_hash: head.id_hash,
            listener: head.listener,
            pool: text(&self.standing.pool),
            asked: text(&self.standing.asked),
            endpoint: text(head.endpoint),
            matched_tokens: head.matched_tokens,
            source: head.source,
            edition: self.standing.edition,
            profile: self.profile,
            session: head.session_key,
            links: links.to_vec(),
            tokens_per_block: self.standing.tokens_per_block.0,
            inputs: Inputs {
                at: Time::from_nanos(head.at_nanos),
                seed: head.seed,
                model,
                prompt_tokens: head.prompt_tokens,
                output_tokens: head.output_tokens,
                criticality: head.criticality,
                held: head.held,
                tokens_per_block: self.standing.tokens_per_block.1,
                session: head.session,
                group,
                offered,
                live: Vec::new(),
                shed: refusal == Some(Refused::Shed),
            },
            refusal,
        })
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
