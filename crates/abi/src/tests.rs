//! Bodies cut anywhere, against a plain reader that has all of a body before it.

use std::{format, vec, vec::Vec};

use proptest::prelude::*;

use super::*;

extern crate std;

mod packets;

/// As many as the program has.
const STEPS: usize = 64;

/// Where redirecting ended, and with what.
#[derive(Debug, PartialEq)]
struct HandOver {
    at: usize,
    framing: Framing,
    chunks: u32,
    data: u64,
    reason: u32,
}

/// Does with messages what the kernel does: what is left of one is shown again.
fn drive(mut framing: Framing, messages: &[&[u8]], steps: usize) -> Option<HandOver> {
    let (mut at, mut chunks, mut data) = (0, 0, 0);
    for message in messages {
        let mut rest = *message;
        while !rest.is_empty() {
            let cut = Scan::run(framing, rest, steps);
            if cut.redirected == 0 {
                return Some(HandOver { at, framing: cut.framing, chunks, data, reason: cut.reason });
            }
            assert_eq!(cut.reason, 0);
            (framing, chunks) = (cut.framing, chunks + cut.chunks);
            at += cut.redirected as usize;
            data += u64::from(cut.data);
            rest = &rest[cut.redirected as usize..];
        }
    }
    None
}

/// Cuts a body at these places.
fn pieces<'b>(body: &'b [u8], cuts: &[usize]) -> Vec<&'b [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (body.len() + 1)).collect();
    cuts.extend([0, body.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &body[pair[0]..pair[1]]).filter(|piece| !piece.is_empty()).collect()
}

/// A body in chunks, and where each of its lines begins; the last one is that of the last chunk.
struct Chunks {
    body: Vec<u8>,
    lines: Vec<usize>,
    /// Where the data of each chunk lies.
    data: Vec<std::ops::Range<usize>>,
    /// The byte with which the size of the last chunk, or the opening of a failure, is complete.
    decided: usize,
}

impl Chunks {
    fn new(chunks: &[(Vec<u8>, &str)], last: &str) -> Self {
        let mut built = Self { body: Vec::new(), lines: Vec::new(), data: Vec::new(), decided: 0 };
        for (data, extension) in chunks {
            built.lines.push(built.body.len());
            built.body.extend(format!("{:x}{extension}\r\n", data.len()).into_bytes());
            built.data.push(built.body.len()..built.body.len() + data.len());
            built.body.extend(data);
            built.body.extend(b"\r\n");
        }
        built.lines.push(built.body.len());
        let digits = last.bytes().take_while(|byte| *byte == b'0').count();
        built.decided = built.body.len() + digits;
        built.body.extend(last.as_bytes());
        built
    }

    /// What a plain reader knows behind `at` bytes.
    fn known(&self, at: usize) -> (u64, u32) {
        let line = *self.lines.iter().rev().find(|line| **line <= at).unwrap();
        let head = &self.body[line..];
        let size_end = head.iter().position(|byte| b";\r".contains(byte)).unwrap();
        let whole = u64::from_str_radix(std::str::from_utf8(&head[..size_end]).unwrap(), 16).unwrap();
        let data = line + head.windows(2).position(|pair| pair == b"\r\n").unwrap() + 2;
        if at < line + size_end + 1 {
            let read = &self.body[line..at];
            let text = std::str::from_utf8(read).unwrap();
            return (u64::from_str_radix(if text.is_empty() { "0" } else { text }, 16).unwrap(), stage::SIZE);
        }
        if at < data {
            return (whole, if at + 1 == data { stage::SIZE_LF } else { stage::EXTENSION });
        }
        match (whole + data as u64).saturating_sub(at as u64) {
            0 => (0, if at as u64 == whole + data as u64 { stage::DATA_CR } else { stage::DATA_LF }),
            left => (left, stage::DATA),
        }
    }

    /// Where redirecting must end: at the line that decides, or at the message in which it is decided.
    fn must_end(&self, messages: &[&[u8]]) -> usize {
        let mut begin = 0;
        for message in messages {
            if self.decided < begin + message.len() {
                break;
            }
            begin += message.len();
        }
        begin.max(*self.lines.last().unwrap())
    }

    fn check(&self, messages: &[&[u8]], steps: usize, reason: u32) {
        let handed_over = drive(Framing::chunked(), messages, steps).expect("it ends");
        let at = handed_over.at;
        if steps >= STEPS {
            assert_eq!(at, self.must_end(messages));
        } else {
            // With fewer steps than a line has, a run may end within the last line too.
            assert!((*self.lines.last().unwrap()..=self.decided).contains(&at));
        }
        assert_eq!(handed_over.reason, reason);
        assert_eq!(handed_over.chunks as usize, self.lines[1..].iter().filter(|line| **line <= at).count());
        let data = self.data.iter().map(|span| span.end.min(at).saturating_sub(span.start));
        assert_eq!(handed_over.data, data.sum::<usize>() as u64);
        let (remaining, stage) = self.known(at);
        let framing = handed_over.framing;
        assert_eq!((framing.kind, framing.remaining, framing.stage), (kind::CHUNKED, remaining, stage));
    }
}

fn event(text: &str) -> (Vec<u8>, &'static str) {
    (text.as_bytes().to_vec(), "")
}

#[test]
fn a_body_cut_at_every_byte_is_handed_over_at_the_line_of_its_last_chunk() {
    for last in ["0\r\n\r\n", "000;x=\"y\"\r\n\r\n", "0\r\nname: value\r\n\r\n"] {
        let chunks = [event("hello"), (b"0\r\n\r\n".to_vec(), ";a=b;c=\"d\""), event("data: {}\n\n")];
        let built = Chunks::new(&chunks, last);
        for first in 0..built.body.len() {
            for second in [first, first + 1, first + 3] {
                built.check(&pieces(&built.body, &[first, second]), STEPS, reason::END);
            }
        }
        let single: Vec<usize> = (0..built.body.len()).collect();
        built.check(&pieces(&built.body, &single), STEPS, reason::END);
    }
}

#[test]
fn a_thousand_chunks_in_one_message_take_many_runs_and_the_end_is_not_missed() {
    let chunks: Vec<_> = (0..1_000).map(|at| event(&format!("{at}"))).collect();
    let built = Chunks::new(&chunks, "0\r\n\r\n");
    built.check(&[&built.body], STEPS, reason::END);
    built.check(&[&built.body], 1, reason::END);
}

#[test]
fn a_chunk_that_tells_of_a_failure_is_left_whole_to_user_space() {
    for (failure, opening) in [
        ("data: {\"error\": {\"code\": 500}}\n\n", 14),
        ("data:{\"error\": {\"code\": 500}}\n\n", 13),
        ("event: error\ndata: {}\n\n", 12),
        ("event:error\ndata: {}\n\n", 11),
    ] {
        let mut built = Chunks::new(&[event("data: {\"id\":1}\n\n"), event(failure)], "0\r\n\r\n");
        let line = built.lines[1];
        built.lines.truncate(2);
        built.decided = line + built.body[line..].windows(2).position(|pair| pair == b"\r\n").unwrap() + 2;
        built.decided += opening - 1;
        for cut in 0..built.body.len() {
            let messages = pieces(&built.body, &[cut]);
            let handed_over = drive(Framing::chunked(), &messages, STEPS).expect("it is seen");
            assert_eq!((handed_over.at, handed_over.reason), (built.must_end(&messages), reason::FAILURE));
        }
    }
}

#[test]
fn the_last_byte_of_a_length_is_left_to_user_space() {
    let body = [7; 100];
    for cut in 0..100 {
        let handed_over = drive(Framing::length(100), &pieces(&body, &[cut]), STEPS).expect("it ends");
        let expected =
            HandOver { at: 99, framing: Framing::length(1), chunks: 0, data: 99, reason: reason::END };
        assert_eq!(handed_over, expected);
    }
    assert_eq!(Scan::run(Framing::length(0), b"x", STEPS).reason, reason::END);
    assert_eq!(Scan::run(Framing::length(u64::MAX), &body, STEPS).redirected, 100);
}

#[test]
fn bytes_behind_the_end_of_a_length_are_left_too() {
    assert_eq!(Scan::run(Framing::length(10), &[0; 50], STEPS).redirected, 9);
}

#[test]
fn what_is_not_understood_is_left_from_its_line_on() {
    let bad =
        ["5\nhello\r\n", "5 \r\nhello\r\n", "x", "\r\n", ";a\r\n", "5\r\nhelloXX", "5\r\r\n", "5\r\nhello\n"];
    let long = [format!("{}\r\n", "1".repeat(17)), format!("1;{}\r\nx\r\n", "e".repeat(1_025))];
    for text in bad.iter().map(|text| (*text).into()).chain(long).chain(["1;\u{1}\r\n".into()]) {
        let body = [b"3\r\nabc\r\n".as_slice(), text.as_bytes()].concat();
        let handed_over = drive(Framing::chunked(), &[&body], 2_000).unwrap_or_else(|| panic!("{text:?}"));
        assert_eq!((handed_over.at, handed_over.reason), (8, reason::FRAMING), "{text:?}");
        assert_eq!(handed_over.framing, Framing::chunked());
    }
}

#[test]
fn a_kind_that_is_not_known_is_not_redirected() {
    let framing = Framing { kind: 9, ..Framing::chunked() };
    assert_eq!(Scan::run(framing, b"5\r\nhello\r\n", STEPS).reason, reason::FRAMING);
    let stage = Framing { stage: 77, ..Framing::chunked() };
    assert_eq!(Scan::run(stage, b"5\r\nhello\r\n", STEPS).reason, reason::FRAMING);
}

#[test]
fn room_is_what_the_smaller_limit_leaves_beside_overhead() {
    assert!(has_room(1_000, 0, 87_040, 1 << 20));
    assert!(has_room(800, 95_004, 100_000, 1 << 20));
    assert!(!has_room(801, 95_004, 100_000, 1 << 20));
    assert!(!has_room(1_000, 0, 1 << 20, 4_096));
    assert!(!has_room(u32::MAX, u32::MAX, u32::MAX, u32::MAX));
}

#[test]
fn an_order_that_is_half_new_is_not_whole() {
    let old = Order { client_cookie: 1, sequence: 10, generation: 1, ..Order::default() }.sealed();
    let framing = Framing { remaining: 44, digits: 2, ..Framing::chunked() };
    let new = Order { client_cookie: 2, sequence: 20, generation: 2, framing, ..Order::default() }.sealed();
    assert!(old.is_whole() && new.is_whole());
    for torn in [
        Order { framing: old.framing, ..new },
        Order { client_cookie: 1, ..new },
        Order { sequence: 10, ..new },
        Order { seal: old.seal, ..new },
        Order { generation: 2, ..old },
        Order { queue_limit: 1, ..new },
    ] {
        assert!(!torn.is_whole(), "{torn:?}");
    }
    assert!(new.begins_at(20) && !new.begins_at(21));
}

#[test]
fn places_of_both_families_are_told_as_sixteen_bytes() {
    let mapped = std::net::Ipv4Addr::new(10, 1, 2, 3).to_ipv6_mapped().octets();
    let place = Place::v4(u32::from_ne_bytes([10, 1, 2, 3]), 80);
    let told: Vec<u8> = place.address_be.iter().flat_map(|word| word.to_ne_bytes()).collect();
    assert_eq!((told, place.port), (mapped.to_vec(), 80));
}

#[test]
fn what_is_known_of_an_end_lies_in_a_map_as_it_lies_in_the_program() {
    let seen = Seen { pod_cookie: 0x1122_3344_5566_7788, first_sequence: 7, state: seen::WATCHED };
    assert_eq!(Seen::of(seen.words()), seen);
    let [low, high, ..] = seen.words().map(u32::to_ne_bytes);
    assert_eq!([low, high].concat(), seen.pod_cookie.to_ne_bytes());
}

fn any_chunk() -> impl Strategy<Value = (Vec<u8>, &'static str)> {
    let text = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..20),
        prop::collection::vec(prop::sample::select(b"0\r\n;5data: {\"e".to_vec()), 1..200),
        Just(b"data: {\"id\":\"cmpl\"}\n\n".to_vec()),
        Just(vec![b'0'; 5_000]),
    ];
    let ordinary = text.prop_filter("tells of a failure", |data| {
        let mut mark = failure::START;
        !data.iter().any(|byte| {
            mark = failure::advance(mark, *byte);
            mark == failure::FOUND
        })
    });
    (ordinary, prop_oneof![8 => Just(""), 1 => Just(";x"), 1 => Just(";name=\"a b\"")])
}

proptest! {
    #[test]
    fn any_split_of_any_body_ends_at_the_same_place(
        chunks in prop::collection::vec(any_chunk(), 0..40),
        cuts in prop::collection::vec(any::<usize>(), 0..30),
        steps in prop_oneof![Just(1_usize), Just(7), Just(STEPS), Just(4_096)],
        last in prop_oneof![Just("0\r\n\r\n"), Just("00;x\r\nt: 1\r\n\r\n")],
    ) {
        let built = Chunks::new(&chunks, last);
        built.check(&pieces(&built.body, &cuts), steps, reason::END);
    }

    #[test]
    fn whatever_comes_is_never_redirected_beyond_what_a_whole_reading_allows(
        chunks in prop::collection::vec(any_chunk(), 1..10),
        harm in any::<(usize, u8)>(),
        cuts in prop::collection::vec(any::<usize>(), 0..10),
    ) {
        let mut built = Chunks::new(&chunks, "0\r\n\r\n");
        let at = harm.0 % built.body.len();
        built.body[at] = harm.1;
        let whole = drive(Framing::chunked(), &[&built.body], usize::MAX);
        let split = drive(Framing::chunked(), &pieces(&built.body, &cuts), usize::MAX);
        match (whole, split) {
            (Some(whole), Some(split)) => {
                prop_assert_eq!(whole.reason, split.reason);
                prop_assert!(split.at >= whole.at);
                // Between the two, all belongs to one line.
                let resumed = drive(whole.framing, &[&built.body[whole.at..split.at]], usize::MAX);
                prop_assert_eq!(resumed, None);
            }
            (None, None) => {}
            (whole, split) => prop_assert!(false, "{:?} {:?}", whole, split),
        }
    }
}
