//! What each decision has: of its own, and of what seldom changes only where it did.

use warmlane_picker::{Criticality, Slot, Source};
use warmlane_replay::Held;

use super::wire::{Reading, Written};
use crate::{
    decisions::{Made, kept_id},
    metrics::{Label, Listener},
};

/// Something that a decision has, or has other than the one before.
pub(super) mod mark {
    pub(in super::super) const NAMES: u64 = 1;
    pub(in super::super) const BLOCKS: u64 = 1 << 1;
    pub(in super::super) const MODEL: u64 = 1 << 2;
    pub(in super::super) const PROFILE: u64 = 1 << 3;
    pub(in super::super) const GROUP: u64 = 1 << 4;
    pub(in super::super) const OFFERED: u64 = 1 << 5;
    pub(in super::super) const REFUSED: u64 = 1 << 6;
}

/// What is mostly as it was at the decision before.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    pub(super) edition: u64,
    pub(super) pool: Vec<u8>,
    pub(super) asked: Vec<u8>,
    pub(super) model: Vec<u8>,
    /// Tokens in a block of the prompt's text, and in one of those that are held.
    pub(super) tokens_per_block: (f32, f32),
}

/// A decision's own, as it is read.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub(super) marks: u64,
    pub(super) listener: Listener,
    pub(super) criticality: Criticality,
    pub(super) source: Option<Source>,
    pub(super) at_nanos: u64,
    pub(super) seed: u64,
    pub(super) request_id: &'a [u8],
    pub(super) id_hash: u64,
    pub(super) session_key: u64,
    pub(super) session: Option<Slot>,
    pub(super) prompt_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) matched_tokens: u64,
    pub(super) links: usize,
    pub(super) endpoint: &'a [u8],
    pub(super) held: Vec<Held>,
}

// === Standing ===

impl Standing {
    /// What is other than it was; this is now as the decision has it.
    pub(super) fn changed(&mut self, made: &Made<'_>) -> u64 {
        let model = made.request.model.unwrap_or_default();
        let blocks = (made.tokens_per_block, made.request.prefix.tokens_per_block());
        let mut marks = 0;
        if self.pool != made.pool.as_bytes()
            || self.asked != made.asked.as_bytes()
            || self.model != model.as_bytes()
        {
            marks |= mark::NAMES;
            set(&mut self.pool, made.pool.as_bytes());
            set(&mut self.asked, made.asked.as_bytes());
            set(&mut self.model, model.as_bytes());
        }
        if self.tokens_per_block != blocks {
            marks |= mark::BLOCKS;
            self.tokens_per_block = blocks;
        }
        marks
    }

    fn read(&mut self, from: &mut Reading<'_>, marks: u64) {
        self.edition = from.step(self.edition);
        if marks & mark::NAMES != 0 {
            set(&mut self.pool, from.text());
            set(&mut self.asked, from.text());
            set(&mut self.model, from.text());
        }
        if marks & mark::BLOCKS != 0 {
            let float = |bits: u64| f32::from_bits(bits as u32);
            self.tokens_per_block = (float(from.number()), float(from.number()));
        }
    }

    pub(super) fn clear(&mut self) {
        self.edition = 0;
        self.tokens_per_block = (0.0, 0.0);
        [&mut self.pool, &mut self.asked, &mut self.model].into_iter().for_each(Vec::clear);
    }
}

fn set(text: &mut Vec<u8>, to: &[u8]) {
    text.clear();
    text.extend_from_slice(to);
}

// === Head ===

/// Writes one that has `marks` of all that is kept elsewhere, and so many links.
pub(super) fn write(
    to: &mut Written,
    standing: &mut Standing,
    number: u64,
    made: &Made<'_>,
    marks: u64,
    links: usize,
) {
    let request = made.request;
    let marks = marks | standing.changed(made);
    to.number(marks);
    to.step(standing.edition, made.edition);
    standing.edition = made.edition;
    if marks & mark::NAMES != 0 {
        [&standing.pool, &standing.asked, &standing.model].into_iter().for_each(|name| to.text(name));
    }
    if marks & mark::BLOCKS != 0 {
        to.number(standing.tokens_per_block.0.to_bits().into());
        to.number(standing.tokens_per_block.1.to_bits().into());
    }
    to.number(made.listener.index() as u64);
    to.number(request.criticality as u64);
    to.step(number, made.at.as_nanos() as u64);
    to.eight_bytes(made.seed);
    to.text(kept_id(made.request_id));
    to.number(made.id_hash);
    to.number(made.session);
    to.number(request.session.map_or(0, |slot| u64::from(slot.0) + 1));
    to.number(request.prompt_tokens);
    to.number(request.output_tokens);
    to.number(links as u64);
    if let Ok((decision, address)) = made.chosen {
        to.number(decision.matched_tokens);
        to.number(source(decision.source));
        to.text(address.as_bytes());
    }
    for held in Held::all(request.prefix) {
        to.number(u64::from(held.slot.0) + 1);
        to.number(held.blocks.into());
        to.number(source(Some(held.source)));
    }
    to.number(0);
}

impl<'a> Head<'a> {
    /// Reads the next one; what is mostly as it was goes into `standing`.
    pub(super) fn read(from: &mut Reading<'a>, standing: &mut Standing, number: u64) -> Self {
        let marks = from.number();
        standing.read(from, marks);
        let mut head = Self {
            marks,
            listener: Listener::ALL[from.number() as usize],
            criticality: read_criticality(from.number()),
            at_nanos: from.step(number),
            seed: from.eight_bytes(),
            request_id: from.text(),
            id_hash: from.number(),
            session_key: from.number(),
            session: from.number().checked_sub(1).map(|slot| Slot(slot as u16)),
            prompt_tokens: from.number(),
            output_tokens: from.number(),
            links: from.number() as usize,
            matched_tokens: 0,
            source: None,
            endpoint: b"",
            held: Vec::new(),
        };
        if marks & mark::REFUSED == 0 {
            head.matched_tokens = from.number();
            head.source = read_source(from.number());
            head.endpoint = from.text();
        }
        while let Some(slot) = from.number().checked_sub(1) {
            let (blocks, source) = (from.number() as u32, read_source(from.number()));
            head.held.extend(source.map(|source| Held { slot: Slot(slot as u16), blocks, source }));
        }
        head
    }
}

fn source(source: Option<Source>) -> u64 {
    match source {
        None => 0,
        Some(Source::History) => 1,
        Some(Source::Events) => 2,
    }
}

fn read_source(number: u64) -> Option<Source> {
    [None, Some(Source::History), Some(Source::Events)][number as usize]
}

fn read_criticality(number: u64) -> Criticality {
    [Criticality::Sheddable, Criticality::Standard, Criticality::Critical][number as usize]
}
