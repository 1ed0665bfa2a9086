//! Chunked bodies: the end and the payload do not depend on how bytes were split, and are those that a slow and simple
//! reader finds.

#![no_main]

use libfuzzer_sys::fuzz_target;
use warmlane_router::http1::{Body, Framing};

/// Payload, bytes of the body, and whether it is complete; `None` where it is malformed.
type Read = Option<(Vec<u8>, usize, bool)>;

fn read(bytes: &[u8], cuts: &[u8]) -> Read {
    let (mut body, mut payload, mut at) = (Body::new(Framing::Chunked), Vec::new(), 0);
    let mut cuts = cuts.iter().cycle();
    while at < bytes.len() && !body.is_done() {
        let piece = cuts.next().map_or(bytes.len(), |cut| usize::from(*cut) + 1);
        let mut rest = &bytes[at..bytes.len().min(at + piece)];
        while !rest.is_empty() && !body.is_done() {
            let step = body.advance(rest).ok()?;
            payload.extend_from_slice(step.payload);
            at += step.consumed;
            rest = &rest[step.consumed..];
        }
    }
    Some((payload, at, body.is_done()))
}

/// The payload of a complete body by the book, without extensions and trailers; `None` where it is anything else.
fn simple(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut payload, mut at) = (Vec::new(), 0);
    loop {
        let line = bytes[at..].windows(2).position(|two| two == b"\r\n")?;
        let digits = std::str::from_utf8(&bytes[at..at + line]).ok()?;
        if digits.is_empty() || digits.len() > 16 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let size = usize::from_str_radix(digits, 16).ok()?;
        at += line + 2;
        let data = bytes.get(at..at.checked_add(size)?)?;
        if bytes.get(at + size..at + size + 2)? != b"\r\n" {
            return None;
        }
        payload.extend_from_slice(data);
        at += size + 2;
        if size == 0 {
            return Some((payload, at));
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let (cuts, bytes) = bytes.split_at(bytes.len().min(4));
    let whole = read(bytes, &[]);
    assert_eq!(read(bytes, cuts), whole, "split");
    assert_eq!(read(bytes, &[0]), whole, "byte by byte");
    if let Some((payload, end)) = simple(bytes) {
        assert_eq!(whole, Some((payload, end, true)), "by the book");
    }
});
