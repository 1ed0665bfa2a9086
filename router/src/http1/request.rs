//! Request heads: parsed once complete, kept as offsets, refused where they can be read in two ways.

use std::mem::MaybeUninit;

use super::fields::Fields;
use super::scan::{HeadScan, is_plain, max_head};
use super::{Framing, FramingError, HeadLimits, MAX_HEADERS, Span, Version, refusal, target};

/// The method of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Method {
    /// `GET`
    #[default]
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
    /// `OPTIONS`
    Options,
    /// `TRACE`
    Trace,
    /// Any other token but `CONNECT`, which is refused.
    Other,
}

impl Method {
    fn of(token: &str) -> Self {
        match token {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            "TRACE" => Self::Trace,
            _ => Self::Other,
        }
    }
}

/// One request head, reused for all requests of a connection.
///
/// Offsets refer to the buffer given to [`parse`](Self::parse); accessors that return bytes take it again.
#[derive(Debug, Default)]
pub struct RequestHead {
    pub(super) fields: Fields,
    pub(super) line: Line,
    scan: HeadScan,
    framing: Framing,
    keep_alive: bool,
    expect_continue: bool,
    upgrade: bool,
    head_len: u32,
}

/// The request line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Line {
    /// First byte of the method: 2 after an ignored empty line, else 0.
    pub(super) start: u32,
    pub(super) method: Method,
    pub(super) method_span: Span,
    pub(super) version: Version,
    pub(super) target: target::Target,
}

impl RequestHead {
    /// Parses the head at the start of `buf`: its length once complete, `None` while bytes are missing.
    ///
    /// After `None`, call again with the same bytes and more behind them; none is looked at twice for the
    /// head's end. After anything else, the next call starts a new head.
    pub fn parse(&mut self, buf: &[u8], limits: &HeadLimits) -> Result<Option<usize>, FramingError> {
        let outcome = self.try_parse(buf, limits);
        if !matches!(outcome, Ok(None)) {
            self.scan = HeadScan::default();
        }
        outcome
    }

    fn try_parse(&mut self, buf: &[u8], limits: &HeadLimits) -> Result<Option<usize>, FramingError> {
        let start = match buf {
            // RFC 9112, 2.2: some clients end a body with an extra CRLF; one is ignored.
            [b'\r', b'\n', ..] => 2,
            [] | [b'\r'] => return Ok(None),
            [b'\r', ..] => return Err(FramingError::BareCr),
            [b'\n', ..] => return Err(FramingError::BareLf),
            _ => 0,
        };
        match buf.get(start) {
            None => return Ok(None),
            Some(&first) if !refusal::is_token(first) => return Err(FramingError::BadMethod),
            Some(_) => {}
        }
        if self.scan.is_fresh()
            && let Some(outcome) = self.read_at_once(buf, start, limits)
        {
            return outcome.map(Some);
        }
        let too_long = FramingError::TargetTooLong;
        let Some(len) = self.scan.end(&buf[start..], limits, limits.request_line, too_long)? else {
            return Ok(None);
        };
        let head = &buf[start..start + len];
        let mut slots = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut []);
        match parsed.parse_with_uninit_headers(head, &mut slots) {
            Ok(_) => self.accept(buf, start, len, &parsed, limits.body).map(Some),
            Err(error) => Err(refusal::request(head, error)),
        }
    }

    /// The usual case, the whole head in one read. `None` leaves it to the scan, which also names all faults.
    fn read_at_once(
        &mut self,
        buf: &[u8],
        start: usize,
        limits: &HeadLimits,
    ) -> Option<Result<usize, FramingError>> {
        let window = &buf[start..buf.len().min(start + max_head(limits))];
        let mut slots = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut []);
        let slots = &mut slots[..limits.headers.min(MAX_HEADERS)];
        let Ok(httparse::Status::Complete(len)) = parsed.parse_with_uninit_headers(window, slots) else {
            return None;
        };
        is_plain(&window[..len], parsed.headers, limits.request_line)
            .then(|| self.accept(buf, start, len, &parsed, limits.body))
    }

    fn accept(
        &mut self,
        buf: &[u8],
        start: usize,
        len: usize,
        parsed: &httparse::Request<'_, '_>,
        max_body: u64,
    ) -> Result<usize, FramingError> {
        let (Some(method), Some(path), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
            return Err(FramingError::BadVersion);
        };
        if method == "CONNECT" {
            return Err(FramingError::ConnectRefused);
        }
        self.fields.collect(buf, parsed.headers)?;
        self.line = Line {
            start: start as u32,
            method: Method::of(method),
            method_span: Span::of(buf, method.as_bytes()),
            version: if minor == 0 { Version::Http10 } else { Version::Http11 },
            target: target::Target::read(buf, path.as_bytes(), method == "OPTIONS")?,
        };
        self.head_len = (start + len) as u32;
        self.conclude(buf, max_body)?;
        Ok(start + len)
    }

    fn conclude(&mut self, buf: &[u8], max_body: u64) -> Result<(), FramingError> {
        let (facts, version) = (&self.fields.facts, self.line.version);
        target::check_host(buf, facts.host, self.line.target.authority, version)?;
        self.framing = facts.framing(buf, version)?.unwrap_or(Framing::None);
        if matches!(self.framing, Framing::Length(length) if length > max_body) {
            return Err(FramingError::BodyTooLarge);
        }
        self.keep_alive = facts.keep_alive(version);
        self.upgrade = facts.upgrade(version);
        let has_body = !matches!(self.framing, Framing::None | Framing::Length(0));
        self.expect_continue = facts.expect_continue && has_body && version == Version::Http11;
        Ok(())
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.line.method
    }

    /// The method as it was sent.
    pub fn method_bytes<'b>(&self, buf: &'b [u8]) -> &'b [u8] {
        self.line.method_span.get(buf)
    }

    /// The target as it was sent.
    pub fn target<'b>(&self, buf: &'b [u8]) -> &'b [u8] {
        self.line.target.whole.get(buf)
    }

    /// The path without scheme, authority and query; `*` for a request about the server itself.
    pub fn path<'b>(&self, buf: &'b [u8]) -> &'b [u8] {
        self.line.target.path(buf, self.line.method)
    }

    /// The version of the client's message.
    pub fn version(&self) -> Version {
        self.line.version
    }

    /// How the body ends; never [`Framing::UntilClose`].
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether the client lets the connection be used again after this request.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Whether the client holds its body back until it reads [`CONTINUE`](super::CONTINUE).
    pub fn expect_continue(&self) -> bool {
        self.expect_continue
    }

    /// Whether the client asks for another protocol. [`write_request`](super::write_request) drops the wish
    /// unless told otherwise.
    pub fn upgrade(&self) -> bool {
        self.upgrade
    }

    /// Bytes of the head; the body starts here.
    pub fn head_len(&self) -> usize {
        self.head_len as usize
    }

    /// Value of the first header of this name, in any case.
    pub fn header<'b>(&self, buf: &'b [u8], name: &str) -> Option<&'b [u8]> {
        self.fields.get(buf, name.as_bytes())
    }

    /// Names and values of all headers in order.
    pub fn headers<'b>(&self, buf: &'b [u8]) -> impl Iterator<Item = (&'b [u8], &'b [u8])> {
        self.fields.iter(buf)
    }

    /// Number of header lines.
    pub fn header_count(&self) -> usize {
        self.fields.list.len()
    }
}

#[cfg(test)]
mod tests;
