//! Event streams of every line end, cut everywhere.

use proptest::prelude::*;

use super::*;

type Owned = (String, String);

/// Events as (name, data), and how many were left out, of a stream pushed in these pieces.
fn split<'a>(limit: usize, pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Owned>, u64) {
    let mut splitter = Splitter::new(limit);
    let mut events = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    for piece in pieces {
        splitter.push(piece, |event| events.push((text(event.name), text(event.data))));
    }
    (events, splitter.skipped())
}

fn events(stream: &str) -> Vec<Owned> {
    split(DEFAULT_LIMIT, [stream.as_bytes()]).0
}

fn event(name: &str, data: &str) -> Owned {
    (name.to_owned(), data.to_owned())
}

#[test]
fn every_line_end_is_taken() {
    for end in ["\n", "\r\n", "\r"] {
        let stream = "event: a@data: 1@@data:2@@".replace('@', end);
        assert_eq!(events(&stream), [event("a", "1"), event("", "2")], "{end:?}");
    }
}

#[test]
fn several_data_lines_join_with_newlines_and_one_space_goes() {
    assert_eq!(events("data: a\ndata:  b\ndata\n\n"), [event("", "a\n b\n")]);
}

#[test]
fn comments_other_fields_and_a_byte_order_mark_are_passed_over() {
    assert_eq!(events("\u{feff}data: 1\n: ping\nid: 7\nretry: 1\nxdata: 2\n\n:\n\n"), [event("", "1")]);
}

#[test]
fn an_event_without_data_or_without_its_blank_line_is_none() {
    assert_eq!(events("event: a\n\ndata: 1\n"), []);
}

#[test]
fn a_name_lasts_for_one_event() {
    assert_eq!(events("event: a\n\nevent: b\ndata: 1\n\ndata: 2\n\n"), [event("b", "1"), event("", "2")]);
}

#[test]
fn an_event_over_the_limit_is_counted_and_the_next_one_read() {
    let stream = format!("data: {}\n\ndata: 1\n\n", "x".repeat(100));
    assert_eq!(split(50, [stream.as_bytes()]), (vec![event("", "1")], 1));
    let many_lines = format!("{}\ndata: 1\n\n", "data: xxxxxxxxxx\n".repeat(10));
    assert_eq!(split(50, [many_lines.as_bytes()]), (vec![event("", "1")], 1));
}

#[test]
fn memory_of_an_endless_line_stays_within_the_limit() {
    let mut splitter = Splitter::new(1000);
    for _ in 0..10_000 {
        splitter.push(&[b'x'; 100], |_| panic!("no event ends"));
        assert!(splitter.line.capacity() + splitter.event.data.capacity() <= 2000);
    }
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_events(
        stream in "(data|event|: c|data: \\{\"a\":1\\}|[a:\u{feff}é ]|\n|\r|\r\n|\n\n){0,40}",
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        limit in 0..60_usize,
    ) {
        let bytes = stream.as_bytes();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
        let whole = split(limit, [bytes]);
        prop_assert_eq!(&split(limit, pieces), &whole);
        prop_assert_eq!(&split(limit, bytes.chunks(1)), &whole);
    }

    #[test]
    fn data_comes_back_as_it_was_sent(payloads in prop::collection::vec("[^\r\n]{0,30}", 0..6)) {
        let stream: String = payloads.iter().map(|payload| format!("data: {payload}\n\n")).collect();
        let expected: Vec<_> = payloads.iter().map(|payload| event("", payload)).collect();
        prop_assert_eq!(events(&stream), expected);
    }
}
