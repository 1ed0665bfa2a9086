//! Response heads: as request heads.

#![no_main]

use libfuzzer_sys::fuzz_target;
use warmlane_router::http1::{HeadLimits, RequestFacts, ResponseEdits, ResponseHead, write_response};

fuzz_target!(|bytes: &[u8]| {
    let Some((&cut, bytes)) = bytes.split_first() else { return };
    let limits = HeadLimits { head: 2_048, headers: 32, ..HeadLimits::default() };
    let facts = RequestFacts { head: cut & 1 == 1, upgrade: cut & 2 == 2 };
    let mut whole = ResponseHead::default();
    let outcome = whole.parse(bytes, &limits, facts);
    let mut split = ResponseHead::default();
    let first = split.parse(&bytes[..usize::from(cut) % (bytes.len() + 1)], &limits, facts);
    let second = if first == Ok(None) { split.parse(bytes, &limits, facts) } else { first };
    assert_eq!(second, outcome, "split");
    let Ok(Some(end)) = outcome else { return };
    assert!(end <= bytes.len() && bytes[..end].ends_with(b"\r\n\r\n") && !bytes[..end].contains(&0));
    if whole.status() == 101 {
        return;
    }
    let mut onward = Vec::new();
    write_response(&mut onward, bytes, &whole, &ResponseEdits::default());
    let mut again = ResponseHead::default();
    assert_eq!(again.parse(&onward, &HeadLimits::default(), facts), Ok(Some(onward.len())), "written");
    assert_eq!((again.framing(), again.status()), (whole.framing(), whole.status()));
});
