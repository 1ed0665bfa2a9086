//! Properties over all of framing: splits change nothing, `httparse` agrees, no bytes panic.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

mod hyper;

const LIMITS: HeadLimits = HeadLimits { head: 600, request_line: 100, headers: 12, body: u64::MAX };

/// Pieces that heads are made of, good and bad.
const PIECES: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\n",
    b"POST /v1/chat/completions?a=b HTTP/1.1\r\n",
    b"GET http://a/x HTTP/1.0\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0 503 \r\n",
    b"Host: a\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close, x-a\r\n",
    b"X-A: b\r\n",
    b"Expect: 100-continue\r\n",
    b"\r\n",
    b" ",
    b"\t",
    b"\r",
    b"\n",
    b"\0",
    b":",
    b"a",
    b"\x80",
    b"5\r\nhello\r\n0\r\n\r\n",
];

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let odd = proptest::collection::vec(select(PIECES), 0..16).prop_map(|pieces| pieces.concat());
    let long = proptest::collection::vec(select(PIECES), 30..80).prop_map(|pieces| pieces.concat());
    let mutated = (good_request(), any::<Index>(), any::<u8>()).prop_map(|(mut bytes, at, byte)| {
        let at = at.index(bytes.len());
        bytes[at] = byte;
        bytes
    });
    prop_oneof![4 => odd, 1 => long, 4 => mutated, 1 => proptest::collection::vec(any::<u8>(), 0..300)]
}

/// A request that is good in every way, with a few bytes of the next one.
pub(super) fn good_request() -> impl Strategy<Value = Vec<u8>> {
    let name = "[A-Za-z][A-Za-z0-9_-]{0,12}";
    let value = "[ -~\u{e9}]{0,20}";
    let special = select(vec![
        "Connection: keep-alive, X-Hop",
        "X-Hop: 1",
        "TE: trailers",
        "Keep-Alive: timeout=5",
        "Expect: 100-continue",
        "Content-Type: application/json",
    ]);
    let line = prop_oneof![
        3 => (name, value).prop_map(|(name, value)| format!("x-{name}: {value}")),
        2 => special.prop_map(str::to_owned),
    ];
    let framing = select(vec!["", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"]);
    (proptest::collection::vec(line, 0..9), framing, select(vec!["", "GET /"])).prop_map(
        |(lines, framing, next)| {
            let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            format!("POST /v1/x HTTP/1.1\r\nHost: a\r\n{lines}{framing}\r\n{next}").into_bytes()
        },
    )
}

/// First answer other than "more bytes", with the bytes growing piece by piece.
fn split<T>(input: &[u8], step: usize, mut parse: impl FnMut(&[u8]) -> Option<T>) -> Option<T> {
    (0..=input.len()).step_by(step).chain([input.len()]).find_map(|end| parse(&input[..end]))
}

proptest! {
    #[test]
    fn a_request_head_means_the_same_however_it_is_split(input in bytes(), step in 1usize..20) {
        let whole = RequestHead::default().parse(&input, &LIMITS).transpose();
        let mut head = RequestHead::default();
        prop_assert_eq!(split(&input, step, |part| head.parse(part, &LIMITS).transpose()), whole);
    }

    #[test]
    fn a_response_head_means_the_same_however_it_is_split(input in bytes(), step in 1usize..20) {
        let facts = RequestFacts::default();
        let whole = ResponseHead::default().parse(&input, &LIMITS, facts).transpose();
        let mut head = ResponseHead::default();
        prop_assert_eq!(split(&input, step, |part| head.parse(part, &LIMITS, facts).transpose()), whole);
    }

    #[test]
    fn what_is_accepted_httparse_reads_alike(input in bytes()) {
        let mut head = RequestHead::default();
        if let Ok(Some(len)) = head.parse(&input, &LIMITS) {
            let mut slots = [httparse::EMPTY_HEADER; 64];
            let mut other = httparse::Request::new(&mut slots);
            prop_assert_eq!(other.parse(&input), Ok(httparse::Status::Complete(len)));
            prop_assert_eq!(other.path.map(str::as_bytes), Some(head.target(&input)));
            prop_assert_eq!(other.method.map(str::as_bytes), Some(head.method_bytes(&input)));
            let theirs: Vec<_> = other.headers.iter().map(|header| (header.name.as_bytes(), header.value)).collect();
            prop_assert_eq!(head.headers(&input).collect::<Vec<_>>(), theirs);
        }
    }

    #[test]
    fn what_httparse_refuses_is_refused(input in bytes()) {
        let mut slots = [httparse::EMPTY_HEADER; 64];
        if httparse::Request::new(&mut slots).parse(&input).is_err() {
            let ours = RequestHead::default().parse(&input, &LIMITS);
            // httparse may see the fault before the head is complete.
            prop_assert!(matches!(ours, Err(_) | Ok(None)), "{:?}", ours);
        }
        let mut slots = [httparse::EMPTY_HEADER; 64];
        if httparse::Response::new(&mut slots).parse(&input).is_err() {
            let ours = ResponseHead::default().parse(&input, &LIMITS, RequestFacts::default());
            prop_assert!(matches!(ours, Err(_) | Ok(None)), "{:?}", ours);
        }
    }

    #[test]
    fn good_requests_are_accepted_by_both(input in good_request()) {
        let mut slots = [httparse::EMPTY_HEADER; 64];
        let theirs = httparse::Request::new(&mut slots).parse(&input);
        let ours = RequestHead::default().parse(&input, &HeadLimits::default());
        prop_assert_eq!(ours, Ok(Some(theirs.unwrap().unwrap())));
    }

    #[test]
    fn whatever_is_accepted_can_be_written_and_followed(input in bytes()) {
        let mut out = Vec::new();
        let mut request = RequestHead::default();
        if let Ok(Some(len)) = request.parse(&input, &LIMITS) {
            write_request(&mut out, &input, &request, &RequestEdits { host: b"h", ..Default::default() });
            let written = RequestHead::default().parse(&out, &HeadLimits::default());
            prop_assert_eq!(written, Ok(Some(out.len())));
            let scan = Body::new(request.framing()).scan(&input[len..]);
            prop_assert!(scan.is_err() || scan.unwrap().consumed <= input.len() - len);
        }
        let mut response = ResponseHead::default();
        if let Ok(Some(_)) = response.parse(&input, &LIMITS, RequestFacts::default()) {
            out.clear();
            write_response(&mut out, &input, &response, &ResponseEdits::default());
            let mut again = ResponseHead::default();
            let facts = RequestFacts::default();
            prop_assert_eq!(again.parse(&out, &HeadLimits::default(), facts), Ok(Some(out.len())));
            // An HTTP/1.0 response may keep its connection; written as 1.1 the framing must be the same.
            prop_assert_eq!((again.status(), again.framing()), (response.status(), response.framing()));
        }
    }
}

#[test]
fn a_slow_client_is_not_read_again_from_the_start() {
    // A million bytes one by one: a search that started over each time would look at 5 * 10^11 bytes.
    let limits = HeadLimits { head: 2 << 20, request_line: 2 << 20, ..HeadLimits::default() };
    let input = [b"GET /", &b"a".repeat(1_000_000)[..], b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
    let mut head = RequestHead::default();
    let found = split(&input, 1, |part| head.parse(part, &limits).transpose());
    assert_eq!(found, Some(Ok(input.len())));
}

#[test]
fn pipelined_requests_are_cut_exactly() {
    let mut rest: &[u8] = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
        POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxy\r\n0\r\n\r\n\
        GET /c HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /d HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut head = RequestHead::default();
    let mut paths = Vec::new();
    while !rest.is_empty() {
        let len = head.parse(rest, &HeadLimits::default()).unwrap().unwrap();
        paths.push(head.path(rest).to_vec());
        let body = Body::new(head.framing()).scan(&rest[len..]).unwrap();
        assert!(body.done);
        rest = &rest[len + body.consumed..];
    }
    assert_eq!(paths, [b"/a", b"/b", b"/c", b"/d"]);
}
