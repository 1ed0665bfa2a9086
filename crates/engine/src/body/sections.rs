//! The prompt of one body: its sections, cut into blocks and hashed as the text comes in.
//!
//! Where JSON escapes break the text into short runs, it is gathered in a small stage and hashed from there, a stage at
//! a time; blocks that lie whole in the input are hashed where they are. Memory is bounded by the stage plus [`SECTIONS`] times
//! the block cap; text beyond the cap is counted and neither copied nor hashed.

use super::{
    Prompt,
    api::{LAST, SECTIONS},
    scan,
};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Small enough to stay in the first-level cache beside the input.
const STAGE_BYTES: usize = 2048;

/// Text looked at before it is hashed: both passes find it in the first-level cache.
const STRETCH: usize = 4096;

/// Room kept free, so that single bytes need no check before they are written and a copy always moves on.
const SLACK: usize = 64;

/// Block sizes that make sense; others are brought to the nearer end.
const BLOCK_BYTES: std::ops::RangeInclusive<u32> = 16..=4096;

/// The sections of one prompt and the stage of the one being read.
#[derive(Debug)]
pub(super) struct Sections {
    block_bytes: usize,
    max_blocks: usize,
    stage: Vec<u8>,
    staged: usize,
    current: usize,
    full: bool,
    sections: [Section; SECTIONS],
}

#[derive(Debug, Default)]
struct Section {
    blocks: Vec<u64>,
    bytes: u64,
    token_ids: u64,
}

// === Sections ===

impl Sections {
    pub(super) fn new(block_bytes: u32, max_blocks: u32) -> Self {
        let block_bytes = block_bytes.clamp(*BLOCK_BYTES.start(), *BLOCK_BYTES.end()) as usize;
        Self {
            block_bytes,
            max_blocks: max_blocks as usize,
            stage: vec![0; STAGE_BYTES.max(2 * block_bytes) + SLACK],
            staged: 0,
            current: LAST,
            full: false,
            sections: Default::default(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.staged = 0;
        self.sections.iter_mut().for_each(Section::clear);
    }

    /// Starts a section anew: where a key is repeated, the last value counts.
    pub(super) fn begin(&mut self, section: usize) {
        self.current = section;
        self.staged = 0;
        self.full = self.max_blocks == 0;
        self.sections[section].clear();
    }

    /// Ends the section in hand. Its rest is dropped in the last section and closes any other.
    pub(super) fn end(&mut self) {
        self.hash_stage();
        let section = &mut self.sections[self.current];
        section.bytes += self.staged as u64;
        if self.current != LAST && self.staged > 0 && !self.full {
            section.reserve(1, self.max_blocks);
            section.blocks.push(xxh3_64_with_seed(&self.stage[..self.staged], section.bytes));
        }
        self.staged = 0;
    }

    /// Ends the section in hand as if its key had not been there.
    pub(super) fn void(&mut self) {
        self.staged = 0;
        self.sections[self.current].clear();
    }

    pub(super) fn count_token_ids(&mut self, count: u64) {
        self.sections[self.current].token_ids += count;
    }

    #[inline]
    pub(super) fn push(&mut self, byte: u8) {
        self.stage[self.staged] = byte;
        self.staged += 1;
        self.make_room();
    }

    /// Takes a piece of text. Blocks that lie whole in it are hashed where they are.
    pub(super) fn extend(&mut self, piece: &[u8]) {
        let begun = self.staged % self.block_bytes;
        let missing = if begun == 0 { 0 } else { self.block_bytes - begun };
        if piece.len() < missing + self.block_bytes {
            return self.gather(piece);
        }
        let (head, piece) = piece.split_at(missing);
        self.gather(head);
        self.hash_stage();
        let (blocks, rest) = piece.split_at(piece.len() - piece.len() % self.block_bytes);
        self.full = self.sections[self.current].hash(blocks, self.block_bytes, self.max_blocks);
        self.gather(rest);
    }

    fn gather(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let room = &mut self.stage[self.staged..];
            let (head, rest) = piece.split_at(piece.len().min(room.len()));
            room[..head.len()].copy_from_slice(head);
            self.staged += head.len();
            piece = rest;
            self.make_room();
        }
    }

    /// Takes the plain run at the head of `input` and returns its length.
    #[inline]
    pub(super) fn take_plain(&mut self, input: &[u8]) -> usize {
        let mut at = 0;
        loop {
            if self.full {
                let rest = scan::plain_run(&input[at..]);
                self.sections[self.current].bytes += rest as u64;
                return at + rest;
            }
            // Most runs are shorter than that or much longer.
            let head = &input[at..input.len().min(at + scan::WIDE)];
            let (copied, all) = scan::copy_plain(head, &mut self.stage[self.staged..]);
            at += copied;
            self.staged += copied;
            self.make_room();
            if all && copied < scan::WIDE {
                return at;
            }
            while let wide @ 1.. = scan::wide_plain_run(&input[at..input.len().min(at + STRETCH)]) {
                self.extend(&input[at..at + wide]);
                at += wide;
            }
        }
    }

    /// Takes plain numbers from the head of the rest of a list; returns the length of what it took and their
    /// count.
    pub(super) fn take_numbers(&mut self, input: &[u8]) -> (usize, u64) {
        let (mut at, mut count) = (0, 0);
        while let Some((digits, len, item)) = scan::listed_number(&input[at..]) {
            // All eight bytes are written, and those past the number overwritten.
            self.stage[self.staged] = b',';
            self.stage[self.staged + 1..self.staged + 9].copy_from_slice(&digits);
            self.staged += 1 + len;
            self.make_room();
            at += item;
            count += 1;
        }
        (at, count)
    }

    /// Moves the prompt out, in chain order, and leaves `prompt`'s old buffer here for the next body.
    pub(super) fn move_to(&mut self, prompt: &mut Prompt) {
        prompt.block_bytes = self.block_bytes as u32;
        prompt.bytes = self.sections.iter().map(|section| section.bytes).sum();
        prompt.token_ids = self.sections.iter().map(|section| section.token_ids).sum();
        prompt.blocks.clear();
        let [first, second, last] = &mut self.sections;
        if first.blocks.is_empty() && second.blocks.is_empty() {
            std::mem::swap(&mut prompt.blocks, &mut last.blocks);
        } else {
            prompt
                .blocks
                .extend(self.sections.iter().flat_map(|section| &section.blocks).take(self.max_blocks));
        }
        self.clear();
    }

    #[inline]
    fn make_room(&mut self) {
        if self.stage.len() - self.staged < SLACK {
            self.hash_stage();
        }
    }

    /// Hashes the full blocks of the stage and moves the rest to its head.
    fn hash_stage(&mut self) {
        let whole = self.staged - self.staged % self.block_bytes;
        let blocks = &self.stage[..whole];
        self.full = self.sections[self.current].hash(blocks, self.block_bytes, self.max_blocks);
        self.stage.copy_within(whole..self.staged, 0);
        self.staged -= whole;
    }
}

// === Section ===

impl Section {
    fn clear(&mut self) {
        self.blocks.clear();
        self.bytes = 0;
        self.token_ids = 0;
    }

    /// Takes whole blocks, and hashes as many as there is room for; true when there is none left.
    fn hash(&mut self, text: &[u8], block_bytes: usize, max_blocks: usize) -> bool {
        self.bytes += text.len() as u64;
        let count = (text.len() / block_bytes).min(max_blocks - self.blocks.len());
        self.reserve(count, max_blocks);
        self.blocks.extend(text.chunks_exact(block_bytes).take(count).map(xxh3_64));
        self.blocks.len() == max_blocks
    }

    /// Makes room for `count` more blocks, doubling as a `Vec` does, yet never beyond `most`: the bound is a
    /// bound.
    fn reserve(&mut self, count: usize, most: usize) {
        let len = self.blocks.len();
        if self.blocks.capacity() - len < count {
            self.blocks.reserve_exact((2 * len).max(len + count).min(most) - len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_prompt_takes_more_memory_than_the_cap_allows() {
        let mut sections = Sections::new(16, 1000);
        let mut prompt = Prompt::default();
        for _ in 0..3 {
            for section in 0..SECTIONS {
                sections.begin(section);
                (0..30_011).for_each(|_| sections.push(b'x'));
                sections.end();
            }
            assert!(sections.sections.iter().all(|section| section.blocks.capacity() <= 1000));
            sections.move_to(&mut prompt);
            assert_eq!((prompt.blocks.len(), prompt.blocks.capacity()), (1000, 1000));
        }
    }
}
