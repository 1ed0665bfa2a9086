//! What one engine holds in its KV cache, and what changed in it lately.
//!
//! The engine's events write, followers read, under one lock. Every change makes a version; who has seen one gets what changed
//! since, once, however often it changed. Who has seen too old a one gets everything.
//!
//! Memory: the blocks ([`warmlane_engine::kv_events::MOST`]) and the last 8,192 changes, 16 bytes each.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use warmlane_engine::kv_events::{Blocks, Changes, Digest, Event};
use warmlane_kv::{Fit, Sink, State};

use crate::node::{EngineId, Node};

/// Changes kept. A router reads 200 times a second, and an engine stores some thousand blocks in one.
const KEPT: usize = 8_192;

/// See the module's header.
#[derive(Debug)]
pub struct Cache {
    /// Whose it is.
    pub id: EngineId,
    /// The engine's address.
    pub engine: Arc<str>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    blocks: Blocks,
    block_size: u32,
    /// All that the engine holds is known.
    whole: bool,
    /// Grows with each change.
    version: u64,
    /// What came and went lately, oldest first.
    changes: VecDeque<Change>,
    /// Whoever has seen less lacks changes that are no longer kept.
    complete_since: u64,
}

/// A block that came or went.
#[derive(Clone, Copy, Debug)]
struct Change {
    block: u64,
    /// Twice the version at which it did, and one more where it came.
    mark: u64,
}

/// What is new to somebody.
#[derive(Clone, Debug, PartialEq)]
pub struct Delta {
    /// It begins with nothing: everything is in it.
    pub reset: bool,
    /// What came.
    pub added: Vec<u64>,
    /// What went.
    pub removed: Vec<u64>,
    /// Of all that is held.
    pub digest: Digest,
    /// Tokens in a block; 0 while none has been seen.
    pub block_size: u32,
    /// All that the engine holds is known.
    pub whole: bool,
    /// Whoever takes this has seen as much.
    pub seen: u64,
}

/// Where an engine's events go.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) node: Arc<Node>,
    pub(crate) cache: Arc<Cache>,
}

// === Cache ===

impl Cache {
    /// Of an engine of which nothing is known.
    pub fn new(id: EngineId, engine: &str) -> Self {
        Self { id, engine: engine.into(), held: Mutex::default() }
    }

    /// What changed after `seen`; `None` when nothing has. Without `seen` everything is new.
    pub fn since(&self, seen: Option<u64>) -> Option<Delta> {
        let held = self.held();
        if seen == Some(held.version) {
            return None;
        }
        let known = held.follows(seen);
        let (added, removed) = match known {
            None => (held.blocks.iter().collect(), Vec::new()),
            Some(seen) => held.changed_after(seen),
        };
        Some(Delta {
            reset: known.is_none(),
            added,
            removed,
            digest: held.blocks.digest(),
            block_size: held.block_size,
            whole: held.whole,
            seen: held.version,
        })
    }

    /// Whether somebody who has seen so much must be told everything.
    pub fn needs_all(&self, seen: Option<u64>) -> bool {
        self.held().follows(seen).is_none()
    }

    /// Blocks held.
    pub fn count(&self) -> u64 {
        self.held().blocks.digest().count
    }

    /// Whether all that the engine holds is known.
    pub fn is_whole(&self) -> bool {
        self.held().whole
    }

    fn take(&self, event: &Event) -> Fit {
        let mut held = self.held();
        let (was_behind, left_out) = (held.blocks.is_behind(), held.left_out());
        if *event == Event::Cleared {
            held.clear();
        } else {
            let changes = held.blocks.apply(event);
            if let (Event::Stored(stored), false) = (event, changes.added.is_empty()) {
                held.block_size = stored.block_size;
            }
            held.note(&changes);
        }
        match held.blocks.is_behind() && !was_behind {
            true => Fit::Behind,
            false if held.left_out() > left_out => Fit::Partly,
            false => Fit::Whole,
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === Held ===

impl Held {
    /// What somebody has seen, where changes bring them from there to now.
    fn follows(&self, seen: Option<u64>) -> Option<u64> {
        seen.filter(|seen| *seen >= self.complete_since)
    }

    /// What came and what went in the end. What did both is neither.
    fn changed_after(&self, seen: u64) -> (Vec<u64>, Vec<u64>) {
        let from = self.changes.partition_point(|change| change.version() <= seen);
        let mut balance: HashMap<u64, i32> = HashMap::new();
        for change in self.changes.iter().skip(from) {
            *balance.entry(change.block).or_default() += if change.came() { 1 } else { -1 };
        }
        let mut changed = (Vec::new(), Vec::new());
        for (block, balance) in balance {
            let side = if balance > 0 { &mut changed.0 } else { &mut changed.1 };
            side.extend((0..balance.unsigned_abs()).map(|_| block));
        }
        changed
    }

    /// Blocks that are not held although the engine holds them.
    fn left_out(&self) -> u64 {
        self.blocks.ignored() + self.blocks.dropped()
    }

    fn note(&mut self, changes: &Changes) {
        if changes.added.is_empty() && changes.removed.is_empty() {
            return;
        }
        self.version += 1;
        let went = changes.removed.iter().map(|block| Change { block: *block, mark: self.version * 2 });
        let came = changes.added.iter().map(|block| Change { block: *block, mark: self.version * 2 + 1 });
        for change in went.chain(came) {
            if self.changes.len() == KEPT
                && let Some(old) = self.changes.pop_front()
            {
                self.complete_since = old.version();
            }
            self.changes.push_back(change);
        }
    }

    /// Everybody gets what comes after as everything.
    fn clear(&mut self) {
        self.blocks.clear();
        self.changes.clear();
        self.version += 1;
        self.complete_since = self.version;
    }
}

// === Change ===

impl Change {
    fn version(self) -> u64 {
        self.mark / 2
    }

    fn came(self) -> bool {
        self.mark % 2 == 1
    }
}

// === Feed ===

impl Sink for Feed {
    fn take(&self, event: &Event) -> Fit {
        let fit = self.cache.take(event);
        self.node.touch();
        fit
    }

    fn clear(&self) {
        self.cache.held().clear();
        self.node.touch();
    }

    fn stands(&self, state: &State) {
        {
            let mut held = self.cache.held();
            held.whole = *state == State::Known { whole: true };
            held.version += 1;
        }
        self.node.touch();
    }
}

#[cfg(test)]
mod tests;
