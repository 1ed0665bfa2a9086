//! Requests that two parsers could cut at different places, or that are none: each is refused, and closes.

use super::Case;

/// A POST with these header lines (each ended by CRLF) and what follows the empty line.
fn post(headers: &str, rest: &str) -> Vec<u8> {
    format!("POST /v1/completions HTTP/1.1\r\nHost: h\r\n{headers}\r\n{rest}").into_bytes()
}

/// A POST in chunks, with the chunks as given.
fn chunks(bytes: &str) -> Vec<u8> {
    post("Transfer-Encoding: chunked\r\n", bytes)
}

fn raw(bytes: &str) -> Vec<u8> {
    bytes.as_bytes().to_vec()
}

/// What must never be taken for a request of its own.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";

/// All of them.
pub(super) fn cases() -> Vec<Case> {
    [lengths(), codings(), lines(), heads(), targets(), bodies()].concat()
}

fn lengths() -> Vec<Case> {
    let with =
        |name, value: &str, status| (name, post(&format!("Content-Length: {value}\r\n"), SMUGGLED), status);
    vec![
        with("a signed length", "+5", 400),
        with("a negative length", "-1", 400),
        with("a hexadecimal length", "0x5", 400),
        with("a length with an exponent", "1e1", 400),
        with("a length with a point", "5.0", 400),
        with("an empty length", "", 400),
        with("a listed length", "5, 5", 400),
        with("two listed lengths", "5, 6", 400),
        with("a length and a word", "5 bytes", 400),
        with("a length with a space within", "1 0", 400),
        with("a quoted length", "\"5\"", 400),
        with("a length with an underscore", "1_0", 400),
        with("a length beyond 63 bits", "9223372036854775808", 400),
        with("a length beyond 64 bits", "18446744073709551621", 400),
        with("a length of digits without end", &"9".repeat(60), 400),
        ("the same length twice", post("Content-Length: 5\r\nContent-Length: 5\r\n", SMUGGLED), 400),
        ("two lengths", post("Content-Length: 5\r\nContent-Length: 6\r\n", SMUGGLED), 400),
        ("two lengths in different case", post("Content-Length: 5\r\ncontent-length: 0\r\n", SMUGGLED), 400),
        ("a length over the limit", post("Content-Length: 99999999999\r\n", SMUGGLED), 413),
    ]
}

fn codings() -> Vec<Case> {
    let with = |name, value: &str, status| {
        (
            name,
            post(
                &format!("Transfer-Encoding: {value}\r\n"),
                "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n",
            ),
            status,
        )
    };
    vec![
        (
            "length, then coding",
            post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            400,
        ),
        (
            "coding, then length",
            post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
            400,
        ),
        (
            "a length of zero and a coding",
            post("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            400,
        ),
        (
            "coding twice",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
            400,
        ),
        (
            "coding and identity on two lines",
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"),
            400,
        ),
        with("identity", "identity", 400),
        with("an unknown coding", "cow", 400),
        with("chunked, then identity", "chunked, identity", 400),
        with("chunked twice in a list", "chunked, chunked", 400),
        with("an empty coding", "", 400),
        with("an empty element", ", chunked", 400),
        with("a trailing comma", "chunked,", 400),
        with("a word that ends in chunked", "xchunked", 400),
        with("a word that begins with chunked", "chunkedx", 400),
        with("chunked with a parameter", "chunked;q=1", 400),
        with("chunked in quotes", "\"chunked\"", 400),
        with("gzip below chunked", "gzip, chunked", 501),
        with("chunked below gzip", "chunked, gzip", 400),
        with("a vertical tab before chunked", "\u{b}chunked", 400),
        with("a form feed behind chunked", "chunked\u{c}", 400),
        (
            "chunked on HTTP/1.0",
            raw("POST /v1/completions HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            400,
        ),
    ]
}

fn lines() -> Vec<Case> {
    vec![
        ("a space before the colon", post("Content-Length : 5\r\n", SMUGGLED), 400),
        ("a tab before the colon", post("Transfer-Encoding\t: chunked\r\n", SMUGGLED), 400),
        ("a space within a name", post("Content Length: 5\r\n", SMUGGLED), 400),
        ("an empty name", post(": x\r\n", ""), 400),
        ("a line without a colon", post("Content-Length\r\n", ""), 400),
        ("a control character in a name", post("Content\u{1}Length: 5\r\n", ""), 400),
        ("a colon behind a parenthesis", post("(x): 5\r\n", ""), 400),
        ("a byte above 127 in a name", [&post("", "")[..40], b"X\xe9: 1\r\n\r\n"].concat(), 400),
        ("a folded line by a space", post("X: a\r\n b\r\n", ""), 400),
        ("a folded line by a tab", post("X: a\r\n\tb\r\n", ""), 400),
        ("a folded coding", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), 400),
        ("a first line that is folded", raw("POST /v1/completions HTTP/1.1\r\n Host: h\r\n\r\n"), 400),
        ("a zero byte in a value", post("X: a\0b\r\n", ""), 400),
        ("a zero byte in a name", post("X\0: a\r\n", ""), 400),
        ("a bare CR in a value", post("X: a\rContent-Length: 5\r\n", ""), 400),
        ("a bare LF in a value", post("X: a\nContent-Length: 5\r\n", ""), 400),
        ("a bare LF for an end of line", raw("POST /v1/completions HTTP/1.1\nHost: h\n\n"), 400),
        ("a bare LF for the empty line", raw("POST /v1/completions HTTP/1.1\r\nHost: h\r\n\n"), 400),
        ("a bare CR for an end of line", raw("POST /v1/completions HTTP/1.1\rHost: h\r\r"), 400),
        ("an escape character in a value", post("X: \u{1b}[0m\r\n", ""), 400),
        ("a DEL in a value", post("X: a\u{7f}\r\n", ""), 400),
    ]
}

fn heads() -> Vec<Case> {
    let many: String = (0..200).map(|n| format!("X-{n}: 1\r\n")).collect();
    let host = |hosts: &str| raw(&format!("GET /x HTTP/1.1\r\n{hosts}\r\n"));
    vec![
        ("no host", host(""), 400),
        ("two hosts", host("Host: a\r\nHost: b\r\n"), 400),
        ("the same host twice", host("Host: a\r\nHost: a\r\n"), 400),
        ("a host with a path", host("Host: a/b\r\n"), 400),
        ("a host with a user", host("Host: u@a\r\n"), 400),
        ("two hosts in a list", host("Host: a, b\r\n"), 400),
        ("a host with a space", host("Host: a b\r\n"), 400),
        ("a host with a port of words", host("Host: a:http\r\n"), 400),
        ("too many header lines", post(&many, ""), 431),
        ("a head that is too long", post(&format!("X: {}\r\n", "x".repeat(70_000)), ""), 431),
        ("a head without end", raw(&format!("GET /x HTTP/1.1\r\nX: {}", "x".repeat(70_000))), 431),
        (
            "a request line that is too long",
            raw(&format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(20_000))),
            414,
        ),
    ]
}

fn targets() -> Vec<Case> {
    let line = |line: &str| raw(&format!("{line}\r\nHost: h\r\n\r\n"));
    vec![
        ("no version", line("GET /x"), 400),
        ("an unknown version", line("GET /x HTTP/1.2"), 505),
        ("HTTP/2 in a line", line("GET /x HTTP/2.0"), 505),
        ("HTTP/0.9", line("GET /x HTTP/0.9"), 505),
        ("a version in small letters", line("GET /x http/1.1"), 400),
        ("something behind the version", line("GET /x HTTP/1.1 x"), 400),
        ("two spaces before the version", line("GET /x  HTTP/1.1"), 400),
        ("two spaces before the target", line("GET  /x HTTP/1.1"), 400),
        ("a tab for a space", line("GET\t/x\tHTTP/1.1"), 400),
        ("no target", line("GET HTTP/1.1"), 400),
        ("a target without a slash", line("GET x HTTP/1.1"), 400),
        ("a target with a fragment", line("GET /x#y HTTP/1.1"), 400),
        ("a target with a byte above 127", b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(), 400),
        ("an asterisk where it means nothing", line("GET * HTTP/1.1"), 400),
        ("a scheme that is not ours", line("GET ftp://h/x HTTP/1.1"), 400),
        ("another host than Host", line("GET http://other/x HTTP/1.1"), 400),
        ("a tunnel", raw("CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n"), 501),
        ("a method with a space before it", line(" GET /x HTTP/1.1"), 400),
        ("a method with a comma", line("GE,T /x HTTP/1.1"), 400),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), 400),
        ("words of another protocol", raw("EHLO example.org\r\n\r\n"), 400),
    ]
}

fn bodies() -> Vec<Case> {
    vec![
        ("a chunk size of no digits", chunks("\r\n\r\n"), 400),
        ("a signed chunk size", chunks("+5\r\nabcde\r\n0\r\n\r\n"), 400),
        ("a negative chunk size", chunks("-1\r\n\r\n"), 400),
        ("a chunk size with 0x", chunks("0x5\r\nabcde\r\n0\r\n\r\n"), 400),
        ("a chunk size that is no number", chunks("five\r\nabcde\r\n0\r\n\r\n"), 400),
        ("a space before a chunk size", chunks(" 5\r\nabcde\r\n0\r\n\r\n"), 400),
        ("a space behind a chunk size", chunks("5 \r\nabcde\r\n0\r\n\r\n"), 400),
        ("a chunk size beyond 64 bits", chunks("10000000000000005\r\nabcde\r\n0\r\n\r\n"), 400),
        ("a chunk size of zeros without end", chunks("00000000000000005\r\nabcde\r\n0\r\n\r\n"), 400),
        ("a chunk size ended by LF", chunks("5\nabcde\r\n0\r\n\r\n"), 400),
        ("a chunk size ended by CR", chunks("5\rabcde\r\n0\r\n\r\n"), 400),
        ("no CRLF behind a chunk", chunks("5\r\nabcde0\r\n\r\n"), 400),
        ("LF behind a chunk", chunks("5\r\nabcde\n0\r\n\r\n"), 400),
        ("a chunk that is longer than its size", chunks("5\r\nabcdefg\r\n0\r\n\r\n"), 400),
        ("a line feed in an extension", chunks("5;a\nb\r\nabcde\r\n0\r\n\r\n"), 400),
        ("a zero byte in an extension", chunks("5;a\0\r\nabcde\r\n0\r\n\r\n"), 400),
        ("an extension without end", chunks(&format!("5;{}\r\nabcde\r\n0\r\n\r\n", "x".repeat(2_000))), 400),
        ("a trailer without a colon", chunks("0\r\nTrailer\r\n\r\n"), 400),
        ("a trailer that is folded", chunks("0\r\nA: b\r\n c\r\n\r\n"), 400),
        ("a trailer with a space before its colon", chunks("0\r\nA : b\r\n\r\n"), 400),
        ("a trailer ended by LF", chunks("0\r\nA: b\n\r\n"), 400),
        ("trailers without end", chunks(&format!("0\r\nA: {}\r\n\r\n", "x".repeat(20_000))), 431),
        ("LF for the end of trailers", chunks("0\r\n\n"), 400),
    ]
}
