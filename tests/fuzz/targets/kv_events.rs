//! KV events: no payload breaks its reader, what is read stays within its limits, and however events follow each other, the
//! digest is that of the blocks that are held.

#![no_main]

use std::collections::HashMap;

use libfuzzer_sys::fuzz_target;
use warmlane_engine::kv_events::{Blocks, Digest, Event, MAX_EVENTS, decode};

fuzz_target!(|bytes: &[u8]| {
    let mut blocks = Blocks::default();
    let mut copy = HashMap::new();
    // Several payloads, each with its length before it; what is left is one more.
    let mut rest = bytes;
    while let Some((length, behind)) = rest.split_first() {
        let (payload, behind) = behind.split_at(usize::from(*length).min(behind.len()));
        take(payload, &mut blocks, &mut copy);
        rest = behind;
    }
    take(bytes, &mut blocks, &mut copy);
});

fn take(payload: &[u8], blocks: &mut Blocks, copy: &mut HashMap<u64, usize>) {
    let Ok(batch) = decode(payload) else { return };
    assert!(batch.events.len() <= MAX_EVENTS);
    for event in &batch.events {
        if let Event::Stored(stored) = event {
            assert!(stored.tokens.len() <= payload.len() && stored.hashes.len() <= payload.len());
        }
        let changes = blocks.apply(event);
        // Within one event a block may come and go.
        changes.added.iter().for_each(|block| *copy.entry(*block).or_default() += 1);
        for block in &changes.removed {
            *copy.get_mut(block).filter(|count| **count > 0).expect("what went had come") -= 1;
        }
        let held = copy.iter().flat_map(|(block, count)| (0..*count).map(|_| *block));
        assert_eq!(held.clone().collect::<Digest>(), blocks.digest());
        assert_eq!(held.count(), blocks.iter().count());
    }
}
