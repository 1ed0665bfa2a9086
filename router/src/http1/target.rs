//! Request targets and `Host`: which forms are accepted, and that both name the same host.

use memchr::{memchr, memmem};

use super::{FramingError, Method, Span, Version};

/// A request target and its parts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Target {
    pub(super) whole: Span,
    /// `host:port` of an absolute target.
    pub(super) authority: Option<Span>,
    /// Path and query as sent; may be empty or start with `?` in an absolute target.
    pub(super) origin: Span,
    path: Span,
}

impl Target {
    /// `target` is free of spaces and control characters and lies inside `buf`.
    pub(super) fn read(buf: &[u8], target: &[u8], options: bool) -> Result<Self, FramingError> {
        if !target.is_ascii() || memchr(b'#', target).is_some() {
            return Err(FramingError::BadTarget);
        }
        let (authority, origin) = match target {
            [b'/', ..] => (None, target),
            b"*" if options => (None, target),
            _ => split_absolute(target).map(|(host, origin)| (Some(host), origin))?,
        };
        let path = &origin[..memchr(b'?', origin).unwrap_or(origin.len())];
        Ok(Self {
            whole: Span::of(buf, target),
            authority: authority.map(|host| Span::of(buf, host)),
            origin: Span::of(buf, origin),
            path: Span::of(buf, path),
        })
    }

    /// The path, filled in where an absolute target has none (RFC 9112, 3.2.1 and 3.2.4).
    pub(super) fn path<'b>(&self, buf: &'b [u8], method: Method) -> &'b [u8] {
        match self.path.get(buf) {
            b"" if method == Method::Options && self.origin.get(buf).is_empty() => b"*",
            b"" => b"/",
            path => path,
        }
    }

    /// The query with its question mark, or nothing.
    pub(super) fn query<'b>(&self, buf: &'b [u8]) -> &'b [u8] {
        Span { start: self.path.end, end: self.origin.end }.get(buf)
    }
}

fn split_absolute(target: &[u8]) -> Result<(&[u8], &[u8]), FramingError> {
    let bad = FramingError::BadTarget;
    let scheme_end = memmem::find(target, b"://").ok_or(bad)?;
    let scheme = &target[..scheme_end];
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
        return Err(bad);
    }
    let rest = &target[scheme_end + 3..];
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, origin) = rest.split_at(end);
    if authority.is_empty() || !is_authority(authority) { Err(bad) } else { Ok((authority, origin)) }
}

/// Refuses a request whose host is missing, malformed or named twice in different ways.
pub(super) fn check_host(
    buf: &[u8],
    host: Option<Span>,
    authority: Option<Span>,
    version: Version,
) -> Result<(), FramingError> {
    let Some(host) = host else {
        return if version == Version::Http10 { Ok(()) } else { Err(FramingError::MissingHost) };
    };
    let host = host.get(buf);
    if !is_authority(host) {
        return Err(FramingError::BadHost);
    }
    match authority {
        Some(named) if !named.get(buf).eq_ignore_ascii_case(host) => Err(FramingError::HostMismatch),
        _ => Ok(()),
    }
}

/// `uri-host [ ":" port ]` of RFC 9110 by its characters, less the comma, which would hide a list.
fn is_authority(host: &[u8]) -> bool {
    if let [b'[', inner @ ..] = host {
        let Some(close) = memchr(b']', inner) else { return false };
        let (address, rest) = (&inner[..close], &inner[close + 1..]);
        let address_byte = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
        return !address.is_empty() && address.iter().all(address_byte) && is_port(rest);
    }
    let name_end = host.iter().position(|&byte| !NAME_BYTES[usize::from(byte)]).unwrap_or(host.len());
    is_port(&host[name_end..])
}

fn is_port(rest: &[u8]) -> bool {
    match rest {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Bytes of a host name, IPv6 aside.
static NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = matches!(byte as u8, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9'
            | b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'='
            | b'%');
        byte += 1;
    }
    table
};
