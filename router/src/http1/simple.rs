//! Responses that the router makes itself.

use super::ConnectionLine;
use super::write::{push_connection, push_decimal, push_header, push_length};

/// What tells a client that holds its body back to send it. The router answers `Expect: 100-continue` itself.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Appends a whole response. It says `Connection: close` unless `keep_alive`.
pub fn write_simple_response(
    out: &mut Vec<u8>,
    status: u16,
    headers: &[(&str, &[u8])],
    body: &[u8],
    keep_alive: bool,
) {
    write_simple_head(out, status, headers, body.len() as u64, keep_alive);
    out.extend_from_slice(body);
}

/// Appends the head alone, which is all that a `HEAD` request gets. No length is written where none may be.
pub fn write_simple_head(
    out: &mut Vec<u8>,
    status: u16,
    headers: &[(&str, &[u8])],
    length: u64,
    keep_alive: bool,
) {
    out.extend_from_slice(b"HTTP/1.1 ");
    push_decimal(out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(reason_phrase(status).as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, value) in headers {
        push_header(out, name, value);
    }
    if status >= 200 && !matches!(status, 204 | 304) {
        push_length(out, length);
    }
    push_connection(out, if keep_alive { ConnectionLine::Omit } else { ConnectionLine::Close });
    out.extend_from_slice(b"\r\n");
}

/// The usual phrase of a status code; empty where there is none.
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        499 => "Client Closed Request",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Framing, HeadLimits, RequestFacts, ResponseHead};
    use super::*;

    #[test]
    fn a_simple_response_is_exactly_this() {
        let mut out = Vec::new();
        write_simple_response(&mut out, 503, &[("Retry-After", b"1")], b"{}", false);
        let expected = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
        assert_eq!(out, expected);
    }

    #[test]
    fn every_status_gives_a_head_that_parses() {
        for status in 200..=599 {
            let mut out = Vec::new();
            write_simple_head(&mut out, status, &[], 0, true);
            let mut head = ResponseHead::default();
            let outcome = head.parse(&out, &HeadLimits::default(), RequestFacts::default());
            assert_eq!(outcome, Ok(Some(out.len())));
            assert_eq!((head.status(), head.reason(&out)), (status, reason_phrase(status).as_bytes()));
            assert!(head.keep_alive());
        }
    }

    #[test]
    fn the_continue_line_is_an_interim_response_without_body() {
        let mut head = ResponseHead::default();
        head.parse(CONTINUE, &HeadLimits::default(), RequestFacts::default()).unwrap().unwrap();
        assert!(head.is_informational());
        assert_eq!(head.framing(), Framing::None);
    }
}
