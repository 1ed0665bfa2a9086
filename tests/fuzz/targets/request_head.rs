//! Request heads: the reading does not depend on how bytes were split, and what is written onward reads the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use warmlane_router::http1::{HeadLimits, RequestEdits, RequestHead, write_request};

fuzz_target!(|bytes: &[u8]| {
    let Some((&cut, bytes)) = bytes.split_first() else { return };
    let limits = HeadLimits { head: 2_048, request_line: 512, headers: 32, ..HeadLimits::default() };
    let mut whole = RequestHead::default();
    let outcome = whole.parse(bytes, &limits);
    // In two pieces.
    let mut split = RequestHead::default();
    let first = split.parse(&bytes[..usize::from(cut) % (bytes.len() + 1)], &limits);
    let second = if first == Ok(None) { split.parse(bytes, &limits) } else { first };
    assert_eq!(second, outcome, "split");
    let Ok(Some(end)) = outcome else { return };
    assert!(end <= bytes.len() && bytes[..end].ends_with(b"\r\n\r\n") && !bytes[..end].contains(&0));
    let mut onward = Vec::new();
    write_request(&mut onward, bytes, &whole, &RequestEdits { host: b"h", ..RequestEdits::default() });
    let mut again = RequestHead::default();
    assert_eq!(again.parse(&onward, &HeadLimits::default()), Ok(Some(onward.len())), "written");
    assert_eq!(again.framing(), whole.framing());
    assert_eq!(again.method_bytes(&onward), whole.method_bytes(bytes));
    assert_eq!(again.path(&onward), whole.path(bytes));
});
