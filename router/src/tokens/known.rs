//! What is remembered: for prefixes of text, the chain of token blocks that they come to.
//!
//! Prompts stand in a ring of places; a table leads from each link of a prompt's text to its place, and to how many of its
//! blocks are settled by the text up to there. Prompts that begin alike share the links of their beginning, which lead to the
//! latest of them. Read without a lock; one thread writes.
//!
//! Memory: a table of [`LINKS`] links, 16 bytes each and as much again for room, and [`BYTES`] of prompts, of which the
//! oldest go first: 32 MB. A prompt of 8 KB takes some 44 links of text and as many of tokens, so 8,000 of them are
//! remembered.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use warmlane_picker::{
    Chain, Time,
    table::{Stamp, Table},
};

/// Links of text.
const LINKS: usize = 1 << 19;
/// Links of prompts in tokens, and what goes with them.
const BYTES: usize = 15 << 20;
/// Prompts.
const PLACES: usize = 1 << 15;

/// Low bits of a link's value: settled blocks, then the place, then the tag of who took it.
const BLOCK_BITS: u32 = 24;
const PLACE_BITS: u32 = 16;

/// See the module's header.
pub(super) struct Known {
    links: Table,
    places: Box<[ArcSwapOption<Prompt>]>,
    writer: Mutex<Writer>,
}

/// A prompt in tokens.
#[derive(Debug)]
pub struct Prompt {
    /// The marked links of its chain of blocks ([`Chain::marked`]).
    pub links: Box<[u64]>,
    /// Tokens in a block.
    block_size: u32,
    tag: u64,
}

/// What is known of a prompt.
pub struct Found {
    /// One with the same beginning.
    pub prompt: Arc<Prompt>,
    /// So many of its blocks are this one's too.
    pub blocks: usize,
    /// Links of text that settle them.
    pub links: usize,
}

#[derive(Default)]
struct Writer {
    /// Prompts taken in so far.
    count: u64,
    /// The oldest that is there.
    oldest: u64,
    bytes: usize,
}

// === Known ===

impl Known {
    /// Nothing, with all the room there is for something, or with none.
    pub(super) fn new(used: bool) -> Self {
        Self {
            links: Table::with_capacity(if used { LINKS * 5 / 8 } else { 0 }),
            places: (0..if used { PLACES } else { 1 }).map(|_| ArcSwapOption::empty()).collect(),
            writer: Mutex::default(),
        }
    }

    /// Looks for the longest known beginning of a text: by halves, since where a text is known its beginnings are.
    pub(super) fn find(&self, text: &[u64], block_size: u32) -> Option<Found> {
        let (mut known, mut unknown) = (0, text.len() + 1);
        let mut found = None;
        // The whole text first: of a prompt that is repeated, nothing else is looked at.
        let mut middle = text.len();
        while known < middle && middle < unknown {
            match self.at(text[middle - 1], block_size) {
                Some((prompt, blocks)) => {
                    known = middle;
                    found = Some(Found { prompt, blocks, links: middle });
                }
                None => unknown = middle,
            }
            middle = known.midpoint(unknown);
        }
        found
    }

    fn at(&self, link: u64, block_size: u32) -> Option<(Arc<Prompt>, usize)> {
        self.told(self.links.get(link)?, block_size)
    }

    /// What a link's value leads to.
    fn told(&self, value: u64, block_size: u32) -> Option<(Arc<Prompt>, usize)> {
        let place = (value >> BLOCK_BITS) as usize & (PLACES - 1);
        let prompt = self.places.get(place)?.load();
        let prompt = prompt.as_ref().filter(|prompt| {
            prompt.tag == value >> (BLOCK_BITS + PLACE_BITS) && prompt.block_size == block_size
        })?;
        Some((prompt.clone(), (value & ((1 << BLOCK_BITS) - 1)) as usize))
    }

    /// Remembers a text and the blocks it comes to. `settled` says how many blocks so many links of text settle.
    pub(super) fn remember(
        &self,
        text: &[u64],
        blocks: &[u64],
        block_size: u32,
        settled: impl Fn(usize) -> usize,
        now: Time,
    ) {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // Never 0, which a link that nobody has written has.
        let tag = writer.count % ((1 << (64 - BLOCK_BITS - PLACE_BITS)) - 1) + 1;
        let place = writer.count as usize % PLACES;
        let prompt = Prompt { links: Chain::marked(blocks), block_size, tag };
        writer.bytes += bytes(&prompt);
        writer.count += 1;
        while writer.bytes > BYTES || writer.count - writer.oldest > PLACES as u64 {
            let oldest = writer.oldest as usize % PLACES;
            writer.bytes -= self.places[oldest].swap(None).map_or(0, |prompt| bytes(&prompt));
            writer.oldest += 1;
        }
        self.places[place].store(Some(Arc::new(prompt)));
        let now = Stamp::of(now);
        for (at, link) in text.iter().enumerate() {
            let blocks = settled(at + 1).min((1 << BLOCK_BITS) - 1) as u64;
            let value = tag << (BLOCK_BITS + PLACE_BITS) | (place as u64) << BLOCK_BITS | blocks;
            let (cell, _) = self.links.entry(*link, value, now);
            // A request that renders its text otherwise settles less of it, or nothing: that is no news of the others.
            let says_more = |old| self.told(old, block_size).is_some_and(|(_, known)| known as u64 > blocks);
            cell.update(|old| if says_more(old) { old } else { value });
        }
    }

    /// Prompts that are remembered.
    pub(super) fn count(&self) -> u64 {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.count - writer.oldest
    }
}

fn bytes(prompt: &Prompt) -> usize {
    // A reference count, and what the allocator keeps of its own.
    size_of::<Prompt>() + size_of_val(&*prompt.links) + 48
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(seed: u64, links: usize) -> Vec<u64> {
        (1..=links as u64).map(|n| (seed << 40 | n).wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect()
    }

    #[test]
    fn a_text_is_known_up_to_where_it_parts_from_what_was_seen() {
        let known = Known::new(true);
        let seen = text(1, 40);
        known.remember(&seen, &text(2, 100), 16, |links| links * 2, Time::ZERO);
        let of = |text: &[u64]| known.find(text, 16).map(|found| (found.links, found.blocks));
        assert_eq!(of(&seen), Some((40, 80)));
        for shared in 1..40 {
            let other = [&seen[..shared], &text(3, 25)].concat();
            assert_eq!(of(&other), Some((shared, shared * 2)));
            assert_eq!(of(&seen[..shared]), Some((shared, shared * 2)));
        }
        assert_eq!(of(&text(3, 25)), None);
        assert_eq!(of(&[]), None);
        assert!(known.find(&seen, 32).is_none(), "blocks of another size");
    }

    #[test]
    fn a_text_stays_known_when_a_request_that_renders_it_otherwise_settles_nothing() {
        let known = Known::new(true);
        let seen = text(1, 40);
        known.remember(&seen, &text(2, 100), 16, |links| links * 2, Time::ZERO);
        known.remember(&[&seen[..], &text(4, 5)].concat(), &text(3, 100), 16, |_| 0, Time::ZERO);
        let found = known.find(&seen, 16).expect("it is known");
        assert_eq!((found.links, found.blocks), (40, 80));
        assert_eq!(*found.prompt.links, *Chain::marked(&text(2, 100)));
    }

    #[test]
    fn the_bounds_hold_and_the_latest_stays() {
        let known = Known::new(true);
        for seed in 0..3_000 {
            known.remember(&text(seed, 10), &text(seed, 60_000), 16, |links| links, Time::ZERO);
        }
        let writer = known.writer.lock().expect("nobody else");
        assert!(writer.bytes <= BYTES && writer.bytes > BYTES / 2, "{}", writer.bytes);
        drop(writer);
        assert!(known.find(&text(2_999, 10), 16).is_some());
        assert!(known.find(&text(0, 10), 16).is_none());
        let all: usize =
            known.places.iter().filter_map(|place| place.load().as_ref().map(|prompt| bytes(prompt))).sum();
        assert!(all <= BYTES, "{all}");
        assert!(known.count() < 3_000);
    }
}
