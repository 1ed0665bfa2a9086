//! Writes a parsed head onward: the start line and end-to-end headers byte for byte, the rest left out.
//!
//! Left out are the headers of one connection (RFC 9110, 7.6.1): `Connection` and what it names,
//! `Keep-Alive`, `Proxy-Connection`, `TE`, `Upgrade`; and `Expect: 100-continue`, which the caller answers.
//! `Proxy-Authenticate` and `Proxy-Authorization` pass: no proxy here asks for credentials, so they are
//! not ours to consume. Neighbouring kept lines are copied in one piece. The version is always HTTP/1.1.

use super::fields::{Field, Fields, Kind};
use super::{RequestHead, ResponseHead, Span, Version};

/// What happens to the headers that announce the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LengthLine {
    /// They stay: the body goes on as it came.
    #[default]
    Keep,
    /// The body now has this length: `Content-Length` says so, `Transfer-Encoding` and `Trailer` go.
    Set(u64),
    /// The body has no framing of its own any more: all three go.
    Drop,
}

/// The `Connection` header of the message written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConnectionLine {
    /// None: HTTP/1.1 keeps the connection.
    #[default]
    Omit,
    /// `Connection: close`
    Close,
    /// `Connection: keep-alive`, which an HTTP/1.0 client needs to hear.
    KeepAlive,
    /// `Connection: upgrade`, and `Upgrade` stays: a tunnel on purpose.
    Upgrade,
}

/// Changes to a request on its way to an endpoint.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestEdits<'a> {
    /// `Host` for a request that came without (HTTP/1.0).
    pub host: &'a [u8],
    /// Names of headers to leave out.
    pub remove: &'a [&'a str],
    /// Headers to add at the end.
    pub add: &'a [(&'a str, &'a [u8])],
    /// The headers that announce the body.
    pub length: LengthLine,
    /// The `Connection` header.
    pub connection: ConnectionLine,
}

/// Changes to a response on its way to the client.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResponseEdits<'a> {
    /// Names of headers to leave out.
    pub remove: &'a [&'a str],
    /// Headers to add at the end.
    pub add: &'a [(&'a str, &'a [u8])],
    /// The headers that announce the body. An HTTP/1.0 client needs [`LengthLine::Drop`] for a chunked body.
    pub length: LengthLine,
    /// The `Connection` header.
    pub connection: ConnectionLine,
}

/// Appends the head for the endpoint. `buf` is what `head` was parsed from.
pub fn write_request(out: &mut Vec<u8>, buf: &[u8], head: &RequestHead, edits: &RequestEdits<'_>) {
    let line = &head.line;
    let end = head.head_len();
    out.reserve(end + 128);
    let as_sent = line.version == Version::Http11 && line.target.authority.is_none();
    let copied_from = if as_sent {
        line.start as usize
    } else {
        write_request_line(out, buf, head);
        first_header(&head.fields, end)
    };
    let lines = Lines {
        buf,
        fields: &head.fields,
        end,
        remove: edits.remove,
        // Also from HTTP/1.0, where it has no effect: an HTTP/1.1 endpoint would answer it.
        drop_expect: head.fields.facts.expect_continue,
        length: edits.length,
        connection: edits.connection,
    };
    lines.write(out, copied_from);
    if head.fields.facts.host.is_none() {
        push_header(out, "Host", edits.host);
    }
    finish(out, &lines, edits.add);
}

/// Appends the head for the client. `buf` is what `head` was parsed from.
pub fn write_response(out: &mut Vec<u8>, buf: &[u8], head: &ResponseHead, edits: &ResponseEdits<'_>) {
    let end = head.head_len();
    out.reserve(end + 128);
    let copied_from = if head.version() == Version::Http11 {
        0
    } else {
        out.extend_from_slice(b"HTTP/1.1 ");
        head.status_and_reason.start as usize
    };
    let lines = Lines {
        buf,
        fields: &head.fields,
        end,
        remove: edits.remove,
        drop_expect: false,
        length: edits.length,
        connection: edits.connection,
    };
    lines.write(out, copied_from);
    finish(out, &lines, edits.add);
}

fn write_request_line(out: &mut Vec<u8>, buf: &[u8], head: &RequestHead) {
    let line = &head.line;
    out.extend_from_slice(line.method_span.get(buf));
    out.push(b' ');
    out.extend_from_slice(line.target.path(buf, line.method));
    out.extend_from_slice(line.target.query(buf));
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

fn first_header(fields: &Fields, head_end: usize) -> usize {
    fields.list.first().map_or(head_end - 2, |field| field.name.start as usize)
}

/// The header lines of one head and what is to be done with them.
struct Lines<'a> {
    buf: &'a [u8],
    fields: &'a Fields,
    end: usize,
    remove: &'a [&'a str],
    drop_expect: bool,
    length: LengthLine,
    connection: ConnectionLine,
}

impl Lines<'_> {
    /// Copies `buf[from..]` up to the empty line, less the lines left out.
    fn write(&self, out: &mut Vec<u8>, from: usize) {
        let (list, mut kept_from) = (&self.fields.list, from);
        for (index, field) in list.iter().enumerate() {
            if self.keeps(field) {
                continue;
            }
            let next = list.get(index + 1).map_or(self.end - 2, |next| next.name.start as usize);
            out.extend_from_slice(&self.buf[kept_from..field.name.start as usize]);
            kept_from = next;
        }
        out.extend_from_slice(&self.buf[kept_from..self.end - 2]);
    }

    fn keeps(&self, field: &Field) -> bool {
        let kept = match field.kind {
            Kind::Other | Kind::Host => true,
            Kind::ContentLength | Kind::TransferEncoding | Kind::Trailer => self.length == LengthLine::Keep,
            Kind::Expect => !self.drop_expect,
            Kind::Upgrade => self.connection == ConnectionLine::Upgrade,
            Kind::Connection | Kind::HopByHop => false,
        };
        kept && !self.removes(field.name)
    }

    fn removes(&self, name: Span) -> bool {
        let name = name.get(self.buf);
        self.remove.iter().any(|gone| name.eq_ignore_ascii_case(gone.as_bytes()))
    }
}

fn finish(out: &mut Vec<u8>, lines: &Lines<'_>, add: &[(&str, &[u8])]) {
    if let LengthLine::Set(length) = lines.length {
        push_length(out, length);
    }
    push_connection(out, lines.connection);
    for (name, value) in add {
        push_header(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
}

pub(super) fn push_connection(out: &mut Vec<u8>, connection: ConnectionLine) {
    out.extend_from_slice(match connection {
        ConnectionLine::Omit => b"",
        ConnectionLine::Close => b"Connection: close\r\n",
        ConnectionLine::KeepAlive => b"Connection: keep-alive\r\n",
        ConnectionLine::Upgrade => b"Connection: upgrade\r\n",
    });
}

pub(super) fn push_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"Content-Length: ");
    push_decimal(out, length);
    out.extend_from_slice(b"\r\n");
}

/// Control characters become spaces, so that no value can end its line.
pub(super) fn push_header(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend(value.iter().map(|&byte| if byte.is_ascii_control() { b' ' } else { byte }));
    out.extend_from_slice(b"\r\n");
}

pub(super) fn push_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests;
