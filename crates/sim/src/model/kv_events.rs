//! What happens in the prefix cache, noted for who publishes it: blocks cached, blocks evicted, everything dropped.
//!
//! Bound: at most [`MOST`] blocks are noted. Where nobody takes them in time, all that is noted is dropped and `lost`
//! says so; a drop of the whole cache makes what was noted before it pointless and takes its place.

/// Most blocks noted and not yet taken; one step of a real engine changes a few hundred.
const MOST: usize = 1 << 16;

/// One change of the prefix cache.
#[derive(Debug, Clone, PartialEq)]
pub enum KvEvent {
    /// Blocks were cached.
    Stored(Stored),
    /// The block with this hash was evicted.
    Removed(u64),
    /// Everything was dropped.
    Cleared,
}

/// A run of blocks of one request, each the child of the one before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// Chained hashes, in order.
    pub hashes: Vec<u64>,
    /// Hash of the block before the first; none at the start of a prompt.
    pub parent: Option<u64>,
    /// Token ids of all the blocks.
    pub tokens: Vec<u32>,
    /// Tokens per block.
    pub block_size: u32,
    /// Name of the adapter.
    pub adapter: Option<Box<str>>,
    /// Number of the adapter, from 1.
    pub adapter_number: Option<u32>,
    /// The cache salt, where the run starts a prompt.
    pub salt: Option<Box<str>>,
}

/// What was noted since it was last taken.
#[derive(Debug, Default, PartialEq)]
pub struct KvEvents {
    /// In the order in which it happened.
    pub events: Vec<KvEvent>,
    /// Whether events before these were dropped.
    pub lost: bool,
}

/// Where changes are noted.
#[derive(Debug, Default)]
pub(super) struct Notes {
    noted: KvEvents,
    blocks: usize,
}

// === Notes ===

impl Notes {
    pub(super) fn stored(&mut self, stored: Stored) {
        self.make_room(stored.hashes.len());
        self.noted.events.push(KvEvent::Stored(stored));
    }

    pub(super) fn removed(&mut self, hash: u64) {
        self.make_room(1);
        self.noted.events.push(KvEvent::Removed(hash));
    }

    pub(super) fn cleared(&mut self) {
        self.noted.events.clear();
        self.noted.events.push(KvEvent::Cleared);
        self.blocks = 0;
    }

    pub(super) fn take(&mut self) -> KvEvents {
        self.blocks = 0;
        std::mem::take(&mut self.noted)
    }

    fn make_room(&mut self, blocks: usize) {
        self.blocks += blocks;
        if self.blocks > MOST {
            self.noted = KvEvents { events: Vec::new(), lost: true };
            self.blocks = blocks;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_nobody_takes_are_dropped_at_the_bound_and_said_to_be_lost() {
        let mut notes = Notes::default();
        (0..MOST as u64).for_each(|hash| notes.removed(hash));
        notes.removed(7);
        assert_eq!(notes.take(), KvEvents { events: vec![KvEvent::Removed(7)], lost: true });
        assert_eq!(notes.take(), KvEvents::default());
    }

    #[test]
    fn a_drop_of_the_cache_replaces_what_was_noted_before() {
        let mut notes = Notes::default();
        notes.removed(7);
        notes.cleared();
        notes.cleared();
        assert_eq!(notes.take().events, [KvEvent::Cleared]);
    }
}
