//! The engine as a pure value: what vLLM's v1 scheduler does, step by step, in engine time.
//!
//! No IO, no clock, no randomness: time comes in as seconds of engine time, and the same calls give
//! the same answers. A driver alternates `schedule` (what runs in the next step, and when it ends)
//! and `complete` (which tokens came out); `submit` and `abort` may come at any time between.
//!
//! Not modelled: speculative decoding, priorities, encoder inputs, KV transfer.

mod adapters;
mod blocks;
mod kv_events;
mod options;
pub mod profile;
mod prompt;
mod schedule;
mod sequence;
mod stats;
pub mod tokens;

use std::collections::{HashMap, VecDeque};

use self::{
    adapters::Adapters,
    blocks::{BlockId, Blocks},
    kv_events::Notes,
    schedule::Scheduled,
    sequence::{Sequence, Slot},
};
pub use self::{
    adapters::{AdapterId, LoadTimes},
    kv_events::{KvEvent, KvEvents, Stored},
    options::Options,
    profile::Profile,
    prompt::{Prompt, root},
    sequence::{Finish, Outcome},
    stats::{Stats, Totals},
};
use crate::error::Error;

/// What a caller asks of an engine.
#[derive(Debug, Clone)]
pub struct Request {
    /// The prompt; its root carries adapter and cache salt.
    pub prompt: Prompt,
    /// Most tokens to answer with; the answer ends with `Finish::Length` there.
    pub max_tokens: u32,
    /// Tokens after which the model itself ends the answer; `None` where end-of-sequence is ignored.
    pub stop_after: Option<u32>,
    /// Adapter to run with.
    pub adapter: Option<AdapterId>,
}

/// One step that has begun.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// When `complete` is due.
    pub ends_at: f64,
    /// Sequences in the step.
    pub sequences: u32,
    /// Tokens computed in the step.
    pub tokens: u32,
}

/// One token of output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Token {
    /// The request it belongs to.
    pub id: u64,
    /// Its place in the output, from 0.
    pub index: u32,
    /// Seconds since the token before it, or since the request came.
    pub gap: f64,
}

/// What a step produced; reuse one value so that steps allocate nothing.
#[derive(Debug, Default)]
pub struct Output {
    /// Tokens, in scheduling order; a request's last token is here too.
    pub tokens: Vec<Token>,
    /// Requests that ended with this step.
    pub finished: Vec<Outcome>,
}

/// One simulated engine.
#[derive(Debug)]
pub struct Engine {
    profile: Profile,
    options: Options,
    blocks: Blocks,
    adapters: Adapters,
    sequences: Vec<Sequence>,
    vacant: Vec<Slot>,
    slots: HashMap<u64, Slot>,
    running: Vec<Slot>,
    waiting: VecDeque<Slot>,
    /// Scratch of `admit`: passed over in this step.
    skipped: Vec<Slot>,
    /// Scratch of `hold_prefix`: cached blocks of the prompt looked at.
    found: Vec<BlockId>,
    batch: Vec<Scheduled>,
    step_ends: Option<f64>,
    deferred: u32,
    asleep: bool,
    totals: Totals,
}

// === Output ===

impl Output {
    /// Empties both lists and keeps their memory.
    pub fn clear(&mut self) {
        self.tokens.clear();
        self.finished.clear();
    }
}

// === Engine ===

impl Engine {
    /// An idle engine.
    pub fn new(profile: Profile, options: Options) -> Self {
        let tokens = options.kv_tokens.unwrap_or(profile.kv_tokens);
        Self {
            blocks: Blocks::new(tokens / options.block_size),
            adapters: Adapters::new(options.max_loras, options.max_cpu_loras, options.load_times),
            profile,
            options,
            sequences: Vec::new(),
            vacant: Vec::new(),
            slots: HashMap::new(),
            running: Vec::new(),
            waiting: VecDeque::new(),
            skipped: Vec::new(),
            found: Vec::new(),
            batch: Vec::new(),
            step_ends: None,
            deferred: 0,
            asleep: false,
            totals: Totals::default(),
        }
    }

    /// Its settings.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Its card.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// KV blocks in all.
    pub fn total_blocks(&self) -> u32 {
        self.blocks.total()
    }

    /// Puts a request at the end of the queue. `id` is the caller's and must be unique among live ones.
    ///
    /// Where the driver is late, so that the step in progress should have ended before `now`, the request
    /// counts from the end of that step: it cannot be served before it came.
    ///
    /// # Errors
    /// A request that could never run is refused: one that cannot be held even alone would be
    /// preempted for ever.
    pub fn submit(&mut self, now: f64, id: u64, request: Request) -> Result<(), Error> {
        self.check(id, &request)?;
        let now = self.step_ends.map_or(now, |end| now.min(end));
        if let Some(adapter) = request.adapter {
            self.adapters.wait(adapter);
        }
        let slot = match self.vacant.pop() {
            Some(slot) => {
                self.sequences[slot as usize].reuse(id, request, now);
                slot
            }
            None => {
                self.sequences.push(Sequence::new(id, request, now));
                self.sequences.len() as Slot - 1
            }
        };
        self.slots.insert(id, slot);
        self.waiting.push_back(slot);
        Ok(())
    }

    /// Takes a request out at once, wherever it is; `None` where the engine does not have it.
    pub fn abort(&mut self, now: f64, id: u64) -> Option<Outcome> {
        let slot = *self.slots.get(&id)?;
        let sequence = &self.sequences[slot as usize];
        let outcome = sequence.outcome(Finish::Abort, now);
        if let Some(at) = self.running.iter().position(|&other| other == slot) {
            self.running.remove(at);
            self.batch.retain(|scheduled| scheduled.slot != slot);
            self.retire(slot);
        } else {
            self.waiting.retain(|&other| other != slot);
            if let Some(adapter) = sequence.adapter {
                self.adapters.unwait(adapter);
            }
            self.vacate(slot);
        }
        Some(outcome)
    }

    /// Stops scheduling and drops the prefix cache; requests stay and hang until `wake`.
    pub fn sleep(&mut self) {
        self.asleep = true;
        self.blocks.forget();
    }

    /// Goes on scheduling.
    pub fn wake(&mut self) {
        self.asleep = false;
    }

    /// Whether it sleeps.
    pub fn is_asleep(&self) -> bool {
        self.asleep
    }

    /// Drops the prefix cache; blocks in use stay with their requests.
    pub fn reset_prefix_cache(&mut self) {
        self.blocks.forget();
    }

    /// Notes from now on what happens in the prefix cache. Only prompts made with their source can be told.
    pub fn note_kv_events(&mut self) {
        self.blocks.notes = Some(Notes::default());
    }

    /// What happened in the prefix cache since this was last called.
    pub fn take_kv_events(&mut self) -> KvEvents {
        self.blocks.notes.as_mut().map(Notes::take).unwrap_or_default()
    }

    /// Load and totals now. A sleeping engine reports no load, as the real one does.
    pub fn stats(&self) -> Stats {
        let totals = self.totals;
        if self.asleep {
            return Stats { totals, ..Stats::default() };
        }
        let total = self.blocks.total();
        Stats {
            running: self.running.len() as u32,
            waiting: self.waiting.len() as u32,
            deferred: self.deferred.min(self.waiting.len() as u32),
            kv_use: f64::from(total - self.blocks.free()) / f64::from(total.max(1)),
            totals,
        }
    }

    /// Adapters with running requests, by number.
    pub fn running_adapters(&self) -> impl Iterator<Item = AdapterId> {
        self.adapters.running()
    }

    /// Adapters with waiting requests, by number.
    pub fn waiting_adapters(&self) -> impl Iterator<Item = AdapterId> {
        self.adapters.waiting()
    }

    /// Tokens of `prompt` that the prefix cache holds now, in whole blocks.
    pub fn cached_tokens(&self, prompt: &Prompt) -> u32 {
        let hits = prompt.blocks().iter().take_while(|&&hash| self.blocks.find(hash).is_some()).count();
        hits as u32 * self.options.block_size
    }

    fn check(&self, id: u64, request: &Request) -> Result<(), Error> {
        let size = self.options.block_size;
        if request.prompt.block_size() != size {
            return Err(Error::BlockSize { id, prompt: request.prompt.block_size(), engine: size });
        }
        if request.prompt.tokens() == 0 {
            return Err(Error::EmptyPrompt { id });
        }
        let tokens = request.prompt.tokens().saturating_add(request.max_tokens.max(1));
        if tokens > self.options.max_model_len {
            return Err(Error::TooLong { id, tokens, limit: self.options.max_model_len });
        }
        let (needed, blocks) = (tokens.div_ceil(size), self.blocks.total());
        if needed > blocks {
            return Err(Error::TooLarge { id, needed, blocks });
        }
        if self.slots.contains_key(&id) {
            return Err(Error::Duplicate { id });
        }
        Ok(())
    }

    /// Frees all a running sequence holds and forgets it.
    fn retire(&mut self, slot: Slot) {
        self.release(slot);
        if let Some(adapter) = self.sequences[slot as usize].adapter {
            self.adapters.stop(adapter);
        }
        self.vacate(slot);
    }

    fn vacate(&mut self, slot: Slot) {
        self.slots.remove(&self.sequences[slot as usize].id);
        self.vacant.push(slot);
    }

    /// Gives back the blocks, last one first: the end of a prompt is evicted before its beginning.
    fn release(&mut self, slot: Slot) {
        let table = &mut self.sequences[slot as usize].table;
        for id in table.drain(..).rev() {
            self.blocks.release(id);
        }
    }
}

#[cfg(test)]
mod tests;
