//! A prompt as the scheduler needs it: chained block hashes and a length, shared, not the tokens.
//!
//! Block `i` has the hash `H(hash of block i-1, its tokens)`; the root is seeded by adapter and cache
//! salt, so equal text under another adapter or salt shares nothing. Tokens and names are kept only
//! for an engine that notes KV events.

use std::{ops::Range, sync::Arc};

use super::tokens::{filler, mix};

/// A prompt cut into blocks. Cloning is a few reference counts.
#[derive(Debug, Clone)]
pub struct Prompt {
    blocks: Arc<[u64]>,
    tail: Arc<[u32]>,
    root: u64,
    tokens: u32,
    block_size: u32,
    source: Option<Arc<Source>>,
}

/// What the hashes were made of.
#[derive(Debug)]
pub(super) struct Source {
    tokens: Box<[u32]>,
    pub(super) adapter: Option<Box<str>>,
    pub(super) salt: Option<Box<str>>,
}

/// Where a hash chain begins: nothing is shared between two roots.
pub fn root(adapter: Option<&str>, salt: Option<&str>) -> u64 {
    let seed = [adapter, salt].into_iter().fold(0x5EED, |hash, part| {
        let hash = mix(hash, part.map_or(0, |text| text.len() as u64 + 1));
        part.unwrap_or_default().bytes().fold(hash, |hash, byte| mix(hash, u64::from(byte)))
    });
    mix(seed, ROOT_KEY)
}

const ROOT_KEY: u64 = 0x1D8E_4E27_C47D_124F;
const OUTPUT_KEY: u64 = 0xEB44_ACCA_B455_D165;

// === Prompt ===

impl Prompt {
    /// Cuts `tokens` into blocks of `block_size`, chained from `root`.
    ///
    /// `block_size` must be that of the engine the prompt is submitted to.
    pub fn new(tokens: &[u32], block_size: u32, root: u64) -> Self {
        let chunks = tokens.chunks_exact(block_size as usize);
        let tail = Arc::from(chunks.remainder());
        let mut parent = root;
        let blocks = chunks
            .map(|block| {
                parent = block.iter().fold(parent, |hash, &token| mix(hash, u64::from(token)));
                parent
            })
            .collect();
        Self { blocks, tail, root, tokens: tokens.len() as u32, block_size, source: None }
    }

    /// The same from the names behind the root; tokens and names are kept to be told in KV events.
    pub fn with_source(tokens: &[u32], block_size: u32, adapter: Option<&str>, salt: Option<&str>) -> Self {
        let source =
            Source { tokens: tokens.into(), adapter: adapter.map(Into::into), salt: salt.map(Into::into) };
        let source = Some(Arc::new(source));
        Self { source, ..Self::new(tokens, block_size, root(adapter, salt)) }
    }

    /// Number of tokens.
    pub fn tokens(&self) -> u32 {
        self.tokens
    }

    /// Chained hashes of the full blocks.
    pub fn blocks(&self) -> &[u64] {
        &self.blocks
    }

    /// Tokens per block.
    pub fn block_size(&self) -> u32 {
        self.block_size
    }

    /// The filler text the engine answers with: the same prompt gets the same answer.
    pub fn output_stream(&self) -> u64 {
        let hash = self.tail.iter().fold(self.parent(), |hash, &token| mix(hash, u64::from(token)));
        mix(hash, OUTPUT_KEY)
    }

    /// Hash of the block `index`, which lies behind the prompt's full blocks and is filled with the
    /// prompt's rest and the first output tokens; `parent` is the hash of the block before.
    pub(super) fn output_block(&self, stream: u64, index: u32, parent: u64) -> u64 {
        let from = index * self.block_size;
        let full = self.blocks.len() as u32 * self.block_size;
        (from..from + self.block_size).fold(parent, |hash, at| {
            let token = match at.checked_sub(self.tokens) {
                Some(output) => filler(stream, output),
                None => self.tail[(at - full) as usize],
            };
            mix(hash, u64::from(token))
        })
    }

    /// What the hashes were made of, where it is kept.
    pub(super) fn source(&self) -> Option<&Source> {
        self.source.as_deref()
    }

    /// Hash of the last full block, or the root.
    pub(super) fn parent(&self) -> u64 {
        self.blocks.last().copied().unwrap_or(self.root)
    }
}

// === Source ===

impl Source {
    /// The tokens in `span` of a prompt that is answered with `stream`.
    pub(super) fn tokens(&self, stream: u64, span: Range<u32>) -> Vec<u32> {
        let prompt = self.tokens.len() as u32;
        let token = |at: u32| match at.checked_sub(prompt) {
            Some(output) => filler(stream, output),
            None => self.tokens[at as usize],
        };
        span.map(token).collect()
    }
}
