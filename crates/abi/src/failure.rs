//! Whether a chunk begins like an event by which an engine gives an answer up, byte by byte.
//!
//! A prefix is all that is looked at, in the spellings that engines use, with and without the space that may stand behind a
//! field's name: what it finds goes to user space, which reads it properly. One that is spelled otherwise still, as with
//! two spaces there or one behind the brace, rides like any other event, and the answer then counts as a good one of its
//! engine where it ends as it should.

/// What such events begin with.
pub const OPENINGS: [&[u8]; 10] = [
    b"data: {\"error\"",
    b"data: {\"type\":\"error\"",
    b"data: {\"type\": \"error\"",
    b"event: error",
    b"event: response.failed",
    b"data:{\"error\"",
    b"data:{\"type\":\"error\"",
    b"data:{\"type\": \"error\"",
    b"event:error",
    b"event:response.failed",
];

/// Nothing, or no longer: the chunk begins otherwise.
pub const NONE: u32 = 0;
/// Before a chunk's first byte.
pub const START: u32 = 1;
/// All of an opening was there.
pub const FOUND: u32 = NODES as u32 - 1;

/// A power of two, so that a mask keeps an index inside for the verifier.
const NODES: usize = 256;
/// From no place are there more ways on: behind `event:` a space, `e` or `r`.
const WAYS: usize = 3;

const _: () = assert!(NODES <= 1 << u8::BITS, "places are bytes");

/// The openings as one tree: at each place the byte that is expected, where it leads, and the next way if it is another.
struct Tree {
    byte: [u8; NODES],
    next: [u8; NODES],
    other: [u8; NODES],
}

static TREE: Tree = grow();

/// The place behind `byte`, from the place before it.
#[inline(always)]
pub fn advance(mark: u32, byte: u8) -> u32 {
    let mut at = mark as usize & (NODES - 1);
    let mut way = 0;
    while way < WAYS {
        if TREE.byte[at] == byte {
            return u32::from(TREE.next[at]);
        }
        at = TREE.other[at] as usize & (NODES - 1);
        way += 1;
    }
    NONE
}

const fn grow() -> Tree {
    let mut tree = Tree { byte: [0; NODES], next: [0; NODES], other: [0; NODES] };
    let mut used = START as usize;
    let mut word = 0;
    while word < OPENINGS.len() {
        let opening = OPENINGS[word];
        let mut at = START as usize;
        let mut i = 0;
        while i < opening.len() {
            while tree.byte[at] != opening[i] && tree.other[at] != 0 {
                at = tree.other[at] as usize;
            }
            if tree.byte[at] != opening[i] {
                if tree.byte[at] != 0 {
                    used += 1;
                    tree.other[at] = used as u8;
                    at = used;
                }
                tree.byte[at] = opening[i];
                if i + 1 == opening.len() {
                    tree.next[at] = FOUND as u8;
                } else {
                    used += 1;
                    tree.next[at] = used as u8;
                }
            }
            at = tree.next[at] as usize;
            i += 1;
        }
        word += 1;
    }
    assert!(used < FOUND as usize, "the tree has outgrown its nodes");
    tree
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> u32 {
        let mut mark = START;
        for byte in text {
            mark = advance(mark, *byte);
            if mark == NONE || mark == FOUND {
                break;
            }
        }
        mark
    }

    #[test]
    fn every_opening_is_found_at_its_last_byte() {
        for opening in OPENINGS {
            assert_eq!(read(opening), FOUND, "{}", opening.escape_ascii());
            let (_, before) = opening.split_last().unwrap();
            assert!(![NONE, FOUND].contains(&read(before)), "{}", before.escape_ascii());
        }
    }

    #[test]
    fn each_is_found_without_the_space_behind_its_fields_name_too() {
        for opening in OPENINGS {
            let name = opening.iter().position(|byte| *byte == b':').unwrap() + 1;
            let close = [&opening[..name], opening[name..].trim_ascii_start()].concat();
            assert_eq!(read(&close), FOUND, "{}", close.escape_ascii());
        }
    }

    #[test]
    fn other_beginnings_are_let_go_at_the_first_byte_that_differs() {
        for text in [
            &b"data: {\"id\":\"cmpl-1\"}"[..],
            b"data: {\"type\":\"content_block_delta\"",
            b"event: response.output_text.delta",
            b"event: message_stop",
            b"data: [DONE]",
            b"data:{\"id\":\"cmpl-1\"}",
            b"data:{\"type\":\"message_stop\"",
            b"event:message_stop",
            b": ping",
            b"\0\0\0",
            b"\n\n",
        ] {
            assert_eq!(read(text), NONE, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn a_place_outside_the_tree_leads_nowhere_outside() {
        for mark in [NONE, FOUND, FOUND - 1, 5_000, u32::MAX] {
            for byte in 0..=255 {
                assert!(advance(mark, byte) <= FOUND);
            }
        }
        assert_eq!(advance(NONE, 0), NONE);
    }

    #[test]
    fn no_place_has_more_ways_on_than_are_tried() {
        for at in 0..NODES {
            let mut ways = 1;
            let mut other = TREE.other[at];
            while other != 0 {
                (ways, other) = (ways + 1, TREE.other[other as usize]);
            }
            assert!(ways <= WAYS, "node {at}");
        }
    }
}
