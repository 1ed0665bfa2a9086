//! Request heads that must be accepted, with what they mean, and those that must be refused, with the reason.

use super::super::{Framing, FramingError, HeadLimits, Version};
use super::{Method, RequestHead};

use FramingError as E;

const LIMITS: HeadLimits = HeadLimits { head: 2048, request_line: 512, headers: 16, body: 1 << 40 };

fn parse(bytes: &[u8]) -> Result<Option<usize>, FramingError> {
    RequestHead::default().parse(bytes, &LIMITS)
}

fn parsed(bytes: &[u8]) -> RequestHead {
    let mut head = RequestHead::default();
    match head.parse(bytes, &LIMITS) {
        Ok(Some(_)) => head,
        other => panic!("{:?}: {other:?}", bytes.escape_ascii().to_string()),
    }
}

fn with_headers(headers: &[u8]) -> Vec<u8> {
    [b"POST /v1/completions HTTP/1.1\r\nHost: a\r\n", headers, b"\r\n"].concat()
}

/// Whole heads that are refused.
const REFUSED_HEADS: &[(&[u8], E)] = &[
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", E::BadMethod),
    (b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", E::BadMethod),
    (b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", E::BadMethod),
    (b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", E::BareCr),
    (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", E::BareLf),
    (b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", E::BadMethod),
    (b"G\tT / HTTP/1.1\r\nHost: a\r\n\r\n", E::BadMethod),
    (b"GET\r\n\r\n", E::BadTarget),
    (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", E::ConnectRefused),
    (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", E::BadTarget),
    (b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", E::BadMethod),
    (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", E::BadTarget),
    (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", E::BadTarget),
    (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", E::BadTarget),
    (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", E::BadTarget),
    (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", E::BadTarget),
    (b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", E::BadTarget),
    (b"GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n", E::BadTarget),
    (b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", E::BadTarget),
    (b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", E::BadTarget),
    (b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", E::BadTarget),
    (b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", E::HostMismatch),
    (b"GET /\r\n\r\n", E::BadVersion),
    (b"GET / \r\nHost: a\r\n\r\n", E::BadVersion),
    (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", E::BadVersion),
    (b"GET / http/1.1\r\nHost: a\r\n\r\n", E::BadVersion),
    (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", E::BadVersion),
    (b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", E::BadVersion),
    (b"GET / HTTP/11\r\nHost: a\r\n\r\n", E::BadVersion),
    (b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", E::UnsupportedVersion),
    (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", E::UnsupportedVersion),
    (b"GET / HTTP/3.0\r\nHost: a\r\n\r\n", E::UnsupportedVersion),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", E::UnsupportedVersion),
    (b"GET / HTTP/1.1\nHost: a\r\n\r\n", E::BareLf),
    (b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", E::BareCr),
    (b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", E::Nul),
    (b"GET / HTTP/1.1\r\n\r\n", E::MissingHost),
    (b"GET http://a/ HTTP/1.1\r\n\r\n", E::MissingHost),
    (b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", E::RepeatedHost),
    (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", E::BadHost),
    (b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", E::BadHost),
    (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", E::BadHost),
    (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", E::BadHost),
    (b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", E::BadHost),
    (b"GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", E::BadHost),
    (b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", E::BadHost),
    (b"GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", E::BadHost),
    (b"GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n", E::BadHost),
    (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", E::CodingOnHttp10),
    (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", E::ObsFold),
];

/// Header lines behind a good request line and `Host: a` that are refused.
const REFUSED_HEADERS: &[(&[u8], E)] = &[
    (b"Host: a\r\n", E::RepeatedHost),
    (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", E::LengthAndCoding),
    (b"Transfer-Encoding: chunked\r\ncontent-length: 5\r\n", E::LengthAndCoding),
    (b"Transfer-Encoding: nonsense\r\nContent-Length: nonsense\r\n", E::LengthAndCoding),
    (b"Content-Length: 5\r\nContent-Length: 5\r\n", E::RepeatedContentLength),
    (b"Content-Length: 5\r\nContent-Length: 6\r\n", E::RepeatedContentLength),
    (b"Content-Length: 5, 5\r\n", E::BadContentLength),
    (b"Content-Length: +5\r\n", E::BadContentLength),
    (b"Content-Length: -5\r\n", E::BadContentLength),
    (b"Content-Length: 0x5\r\n", E::BadContentLength),
    (b"Content-Length: a\r\n", E::BadContentLength),
    (b"Content-Length:\r\n", E::BadContentLength),
    (b"Content-Length: \t \r\n", E::BadContentLength),
    (b"Content-Length: 5 5\r\n", E::BadContentLength),
    (b"Content-Length: 5;\r\n", E::BadContentLength),
    (b"Content-Length: 5.0\r\n", E::BadContentLength),
    (b"Content-Length: \xd9\xa5\r\n", E::BadContentLength),
    (b"Content-Length: 18446744073709551616\r\n", E::HugeContentLength),
    (b"Content-Length: 9223372036854775807\r\n", E::HugeContentLength),
    (b"Content-Length: 0000000000000000005\r\n", E::HugeContentLength),
    (b"Content-Length: 999999999999999999\r\n", E::BodyTooLarge),
    (b"Content-Length : 5\r\n", E::SpaceBeforeColon),
    (b"Transfer-Encoding\t: chunked\r\n", E::SpaceBeforeColon),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", E::RepeatedTransferEncoding),
    (b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", E::RepeatedTransferEncoding),
    (b"Transfer-Encoding: gzip, chunked\r\n", E::UnsupportedTransferCoding),
    (b"Transfer-Encoding: identity, chunked\r\n", E::UnsupportedTransferCoding),
    (b"Transfer-Encoding: chunked, chunked\r\n", E::BadTransferEncoding),
    (b"Transfer-Encoding: chunked, gzip\r\n", E::BadTransferEncoding),
    (b"Transfer-Encoding: chunked, identity\r\n", E::BadTransferEncoding),
    (b"Transfer-Encoding: identity\r\n", E::BadTransferEncoding),
    (b"Transfer-Encoding: gzip\r\n", E::BadTransferEncoding),
    (b"Transfer-Encoding: , chunked\r\n", E::BadTransferEncoding),
    (b"Transfer-Encoding: chunked,\r\n", E::BadTransferEncoding),
    (b"Transfer-Encoding: chunked;q=1\r\n", E::BadTransferEncoding),
    (b"Transfer-Encoding: \"chunked\"\r\n", E::BadTransferEncoding),
    (b"Transfer-Encoding: xchunked\r\n", E::BadTransferEncoding),
    (b"Transfer-Encoding: chun ked\r\n", E::BadTransferEncoding),
    (b"Transfer-Encoding:\r\n", E::BadTransferEncoding),
    (b"Transfer-Encoding: \x0bchunked\r\n", E::BadHeaderValue),
    (b"Transfer-Encoding: chunked\x00\r\n", E::Nul),
    (b"Transfer-Encoding:\r\n chunked\r\n", E::ObsFold),
    (b"X: a\r\n\tb\r\n", E::ObsFold),
    (b"X: a\r\n \r\n", E::ObsFold),
    (b"X: a\nTransfer-Encoding: chunked\r\n", E::BareLf),
    (b"X: a\rTransfer-Encoding: chunked\r\n", E::BareCr),
    (b"X: a\r\r\n", E::BareCr),
    (b"X: a\0b\r\n", E::Nul),
    (b"X\0: a\r\n", E::Nul),
    (b"X: a\x01b\r\n", E::BadHeaderValue),
    (b"X: a\x7fb\r\n", E::BadHeaderValue),
    (b"X Y: a\r\n", E::BadHeaderName),
    (b"X\x01Y: a\r\n", E::BadHeaderName),
    (b"X(Y): a\r\n", E::BadHeaderName),
    (b"X\xc3\xa9: a\r\n", E::BadHeaderName),
    (b": a\r\n", E::BadHeaderName),
    (b"NoColon\r\n", E::BadHeaderName),
    (
        b"Connection: a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a\r\n",
        E::TooManyConnectionOptions,
    ),
];

/// Header lines behind a good request line and `Host: a`, with framing and keep-alive.
const ACCEPTED_HEADERS: &[(&[u8], Framing, bool)] = &[
    (b"", Framing::None, true),
    (b"Content-Length: 0\r\n", Framing::Length(0), true),
    (b"Content-Length: 5\r\n", Framing::Length(5), true),
    (b"Content-Length:5\r\n", Framing::Length(5), true),
    (b"Content-Length: \t 5 \t\r\n", Framing::Length(5), true),
    (b"CONTENT-LENGTH: 007\r\n", Framing::Length(7), true),
    (b"Content-Length: 1099511627776\r\n", Framing::Length(1 << 40), true),
    (b"Content_Length: 5\r\n", Framing::None, true),
    (b"X-Content-Length: 5\r\n", Framing::None, true),
    (b"Transfer-Encoding: chunked\r\n", Framing::Chunked, true),
    (b"transfer-encoding:ChUnKeD\r\n", Framing::Chunked, true),
    (b"Transfer-Encoding: \tchunked \r\n", Framing::Chunked, true),
    (b"Content-Encoding: gzip\r\nContent-Length: 9\r\n", Framing::Length(9), true),
    (b"Connection: close\r\n", Framing::None, false),
    (b"Connection: CLOSE\r\n", Framing::None, false),
    (b"Connection: x , close,y\r\n", Framing::None, false),
    (b"Connection: keep-alive\r\nConnection: close\r\n", Framing::None, false),
    (b"Connection: keep-alive\r\n", Framing::None, true),
    (b"Connection: closed\r\n", Framing::None, true),
    (b"Connection:\r\n", Framing::None, true),
    (b"Proxy-Connection: close\r\n", Framing::None, true),
    (b"X:\r\n", Framing::None, true),
    (b"X: \xc3\xa9\xff\r\n", Framing::None, true),
    (b"X: a\tb\r\n", Framing::None, true),
    (b"!#$%&'*+-.^_`|~09azAZ: odd but a token\r\n", Framing::None, true),
    (b"X: :\r\nX: a: b\r\n", Framing::None, true),
];

/// Whole heads that are accepted, with path, version and keep-alive.
const ACCEPTED_HEADS: &[(&[u8], &[u8], Version, bool)] = &[
    (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"/", Version::Http11, true),
    (b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", b"/", Version::Http11, true),
    (b"GET /a/b?c=/d HTTP/1.1\r\nHost: a\r\n\r\n", b"/a/b", Version::Http11, true),
    (b"GET //a HTTP/1.1\r\nHost: a\r\n\r\n", b"//a", Version::Http11, true),
    (b"GET /{x}|%zz\\ HTTP/1.1\r\nHost: a\r\n\r\n", b"/{x}|%zz\\", Version::Http11, true),
    (b"GET http://a/b?c HTTP/1.1\r\nHost: A\r\n\r\n", b"/b", Version::Http11, true),
    (b"GET HTTP://a:80?c HTTP/1.1\r\nHost: a:80\r\n\r\n", b"/", Version::Http11, true),
    (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", b"*", Version::Http11, true),
    (b"OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n", b"*", Version::Http11, true),
    (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", b"/", Version::Http11, true),
    (b"M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n", b"/", Version::Http11, true),
    (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", b"/", Version::Http11, true),
    (b"GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", b"/", Version::Http11, true),
    (b"GET / HTTP/1.1\r\nHost: a_b.c-d:65535\r\n\r\n", b"/", Version::Http11, true),
    (b"GET / HTTP/1.0\r\n\r\n", b"/", Version::Http10, false),
    (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", b"/", Version::Http10, true),
    (b"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", b"/", Version::Http10, false),
    (b"GET http://a/x HTTP/1.0\r\n\r\n", b"/x", Version::Http10, false),
];

#[test]
fn ambiguous_heads_are_refused_with_their_reason() {
    for (bytes, reason) in REFUSED_HEADS {
        assert_eq!(parse(bytes), Err(*reason), "{}", bytes.escape_ascii());
    }
    for (headers, reason) in REFUSED_HEADERS {
        assert_eq!(parse(&with_headers(headers)), Err(*reason), "{}", headers.escape_ascii());
    }
}

#[test]
fn good_headers_give_framing_and_keep_alive() {
    for (headers, framing, keep_alive) in ACCEPTED_HEADERS {
        let bytes = with_headers(headers);
        let head = parsed(&bytes);
        assert_eq!(head.head_len(), bytes.len(), "{}", headers.escape_ascii());
        assert_eq!(
            (head.framing(), head.keep_alive()),
            (*framing, *keep_alive),
            "{}",
            headers.escape_ascii()
        );
    }
}

#[test]
fn good_request_lines_give_path_and_version() {
    for (bytes, path, version, keep_alive) in ACCEPTED_HEADS {
        let pipelined = [bytes, &b"GET /next HTTP/1.1\r\n"[..]].concat();
        let head = parsed(&pipelined);
        assert_eq!(head.head_len(), bytes.len(), "{}", bytes.escape_ascii());
        assert_eq!(head.path(&pipelined), *path, "{}", bytes.escape_ascii());
        assert_eq!((head.version(), head.keep_alive()), (*version, *keep_alive), "{}", bytes.escape_ascii());
    }
}

#[test]
fn every_part_of_a_head_can_be_read_back() {
    let bytes = b"POST /v1/x?y=z HTTP/1.1\r\nHost: h\r\nX-A:  one \r\nx-a: two\r\nEmpty:\r\n\r\n";
    let head = parsed(bytes);
    assert_eq!(head.method(), Method::Post);
    assert_eq!(head.method_bytes(bytes), b"POST");
    assert_eq!(head.target(bytes), b"/v1/x?y=z");
    assert_eq!(head.header(bytes, "HOST"), Some(&b"h"[..]));
    assert_eq!(head.header(bytes, "x-A"), Some(&b"one"[..]));
    assert_eq!(head.header(bytes, "empty"), Some(&b""[..]));
    assert_eq!(head.header(bytes, "none"), None);
    let all: Vec<_> = head.headers(bytes).collect();
    assert_eq!(all[2], (&b"x-a"[..], &b"two"[..]));
    assert_eq!((all.len(), head.header_count()), (4, 4));
}

#[test]
fn known_methods_are_told_apart_by_case() {
    let method = |name: &str| parsed(format!("{name} / HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).method();
    assert_eq!(method("HEAD"), Method::Head);
    assert_eq!(method("DELETE"), Method::Delete);
    assert_eq!(method("head"), Method::Other);
    assert_eq!(method("PURGE"), Method::Other);
}

#[test]
fn continue_is_expected_only_where_a_body_is_held_back() {
    let expects = |headers: &[u8]| parsed(&with_headers(headers)).expect_continue();
    assert!(expects(b"Expect: 100-continue\r\nContent-Length: 5\r\n"));
    assert!(expects(b"expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n"));
    assert!(!expects(b"Expect: 100-continue\r\nContent-Length: 0\r\n"));
    assert!(!expects(b"Expect: 100-continue\r\n"));
    assert!(!expects(b"Expect: something-else\r\nContent-Length: 5\r\n"));
    let old = b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    assert!(!parsed(old).expect_continue());
}

#[test]
fn an_upgrade_needs_header_option_and_version() {
    let upgrade = |headers: &[u8]| parsed(&with_headers(headers)).upgrade();
    assert!(upgrade(b"Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"));
    assert!(!upgrade(b"Upgrade: websocket\r\n"));
    assert!(!upgrade(b"Connection: upgrade\r\n"));
    assert!(!parsed(b"GET / HTTP/1.0\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n").upgrade());
}

#[test]
fn limits_hold_to_the_byte() {
    let line = |len: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(len - 16)).into_bytes();
    assert!(matches!(parse(&line(512)), Ok(Some(_))));
    assert_eq!(parse(&line(513)), Err(E::TargetTooLong));
    assert_eq!(parse(&b"G".repeat(511)), Ok(None));
    assert_eq!(parse(&b"G".repeat(512)), Err(E::TargetTooLong));

    let head = |len: usize| with_headers(format!("X: {}\r\n", "a".repeat(len - 47)).as_bytes());
    assert_eq!(parse(&head(2048)), Ok(Some(2048)));
    assert_eq!(parse(&head(2049)), Err(E::HeadTooLong));
    assert_eq!(parse(&head(2049)[..2047]), Ok(None));

    assert!(matches!(parse(&with_headers(&b"X: a\r\n".repeat(15))), Ok(Some(_))));
    assert_eq!(parse(&with_headers(&b"X: a\r\n".repeat(16))), Err(E::TooManyHeaders));
}

#[test]
fn an_unfinished_head_asks_for_more() {
    let bytes = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for end in 0..bytes.len() {
        assert_eq!(parse(&bytes[..end]), Ok(None), "{end}");
    }
}

#[test]
fn storage_is_reused_between_requests() {
    let mut head = RequestHead::default();
    let large = with_headers(&b"X: a\r\n".repeat(12));
    head.parse(&large, &LIMITS).unwrap();
    let (place, capacity) = (head.fields.list.as_ptr(), head.fields.list.capacity());
    for _ in 0..10 {
        assert_eq!(head.parse(&large, &LIMITS), Ok(Some(large.len())));
        assert_eq!(head.parse(b"x", &LIMITS), Ok(None));
        assert_eq!(head.parse(b"x y z\r\n\r\n", &LIMITS), Err(E::BadVersion));
    }
    assert_eq!((head.fields.list.as_ptr(), head.fields.list.capacity()), (place, capacity));
}

#[test]
fn facts_of_one_request_do_not_leak_into_the_next() {
    let mut head = RequestHead::default();
    let first =
        with_headers(b"Connection: close, x\r\nX: 1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n");
    head.parse(&first, &LIMITS).unwrap();
    head.parse(&with_headers(b""), &LIMITS).unwrap();
    assert!(head.keep_alive() && !head.expect_continue());
    assert_eq!(head.framing(), Framing::None);
}

#[test]
fn every_reason_has_a_status_an_own_label_and_a_message() {
    let reasons: Vec<_> = REFUSED_HEADS.iter().chain(REFUSED_HEADERS).map(|(_, reason)| *reason).collect();
    for reason in &reasons {
        assert!(matches!(reason.status(), 400 | 413 | 414 | 431 | 501 | 505), "{reason:?}");
        assert!(reasons.iter().all(|other| (other == reason) == (other.label() == reason.label())));
        assert!(!reason.to_string().is_empty());
    }
}

#[test]
fn the_head_stays_small() {
    assert!(size_of::<RequestHead>() <= 192, "{}", size_of::<RequestHead>());
    assert!(size_of::<super::super::fields::Field>() <= 20);
}
