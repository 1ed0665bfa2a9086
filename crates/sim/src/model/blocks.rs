//! The KV cache: blocks with reference counts, a map of cached blocks, and the free queue.
//!
//! A block nobody holds stays cached until it is taken: the free queue is in least-recently-used
//! order and `take` evicts its head. Invariant: a block is in the free queue exactly when its count
//! is zero, and in the map exactly under its own hash.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasherDefault, Hasher},
};

use super::kv_events::Notes;

/// Index of a block.
pub(super) type BlockId = u32;

/// All blocks of an engine.
#[derive(Debug)]
pub(super) struct Blocks {
    blocks: Vec<Block>,
    cached: HashMap<u64, BlockId, BuildHasherDefault<Identity>>,
    /// Sentinel of the free queue: index `blocks.len() - 1`, never handed out.
    end: BlockId,
    free: u32,
    /// Where changes of the map are noted, if anybody wants to know.
    pub(super) notes: Option<Notes>,
}

#[derive(Debug, Clone)]
struct Block {
    holders: u32,
    hash: Option<u64>,
    before: BlockId,
    after: BlockId,
}

/// Block hashes are well mixed already.
#[derive(Debug, Default)]
struct Identity(u64);

// === Blocks ===

impl Blocks {
    pub(super) fn new(count: u32) -> Self {
        let around = count + 1;
        let blocks = (0..around)
            .map(|at| Block {
                holders: 0,
                hash: None,
                before: (at + around - 1) % around,
                after: (at + 1) % around,
            })
            .collect();
        Self { blocks, cached: HashMap::default(), end: count, free: count, notes: None }
    }

    pub(super) fn total(&self) -> u32 {
        self.end
    }

    pub(super) fn free(&self) -> u32 {
        self.free
    }

    /// The cached block with this hash.
    pub(super) fn find(&self, hash: u64) -> Option<BlockId> {
        self.cached.get(&hash).copied()
    }

    /// Whether a block with this hash is cached, most likely this one.
    pub(super) fn caches(&self, likely: BlockId, hash: u64) -> bool {
        self.blocks[likely as usize].hash == Some(hash) || self.cached.contains_key(&hash)
    }

    /// Whether nobody holds the block, so that holding it takes one from the free ones.
    pub(super) fn is_free(&self, id: BlockId) -> bool {
        self.blocks[id as usize].holders == 0
    }

    /// Takes the least recently used free block, which loses what it cached.
    pub(super) fn take(&mut self) -> Option<BlockId> {
        let id = self.blocks[self.end as usize].after;
        if id == self.end {
            return None;
        }
        if let Some(hash) = self.blocks[id as usize].hash.take() {
            self.cached.remove(&hash);
            if let Some(notes) = &mut self.notes {
                notes.removed(hash);
            }
        }
        self.hold(id);
        Some(id)
    }

    /// Adds a holder.
    pub(super) fn hold(&mut self, id: BlockId) {
        let block = &mut self.blocks[id as usize];
        block.holders += 1;
        if block.holders == 1 {
            let (before, after) = (block.before, block.after);
            self.blocks[before as usize].after = after;
            self.blocks[after as usize].before = before;
            self.free -= 1;
        }
    }

    /// Takes a holder away; the last one puts the block at the end of the free queue.
    pub(super) fn release(&mut self, id: BlockId) {
        let last = self.blocks[self.end as usize].before;
        let block = &mut self.blocks[id as usize];
        block.holders -= 1;
        if block.holders == 0 {
            (block.before, block.after) = (last, self.end);
            self.blocks[last as usize].after = id;
            self.blocks[self.end as usize].before = id;
            self.free += 1;
        }
    }

    /// Makes a full block findable; whether it was not. Where the hash is cached already, the older block stays.
    pub(super) fn publish(&mut self, id: BlockId, hash: u64) -> bool {
        let Entry::Vacant(entry) = self.cached.entry(hash) else { return false };
        entry.insert(id);
        self.blocks[id as usize].hash = Some(hash);
        true
    }

    /// Forgets every cached block; blocks in use stay with their holders.
    pub(super) fn forget(&mut self) {
        self.cached.clear();
        if let Some(notes) = &mut self.notes {
            notes.cleared();
        }
        for block in &mut self.blocks {
            block.hash = None;
        }
    }

    /// Checks the invariants of the header; for tests.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let mut queued = 0;
        let mut at = self.blocks[self.end as usize].after;
        while at != self.end {
            assert_eq!(self.blocks[at as usize].holders, 0, "a held block is in the free queue");
            queued += 1;
            at = self.blocks[at as usize].after;
        }
        let unheld = self.blocks[..self.end as usize].iter().filter(|block| block.holders == 0).count();
        assert_eq!((queued, unheld as u32), (self.free, self.free));
        let hashed = self.blocks.iter().filter(|block| block.hash.is_some()).count();
        assert_eq!(hashed, self.cached.len());
        for (&hash, &id) in &self.cached {
            assert_eq!(self.blocks[id as usize].hash, Some(hash));
        }
    }
}

// === Identity ===

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, &byte| hash.rotate_left(8) ^ u64::from(byte));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}
