//! The blocks one engine holds, under hashes that every engine and version would give them.
//!
//! Formula, all numbers little-endian, `h(seed, bytes)` being XXH3-64 with a seed:
//! - root of a prompt: `h(ROOT, name(adapter) name(salt))`, where `name(x)` is a u32 of the length + 1 and the bytes, or
//!   a u32 of 0 for none;
//! - block: `h(parent ^ extra, tokens as u32)`, where the parent of a prompt's first block is the root and `extra` is 0
//!   unless something other than tokens, adapter and salt tells the block apart.
//!
//! There is no seed per process: agents and routers must agree. Such a hash steers, it does not protect; engines keep
//! salted tenants apart by themselves.
//!
//! Engines name a block by a hash of their own, and the two kinds of names go one to one. An engine that had two names for one
//! block would be told as holding it twice, and as not holding it any more once it drops one of them.
//!
//! Memory: at most [`MOST`] blocks, then 2^19 slots of 19 bytes, 10 MB; 2.5 MB with 100,000 blocks; half as much again for the
//! moment in which the table grows. Copies of blocks, of which an engine has a few, are noted up to [`MOST`] too: 13 MB if it
//! has that many.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{Digest, Event, Place, Removed, Stored};

/// Most blocks kept of one engine: 4 million tokens at 16 a block.
pub const MOST: usize = 1 << 18;

/// Where every chain starts: fractional digits of the golden ratio.
const ROOT: u64 = 0x9e37_79b9_7f4a_7c15;

/// What one engine holds.
#[derive(Clone, Debug, Default)]
pub struct Blocks {
    /// By the engine's own hash.
    held: HashMap<EngineHash, Held>,
    /// Blocks that the table had room for when it was made.
    room: usize,
    /// How often more an engine stored a block where it had it already: each copy is removed by itself.
    copies: HashMap<(u64, u16), u32>,
    digest: Digest,
    behind: bool,
    ignored: u64,
    dropped: u64,
    full: bool,
}

/// What one event changed, in our hashes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// What came.
    pub added: Vec<u64>,
    /// What went.
    pub removed: Vec<u64>,
}

/// A hash of the engine's. Packed, as is what stands beside it: padding would take a quarter of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C, packed(2))]
struct EngineHash(u64);

#[derive(Clone, Copy, Debug)]
#[repr(C, packed(2))]
struct Held {
    chain: u64,
    /// One bit per medium and group.
    places: u16,
}

const _: () = assert!(size_of::<(EngineHash, Held)>() == 18);

// === Blocks ===

impl Blocks {
    /// Takes in one event.
    pub fn apply(&mut self, event: &Event) -> Changes {
        let mut changes = Changes::default();
        match event {
            Event::Stored(stored) => self.store(stored, &mut changes),
            Event::Removed(removed) => self.remove(removed, &mut changes),
            Event::Cleared => changes.removed = self.clear(),
            Event::Unknown(_) => {}
        }
        changes
    }

    /// Forgets everything, as after a missed event; returns what was held.
    pub fn clear(&mut self) -> Vec<u64> {
        let removed = self.held.drain().map(|(_, held)| held.chain).collect();
        self.copies.clear();
        self.digest = Digest::default();
        self.behind = false;
        self.full = false;
        removed
    }

    /// Fingerprint to compare with a copy elsewhere.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether a block came whose parent is not known: events were missed, only a replay or a reset helps.
    pub fn is_behind(&self) -> bool {
        self.behind
    }

    /// Blocks held, in no order.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.held.values().map(|held| held.chain)
    }

    /// Blocks ignored since the start because their parent was unknown or their event made no sense.
    pub fn ignored(&self) -> u64 {
        self.ignored
    }

    /// Blocks dropped since the start because there was no room.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.held.capacity()
    }

    fn store(&mut self, stored: &Stored, changes: &mut Changes) {
        let size = stored.block_size as usize;
        let count = stored.hashes.len();
        if size == 0 || size.checked_mul(count) != Some(stored.tokens.len()) {
            self.ignored += count as u64;
            return;
        }
        let Some(mut link) = self.parent(stored) else {
            self.orphans(count as u64);
            return;
        };
        for (index, (hash, tokens)) in stored.hashes.iter().zip(stored.tokens.chunks(size)).enumerate() {
            link = chain(link ^ stored.extras.get(index).copied().unwrap_or(0), tokens);
            if !self.hold(*hash, link, bit(&stored.place), changes) {
                self.full = true;
                self.dropped += (count - index) as u64;
                return;
            }
        }
    }

    fn parent(&self, stored: &Stored) -> Option<u64> {
        match stored.parent {
            None => Some(root(stored.adapter.as_deref(), stored.salt.as_deref())),
            Some(parent) => self.held.get(&EngineHash(parent)).map(|held| held.chain),
        }
    }

    /// Children of blocks dropped for want of room are no sign of missed events.
    fn orphans(&mut self, count: u64) {
        if self.full {
            self.dropped += count;
        } else {
            self.ignored += count;
            self.behind = true;
        }
    }

    /// Holds a block under the engine's hash; false where there is no room.
    fn hold(&mut self, hash: u64, chain: u64, place: u16, changes: &mut Changes) -> bool {
        if let Some(held) = self.held.get_mut(&EngineHash(hash)) {
            if held.chain == chain {
                if held.places & place == 0 {
                    held.places |= place;
                } else if self.copies.len() < MOST {
                    *self.copies.entry((hash, place)).or_default() += 1;
                }
                return true;
            }
            // The engine gave its hash to another block, so the old one is gone, and its copies with it.
            self.copies.retain(|(copied, _), _| *copied != hash);
            let old = std::mem::replace(held, Held { chain, places: place }).chain;
            self.release(old, changes);
        } else if self.held.len() >= MOST {
            return false;
        } else {
            self.make_room();
            self.held.insert(EngineHash(hash), Held { chain, places: place });
        }
        self.digest.add(chain);
        changes.added.push(chain);
        true
    }

    /// Makes the table anew where those that left have used up its room. By itself it would double.
    fn make_room(&mut self) {
        if self.held.len() < self.held.capacity() {
            return;
        }
        if self.held.len() < self.room - self.room / 16 {
            let mut fresh = HashMap::with_capacity(self.room);
            fresh.extend(self.held.drain());
            self.held = fresh;
        } else {
            self.held.reserve(1);
        }
        self.room = self.held.capacity();
    }

    fn remove(&mut self, removed: &Removed, changes: &mut Changes) {
        for hash in &removed.hashes {
            let place = bit(&removed.place);
            let Some(held) = self.held.get_mut(&EngineHash(*hash)) else { continue };
            if let Some(copies) = self.copies.get_mut(&(*hash, place)) {
                *copies -= 1;
                if *copies == 0 {
                    self.copies.remove(&(*hash, place));
                }
                continue;
            }
            held.places &= !place;
            if held.places == 0 {
                let chain = held.chain;
                self.held.remove(&EngineHash(*hash));
                self.release(chain, changes);
            }
        }
    }

    fn release(&mut self, chain: u64, changes: &mut Changes) {
        self.digest.remove(chain);
        changes.removed.push(chain);
    }
}

/// Hash of a prompt's start: the parent of its first block.
pub fn root(adapter: Option<&str>, salt: Option<&str>) -> u64 {
    let mut bytes = Vec::new();
    for name in [adapter, salt] {
        let length = name.map_or(0, |name| name.len() as u32 + 1);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(name.unwrap_or_default().as_bytes());
    }
    xxh3_64_with_seed(&bytes, ROOT)
}

/// Hash of a block of tokens behind its parent.
pub fn chain(parent: u64, tokens: &[u32]) -> u64 {
    let bytes: Vec<u8> = tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
    xxh3_64_with_seed(&bytes, parent)
}

/// Hashes of the whole blocks of a prompt of which nothing but its root and tokens counts; blocks have `size` tokens, 1 at least.
pub fn chained(root: u64, tokens: &[u32], size: usize) -> Vec<u64> {
    let next = |link: &mut u64, block: &[u32]| {
        *link = chain(*link, block);
        Some(*link)
    };
    tokens.chunks_exact(size.max(1)).scan(root, next).collect()
}

/// The bit of a place: four kinds of medium, four groups. What lies beyond shares the last bit, where it counts as copies.
fn bit(place: &Place) -> u16 {
    let medium = match place.medium.as_deref() {
        None | Some("GPU") => 0,
        Some("CPU") => 1,
        Some("DISK") => 2,
        Some(_) => 3,
    };
    1 << (medium * 4 + place.group.min(3))
}
