//! What goes onward, byte for byte, and what stays behind.

use proptest::prelude::*;

use super::super::{Framing, HeadLimits, RequestFacts};
use super::*;

fn request(input: &[u8], edits: &RequestEdits<'_>) -> String {
    let mut head = RequestHead::default();
    head.parse(input, &HeadLimits::default()).unwrap().unwrap();
    let mut out = Vec::new();
    write_request(&mut out, input, &head, edits);
    String::from_utf8(out).unwrap()
}

fn response(input: &[u8], edits: &ResponseEdits<'_>) -> String {
    let mut head = ResponseHead::default();
    head.parse(input, &HeadLimits::default(), RequestFacts { head: false, upgrade: true }).unwrap().unwrap();
    let mut out = Vec::new();
    write_response(&mut out, input, &head, edits);
    String::from_utf8(out).unwrap()
}

#[test]
fn end_to_end_lines_pass_byte_for_byte() {
    let input = b"POST /x?y HTTP/1.1\r\nhOsT:  a \r\nX-Odd:\t\tv  \r\nX-ODD: w\r\nCookie: a=b\r\nContent-Length:005\r\n\r\nbody";
    let expected = String::from_utf8_lossy(&input[..input.len() - 4]);
    assert_eq!(request(input, &RequestEdits::default()), expected);
}

#[test]
fn lines_of_one_connection_stay_behind() {
    let input =
        b"GET / HTTP/1.1\r\nConnection: keep-alive, X-Hop, Upgrade\r\nHost: a\r\nKeep-Alive: 5\r\nA: 1\r\n\
        x-hop: 1\r\nTE: trailers\r\nProxy-Connection: close\r\nUpgrade: websocket\r\nExpect: 100-continue\r\n\
        Proxy-Authorization: b\r\nX-HOP: 2\r\nZ: 1\r\nConnection: close\r\n\r\n";
    let expected = "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nProxy-Authorization: b\r\nZ: 1\r\n\r\n";
    assert_eq!(request(input, &RequestEdits::default()), expected);
}

#[test]
fn connection_cannot_name_away_what_a_message_needs() {
    let lines = "Host: a\r\nContent-Length: 5\r\nContent-Type: x\r\nAuthorization: y\r\nCookie: z\r\n";
    let names =
        "Connection: host, content-length, content-type, authorization, cookie, transfer-encoding\r\n";
    let input = format!("POST / HTTP/1.1\r\n{names}{lines}\r\n");
    let expected = format!("POST / HTTP/1.1\r\n{lines}\r\n");
    assert_eq!(request(input.as_bytes(), &RequestEdits::default()), expected);
}

#[test]
fn an_expectation_other_than_continue_passes() {
    let input = b"GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n";
    assert_eq!(request(input, &RequestEdits::default()).as_bytes(), input);
}

#[test]
fn an_old_or_absolute_request_becomes_an_ordinary_one() {
    let edits = RequestEdits { host: b"10.0.0.1:8000", ..Default::default() };
    let old = b"\r\nGET /a?b HTTP/1.0\r\nConnection: keep-alive\r\nX: y\r\n\r\n";
    assert_eq!(request(old, &edits), "GET /a?b HTTP/1.1\r\nX: y\r\nHost: 10.0.0.1:8000\r\n\r\n");
    let bare = b"GET /a HTTP/1.0\r\n\r\n";
    assert_eq!(request(bare, &edits), "GET /a HTTP/1.1\r\nHost: 10.0.0.1:8000\r\n\r\n");
    let absolute = b"GET http://a?b HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(request(absolute, &edits), "GET /?b HTTP/1.1\r\nHost: a\r\n\r\n");
    let server = b"OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(request(server, &edits), "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
}

#[test]
fn an_ignored_empty_line_is_not_sent_on() {
    let input = b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(request(input, &RequestEdits::default()).as_bytes(), &input[2..]);
}

#[test]
fn edits_are_made_as_told() {
    let input =
        b"POST / HTTP/1.1\r\nX-Id: 1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\nY: 2\r\n\r\n";
    let edits = RequestEdits {
        remove: &["x-id"],
        add: &[("x-request-id", b"7"), ("x-odd", b"a\r\nb\0")],
        length: LengthLine::Set(18_446_744_073_709_551_615),
        connection: ConnectionLine::Close,
        ..Default::default()
    };
    let expected = "POST / HTTP/1.1\r\nHost: a\r\nY: 2\r\nContent-Length: 18446744073709551615\r\n\
        Connection: close\r\nx-request-id: 7\r\nx-odd: a  b \r\n\r\n";
    assert_eq!(request(input, &edits), expected);
}

#[test]
fn a_changed_length_replaces_the_old_one() {
    let input = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nY: 2\r\n\r\n";
    let edits = RequestEdits { length: LengthLine::Set(0), ..Default::default() };
    let expected = "POST / HTTP/1.1\r\nHost: a\r\nY: 2\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(request(input, &edits), expected);
}

#[test]
fn a_tunnel_on_purpose_keeps_the_upgrade() {
    let input = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let edits = RequestEdits { connection: ConnectionLine::Upgrade, ..Default::default() };
    let expected = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";
    assert_eq!(request(input, &edits), expected);
    let input = b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
    let edits = ResponseEdits { connection: ConnectionLine::Upgrade, ..Default::default() };
    assert_eq!(response(input, &edits), "HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
}

#[test]
fn a_response_passes_byte_for_byte_less_its_connection() {
    let input = b"HTTP/1.1 200  odd \xc3\xa9\r\nserver: uvicorn\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let expected = "HTTP/1.1 200  odd \u{e9}\r\nserver: uvicorn\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(response(input, &ResponseEdits::default()), expected);
}

#[test]
fn an_old_response_becomes_a_new_one() {
    for (line, expected) in [("HTTP/1.0 404 No", "HTTP/1.1 404 No"), ("HTTP/1.0 404", "HTTP/1.1 404")] {
        let input = format!("{line}\r\nX: y\r\n\r\n");
        assert_eq!(
            response(input.as_bytes(), &ResponseEdits::default()),
            format!("{expected}\r\nX: y\r\n\r\n")
        );
        let input = format!("{line}\r\n\r\n");
        assert_eq!(response(input.as_bytes(), &ResponseEdits::default()), format!("{expected}\r\n\r\n"));
    }
}

#[test]
fn a_chunked_response_to_an_old_client_loses_its_framing() {
    let input = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\nX: y\r\n\r\n";
    let edits = ResponseEdits {
        add: &[("x-warmlane-endpoint", b"a:1")],
        length: LengthLine::Drop,
        connection: ConnectionLine::Close,
        ..Default::default()
    };
    let expected = "HTTP/1.1 200 OK\r\nX: y\r\nConnection: close\r\nx-warmlane-endpoint: a:1\r\n\r\n";
    assert_eq!(response(input, &edits), expected);
}

/// End-to-end headers by the rule as written in the RFC, not by the writer's classes.
fn end_to_end(head: &RequestHead, buf: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let named = |name: &[u8]| {
        let connection = head.headers(buf).filter(|(name, _)| name.eq_ignore_ascii_case(b"connection"));
        connection
            .flat_map(|(_, value)| value.split(|byte| *byte == b','))
            .any(|option| option.trim_ascii().eq_ignore_ascii_case(name))
    };
    let dropped = ["connection", "keep-alive", "te", "upgrade", "proxy-connection", "expect"];
    let kept =
        |name: &[u8]| !named(name) && !dropped.iter().any(|gone| name.eq_ignore_ascii_case(gone.as_bytes()));
    let headers = head.headers(buf).filter(|(name, _)| kept(name));
    headers.map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
}

proptest! {
    #[test]
    fn a_written_request_has_the_same_end_to_end_headers(input in super::super::tests::good_request()) {
        let mut before = RequestHead::default();
        before.parse(&input, &HeadLimits::default()).unwrap().unwrap();
        let mut out = b"already there".to_vec();
        write_request(&mut out, &input, &before, &RequestEdits::default());
        let out = out.strip_prefix(b"already there").unwrap();
        let mut after = RequestHead::default();
        prop_assert_eq!(after.parse(out, &HeadLimits::default()), Ok(Some(out.len())));
        prop_assert_eq!(end_to_end(&before, &input), end_to_end(&after, out));
        prop_assert_eq!(after.header_count(), end_to_end(&after, out).len());
        prop_assert_eq!(after.framing(), before.framing());
        prop_assert_eq!(after.target(out), before.target(&input));
    }

    #[test]
    fn a_length_is_written_as_the_standard_library_would(length in any::<u64>()) {
        let mut out = Vec::new();
        push_decimal(&mut out, length);
        prop_assert_eq!(out, length.to_string().into_bytes());
    }
}

#[test]
fn a_rewritten_length_is_the_framing_of_the_written_head() {
    let input = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let out = request(input, &RequestEdits { length: LengthLine::Set(12), ..Default::default() });
    let mut head = RequestHead::default();
    head.parse(out.as_bytes(), &HeadLimits::default()).unwrap();
    assert_eq!(head.framing(), Framing::Length(12));
}
