//! KV events: no payload breaks its reader, what is read stays within its limits, and however events follow each other, the
//! digest is that of the blocks that are held.

#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use warmlane_engine::kv_events::{Blocks, Digest, Event, MAX_EVENTS, decode};

fuzz_target!(|bytes: &[u8]| {
    let mut blocks = Blocks::default();
    let mut copy = HashSet::new();
    // Several payloads, each with its length before it; what is left is one more.
    let mut rest = bytes;
    while let Some((length, behind)) = rest.split_first() {
        let (payload, behind) = behind.split_at(usize::from(*length).min(behind.len()));
        take(payload, &mut blocks, &mut copy);
        rest = behind;
    }
    take(bytes, &mut blocks, &mut copy);
});

fn take(payload: &[u8], blocks: &mut Blocks, copy: &mut HashSet<u64>) {
    let Ok(batch) = decode(payload) else { return };
    assert!(batch.events.len() <= MAX_EVENTS);
    for event in &batch.events {
        if let Event::Stored(stored) = event {
            assert!(stored.tokens.len() <= payload.len() && stored.hashes.len() <= payload.len());
        }
        let changes = blocks.apply(event);
        // Within one event a block may come and go: only what is held afterwards counts.
        for block in changes.removed.iter().chain(&changes.added) {
            if blocks.holds(*block) {
                copy.insert(*block)
            } else {
                copy.remove(block)
            };
        }
        assert_eq!(Digest::from_iter(copy.iter().copied()), blocks.digest());
        assert_eq!(copy.len(), blocks.iter().count());
    }
}
