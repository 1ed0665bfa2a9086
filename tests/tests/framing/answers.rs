//! Answers of an endpoint: those that are refused, and unusual ones that are right.

use super::Case;

/// What a client must get: status and body.
#[derive(Clone)]
pub(super) struct Good {
    pub(super) name: &'static str,
    pub(super) answer: Vec<u8>,
    pub(super) status: u16,
    pub(super) body: &'static str,
    /// The endpoint closes behind it.
    pub(super) closes: bool,
}

fn head(name: &'static str, head: &str) -> Case {
    (name, format!("HTTP/1.1 {head}\r\n\r\n").into_bytes(), 502)
}

fn chunks(name: &'static str, rest: &str) -> Case {
    (name, format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{rest}").into_bytes(), 502)
}

fn raw(name: &'static str, bytes: &[u8]) -> Case {
    (name, bytes.to_vec(), 502)
}

/// Answers that can be read in two ways, or in none.
pub(super) fn refused() -> Vec<Case> {
    [framing(), heads(), bodies()].concat()
}

fn framing() -> Vec<Case> {
    vec![
        head("length and coding", "200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked"),
        head("coding and length", "200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5"),
        head("two lengths", "200 OK\r\nContent-Length: 5\r\nContent-Length: 6"),
        head("the same length twice", "200 OK\r\nContent-Length: 5\r\nContent-Length: 5"),
        head("a listed length", "200 OK\r\nContent-Length: 5, 5"),
        head("a signed length", "200 OK\r\nContent-Length: +5"),
        head("a negative length", "200 OK\r\nContent-Length: -5"),
        head("a hexadecimal length", "200 OK\r\nContent-Length: 0x5"),
        head("an empty length", "200 OK\r\nContent-Length:"),
        head("a length of words", "200 OK\r\nContent-Length: five"),
        head("a huge length", "200 OK\r\nContent-Length: 99999999999999999999"),
        head("identity", "200 OK\r\nTransfer-Encoding: identity"),
        head("an unknown coding", "200 OK\r\nTransfer-Encoding: cow"),
        head("a coding below chunked", "200 OK\r\nTransfer-Encoding: gzip, chunked"),
        head("chunked twice", "200 OK\r\nTransfer-Encoding: chunked, chunked"),
        head("chunked on two lines", "200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        head("an empty coding", "200 OK\r\nTransfer-Encoding:"),
        head("chunked with a parameter", "200 OK\r\nTransfer-Encoding: chunked;q=1"),
        raw("chunked on HTTP/1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        head("a 204 with a length", "204 No Content\r\nContent-Length: 5"),
        head("a 204 in chunks", "204 No Content\r\nTransfer-Encoding: chunked"),
        head("a 100 with a length", "100 Continue\r\nContent-Length: 5"),
        head("a switch of protocols", "101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade"),
    ]
}

fn heads() -> Vec<Case> {
    let many: String = (0..200).map(|n| format!("\r\nX-{n}: 1")).collect();
    vec![
        head("no status", ""),
        head("a status of two digits", "20 OK"),
        head("a status of four digits", "2000 OK"),
        head("a status of letters", "abc OK"),
        head("a status below 100", "099 OK"),
        head("a status of 600", "600 OK"),
        raw("no version", b"200 OK\r\n\r\n"),
        raw("an unknown version", b"HTTP/1.2 200 OK\r\n\r\n"),
        raw("HTTP/2", b"HTTP/2 200 OK\r\n\r\n"),
        raw("HTTP/2.0", b"HTTP/2.0 200 OK\r\n\r\n"),
        raw("another protocol", b"ICY 200 OK\r\n\r\n"),
        raw("a version in small letters", b"http/1.1 200 OK\r\n\r\n"),
        raw("two spaces", b"HTTP/1.1  200 OK\r\n\r\n"),
        raw("a tab", b"HTTP/1.1\t200 OK\r\n\r\n"),
        raw("SSH", b"SSH-2.0-OpenSSH_9.2\r\n"),
        raw("a page without a head", b"<html>hello</html>"),
        raw("TLS", b"\x15\x03\x01\x00\x02\x02\x28"),
        raw("lines ended by LF", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
        raw("lines ended by CR", b"HTTP/1.1 200 OK\rContent-Length: 0\r\r"),
        head("a zero byte in a value", "200 OK\r\nX: a\0b"),
        head("a zero byte in the reason", "200 O\0K"),
        head("a bare CR in a value", "200 OK\r\nX: a\rb"),
        head("a bare LF in a value", "200 OK\r\nX: a\nb"),
        head("a space before a colon", "200 OK\r\nContent-Length : 5"),
        head("a folded line", "200 OK\r\nX: a\r\n b"),
        head("a line without a colon", "200 OK\r\nX"),
        head("an empty name", "200 OK\r\n: x"),
        head("a space within a name", "200 OK\r\nX Y: 1"),
        head("a control character in a value", "200 OK\r\nX: \u{1}"),
        head("too many lines", &format!("200 OK{many}")),
        head("a head that is too long", &format!("200 OK\r\nX: {}", "x".repeat(70_000))),
        raw("a head that is cut", b"HTTP/1.1 200 OK\r\nContent-Le"),
        raw("a head without its empty line", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"),
    ]
}

fn bodies() -> Vec<Case> {
    vec![
        chunks("a size of no digits", "\r\n"),
        chunks("a signed size", "+5\r\nabcde\r\n0\r\n\r\n"),
        chunks("a size with 0x", "0x5\r\nabcde\r\n0\r\n\r\n"),
        chunks("a size of letters", "zz\r\n"),
        chunks("a space before a size", " 5\r\nabcde\r\n0\r\n\r\n"),
        chunks("a space behind a size", "5 \r\nabcde\r\n0\r\n\r\n"),
        chunks("a size beyond 64 bits", "10000000000000005\r\nabcde"),
        chunks("a size ended by LF", "5\nabcde\r\n0\r\n\r\n"),
        chunks("a zero byte in an extension", "5;a\0\r\nabcde\r\n0\r\n\r\n"),
        chunks("an empty body ended by LF", "0\r\n\n"),
        chunks("a trailer without a colon", "0\r\nx\r\n\r\n"),
        chunks("a trailer that is folded", "0\r\na: b\r\n c\r\n\r\n"),
    ]
}

/// Unusual answers that are right.
pub(super) fn accepted() -> Vec<Good> {
    [sized(), unsized_(), chunked()].concat()
}

fn good(name: &'static str, answer: &str, status: u16, body: &'static str) -> Good {
    Good { name, answer: answer.into(), status, body, closes: false }
}

fn until_close(name: &'static str, answer: &str, status: u16, body: &'static str) -> Good {
    Good { closes: true, ..good(name, answer, status, body) }
}

fn sized() -> Vec<Good> {
    let with = |name, lines: &str| {
        good(name, &format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 2\r\n\r\nok"), 200, "ok")
    };
    let status = |name, line: &str, status| {
        good(name, &format!("HTTP/1.1 {line}\r\nContent-Length: 2\r\n\r\nok"), status, "ok")
    };
    vec![
        with("a plain answer", ""),
        with("a length in small letters", "x: 1\r\n"),
        with("an empty value", "X:\r\n"),
        with("bytes that are no ASCII", "X: \u{e9}\u{4e2d}\r\n"),
        with("the same name twice", "Set-Cookie: a=b\r\nSet-Cookie: c=d\r\n"),
        with("all token characters in a name", "!#$%&'*+-.^_`|~09azAZ: 1\r\n"),
        with("spaces around a value", "X:  a \t \r\n"),
        with("keep-alive", "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n"),
        with("a header that Connection names", "Connection: x-hop\r\nX-Hop: 1\r\n"),
        with("a compressed body", "Content-Encoding: gzip\r\n"),
        with("an upgrade that nobody asked for", "Upgrade: h2c\r\n"),
        with("a long value", &format!("X: {}\r\n", "x".repeat(30_000))),
        with("many lines", &(0..100).map(|n| format!("X-{n}: 1\r\n")).collect::<String>()),
        status("no reason", "200 ", 200),
        status("no reason and no space", "200", 200),
        status("an odd reason", "200 It's (really) fine!", 200),
        status("201", "201 Created", 201),
        status("299", "299 Odd", 299),
        status("302", "302 Found", 302),
        status("400", "400 Bad Request", 400),
        status("401", "401 Unauthorized", 401),
        status("404", "404 Not Found", 404),
        status("418", "418 I'm a teapot", 418),
        status("429", "429 Too Many Requests", 429),
        status("500", "500 Internal Server Error", 500),
        status("599", "599 Odd", 599),
        good("leading zeros in a length", "HTTP/1.1 200 OK\r\nContent-Length: 0002\r\n\r\nok", 200, "ok"),
        good("an empty body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, ""),
        good(
            "a body that looks like an answer",
            "HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\nHTTP/1.1 404 No\r\n\r\n",
            200,
            "HTTP/1.1 404 No\r\n\r\n",
        ),
        good("a body of line ends", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\r\n\r\n", 200, "\r\n\r\n"),
        Good { closes: true, ..with("close", "Connection: close\r\n") },
        Good {
            closes: true,
            ..good("HTTP/1.0 with a length", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok")
        },
        good(
            "HTTP/1.0 that is kept",
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
            200,
            "ok",
        ),
    ]
}

fn unsized_() -> Vec<Good> {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    vec![
        good("204", "HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        good("204 with a length of zero", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204, ""),
        good("304", "HTTP/1.1 304 Not Modified\r\n\r\n", 304, ""),
        good(
            "304 with the length it would have",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            304,
            "",
        ),
        good("100 before it", &format!("HTTP/1.1 100 Continue\r\n\r\n{ok}"), 200, "ok"),
        good("102 before it", &format!("HTTP/1.1 102 Processing\r\n\r\n{ok}"), 200, "ok"),
        good("103 before it", &format!("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n{ok}"), 200, "ok"),
        good("many before it", &("HTTP/1.1 100 Continue\r\n\r\n".repeat(50) + ok), 200, "ok"),
        good(
            "100 with a length of zero before it",
            &format!("HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n{ok}"),
            200,
            "ok",
        ),
        until_close("a body until close", "HTTP/1.1 200 OK\r\n\r\nbody", 200, "body"),
        until_close("an empty body until close", "HTTP/1.1 200 OK\r\n\r\n", 200, ""),
        until_close("HTTP/1.0 until close", "HTTP/1.0 200 OK\r\n\r\nbody", 200, "body"),
        until_close(
            "keep-alive without a length",
            "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\nbody",
            200,
            "body",
        ),
        until_close("an error until close", "HTTP/1.1 404 Not Found\r\n\r\nbody", 404, "body"),
    ]
}

fn chunked() -> Vec<Good> {
    let chunks = |name, rest: &str, body| {
        good(name, &format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{rest}"), 200, body)
    };
    vec![
        chunks("chunks", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abcde"),
        chunks("an empty body in chunks", "0\r\n\r\n", ""),
        chunks("sizes in capitals", "A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        chunks("sizes with leading zeros", "003\r\nabc\r\n00\r\n\r\n", "abc"),
        chunks("an extension", "3;a=b\r\nabc\r\n0;c\r\n\r\n", "abc"),
        chunks("trailers", "3\r\nabc\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\n", "abc"),
        chunks("a chunk that looks like the end", "5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n"),
        chunks(
            "a chunk that looks like an answer",
            "13\r\nHTTP/1.1 404 No\r\n\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 404 No\r\n\r\n",
        ),
        good(
            "the coding in capitals",
            "HTTP/1.1 200 OK\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            200,
            "x",
        ),
        good(
            "an error in chunks",
            "HTTP/1.1 404 x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            404,
            "x",
        ),
        Good {
            closes: true,
            ..good(
                "chunks, then close",
                "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
                200,
                "x",
            )
        },
        chunks("an announced trailer", "0\r\nX-Sum: 1\r\n\r\n", ""),
        chunks("a chunk of one byte", "1\r\nx\r\n0\r\n\r\n", "x"),
    ]
}
