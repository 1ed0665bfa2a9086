//! Chunked bodies that must be read, with payload and end, and those that must be refused, with the reason.

use proptest::prelude::*;

use super::super::FramingError;
use super::Chunked;

use FramingError as E;

/// Payload and length of the body in bytes, `None` where it is not complete.
fn decode(input: &[u8], cuts: &[usize]) -> Result<(Vec<u8>, Option<usize>), FramingError> {
    let (mut chunked, mut payload, mut at) = (Chunked::default(), Vec::new(), 0);
    for &cut in cuts.iter().chain([&input.len()]) {
        while at < cut {
            let step = chunked.advance(&input[at..cut])?;
            assert!(step.consumed > 0, "no progress at {at}");
            at += step.consumed;
            payload.extend_from_slice(step.payload);
            assert_eq!(step.done, chunked.is_done());
            if step.done {
                return Ok((payload, Some(at)));
            }
        }
    }
    Ok((payload, None))
}

/// The same by plain reading of the whole input, without state.
fn reference(input: &[u8]) -> Result<(Vec<u8>, Option<usize>), FramingError> {
    let (mut payload, mut at) = (Vec::new(), 0);
    loop {
        let rest = &input[at..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        if digits > 16 {
            return Err(E::HugeChunkSize);
        }
        let Some(&after) = rest.get(digits) else { return Ok((payload, None)) };
        if digits == 0 || !matches!(after, b'\r' | b';') {
            return Err(E::BadChunkSize);
        }
        let size = u64::from_str_radix(std::str::from_utf8(&rest[..digits]).unwrap(), 16).unwrap();
        let mut end = digits;
        if after == b';' {
            end += 1;
            let extension = rest[end..].iter().take_while(|byte| super::is_text(**byte)).count();
            if extension > 1024 {
                return Err(E::ChunkExtensionTooLong);
            }
            end += extension;
        }
        match rest.get(end..) {
            Some([] | [b'\r']) => return Ok((payload, None)),
            Some([b'\r', b'\n', ..]) => end += 2,
            Some([b'\r', ..]) => return Err(E::BadChunkSize),
            _ => return Err(E::BadChunkExtension),
        }
        at += end;
        if size == 0 {
            return reference_trailers(input, at).map(|end| (payload, end));
        }
        let here = size.min((input.len() - at) as u64) as usize;
        payload.extend_from_slice(&input[at..at + here]);
        at += here;
        match &input[at..] {
            [] | [b'\r'] => return Ok((payload, None)),
            [b'\r', b'\n', ..] => at += 2,
            _ => return Err(E::BadChunkEnd),
        }
    }
}

fn reference_trailers(input: &[u8], mut at: usize) -> Result<Option<usize>, FramingError> {
    loop {
        let line = &input[at..];
        match line {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] => return Ok(Some(at + 2)),
            _ => {}
        }
        let name = line.iter().take_while(|byte| super::is_token(**byte)).count();
        if name == line.len() {
            return Ok(None);
        }
        if name == 0 || line[name] != b':' {
            return Err(E::BadTrailer);
        }
        let value = line[name + 1..].iter().take_while(|byte| super::is_text(**byte)).count();
        match &line[name + 1 + value..] {
            [] | [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] => at += name + value + 3,
            _ => return Err(E::BadTrailer),
        }
    }
}

/// Body, payload, bytes left behind the body.
const COMPLETE: &[(&[u8], &[u8], usize)] = &[
    (b"0\r\n\r\n", b"", 0),
    (b"0\r\n\r\nGET / HTTP/1.1\r\n", b"", 16),
    (b"5\r\nhello\r\n0\r\n\r\n", b"hello", 0),
    (b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", b"hello world", 0),
    (b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789", 0),
    (b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789", 0),
    (b"005\r\nhello\r\n000\r\n\r\n", b"hello", 0),
    (b"0000000000000005\r\nhello\r\n0\r\n\r\n", b"hello", 0),
    (b"7\r\n0\r\n\r\nab\r\n0\r\n\r\n", b"0\r\n\r\nab", 0),
    (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n", 0),
    (b"5;ext\r\nhello\r\n0\r\n\r\n", b"hello", 0),
    (b"5;a=b;c=\"d e\"\r\nhello\r\n0;last\r\n\r\n", b"hello", 0),
    (b"5;\r\nhello\r\n0\r\n\r\n", b"hello", 0),
    (b"0\r\nA: b\r\n\r\n", b"", 0),
    (b"0\r\nA: b\r\nC:\r\n\r\nx", b"", 1),
    (b"1\r\n\0\r\n0\r\n\r\n", b"\0", 0),
];

const INCOMPLETE: &[(&[u8], &[u8])] = &[
    (b"", b""),
    (b"5", b""),
    (b"5\r", b""),
    (b"5;x", b""),
    (b"5\r\n", b""),
    (b"5\r\nhel", b"hel"),
    (b"5\r\nhello", b"hello"),
    (b"5\r\nhello\r", b"hello"),
    (b"5\r\nhello\r\n", b"hello"),
    (b"5\r\nhello\r\n0\r\n", b"hello"),
    (b"0\r\nA", b""),
    (b"0\r\nA: b\r", b""),
    (b"0\r\nA: b\r\n\r", b""),
    (b"ffffffffffffffff\r\nabc", b"abc"),
];

const REFUSED: &[(&[u8], E)] = &[
    (b"\r\n", E::BadChunkSize),
    (b"\n", E::BadChunkSize),
    (b";x\r\n", E::BadChunkSize),
    (b" 5\r\nhello", E::BadChunkSize),
    (b"5 \r\nhello", E::BadChunkSize),
    (b"5\t\r\nhello", E::BadChunkSize),
    (b"5 ;x\r\nhello", E::BadChunkSize),
    (b"+5\r\nhello", E::BadChunkSize),
    (b"-5\r\nhello", E::BadChunkSize),
    (b"0x5\r\nhello", E::BadChunkSize),
    (b"5h\r\nhello", E::BadChunkSize),
    (b"g\r\n", E::BadChunkSize),
    (b"5,\r\nhello", E::BadChunkSize),
    (b"\xff\r\n", E::BadChunkSize),
    (b"5\0\r\nhello", E::BadChunkSize),
    (b"5\nhello\n0\n\n", E::BadChunkSize),
    (b"5\rhello", E::BadChunkSize),
    (b"5\r\r\nhello", E::BadChunkSize),
    (b"00000000000000005\r\nhello", E::HugeChunkSize),
    (b"10000000000000000\r\n", E::HugeChunkSize),
    (b"5\r\nhelloX", E::BadChunkEnd),
    (b"5\r\nhello\n\n0\r\n\r\n", E::BadChunkEnd),
    (b"5\r\nhello\r\r0\r\n\r\n", E::BadChunkEnd),
    (b"5\r\nhello\n0\r\n\r\n", E::BadChunkEnd),
    (b"5\r\nhello0\r\n\r\n", E::BadChunkEnd),
    (b"5\r\nhello\rX", E::BadChunkEnd),
    (b"5\r\nhello\r\r\n", E::BadChunkEnd),
    (b"3\r\nhello\r\n0\r\n\r\n", E::BadChunkEnd),
    (b"5\r\nhello\r\n\r\n", E::BadChunkSize),
    (b"5;a\nhello", E::BadChunkExtension),
    (b"5;a\0\r\nhello", E::BadChunkExtension),
    (b"5;a\x7f\r\nhello", E::BadChunkExtension),
    (b"5;a\rhello", E::BadChunkSize),
    (b"5;\"a\r\nb\"\r\nhello", E::BadChunkEnd),
    (b"0\r\n\n", E::BadTrailer),
    (b"0\r\n\rX", E::BadTrailer),
    (b"0\r\n A: b\r\n\r\n", E::BadTrailer),
    (b"0\r\nA : b\r\n\r\n", E::BadTrailer),
    (b"0\r\n: b\r\n\r\n", E::BadTrailer),
    (b"0\r\nA\r\n\r\n", E::BadTrailer),
    (b"0\r\nA: b\n\r\n", E::BadTrailer),
    (b"0\r\nA: b\rC\r\n\r\n", E::BadTrailer),
    (b"0\r\nA: \0\r\n\r\n", E::BadTrailer),
    (b"0\r\nA: b\r\n c\r\n\r\n", E::BadTrailer),
    (b"0\r\nGET / HTTP/1.1\r\n\r\n", E::BadTrailer),
];

#[test]
fn complete_bodies_end_exactly_where_they_end() {
    for (input, payload, left) in COMPLETE {
        let expected = Ok((payload.to_vec(), Some(input.len() - left)));
        assert_eq!(decode(input, &[]), expected, "{}", input.escape_ascii());
        assert_eq!(reference(input), expected, "{}", input.escape_ascii());
    }
}

#[test]
fn incomplete_bodies_hand_out_what_they_have() {
    for (input, payload) in INCOMPLETE {
        assert_eq!(decode(input, &[]), Ok((payload.to_vec(), None)), "{}", input.escape_ascii());
    }
}

#[test]
fn ambiguous_chunks_are_refused_with_their_reason() {
    for (input, reason) in REFUSED {
        assert_eq!(decode(input, &[]), Err(*reason), "{}", input.escape_ascii());
        assert_eq!(reference(input), Err(*reason), "{}", input.escape_ascii());
    }
}

#[test]
fn a_split_at_every_byte_changes_nothing() {
    let refused = REFUSED.iter().map(|(input, _)| *input);
    for input in COMPLETE.iter().map(|(input, ..)| *input).chain(refused) {
        for cut in 0..input.len() {
            assert_eq!(decode(input, &[cut]), decode(input, &[]), "{} at {cut}", input.escape_ascii());
        }
    }
}

#[test]
fn extensions_and_trailers_are_bounded() {
    let extension = |len: usize| [b"1;", &b"x".repeat(len)[..], b"\r\na\r\n0\r\n\r\n"].concat();
    assert!(decode(&extension(1024), &[]).is_ok());
    assert_eq!(decode(&extension(1025), &[]), Err(E::ChunkExtensionTooLong));
    let trailers = |len: usize| [b"0\r\nA:", &b"x".repeat(len - 6)[..], b"\r\n\r\n"].concat();
    assert!(decode(&trailers(16 * 1024), &[]).is_ok());
    assert_eq!(decode(&trailers(16 * 1024 + 1), &[]), Err(E::TrailersTooLong));
}

#[test]
fn a_large_chunk_is_one_step() {
    let input = [b"100000\r\n", &vec![b'x'; 1 << 20][..], b"\r\n0\r\n\r\n"].concat();
    let mut chunked = Chunked::default();
    let step = chunked.advance(&input).unwrap();
    assert_eq!((step.payload.len(), step.consumed), (1 << 20, input.len() - 5));
    let step = chunked.advance(&input[step.consumed..]).unwrap();
    assert_eq!((step.consumed, step.done), (5, true));
}

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 1..40)
            .prop_map(|data| [format!("{:x}\r\n", data.len()).as_bytes(), &data, b"\r\n"].concat()),
        1 => Just(b"3;a=b\r\nabc\r\n".to_vec()),
        1 => Just(b"0\r\n\r\n".to_vec()),
        1 => Just(b"0\r\nA: b\r\n\r\n".to_vec()),
        1 => proptest::collection::vec(
            proptest::sample::select(&b"\r\n0123af;: \x00A+g"[..]), 0..6
        ),
    ];
    proptest::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn scanner_and_reference_agree_however_the_input_is_cut(
        input in pieces(),
        mut cuts in proptest::collection::vec(0usize..300, 0..12),
    ) {
        cuts.retain(|cut| *cut <= input.len());
        cuts.sort_unstable();
        prop_assert_eq!(decode(&input, &cuts), reference(&input));
        prop_assert_eq!(decode(&input, &[]), reference(&input));
    }

    #[test]
    fn any_bytes_are_read_or_refused(input in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(decode(&input, &[]), reference(&input));
    }
}
