//! Header lines as offsets into the caller's buffer, and what they say about framing and the connection.
//!
//! Each line is classified once while it is stored, so that framing, keep-alive and the writer need no
//! further comparison of names. Line `i` ends where line `i + 1` begins: folding and bare LF are refused before.

use super::{Framing, FramingError, Version};

/// Most options that all `Connection` lines of one head may list; each is compared with every header name.
const MAX_CONNECTION_OPTIONS: usize = 32;

/// Headers that `Connection` cannot declare hop-by-hop: without them the message means something else.
const NEVER_NAMED: [&[u8]; 5] =
    [b"authorization", b"cache-control", b"content-encoding", b"content-type", b"cookie"];

/// A range of bytes in the buffer that a head was parsed from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The span of `part`, which must lie inside `buf`.
    pub(super) fn of(buf: &[u8], part: &[u8]) -> Self {
        let start = (part.as_ptr().addr() - buf.as_ptr().addr()) as u32;
        Self { start, end: start + part.len() as u32 }
    }

    /// The bytes. Panics where `buf` is shorter than the buffer that was parsed.
    pub fn get(self, buf: &[u8]) -> &[u8] {
        &buf[self.start as usize..self.end as usize]
    }
}

/// What a header line means to a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// End-to-end, nothing to do with framing.
    Other,
    /// `Host`
    Host,
    /// `Content-Length`
    ContentLength,
    /// `Transfer-Encoding`
    TransferEncoding,
    /// `Trailer`
    Trailer,
    /// `Expect`
    Expect,
    /// `Connection`
    Connection,
    /// `Upgrade`
    Upgrade,
    /// Any further header that belongs to one connection only.
    HopByHop,
}

impl Kind {
    fn of(name: &[u8]) -> Self {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        // Length and first letter rule out nearly all names before any is compared.
        match (name.len(), name.first().map_or(0, u8::to_ascii_lowercase)) {
            (2, b't') if is("te") => Self::HopByHop,
            (4, b'h') if is("host") => Self::Host,
            (6, b'e') if is("expect") => Self::Expect,
            (7, b'u') if is("upgrade") => Self::Upgrade,
            (7, b't') if is("trailer") => Self::Trailer,
            (10, b'c') if is("connection") => Self::Connection,
            (10, b'k') if is("keep-alive") => Self::HopByHop,
            (14, b'c') if is("content-length") => Self::ContentLength,
            (16, b'p') if is("proxy-connection") => Self::HopByHop,
            (17, b't') if is("transfer-encoding") => Self::TransferEncoding,
            _ => Self::Other,
        }
    }
}

/// One header line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: Span,
    pub(super) value: Span,
    pub(super) kind: Kind,
}

/// All header lines of a head.
#[derive(Debug, Default)]
pub(super) struct Fields {
    pub(super) list: Vec<Field>,
    /// Everything else; replaced as a whole for each head.
    pub(super) facts: Facts,
}

/// What the header lines say about framing and the connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    pub(super) host: Option<Span>,
    content_length: Option<Span>,
    transfer_encoding: Option<Span>,
    connection: bool,
    /// `Connection: close`
    close: bool,
    /// `Connection: keep-alive`
    keep_alive: bool,
    /// `Connection: upgrade`
    upgrade_option: bool,
    upgrade: bool,
    /// `Expect: 100-continue`
    pub(super) expect_continue: bool,
}

impl Fields {
    /// Takes over the header lines of a head that lies in `buf`.
    pub(super) fn collect(
        &mut self,
        buf: &[u8],
        parsed: &[httparse::Header<'_>],
    ) -> Result<(), FramingError> {
        self.list.clear();
        self.facts = Facts::default();
        for header in parsed {
            let kind = Kind::of(header.name.as_bytes());
            let value = Span::of(buf, header.value);
            if kind != Kind::Other {
                self.facts.note(kind, value, header.value)?;
            }
            self.list.push(Field { name: Span::of(buf, header.name.as_bytes()), value, kind });
        }
        if self.facts.connection { self.read_connection(buf) } else { Ok(()) }
    }

    fn read_connection(&mut self, buf: &[u8]) -> Result<(), FramingError> {
        let mut count = 0;
        for line in 0..self.list.len() {
            if self.list[line].kind != Kind::Connection {
                continue;
            }
            for option in list_items(self.list[line].value.get(buf)) {
                count += 1;
                if count > MAX_CONNECTION_OPTIONS {
                    return Err(FramingError::TooManyConnectionOptions);
                }
                if option.eq_ignore_ascii_case(b"close") {
                    self.facts.close = true;
                } else if option.eq_ignore_ascii_case(b"keep-alive") {
                    self.facts.keep_alive = true;
                } else if option.eq_ignore_ascii_case(b"upgrade") {
                    self.facts.upgrade_option = true;
                } else if !NEVER_NAMED.iter().any(|name| option.eq_ignore_ascii_case(name)) {
                    self.mark_hop_by_hop(buf, option);
                }
            }
        }
        Ok(())
    }

    fn mark_hop_by_hop(&mut self, buf: &[u8], name: &[u8]) {
        for field in &mut self.list {
            if field.kind == Kind::Other && field.name.get(buf).eq_ignore_ascii_case(name) {
                field.kind = Kind::HopByHop;
            }
        }
    }

    /// Value of the first header of this name.
    pub(super) fn get<'b>(&self, buf: &'b [u8], name: &[u8]) -> Option<&'b [u8]> {
        let mut list = self.list.iter();
        list.find(|field| field.name.get(buf).eq_ignore_ascii_case(name)).map(|field| field.value.get(buf))
    }

    /// Names and values in order.
    pub(super) fn iter<'b>(&self, buf: &'b [u8]) -> impl Iterator<Item = (&'b [u8], &'b [u8])> {
        self.list.iter().map(|field| (field.name.get(buf), field.value.get(buf)))
    }
}

impl Facts {
    fn note(&mut self, kind: Kind, span: Span, value: &[u8]) -> Result<(), FramingError> {
        let (slot, repeated) = match kind {
            Kind::Host => (&mut self.host, FramingError::RepeatedHost),
            Kind::ContentLength => (&mut self.content_length, FramingError::RepeatedContentLength),
            Kind::TransferEncoding => (&mut self.transfer_encoding, FramingError::RepeatedTransferEncoding),
            Kind::Connection => {
                self.connection = true;
                return Ok(());
            }
            Kind::Upgrade => {
                self.upgrade = true;
                return Ok(());
            }
            Kind::Expect => {
                self.expect_continue |=
                    list_items(value).any(|item| item.eq_ignore_ascii_case(b"100-continue"));
                return Ok(());
            }
            Kind::Trailer | Kind::HopByHop | Kind::Other => return Ok(()),
        };
        if slot.replace(span).is_some() { Err(repeated) } else { Ok(()) }
    }

    /// How the head announces its body; `None` where it says nothing.
    pub(super) fn framing(&self, buf: &[u8], version: Version) -> Result<Option<Framing>, FramingError> {
        match (self.content_length, self.transfer_encoding) {
            (None, None) => Ok(None),
            (Some(_), Some(_)) => Err(FramingError::LengthAndCoding),
            (Some(length), None) => Ok(Some(Framing::Length(decimal(length.get(buf))?))),
            (None, Some(_)) if version == Version::Http10 => Err(FramingError::CodingOnHttp10),
            (None, Some(coding)) => check_coding(coding.get(buf)).map(|()| Some(Framing::Chunked)),
        }
    }

    /// Whether the sender wants to go on using the connection.
    pub(super) fn keep_alive(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }

    /// Whether both `Upgrade` and the connection option for it are there.
    pub(super) fn upgrade(&self, version: Version) -> bool {
        self.upgrade && self.upgrade_option && version == Version::Http11
    }
}

/// Elements of a comma-separated list, empty ones left out.
fn list_items(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim).filter(|item| !item.is_empty())
}

fn trim(value: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    &value[start..end]
}

/// 18 digits stay below 2^63, so that no peer's signed 64-bit length overflows.
fn decimal(value: &[u8]) -> Result<u64, FramingError> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(FramingError::BadContentLength);
    }
    if value.len() > 18 {
        return Err(FramingError::HugeContentLength);
    }
    Ok(value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

fn check_coding(value: &[u8]) -> Result<(), FramingError> {
    let chunked = |item: &[u8]| trim(item).eq_ignore_ascii_case(b"chunked");
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let mut items = value.rsplit(|&byte| byte == b',');
    let ends_chunked = items.next().is_some_and(chunked);
    if !ends_chunked || items.any(|item| chunked(item) || trim(item).is_empty()) {
        return Err(FramingError::BadTransferEncoding);
    }
    Err(FramingError::UnsupportedTransferCoding)
}
