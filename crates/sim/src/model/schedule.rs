//! What runs in the next step, as vLLM's v1 scheduler decides it, and what comes out of it.
//!
//! Running requests go first, in order of admission, each with as many tokens as the budget leaves
//! (one for a decode, a chunk for a prefill). Lack of blocks preempts the request admitted last, which
//! begins anew from the front of the queue. Then waiting requests are admitted first come, first
//! served: one that waits for an adapter slot is passed over, one that does not fit stops admission.

use std::ops::Range;

use super::{
    Engine, Output, Step, Token,
    sequence::{Finish, Slot},
};

/// A sequence's share of the step in progress.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scheduled {
    pub(super) slot: Slot,
    pub(super) tokens: u32,
}

/// What a step costs, summed up while it is put together.
#[derive(Debug, Default)]
struct Cost {
    tokens: u32,
    context: u64,
    loading: f64,
}

// === Engine ===

impl Engine {
    /// Begins the next step at `now`. `None` when a step is in progress, nothing can run, or it sleeps.
    pub fn schedule(&mut self, now: f64) -> Option<Step> {
        if self.asleep || self.step_ends.is_some() {
            return None;
        }
        let mut cost = Cost::default();
        if self.schedule_running(&mut cost) {
            self.admit(now, &mut cost);
        }
        if self.batch.is_empty() {
            return None;
        }
        let ends_at = now + self.profile.step_seconds(cost.tokens, cost.context) + cost.loading;
        self.step_ends = Some(ends_at);
        Some(Step { ends_at, sequences: self.batch.len() as u32, tokens: cost.tokens })
    }

    /// Ends the step in progress, at the time `schedule` gave; fills `output` with what it produced.
    pub fn complete(&mut self, output: &mut Output) {
        output.clear();
        let Some(now) = self.step_ends.take() else { return };
        self.totals.steps += 1;
        for &Scheduled { slot, tokens } in &self.batch {
            let sequence = &mut self.sequences[slot as usize];
            sequence.computed += tokens;
            if sequence.computed < sequence.known() {
                continue;
            }
            if sequence.first_token.is_none() {
                sequence.first_token = Some(now);
                self.totals.prompt_tokens += u64::from(sequence.prompt.tokens());
                self.totals.cached_tokens += u64::from(sequence.cached);
            }
            let gap = now - sequence.last_token;
            output.tokens.push(Token { id: sequence.id, index: sequence.output, gap });
            sequence.last_token = now;
            sequence.output += 1;
            self.totals.output_tokens += 1;
            if sequence.output >= sequence.limit {
                output.finished.push(sequence.outcome(sequence.finish, now));
            }
        }
        self.batch.clear();
        self.retire_finished(output);
    }

    fn retire_finished(&mut self, output: &Output) {
        if output.finished.is_empty() {
            return;
        }
        let sequences = &self.sequences;
        self.running.retain(|&slot| {
            let sequence = &sequences[slot as usize];
            sequence.output < sequence.limit
        });
        for outcome in &output.finished {
            debug_assert!(outcome.finish != Finish::Abort, "aborted requests leave by abort()");
            if let Some(&slot) = self.slots.get(&outcome.id) {
                self.retire(slot);
            }
        }
    }

    /// Gives every running request its tokens. False where one had to be preempted: it stands at the
    /// front of the queue, and admitting anyone into the blocks just freed would only preempt again.
    fn schedule_running(&mut self, cost: &mut Cost) -> bool {
        let before = self.totals.preemptions;
        let budget = self.options.max_num_batched_tokens;
        let mut at = 0;
        while at < self.running.len() && cost.tokens < budget {
            let slot = self.running[at];
            let sequence = &self.sequences[slot as usize];
            let tokens = (sequence.known() - sequence.computed).min(budget - cost.tokens);
            if !self.make_room(slot, tokens) {
                return false;
            }
            self.take(slot, tokens, cost);
            at += 1;
        }
        self.totals.preemptions == before
    }

    /// Blocks for `tokens` more of a running request, preempting from the end of the batch.
    /// False where the request itself had to go.
    fn make_room(&mut self, slot: Slot, tokens: u32) -> bool {
        while !self.grow(slot, tokens) {
            let Some(victim) = self.running.pop() else { return false };
            self.preempt(victim);
            if victim == slot {
                return false;
            }
        }
        true
    }

    fn preempt(&mut self, slot: Slot) {
        self.release(slot);
        let sequence = &mut self.sequences[slot as usize];
        sequence.computed = 0;
        sequence.published = 0;
        sequence.preemptions += 1;
        if let Some(adapter) = sequence.adapter {
            self.adapters.stop(adapter);
            self.adapters.wait(adapter);
        }
        self.waiting.push_front(slot);
        self.totals.preemptions += 1;
    }

    /// Admits waiting requests while budget, seats and blocks last.
    fn admit(&mut self, now: f64, cost: &mut Cost) {
        let budget = self.options.max_num_batched_tokens;
        self.deferred = 0;
        while cost.tokens < budget && self.running.len() < self.options.max_num_seqs as usize {
            let Some(slot) = self.waiting.pop_front() else { break };
            let adapter = self.sequences[slot as usize].adapter;
            if adapter.is_some_and(|adapter| !self.adapters.may_run(adapter)) {
                self.skipped.push(slot);
                continue;
            }
            if !self.hold_prefix(now, slot) {
                self.waiting.push_front(slot);
                break;
            }
            if let Some(adapter) = adapter {
                self.adapters.unwait(adapter);
                cost.loading += self.adapters.start(adapter);
            }
            self.running.push(slot);
            let sequence = &self.sequences[slot as usize];
            let tokens = (sequence.known() - sequence.computed).min(budget - cost.tokens);
            let grown = self.grow(slot, tokens);
            debug_assert!(grown, "the whole sequence was found to fit");
            self.take(slot, tokens, cost);
        }
        self.deferred = self.skipped.len() as u32;
        while let Some(slot) = self.skipped.pop() {
            self.waiting.push_front(slot);
        }
    }

    /// Finds the cached prefix of a waiting request and holds it, provided all of its known tokens
    /// fit. The last token is always computed, for without it there would be nothing to sample from.
    fn hold_prefix(&mut self, now: f64, slot: Slot) -> bool {
        let size = self.options.block_size;
        let sequence = &mut self.sequences[slot as usize];
        let known = sequence.known();
        let most = if self.options.prefix_caching { (known - 1) / size } else { 0 };
        let mut freed = 0;
        for id in sequence.known_hashes().take(most as usize).map_while(|hash| self.blocks.find(hash)) {
            freed += u32::from(self.blocks.is_free(id));
            self.found.push(id);
        }
        let hits = self.found.len() as u32;
        let fits = known.div_ceil(size) - hits + freed <= self.blocks.free();
        if fits {
            for &id in &self.found {
                self.blocks.hold(id);
            }
            sequence.table.extend_from_slice(&self.found);
            sequence.computed = hits * size;
            sequence.published = hits;
            sequence.start(now, hits * size);
            if sequence.preemptions == 0 && self.options.prefix_caching {
                self.totals.prefix_queries += u64::from(known);
                self.totals.prefix_hits += u64::from(hits * size);
            }
        }
        self.found.clear();
        fits
    }

    /// Takes the blocks that `tokens` more need; takes none where not all are there.
    fn grow(&mut self, slot: Slot, tokens: u32) -> bool {
        let sequence = &mut self.sequences[slot as usize];
        let needed = (sequence.computed + tokens).div_ceil(self.options.block_size);
        let missing = needed.saturating_sub(sequence.table.len() as u32);
        if missing > self.blocks.free() {
            return false;
        }
        for _ in 0..missing {
            sequence.table.extend(self.blocks.take());
        }
        true
    }

    /// Puts the request into the step and offers the blocks that the step fills to the prefix cache:
    /// at once, as vLLM does, so that a later request of the same step finds them.
    fn take(&mut self, slot: Slot, tokens: u32, cost: &mut Cost) {
        let sequence = &mut self.sequences[slot as usize];
        let computed = sequence.computed + tokens;
        cost.tokens += tokens;
        cost.context += u64::from(sequence.computed);
        self.batch.push(Scheduled { slot, tokens });
        if !self.options.prefix_caching {
            return;
        }
        let full = computed / self.options.block_size;
        while self.sequences[slot as usize].published < full {
            let run = self.offer(slot, full);
            if let (Some(notes), false) = (&mut self.blocks.notes, run.is_empty()) {
                self.sequences[slot as usize].stored(&run).into_iter().for_each(|run| notes.stored(run));
            }
        }
    }

    /// Makes blocks findable, up to `full` or to the first that needs or bears no publishing; returns those that are
    /// new. A block whose parent is not cached any more would never be found, so it stays with its request: that
    /// happens where the cache was reset, or an equal block of another request was evicted.
    fn offer(&mut self, slot: Slot, full: u32) -> Range<u32> {
        let sequence = &mut self.sequences[slot as usize];
        let first = sequence.published;
        for index in first..full {
            let hash = sequence.block_hash(index);
            sequence.published += 1;
            let orphan = index.checked_sub(1).is_some_and(|before| {
                let parent = sequence.block_hash(before);
                !self.blocks.caches(sequence.table[before as usize], parent)
            });
            if orphan || !self.blocks.publish(sequence.table[index as usize], hash) {
                return first..index;
            }
        }
        first..full
    }
}
