//! One request inside the engine: what is computed, which blocks it holds, when things happened.
//!
//! Invariant: `computed <= known`, where `known` is prompt plus output so far; a step that brings
//! `computed` to `known` puts out one token.

use std::ops::Range;

use super::{AdapterId, Prompt, Request, blocks::BlockId, kv_events::Stored};

/// Index of a sequence in the engine.
pub(super) type Slot = u32;

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The model ended it.
    Stop,
    /// It reached `max_tokens`.
    Length,
    /// It was aborted.
    Abort,
}

/// A request's life, told when it ends. Times are engine seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// The request.
    pub id: u64,
    /// Why it ended.
    pub finish: Finish,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Those found in the prefix cache when it was first scheduled.
    pub cached_tokens: u32,
    /// Tokens put out.
    pub output_tokens: u32,
    /// Times it lost its blocks and began anew.
    pub preemptions: u32,
    /// When it was submitted.
    pub arrived: f64,
    /// When it was first scheduled.
    pub scheduled: Option<f64>,
    /// When its first token came.
    pub first_token: Option<f64>,
    /// When it ended.
    pub ended: f64,
}

/// A request in the engine.
#[derive(Debug)]
pub(super) struct Sequence {
    pub(super) id: u64,
    pub(super) prompt: Prompt,
    pub(super) adapter: Option<AdapterId>,
    pub(super) table: Vec<BlockId>,
    /// Tokens put out after which it ends, and how.
    pub(super) limit: u32,
    pub(super) finish: Finish,
    pub(super) output: u32,
    pub(super) computed: u32,
    /// Blocks of `table` offered to the prefix cache so far.
    pub(super) published: u32,
    pub(super) cached: u32,
    pub(super) preemptions: u32,
    pub(super) last_token: f64,
    arrived: f64,
    scheduled: Option<f64>,
    pub(super) first_token: Option<f64>,
    stream: u64,
    /// Hashes of full blocks behind the prompt's full blocks.
    output_blocks: Vec<u64>,
}

// === Sequence ===

impl Sequence {
    pub(super) fn new(id: u64, request: Request, now: f64) -> Self {
        let (limit, finish) = end(&request);
        Self {
            id,
            stream: request.prompt.output_stream(),
            prompt: request.prompt,
            adapter: request.adapter,
            table: Vec::new(),
            limit,
            finish,
            output: 0,
            computed: 0,
            published: 0,
            cached: 0,
            preemptions: 0,
            last_token: now,
            arrived: now,
            scheduled: None,
            first_token: None,
            output_blocks: Vec::new(),
        }
    }

    /// Becomes another request and keeps the memory of its lists.
    pub(super) fn reuse(&mut self, id: u64, request: Request, now: f64) {
        let table = std::mem::take(&mut self.table);
        let mut output_blocks = std::mem::take(&mut self.output_blocks);
        output_blocks.clear();
        *self = Self { table, output_blocks, ..Self::new(id, request, now) };
    }

    /// Tokens whose text is known: the prompt and the output so far.
    pub(super) fn known(&self) -> u32 {
        self.prompt.tokens() + self.output
    }

    /// Hash of full block `index`; the blocks before it must have been asked for already.
    pub(super) fn block_hash(&mut self, index: u32) -> u64 {
        if let Some(&hash) = self.prompt.blocks().get(index as usize) {
            return hash;
        }
        let own = index as usize - self.prompt.blocks().len();
        if let Some(&hash) = self.output_blocks.get(own) {
            return hash;
        }
        let parent = self.output_blocks.last().copied().unwrap_or_else(|| self.prompt.parent());
        let hash = self.prompt.output_block(self.stream, index, parent);
        self.output_blocks.push(hash);
        hash
    }

    /// Hashes of all full blocks known so far, in order.
    pub(super) fn known_hashes(&self) -> impl Iterator<Item = u64> {
        self.prompt.blocks().iter().chain(&self.output_blocks).copied()
    }

    /// The blocks in `run` as an event tells them; `None` where the prompt's tokens are not kept.
    pub(super) fn stored(&self, run: &Range<u32>) -> Option<Stored> {
        let (source, size) = (self.prompt.source()?, self.prompt.block_size());
        let hash = |index: u32| self.known_hashes().nth(index as usize);
        Some(Stored {
            hashes: self.known_hashes().skip(run.start as usize).take(run.len()).collect(),
            parent: run.start.checked_sub(1).and_then(hash),
            tokens: source.tokens(self.stream, run.start * size..run.end * size),
            block_size: size,
            adapter: source.adapter.clone(),
            adapter_number: self.adapter.map(|adapter| u32::from(adapter.0) + 1),
            salt: source.salt.clone().filter(|_| run.start == 0),
        })
    }

    /// Notes that it is scheduled; only the first time counts.
    pub(super) fn start(&mut self, now: f64, cached: u32) {
        if self.scheduled.is_none() {
            self.scheduled = Some(now.max(self.arrived));
            self.cached = cached;
        }
    }

    pub(super) fn outcome(&self, finish: Finish, now: f64) -> Outcome {
        Outcome {
            id: self.id,
            finish,
            prompt_tokens: self.prompt.tokens(),
            cached_tokens: self.cached,
            output_tokens: self.output,
            preemptions: self.preemptions,
            arrived: self.arrived,
            scheduled: self.scheduled,
            first_token: self.first_token,
            ended: now,
        }
    }
}

fn end(request: &Request) -> (u32, Finish) {
    let length = request.max_tokens.max(1);
    match request.stop_after {
        Some(stop) if stop.max(1) <= length => (stop.max(1), Finish::Stop),
        _ => (length, Finish::Length),
    }
}
