//! Finding where the plain part of a JSON string ends, sixteen bytes at a time.
//!
//! Each lane becomes a mask with 0xff where a byte needs a closer look; the loops compile to vector compares
//! on every target that has them, without code written per target. Nothing here knows about JSON beyond those
//! bytes.

use std::array;

const LANE: usize = 16;

/// Bytes that are looked at together where runs are long.
pub(super) const WIDE: usize = 64;

/// Length of the run at the head of `input` without quote, backslash, control character or non-ASCII byte.
#[inline]
pub(super) fn plain_run(input: &[u8]) -> usize {
    run(input, is_not_plain)
}

/// Length of the run at the head of `input` without quote, backslash or control character.
pub(super) fn text_run(input: &[u8]) -> usize {
    run(input, |byte| (byte == b'"') | (byte == b'\\') | (byte < 0x20))
}

/// The same as far as whole [`WIDE`] lanes of `input` are plain: a multiple of that.
#[inline]
pub(super) fn wide_plain_run(input: &[u8]) -> usize {
    let (lanes, _) = input.as_chunks::<WIDE>();
    lanes.iter().position(|lane| any(lane, is_not_plain)).unwrap_or(lanes.len()) * WIDE
}

/// Copies the plain run at the head of `input` to `room`, and says how long it was and whether that is all of
/// it (if not, `room` is too small for the next lane). Bytes of `room` past the run are overwritten at will.
#[inline]
pub(super) fn copy_plain(input: &[u8], room: &mut [u8]) -> (usize, bool) {
    let (from, rest) = input.as_chunks::<LANE>();
    let (into, _) = room.as_chunks_mut::<LANE>();
    let mut at = 0;
    for (from, into) in from.iter().zip(into.iter_mut()) {
        *into = *from;
        let marks = marks(from, is_not_plain);
        if marks != 0 {
            return (at + first(marks), true);
        }
        at += LANE;
    }
    if at / LANE < from.len() || room.len() - at < rest.len() {
        return (at, false);
    }
    let end = rest.iter().position(|&byte| is_not_plain(byte)).unwrap_or(rest.len());
    for (from, into) in rest[..end].iter().zip(&mut room[at..]) {
        *into = *from;
    }
    (at + end, true)
}

/// The item of a list at the head of `input`, if it is a plain one: `,` or `, ` and a whole number of less
/// than eight digits, with the end of the number in sight. Returns eight bytes, how many of them are the
/// number, and how long the item is. Finding the end takes no branch, which a run of token ids would
/// mispredict once per id.
#[inline]
pub(super) fn listed_number(input: &[u8]) -> Option<([u8; 8], usize, usize)> {
    let head = input.first_chunk::<10>()?;
    let skip = 1 + usize::from(head[1] == b' ');
    let digits = *head[skip..].first_chunk::<8>()?;
    // A byte that is not a digit gets its high bit set.
    let values = u64::from_le_bytes(digits) ^ 0x3030_3030_3030_3030;
    let others = (values.wrapping_add(0x7676_7676_7676_7676) | values) & 0x8080_8080_8080_8080;
    let len = others.trailing_zeros() as usize / 8;
    let ends = matches!(digits.get(len), Some(b',' | b']'));
    let whole = head[0] == b',' && (digits[0] != b'0' || len == 1) && len > 0;
    (ends && whole).then_some((digits, len, skip + len))
}

fn run(input: &[u8], stops: impl Fn(u8) -> bool + Copy) -> usize {
    let (lanes, rest) = input.as_chunks::<LANE>();
    for (index, lane) in lanes.iter().enumerate() {
        if any(lane, stops) {
            return index * LANE + first(marks(lane, stops));
        }
    }
    let end = rest.iter().position(|&byte| stops(byte)).unwrap_or(rest.len());
    lanes.len() * LANE + end
}

/// As signed numbers, control characters and non-ASCII bytes are all those below 0x20: one compare for both.
/// No short circuits, so that a lane is compared as a whole.
#[inline]
fn is_not_plain(byte: u8) -> bool {
    (byte == b'"') | (byte == b'\\') | (byte.cast_signed() < 0x20)
}

/// Whether a lane has such a byte. Whole lanes are compared: a vector compare or a few, and one test.
#[inline]
fn any<const N: usize>(lane: &[u8; N], stops: impl Fn(u8) -> bool) -> bool {
    lane.iter().fold(false, |any, &byte| any | stops(byte))
}

/// Where a lane has such bytes. Costs several times as much as asking whether there is one.
#[inline]
fn marks(lane: &[u8; LANE], stops: impl Fn(u8) -> bool) -> u128 {
    u128::from_le_bytes(array::from_fn(|index| if stops(lane[index]) { 0xff } else { 0 }))
}

#[inline]
fn first(marks: u128) -> usize {
    marks.trailing_zeros() as usize / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_found_at_every_place() {
        for byte in 0..=u8::MAX {
            for at in 0..40 {
                let mut input = [b'a'; 40];
                input[at] = byte;
                let special = matches!(byte, b'"' | b'\\' | 0..0x20 | 0x80..);
                let expected = if special { at } else { 40 };
                assert_eq!(plain_run(&input), expected, "byte {byte:#x} at {at}");
                let expected_text = if special && byte < 0x80 { at } else { 40 };
                assert_eq!(text_run(&input), expected_text, "byte {byte:#x} at {at}");
                let mut room = [0; 64];
                assert_eq!(copy_plain(&input, &mut room), (expected, true), "byte {byte:#x} at {at}");
                assert_eq!(room[..expected], input[..expected]);
            }
        }
    }

    #[test]
    fn only_plain_list_items_are_taken_at_once() {
        let item = |input: &str| {
            listed_number(input.as_bytes()).map(|(digits, len, item)| (digits[..len].to_vec(), item))
        };
        assert_eq!(item(",7,........"), Some((b"7".to_vec(), 2)));
        assert_eq!(item(", 0]......."), Some((b"0".to_vec(), 3)));
        assert_eq!(item(", 1234567,."), Some((b"1234567".to_vec(), 9)));
        for other in [
            ",12345678,.",
            ",07,......",
            ",,1,.......",
            ", -1,.....",
            ",1.5,.....",
            ",1 ,......",
            ".1,.......",
            ",1,",
        ] {
            assert_eq!(item(other), None, "{other}");
        }
        // The sum below must carry into no neighbour for any byte that comes before the first other one.
        for byte in 0..=u8::MAX {
            let found = listed_number(&[b',', b'9', byte, b'9', b',', 0, 0, 0, 0, 0]);
            let expected = match byte {
                b',' | b']' => Some(1),
                b'0'..=b'9' => Some(3),
                _ => None,
            };
            assert_eq!(found.map(|(_, len, _)| len), expected, "{byte:#x}");
        }
    }

    #[test]
    fn a_copy_stops_where_the_room_does() {
        let input = [b'a'; 40];
        for room in 0..64 {
            let mut into = vec![0; room];
            let (copied, all) = copy_plain(&input, &mut into);
            assert_eq!(all, copied == 40, "room of {room}");
            assert!(copied <= room && into[..copied].iter().all(|&byte| byte == b'a'));
        }
    }
}
