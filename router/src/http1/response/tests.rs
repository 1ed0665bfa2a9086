//! Response heads that must be accepted, with what they mean, and those that must be refused, with the reason.

use super::super::{Framing, FramingError, HeadLimits};
use super::{RequestFacts, ResponseHead};

use FramingError as E;

const LIMITS: HeadLimits = HeadLimits { head: 2048, request_line: 512, headers: 16, body: 10 };
const GET: RequestFacts = RequestFacts { head: false, upgrade: false };
const HEAD: RequestFacts = RequestFacts { head: true, upgrade: false };
const UPGRADE: RequestFacts = RequestFacts { head: false, upgrade: true };

fn parse(bytes: &[u8], facts: RequestFacts) -> Result<Option<usize>, FramingError> {
    ResponseHead::default().parse(bytes, &LIMITS, facts)
}

const REFUSED: &[(&[u8], E)] = &[
    (b"\r\nHTTP/1.1 200 OK\r\n\r\n", E::BadVersion),
    (b"<html>", E::BadVersion),
    (b"\x15\x03\x01", E::BadVersion),
    (b"HTTP 200 OK\r\n\r\n", E::BadVersion),
    (b"HTTP/1.1x200 OK\r\n\r\n", E::BadVersion),
    (b"HTTP/1.1\r\n\r\n", E::BadVersion),
    (b"HTTP/2.0 200 OK\r\n\r\n", E::UnsupportedVersion),
    (b"HTTP/1.1  200 OK\r\n\r\n", E::BadStatusLine),
    (b"HTTP/1.1 20 OK\r\n\r\n", E::BadStatusLine),
    (b"HTTP/1.1 2000 OK\r\n\r\n", E::BadStatusLine),
    (b"HTTP/1.1 +20 OK\r\n\r\n", E::BadStatusLine),
    (b"HTTP/1.1 099 OK\r\n\r\n", E::BadStatusLine),
    (b"HTTP/1.1 600 OK\r\n\r\n", E::BadStatusLine),
    (b"HTTP/1.1 200\tOK\r\n\r\n", E::BadStatusLine),
    (b"HTTP/1.1 200 O\x01K\r\n\r\n", E::BadStatusLine),
    (b"HTTP/1.1 200 O\0K\r\n\r\n", E::Nul),
    (b"HTTP/1.1 200 OK\n\r\n", E::BareLf),
    (b"HTTP/1.1 200 OK\r\nX: a\n\r\n", E::BareLf),
    (b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n", E::BareCr),
    (b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", E::ObsFold),
    (b"HTTP/1.1 200 OK\r\nX : a\r\n\r\n", E::SpaceBeforeColon),
    (b"HTTP/1.1 200 OK\r\nX Y\r\n\r\n", E::BadHeaderName),
    (b"HTTP/1.1 200 OK\r\nX: \x02\r\n\r\n", E::BadHeaderValue),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", E::RepeatedContentLength),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", E::BadContentLength),
    (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", E::BadContentLength),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999\r\n\r\n", E::HugeContentLength),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", E::LengthAndCoding),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", E::BadTransferEncoding),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", E::UnsupportedTransferCoding),
    (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", E::CodingOnHttp10),
    (b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", E::BodyOnBodiless),
    (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", E::BodyOnBodiless),
    (b"HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n", E::BodyOnBodiless),
    (b"HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n", E::BodyOnBodiless),
    (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", E::UnaskedUpgrade),
];

/// Head, request, status, framing, keep-alive.
type Accepted = (&'static [u8], RequestFacts, u16, Framing, bool);

const ACCEPTED: &[Accepted] = &[
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", GET, 200, Framing::Length(5), true),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", GET, 200, Framing::Length(999), true),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", GET, 200, Framing::Length(0), true),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", GET, 200, Framing::Chunked, true),
    (b"HTTP/1.1 200 OK\r\n\r\n", GET, 200, Framing::UntilClose, false),
    (b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", GET, 200, Framing::UntilClose, false),
    (
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n",
        GET,
        200,
        Framing::Length(5),
        false,
    ),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", GET, 200, Framing::Length(5), false),
    (
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n",
        GET,
        200,
        Framing::Length(5),
        true,
    ),
    (b"HTTP/1.0 200 OK\r\n\r\n", GET, 200, Framing::UntilClose, false),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", HEAD, 200, Framing::None, true),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HEAD, 200, Framing::None, true),
    (b"HTTP/1.1 200 OK\r\n\r\n", HEAD, 200, Framing::None, true),
    (b"HTTP/1.1 204 No Content\r\n\r\n", GET, 204, Framing::None, true),
    (b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", GET, 204, Framing::None, true),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", GET, 304, Framing::None, true),
    (b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", GET, 304, Framing::None, true),
    (b"HTTP/1.1 205 Reset Content\r\n\r\n", GET, 205, Framing::UntilClose, false),
    (b"HTTP/1.1 100 Continue\r\n\r\n", GET, 100, Framing::None, true),
    (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", GET, 103, Framing::None, true),
    (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", UPGRADE, 101, Framing::UntilClose, false),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", UPGRADE, 200, Framing::Length(1), true),
    (b"HTTP/1.1 503\r\nContent-Length: 1\r\n\r\n", GET, 503, Framing::Length(1), true),
    (b"HTTP/1.1 503 \r\nContent-Length: 1\r\n\r\n", GET, 503, Framing::Length(1), true),
    (b"HTTP/1.1 599 \xc3\xa9\tx\r\nContent-Length: 1\r\n\r\n", GET, 599, Framing::Length(1), true),
];

#[test]
fn ambiguous_responses_are_refused_with_their_reason() {
    for (bytes, reason) in REFUSED {
        assert_eq!(parse(bytes, GET), Err(*reason), "{}", bytes.escape_ascii());
    }
}

#[test]
fn good_responses_give_framing_and_keep_alive() {
    for (bytes, facts, status, framing, keep_alive) in ACCEPTED {
        let mut head = ResponseHead::default();
        let outcome = head.parse(bytes, &LIMITS, *facts);
        assert_eq!(outcome, Ok(Some(bytes.len())), "{}", bytes.escape_ascii());
        let meaning = (head.status(), head.framing(), head.keep_alive());
        assert_eq!(meaning, (*status, *framing, *keep_alive), "{}", bytes.escape_ascii());
    }
}

#[test]
fn every_part_of_a_head_can_be_read_back() {
    let bytes = b"HTTP/1.1 429 Too Many\r\nRetry-After: 1\r\nContent-Length: 2\r\n\r\n{}";
    let mut head = ResponseHead::default();
    assert_eq!(head.parse(bytes, &LIMITS, GET), Ok(Some(bytes.len() - 2)));
    assert_eq!(head.reason(bytes), b"Too Many");
    assert_eq!(head.header(bytes, "retry-after"), Some(&b"1"[..]));
    assert_eq!(head.headers(bytes).count(), head.header_count());
    for (bytes, reason) in [(&b"HTTP/1.1 200\r\n\r\n"[..], &b""[..]), (b"HTTP/1.1 200 \xff\r\n\r\n", b"\xff")]
    {
        head.parse(bytes, &LIMITS, GET).unwrap();
        assert_eq!(head.reason(bytes), reason);
    }
}

#[test]
fn only_a_switch_of_protocols_ends_the_interim_responses() {
    let mut head = ResponseHead::default();
    let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let first = head.parse(bytes, &LIMITS, GET).unwrap().unwrap();
    assert!(head.is_informational());
    head.parse(&bytes[first..], &LIMITS, GET).unwrap().unwrap();
    assert!(!head.is_informational());
    head.parse(b"HTTP/1.1 101 x\r\n\r\n", &LIMITS, UPGRADE).unwrap();
    assert!(!head.is_informational());
}

#[test]
fn limits_hold_to_the_byte() {
    let sized = |len: usize| format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "a".repeat(len - 24)).into_bytes();
    assert_eq!(parse(&sized(2048), GET), Ok(Some(2048)));
    assert_eq!(parse(&sized(2049), GET), Err(E::HeadTooLong));
    let many = |count: usize| [b"HTTP/1.1 200 OK\r\n", &b"X: a\r\n".repeat(count)[..], b"\r\n"].concat();
    assert!(matches!(parse(&many(16), GET), Ok(Some(_))));
    assert_eq!(parse(&many(17), GET), Err(E::TooManyHeaders));
}

#[test]
fn the_head_stays_small() {
    assert!(size_of::<ResponseHead>() <= 144, "{}", size_of::<ResponseHead>());
}
