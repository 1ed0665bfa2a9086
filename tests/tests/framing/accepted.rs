//! Requests that are unusual and right: each reaches the engine as it was sent, less what concerns one connection only.

/// What is sent, and what the engine must see of it.
#[derive(Clone)]
pub(super) struct Good {
    pub(super) name: &'static str,
    pub(super) sent: Vec<u8>,
    /// Head and body, without the router's own request id.
    pub(super) seen: Vec<u8>,
}

fn same(name: &'static str, sent: impl AsRef<[u8]>) -> Good {
    Good { name, sent: sent.as_ref().to_vec(), seen: sent.as_ref().to_vec() }
}

fn changed(name: &'static str, sent: &str, seen: &str) -> Good {
    Good { name, sent: sent.into(), seen: seen.into() }
}

/// A request with these header lines, each ended by CRLF, and what follows.
fn with(name: &'static str, headers: &str, rest: &str) -> Good {
    same(name, format!("POST /x HTTP/1.1\r\nHost: h\r\n{headers}\r\n{rest}"))
}

fn chunks(name: &'static str, rest: &str) -> Good {
    with(name, "Transfer-Encoding: chunked\r\n", rest)
}

/// The same without some header lines.
fn dropped(name: &'static str, gone: &str, rest: &str) -> Good {
    let (sent, seen) = (
        format!("GET /x HTTP/1.1\r\nHost: h\r\n{gone}{rest}\r\n"),
        format!("GET /x HTTP/1.1\r\nHost: h\r\n{rest}\r\n"),
    );
    changed(name, &sent, &seen)
}

/// All of them.
pub(super) fn cases() -> Vec<Good> {
    [methods(), targets(), headers(), lengths(), chunked(), connections()].concat()
}

fn methods() -> Vec<Good> {
    let line = |name, line: &str| same(name, format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n"));
    vec![
        line("GET", "GET /x"),
        line("HEAD", "HEAD /x"),
        line("DELETE", "DELETE /x"),
        line("OPTIONS", "OPTIONS /x"),
        line("OPTIONS about the server", "OPTIONS *"),
        line("PUT without a body", "PUT /x"),
        line("PATCH", "PATCH /x"),
        line("TRACE", "TRACE /x"),
        line("a method of its own", "PURGE /x"),
        line("a method with all token characters", "A-b.c_d~e!f#g$h%i&j'k*l+m^n`o|p /x"),
        with("a POST without a body", "", ""),
        with("a POST with an empty body", "Content-Length: 0\r\n", ""),
        same("a GET with a body", "GET /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"),
        same("a DELETE with a body", "DELETE /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"),
    ]
}

fn targets() -> Vec<Good> {
    let line = |name, target: &str| same(name, format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"));
    vec![
        line("the root", "/"),
        line("a query", "/x?a=b&c=%20d"),
        line("an empty query", "/x?"),
        line("a question mark in a query", "/x?a?b"),
        line("percent-encoded bytes as they are", "/%2e%2e/%00%ff"),
        line("dots as they are", "/a/../b/./c"),
        line("slashes as they are", "//a///b"),
        line("odd characters", "/a;b=c,d:e@f!$&'()*+=~-_."),
        line("characters that should be encoded", "/a|b\\c^d`{e}\"<f>"),
        line("a long target", &format!("/{}", "x".repeat(8_000))),
        changed(
            "an absolute target",
            "GET http://h/x?y HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /x?y HTTP/1.1\r\nHost: h\r\n\r\n",
        ),
        changed(
            "an absolute target without a path",
            "GET http://h HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        ),
        changed(
            "an absolute target with a query only",
            "GET http://h?y HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /?y HTTP/1.1\r\nHost: h\r\n\r\n",
        ),
        changed(
            "an absolute target in other letters",
            "GET HTTP://H/x HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /x HTTP/1.1\r\nHost: h\r\n\r\n",
        ),
    ]
}

fn headers() -> Vec<Good> {
    let many: String = (0..100).map(|n| format!("X-{n}: 1\r\n")).collect();
    let host = |name, host: &str| same(name, format!("GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    vec![
        with("odd letters in names", "x-LoWeR-UpPeR: 1\r\n", ""),
        with("the same name twice", "X: 1\r\nX: 2\r\n", ""),
        with("an empty value", "X:\r\nY: \r\n", ""),
        with("spaces around a value", "X:   a b\t c  \r\n", ""),
        with("no space before a value", "X:a\r\n", ""),
        with("a tab in a value", "X: a\tb\r\n", ""),
        with("a colon in a value", "X: a:b: c\r\n", ""),
        same("bytes above 127 in a value", b"POST /x HTTP/1.1\r\nHost: h\r\nX: \xe9\xff\x80\r\n\r\n"),
        with("all token characters in a name", "!#$%&'*+-.^_`|~09azAZ: 1\r\n", ""),
        with("many lines", &many, ""),
        with("a long value", &format!("X: {}\r\n", "x".repeat(30_000)), ""),
        with("several cookies", "Cookie: a=b; c=d\r\nCookie: e=f\r\n", ""),
        with("credentials", "Authorization: Bearer sk-1\r\nProxy-Authorization: Basic eA==\r\n", ""),
        with(
            "a name that begins as a known one",
            "Content-Length-X: 5\r\nTransfer-Encoding2: chunked\r\n",
            "",
        ),
        host("a host with a port", "h:8000"),
        host("an IPv4 host", "127.0.0.1:8000"),
        host("an IPv6 host", "[::1]:8000"),
        host("a host with an empty port", "h:"),
        host("an empty host, which is what a client without one must send", ""),
    ]
}

fn lengths() -> Vec<Good> {
    vec![
        with("leading zeros", "Content-Length: 0003\r\n", "abc"),
        with("spaces around a length", "Content-Length:  \t3 \r\n", "abc"),
        with("a length in small letters", "content-length: 3\r\n", "abc"),
        with(
            "a body that looks like a request",
            "Content-Length: 37\r\n",
            "GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n".get(..37).unwrap_or_default(),
        ),
        with("a body of line ends", "Content-Length: 8\r\n", "\r\n\r\n\r\n\r\n"),
        with("a body that ends as chunks do", "Content-Length: 5\r\n", "0\r\n\r\n"),
        with("a compressed body", "Content-Encoding: gzip\r\nContent-Length: 3\r\n", "\u{1f}\u{8b}"),
        with("a large body", "Content-Length: 300000\r\n", &"x".repeat(300_000)),
    ]
}

fn chunked() -> Vec<Good> {
    vec![
        chunks("an empty body in chunks", "0\r\n\r\n"),
        chunks("several chunks", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
        chunks("sizes in both letters", "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"),
        chunks("sizes with leading zeros", "0003\r\nabc\r\n000\r\n\r\n"),
        chunks("an extension", "3;a=b\r\nabc\r\n0\r\n\r\n"),
        chunks("an extension in quotes", "3;a=\"b;c\"\r\nabc\r\n0\r\n\r\n"),
        chunks("an extension of the last chunk", "0;a\r\n\r\n"),
        chunks("a trailer", "3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n"),
        chunks("several trailers", "0\r\nA: 1\r\nB:\r\n\r\n"),
        chunks(
            "chunks that look like a request",
            "26\r\nGET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n\r\n0\r\n\r\n",
        ),
        chunks("chunks that look like the end", "5\r\n0\r\n\r\n\r\n0\r\n\r\n"),
        chunks("a large chunk", &format!("{:x}\r\n{}\r\n0\r\n\r\n", 200_000, "x".repeat(200_000))),
        chunks("many small chunks", &format!("{}0\r\n\r\n", "1\r\nx\r\n".repeat(3_000))),
        with("the coding in capitals", "Transfer-Encoding: CHUNKED\r\n", "1\r\nx\r\n0\r\n\r\n"),
        with("spaces around the coding", "Transfer-Encoding:  chunked \r\n", "1\r\nx\r\n0\r\n\r\n"),
        with(
            "a trailer that was announced",
            "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n",
            "0\r\nX-Sum: 1\r\n\r\n",
        ),
    ]
}

fn connections() -> Vec<Good> {
    vec![
        changed(
            "an empty line before it",
            "\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /x HTTP/1.1\r\nHost: h\r\n\r\n",
        ),
        dropped("keep-alive", "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n", "X: 1\r\n"),
        dropped("a header that Connection names", "Connection: x-hop\r\nX-Hop: 1\r\n", "X: 1\r\n"),
        dropped("TE", "TE: trailers\r\n", "X: 1\r\n"),
        dropped("Proxy-Connection", "Proxy-Connection: keep-alive\r\n", "X: 1\r\n"),
        dropped(
            "an upgrade to another protocol",
            "Upgrade: websocket\r\nConnection: Upgrade\r\n",
            "X: 1\r\n",
        ),
        dropped(
            "an upgrade to HTTP/2",
            "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAA\r\n",
            "X: 1\r\n",
        ),
        with("Connection cannot take away the framing", "Content-Length: 3\r\n", "abc"),
        changed(
            "a length that Connection names",
            "POST /x HTTP/1.1\r\nHost: h\r\nConnection: content-length, host\r\nContent-Length: 3\r\n\r\nabc",
            "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
        ),
        changed(
            "an expectation, with the body at once",
            "POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
            "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
        ),
        changed("HTTP/1.0", "GET /x HTTP/1.0\r\nHost: h\r\n\r\n", "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"),
        changed(
            "HTTP/1.0 with a body and keep-alive",
            "POST /x HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc",
            "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
        ),
    ]
}
