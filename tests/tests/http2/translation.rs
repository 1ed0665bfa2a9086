//! Requests that HTTP/2 can say and HTTP/1.1 cannot, or not in one way only: none reaches an engine.

use super::*;

/// What became of a request sent as raw frames.
#[derive(Debug, PartialEq)]
enum Fate {
    Answered(String),
    Reset,
    Closed,
}

const BASE: [(&str, &str); 3] = [(":scheme", "http"), (":path", "/x"), (":authority", "t")];

fn fate(router: &TestRouter, fields: &[(&str, &str)], body: Option<&[u8]>) -> Fate {
    let mut client = Frames::connect(router.aware_address());
    client.headers(1, body.is_none(), fields);
    if let Some(body) = body {
        client.send(kind::DATA, 1, 1, body);
    }
    let ends = |kind| matches!(kind, kind::HEADERS | kind::RST_STREAM | kind::GOAWAY);
    match client.until(|frame| ends(frame.kind)) {
        Some(frame) if frame.kind == kind::HEADERS => {
            // The first field of an answer is its status: indexed where it is usual, else spelt out.
            Fate::Answered(match frame.payload[0] {
                0x88 => "200".to_owned(),
                0x8c => "400".to_owned(),
                _ => String::from_utf8_lossy(&frame.payload).into_owned(),
            })
        }
        Some(frame) if frame.kind == kind::RST_STREAM => Fate::Reset,
        _ => Fate::Closed,
    }
}

fn with<'a>(method: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&[(":method", method)], &BASE[..], more].concat()
}

type Fields = Vec<(&'static str, &'static str)>;

const GET_X: [(&str, &str); 3] = [(":method", "GET"), (":scheme", "http"), (":path", "/x")];

/// A GET of some other path, or of none.
fn at(path: Option<&'static str>) -> Fields {
    let path = path.map(|path| (":path", path));
    [(":method", "GET"), (":scheme", "http"), (":authority", "t")].into_iter().chain(path).collect()
}

/// What a request has wrong, its fields, and its body if it has one.
#[rustfmt::skip] // One case a line reads as a table.
fn refused() -> Vec<(&'static str, Fields, Option<&'static [u8]>)> {
    vec![
        ("two lengths", with("POST", &[("content-length", "2"), ("content-length", "3")]), Some(b"ab")),
        ("a length above the body", with("POST", &[("content-length", "3")]), Some(b"ab")),
        ("a length below the body", with("POST", &[("content-length", "1")]), Some(b"ab")),
        ("a length and no body", with("POST", &[("content-length", "3")]), None),
        ("a signed length", with("POST", &[("content-length", "+2")]), Some(b"ab")),
        ("a transfer coding", with("POST", &[("transfer-encoding", "chunked")]), Some(b"0\r\n\r\n")),
        ("a connection header", with("GET", &[("connection", "close")]), None),
        ("an upgrade", with("GET", &[("upgrade", "h2c")]), None),
        ("another host", with("GET", &[("host", "other")]), None),
        ("a name in capitals", with("GET", &[("X-Capital", "1")]), None),
        ("a line break in a value", with("GET", &[("x-a", "1\r\nx-b: 2")]), None),
        ("a NUL in a value", with("GET", &[("x-a", "1\0")]), None),
        ("a space in a name", with("GET", &[("x a", "1")]), None),
        ("a colon in a name", with("GET", &[("x:a", "1")]), None),
        ("a space in a path", at(Some("/a b")), None),
        ("a line break in a path", at(Some("/ HTTP/1.1\r\nx: y")), None),
        ("no path", at(None), None),
        ("an empty path", at(Some("")), None),
        ("a space in a method", with("GET /x HTTP/1.1\r\nx:", &[]), None),
        ("no host", GET_X.to_vec(), None),
        ("a tunnel", vec![(":method", "CONNECT"), (":authority", "t:1")], None),
        ("a pseudo-header behind others", [&GET_X[..], &[("a", "b"), (":authority", "t")]].concat(), None),
        ("two paths", with("GET", &[(":path", "/y")]), None),
        ("an unknown pseudo-header", with("GET", &[(":x", "y")]), None),
    ]
}

#[test]
fn the_ambiguous_reaches_no_engine() {
    let engine = ok();
    let router = TestRouter::start(&[engine.address()]);
    for (what, fields, body) in refused() {
        let fate = fate(&router, &fields, body);
        assert!(fate != Fate::Answered("200".into()), "{what}: {fate:?}");
        assert_eq!(engine.seen().len(), 0, "{what} reached the engine: {:?}", engine.seen());
        eventually("nothing is held", || router.in_flight() == 0);
    }
}

#[test]
fn the_unusual_but_right_arrives() {
    let engine = ok();
    let router = TestRouter::start(&[engine.address()]);
    let long = "v".repeat(5_000);
    let good = [
        ("a host that says the same", with("GET", &[("host", "t")]), None, "host: t\r\n"),
        ("cookies one by one", with("GET", &[("cookie", "a"), ("cookie", "b")]), None, "cookie: a; b\r\n"),
        ("trailers allowed", with("GET", &[("te", "trailers")]), None, "GET /x HTTP/1.1\r\n"),
        ("an empty body", with("POST", &[]), Some(&b""[..]), "POST /x HTTP/1.1\r\n"),
        ("a host header only", [&GET_X[..], &[("host", "h")]].concat(), None, "host: h\r\n"),
        ("a long value", with("GET", &[("x-long", &long)]), None, "x-long: vvv"),
    ];
    for (at, (what, fields, body, arrives)) in good.into_iter().enumerate() {
        assert_eq!(fate(&router, &fields, body), Fate::Answered("200".into()), "{what}");
        let seen = &engine.wait_for(at + 1)[at];
        assert!(seen.head.contains(arrives), "{what}: {}", seen.head);
    }
}

#[test]
fn a_body_cannot_open_a_second_request() {
    let engine = ok();
    let router = TestRouter::start(&[engine.address()]);
    let smuggled = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n";
    for more in [vec![], vec![("content-length", "40")]] {
        assert_eq!(fate(&router, &with("POST", &more), Some(smuggled)), Fate::Answered("200".into()));
    }
    let seen = engine.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|seen| seen.head.starts_with("POST /x ")));
    assert_eq!(seen[1].body, smuggled);
}

#[test]
fn trailers_are_dropped_in_both_directions() {
    let bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Late: 1\r\n\r\n";
    let engine = RawEngine::start(Behaviour::Answer(bytes.into()));
    let router = TestRouter::start(&[engine.address()]);
    let mut client = Frames::connect(router.aware_address());
    client.headers(1, false, &with("POST", &[]));
    client.send(kind::DATA, 0, 1, b"abc");
    client.send(kind::HEADERS, 5, 1, &hpack(&[("x-late", "2")]));
    let end = client.until(|frame| frame.kind != kind::SETTINGS && frame.flags & 1 == 1).expect("an end");
    assert_eq!((end.kind, end.payload.as_slice()), (kind::DATA, &b"ok"[..]));
    assert_eq!(engine.wait_for(1)[0].body, b"3\r\nabc\r\n0\r\n\r\n");
}
