//! How much of a prompt's canonical text must be known for each of its tokens to be settled.
//!
//! A tokenizer cuts text into words from left to right and turns each into tokens by itself. Where a word ends depends on
//! what comes behind it: white space as far as it goes and the character after it (`\s+(?!\S)`), digits where they are
//! grouped from their end, two characters more for a contraction (`'ll`), and a special token that may begin anywhere in
//! all that. So the tokens of a word are settled by the byte that lies as far behind the word's end, and by no text
//! without it.

use tokenizers::{Encoding, Tokenizer};

/// The text that a tokenizer gets, and where it comes from.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub(crate) text: String,
    /// From the head of the text on; what lies behind the last of them is settled by nothing short of the whole.
    pub(crate) segments: Vec<Segment>,
    /// Lengths of the sections before the last.
    pub(crate) earlier: Vec<usize>,
    /// Length of the last section.
    pub(crate) length: usize,
}

/// A stretch of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Where it ends in the text.
    pub(crate) end: usize,
    pub(crate) source: Source,
}

/// What settles a stretch of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// One byte of the canonical text of the last section.
    Fixed(usize),
    /// For each byte of the stretch the next byte of the canonical text, from this on.
    Running(usize),
}

/// Counts blocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blocks {
    size: usize,
    /// Blocks of the sections before the last.
    earlier: usize,
    /// One more than there are: what no prefix settles.
    pub(crate) never: u32,
}

/// Tells for rising offsets of the text what settles them.
#[derive(Debug)]
struct Cursor<'a> {
    segments: &'a [Segment],
    start: usize,
    highest: usize,
}

/// What is wanted to know of a tokenizer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reach {
    /// Length of its longest added token.
    pub(crate) longest_added: usize,
    /// Whether only a space that follows another character surely begins a word.
    pub(crate) by_spaces: bool,
}

// === Rendered ===

impl Rendered {
    /// For each token, how many blocks must be known.
    pub(crate) fn settled(&self, encoding: &Encoding, reach: Reach, block_bytes: u32) -> Vec<u32> {
        let blocks = Blocks::new(block_bytes, &self.earlier, self.length);
        let words = encoding.get_word_ids();
        let offsets = encoding.get_offsets();
        let mut cursor = Cursor { segments: &self.segments, start: 0, highest: 0 };
        let mut settled = Vec::with_capacity(words.len());
        let (mut last, mut behind) = (0, 0);
        while settled.len() < words.len() {
            let first = settled.len();
            if words[first].is_none() {
                // Special tokens around the text: those before it are there whatever it says.
                settled.push(if last == 0 && behind == 0 { 0 } else { blocks.never });
                continue;
            }
            let same = |index: &usize| {
                words[*index] == words[first]
                    && !(reach.by_spaces && self.begins_word(offsets[*index].0, first, offsets))
            };
            let count = 1 + (first + 1..words.len()).take_while(same).count();
            let end = offsets[first..first + count].iter().map(|(_, end)| *end).max().unwrap_or(0);
            if end >= behind {
                behind = self.behind(end);
            }
            let known = cursor.settles(behind + reach.longest_added + 3);
            last = known.map_or(blocks.never, |byte| blocks.up_to(byte)).max(last);
            settled.resize(first + count, last);
        }
        settled
    }

    /// Where the first character lies that is no white space, and no digit of a number that was begun, from `end` on.
    fn behind(&self, end: usize) -> usize {
        let Some((before, after)) = self.text.split_at_checked(end) else { return self.text.len() };
        let in_number = before.ends_with(char::is_numeric);
        let rest = if in_number { after.trim_start_matches(char::is_numeric) } else { after };
        self.text.len() - rest.trim_start().len()
    }

    /// Whether a token begins with a space behind a character that is none.
    fn begins_word(&self, start: usize, first: usize, offsets: &[(usize, usize)]) -> bool {
        let bytes = self.text.as_bytes();
        start > offsets[first].0
            && bytes.get(start) == Some(&b' ')
            && bytes.get(start - 1).is_some_and(|byte| *byte != b' ')
    }
}

// === Blocks ===

impl Blocks {
    /// Of sections with these lengths; sizes are brought into the bounds of the reader of bodies.
    pub(crate) fn new(block_bytes: u32, earlier: &[usize], length: usize) -> Self {
        let size = block_bytes.clamp(16, 4096) as usize;
        let earlier = earlier.iter().map(|length| length.div_ceil(size)).sum();
        Self { size, earlier, never: count(earlier + length / size + 1) }
    }

    /// How many blocks hold all up to this byte of the last section.
    pub(crate) fn up_to(self, byte: usize) -> u32 {
        count(self.earlier + byte / self.size + 1).min(self.never)
    }
}

fn count(blocks: usize) -> u32 {
    u32::try_from(blocks).unwrap_or(u32::MAX)
}

// === Cursor ===

impl Cursor<'_> {
    /// The byte of the canonical text that settles the text up to and with `offset`.
    fn settles(&mut self, offset: usize) -> Option<usize> {
        while let Some((first, rest)) = self.segments.split_first() {
            if offset < first.end {
                let byte = match first.source {
                    Source::Fixed(byte) => byte,
                    Source::Running(from) => from + offset - self.start,
                };
                return Some(byte.max(self.highest));
            }
            self.highest = self.highest.max(match first.source {
                Source::Fixed(byte) => byte,
                Source::Running(from) => (from + first.end - self.start).saturating_sub(1),
            });
            self.start = first.end;
            self.segments = rest;
        }
        None
    }
}

// === Reach ===

impl Reach {
    /// Looks at a tokenizer once.
    pub(crate) fn of(tokenizer: &Tokenizer) -> Self {
        let added = tokenizer.get_added_tokens_decoder();
        let longest_added = added.values().map(|token| token.content.len()).max().unwrap_or(0);
        // Without words of its own a tokenizer may only be said to have them if no token goes on behind a space.
        let crosses = |token: &String| token.trim_start_matches('\u{2581}').contains('\u{2581}');
        let by_spaces =
            tokenizer.get_pre_tokenizer().is_none() && !tokenizer.get_vocab(false).keys().any(crosses);
        Self { longest_added, by_spaces }
    }
}
