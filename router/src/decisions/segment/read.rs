//! A segment's decisions, as they were made.

use warmlane_picker::{Live, Time};
use warmlane_replay::Inputs;

use super::{Ends, Segment};
use crate::decisions::{Outcome, Record, Refused};

impl Segment {
    /// The number of one, and what became of it.
    pub(in crate::decisions) fn number(&self, at: usize) -> (u64, Option<Outcome>) {
        (self.heads[at].number, self.ended[at].as_ref().map(Outcome::from))
    }

    /// One of them, but for what was under way.
    pub(in crate::decisions) fn record(&self, at: usize) -> Record {
        let head = &self.heads[at];
        let (start, ends) =
            (at.checked_sub(1).map_or(Ends::default(), |before| self.heads[before].ends), head.ends);
        let text = |from, to| String::from_utf8_lossy(part(&self.texts, from, to)).into_owned();
        let refusal = part(&self.refusals, start.refusals, ends.refusals).first().cloned();
        Record {
            request_id: part(&self.texts, start.endpoint, ends.request_id).to_vec(),
            id_hash: head.id_hash,
            listener: head.listener,
            pool: text(ends.request_id, ends.pool),
            asked: text(ends.pool, ends.asked),
            endpoint: text(ends.model, ends.endpoint),
            matched_tokens: head.matched_tokens,
            source: head.source,
            edition: head.edition,
            profile: self.profiles[ends.profiles as usize - 1],
            session: head.session_key,
            links: part(&self.links, start.links, ends.links).to_vec(),
            tokens_per_block: head.tokens_per_block.0,
            inputs: Inputs {
                at: Time::from_nanos(head.at_nanos),
                seed: head.seed,
                model: head.names_model.then(|| text(ends.asked, ends.model)),
                prompt_tokens: head.prompt_tokens,
                output_tokens: head.output_tokens,
                criticality: head.criticality,
                held: part(&self.held, start.held, ends.held).to_vec(),
                tokens_per_block: head.tokens_per_block.1,
                session: head.session,
                group: part(&self.groups, start.groups, ends.groups).first().copied(),
                offered: part(&self.offered, start.offered, ends.offered).first().cloned(),
                live: Vec::new(),
                shed: refusal == Some(Refused::Shed),
            },
            refusal,
        }
    }

    /// What was under way at one of them.
    pub(in crate::decisions) fn under_way(&self, at: usize) -> Vec<Live> {
        let mut live = Vec::new();
        let mut from = 0;
        for head in &self.heads[..=at] {
            live.resize(head.endpoints as usize, Live::default());
            for change in part(&self.changes, from, head.ends.changes) {
                live[change.position as usize] = change.live;
            }
            from = head.ends.changes;
        }
        live
    }
}

fn part<T>(buffer: &[T], from: u32, to: u32) -> &[T] {
    &buffer[from as usize..to as usize]
}
