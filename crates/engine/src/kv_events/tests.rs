//! Recorded frames of two vLLM versions, hostile bytes, and the set they add up to.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

const FRAMES: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/kv/vllm-kv-events.jsonl"));

/// Server, payload and the decoded form its own decoder gave.
fn frames() -> Vec<(String, Vec<u8>, Value)> {
    let frame = |line| {
        let frame: Value = serde_json::from_str(line).expect("a line is JSON");
        let hex = frame["payload_hex"].as_str().expect("hex").as_bytes();
        let digit = |byte: u8| (byte as char).to_digit(16).expect("hex") as u8;
        let payload = hex.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect();
        (frame["server"].as_str().expect("a name").to_owned(), payload, frame["decoded"].clone())
    };
    FRAMES.lines().map(frame).collect()
}

fn field<'a>(event: &'a Value, name: &str, position: usize) -> &'a Value {
    if event.is_array() { &event[position] } else { &event[name] }
}

fn same(event: &Event, expected: &Value) {
    let hashes = |value: &Value| {
        value.as_array().expect("a list").iter().filter_map(Value::as_u64).collect::<Vec<_>>()
    };
    match (event, field(expected, "type", 0).as_str().expect("a type")) {
        (Event::Stored(stored), "BlockStored") => {
            assert_eq!(stored.hashes, hashes(field(expected, "block_hashes", 1)));
            assert_eq!(stored.parent, field(expected, "parent_block_hash", 2).as_u64());
            let tokens: Vec<u64> = stored.tokens.iter().map(|token| u64::from(*token)).collect();
            assert_eq!(tokens, hashes(field(expected, "token_ids", 3)));
            assert_eq!(Some(u64::from(stored.block_size)), field(expected, "block_size", 4).as_u64());
            assert_eq!(stored.adapter.as_deref(), field(expected, "lora_name", 7).as_str());
            assert!(stored.extras.iter().all(|extra| *extra == 0), "adapter and salt are no further keys");
        }
        (Event::Removed(removed), "BlockRemoved") => {
            assert_eq!(removed.hashes, hashes(field(expected, "block_hashes", 1)));
        }
        (Event::Cleared, "AllBlocksCleared") => {}
        (event, kind) => panic!("{kind} was read as {event:?}"),
    }
}

fn stored(hashes: &[u64], parent: Option<u64>, tokens: &[u32]) -> Stored {
    let block_size = (tokens.len() / hashes.len()) as u32;
    Stored { hashes: hashes.to_vec(), parent, tokens: tokens.to_vec(), block_size, ..Stored::default() }
}

fn event(stored: Stored) -> Event {
    Event::Stored(Box::new(stored))
}

fn removed(hash: u64, medium: Option<&str>) -> Event {
    let place = Place { medium: medium.map(Into::into), group: 0 };
    Event::Removed(Box::new(Removed { hashes: vec![hash], place }))
}

#[test]
fn a_block_that_is_stored_twice_is_held_until_both_copies_are_gone() {
    let mut blocks = Blocks::default();
    for _ in 0..3 {
        blocks.apply(&event(stored(&[1], None, &[7, 8])));
    }
    assert_eq!(blocks.digest().count, 1);
    assert_eq!(blocks.apply(&removed(1, None)), Changes::default());
    assert_eq!(blocks.apply(&removed(1, None)), Changes::default());
    blocks.apply(&event(stored(&[2], Some(1), &[9, 9])));
    assert!(!blocks.is_behind(), "its child is no orphan");
    assert_eq!(blocks.apply(&removed(1, None)).removed.len(), 1);
    blocks.apply(&event(stored(&[1], None, &[7, 8])));
    assert_eq!(blocks.apply(&removed(1, None)).removed.len(), 1, "no copy is left over");
}

#[test]
fn recorded_frames_read_as_their_own_decoder_read_them() {
    for (_, payload, decoded) in frames() {
        let batch = decode(&payload).expect("a real frame");
        // serde_json reads the last bit of a float carelessly unless it is told not to.
        assert!((batch.time - decoded[0].as_f64().expect("a number")).abs() < 1e-6);
        assert_eq!(batch.rank, Some(0));
        let events = decoded[1].as_array().expect("a list");
        assert_eq!(batch.events.len(), events.len());
        batch.events.iter().zip(events).for_each(|(event, expected)| same(event, expected));
    }
}

#[test]
fn salt_is_found_in_both_formats() {
    for server in ["0.32-bs32-sha256_cbor", "0.17-bs32-sha256"] {
        let salted = frames().into_iter().filter(|frame| frame.0 == server).any(|(_, payload, _)| {
            let batch = decode(&payload).expect("a real frame");
            batch
                .events
                .iter()
                .any(|event| matches!(event, Event::Stored(s) if s.salt.as_deref() == Some("tenant-a")))
        });
        assert!(salted, "{server}");
    }
}

#[test]
fn versions_with_other_hashes_agree_on_ours() {
    let first = |server: &str| {
        let (_, payload, _) = frames().into_iter().find(|frame| frame.0 == server).expect("the server");
        let batch = decode(&payload).expect("a real frame");
        let Event::Stored(stored) = batch.events[0].clone() else { panic!("not a store") };
        *stored
    };
    let new = first("0.32-bs32-sha256_cbor");
    let old = first("0.17-bs32-sha256");
    assert_ne!(new.hashes, old.hashes);
    let mine = Stored { tokens: new.tokens.clone(), ..old };
    let (mut a, mut b) = (Blocks::default(), Blocks::default());
    assert_eq!(a.apply(&event(new)), b.apply(&event(mine)));
    assert_eq!(a.digest(), b.digest());
}

#[test]
fn adapter_salt_and_further_keys_keep_equal_tokens_apart() {
    let plain = stored(&[1], None, &[5; 16]);
    let kinds = [
        plain.clone(),
        Stored { adapter: Some("x".into()), ..plain.clone() },
        Stored { salt: Some("x".into()), ..plain.clone() },
        Stored { extras: vec![9], ..plain },
    ];
    let mut chains: Vec<u64> =
        kinds.into_iter().flat_map(|kind| Blocks::default().apply(&event(kind)).added).collect();
    chains.sort_unstable();
    chains.dedup();
    assert_eq!(chains.len(), 4);
}

#[test]
fn a_whole_recorded_run_has_every_parent() {
    for server in ["0.32-bs32-sha256_cbor", "0.17-bs32-sha256"] {
        let mut blocks = Blocks::default();
        for (_, payload, _) in frames().into_iter().filter(|frame| frame.0 == server) {
            for event in decode(&payload).expect("a real frame").events {
                blocks.apply(&event);
            }
        }
        assert!(!blocks.is_behind(), "{server}");
        assert_eq!((blocks.ignored(), blocks.dropped()), (0, 0), "{server}");
        assert!(blocks.digest().count > 0, "{server}");
        assert_eq!(blocks.digest(), blocks.iter().collect::<Digest>(), "{server}");
    }
}

/// The figures come from another implementation of XXH3 (Python's `xxhash`).
#[test]
fn the_formula_is_pinned() {
    assert_eq!(root(None, None), 1_873_608_869_866_046_713);
    assert_eq!(root(Some("a"), None), 16_467_450_697_253_484_695);
    assert_eq!(chain(1, &[1, 2, 3]), 2_235_105_966_060_544_278);
}

#[test]
fn a_missing_parent_is_not_guessed() {
    let mut blocks = Blocks::default();
    assert_eq!(blocks.apply(&event(stored(&[2], Some(1), &[7; 16]))), Changes::default());
    assert!(blocks.is_behind());
    assert_eq!(blocks.ignored(), 1);
    blocks.apply(&Event::Cleared);
    assert!(!blocks.is_behind());
}

#[test]
fn a_block_in_two_places_leaves_with_the_last() {
    let mut blocks = Blocks::default();
    let gpu = stored(&[1], None, &[7; 16]);
    let cpu = Stored { place: Place { medium: Some("CPU".into()), group: 0 }, ..gpu.clone() };
    assert_eq!(blocks.apply(&event(gpu)).added.len(), 1);
    assert_eq!(blocks.apply(&event(cpu)), Changes::default());
    assert_eq!(blocks.apply(&removed(1, None)), Changes::default());
    assert_eq!(blocks.apply(&removed(1, Some("CPU"))).removed.len(), 1);
    assert_eq!(blocks.digest(), Digest::default());
}

#[test]
fn blocks_that_come_and_go_do_not_make_the_table_grow() {
    let mut blocks = Blocks::default();
    let mut come = |number: u64| {
        blocks.apply(&event(stored(&[number], None, &[number as u32])));
        blocks.capacity()
    };
    let full = (0..100_000).map(&mut come).last().expect("some came");
    for number in 100_000..600_000_u64 {
        blocks.apply(&removed(number - 100_000, None));
        blocks.apply(&event(stored(&[number], None, &[number as u32])));
    }
    assert_eq!((blocks.capacity().max(full), blocks.digest().count), (full, 100_000));
}

#[test]
fn blocks_beyond_the_bound_are_dropped_and_counted() {
    let mut blocks = Blocks::default();
    let hashes: Vec<u64> = (0..MOST as u64 + 3).collect();
    let tokens: Vec<u32> = (0..hashes.len() as u32).collect();
    assert_eq!(blocks.apply(&event(stored(&hashes, None, &tokens))).added.len(), MOST);
    blocks.apply(&event(stored(&[u64::MAX], Some(MOST as u64 + 2), &[1])));
    assert_eq!((blocks.dropped(), blocks.is_behind()), (4, false));
}

#[test]
fn lists_longer_than_the_frame_are_refused_before_they_are_reserved() {
    assert_eq!(decode(&[0x93, 0x01, 0xdd, 0xff, 0xff, 0xff, 0xff]), Err(DecodeError::Truncated));
    let nested = [&[0x93, 0x01, 0x91, 0x92, 0xa1, b'x'][..], &[0x91; 100_000]].concat();
    assert_eq!(decode(&nested), Err(DecodeError::Truncated));
}

#[test]
fn unknown_types_are_kept_and_hashes_may_be_bytes() {
    let payload = [
        &[0x92, 0x01, 0x92, 0x92, 0xa1, b'x', 0xc0, 0x92, 0xac][..],
        b"BlockRemoved",
        &[0x91, 0xc4, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    ];
    let batch = decode(&payload.concat()).expect("a frame");
    assert_eq!(batch.events, [Event::Unknown("x".into()), removed(0x0203_0405_0607_0809, None)]);
}

#[test]
fn a_negative_hash_is_a_hash() {
    let payload = [
        &[0x92, 0x01, 0x91, 0x92, 0xac][..],
        b"BlockRemoved",
        &[0x92, 0xff, 0xd3, 0x80, 0, 0, 0, 0, 0, 0, 1],
    ];
    let removed = |hashes| Event::Removed(Box::new(Removed { hashes, place: Place::default() }));
    let batch = decode(&payload.concat()).expect("a frame");
    assert_eq!(batch.events, [removed(vec![u64::MAX, 1 << 63 | 1])]);
}

#[test]
fn every_cut_of_a_real_frame_is_an_error() {
    for (_, payload, _) in frames().into_iter().step_by(9) {
        assert!((0..payload.len()).all(|end| decode(&payload[..end]).is_err()));
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn mutated_frames_never_panic(
        frame in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut frames = frames();
        let payload = &mut frames[frame.index(67)].1;
        for (at, byte) in changes {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        if let Ok(batch) = decode(payload) {
            let mut blocks = Blocks::default();
            batch.events.iter().for_each(|event| {
                blocks.apply(event);
            });
        }
    }

    #[test]
    fn changes_and_digest_follow_the_held_set(steps in prop::collection::vec((0..5_u8, 0..12_u64, 0..12_u64), 0..200)) {
        let mut blocks = Blocks::default();
        let mut copy = Vec::new();
        for (step, hash, parent) in steps {
            let changes = blocks.apply(&match step {
                0 => event(stored(&[hash], None, &[(hash % 5) as u32])),
                1 | 2 => event(stored(&[hash], Some(parent), &[(hash % 5) as u32])),
                3 => removed(hash, None),
                _ if hash == 0 => Event::Cleared,
                _ => Event::Unknown("x".into()),
            });
            copy.extend(&changes.added);
            for chain in &changes.removed {
                copy.swap_remove(copy.iter().position(|held| held == chain).expect("told of what was not held"));
            }
            let mut held: Vec<u64> = blocks.iter().collect();
            copy.sort_unstable();
            held.sort_unstable();
            prop_assert_eq!(&held, &copy);
            prop_assert_eq!(blocks.digest(), copy.iter().copied().collect::<Digest>());
        }
    }
}
