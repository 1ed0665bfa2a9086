//! Names the reason when `httparse` refuses a head. Runs only then, so it may look at the bytes again.

use memchr::memchr;

use super::FramingError;

/// Why `head`, a request head up to its end, was refused.
pub(super) fn request(head: &[u8], error: httparse::Error) -> FramingError {
    match error {
        _ if memchr(0, head).is_some() => FramingError::Nul,
        httparse::Error::Token | httparse::Error::Version | httparse::Error::NewLine => request_line(head),
        other => common(head, other),
    }
}

/// Why `head`, a response head up to its end, was refused.
pub(super) fn response(head: &[u8], error: httparse::Error) -> FramingError {
    match error {
        _ if memchr(0, head).is_some() => FramingError::Nul,
        httparse::Error::Version => {
            version(head.split(|&byte| matches!(byte, b' ' | b'\r')).next().unwrap_or_default())
        }
        other => common(head, other),
    }
}

fn common(head: &[u8], error: httparse::Error) -> FramingError {
    match error {
        httparse::Error::HeaderName => header_name(head),
        httparse::Error::HeaderValue => FramingError::BadHeaderValue,
        httparse::Error::TooManyHeaders => FramingError::TooManyHeaders,
        httparse::Error::Token
        | httparse::Error::Version
        | httparse::Error::NewLine
        | httparse::Error::Status => FramingError::BadStatusLine,
    }
}

fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

fn request_line(head: &[u8]) -> FramingError {
    let line = lines(head).next().unwrap_or_default();
    let mut words = line.splitn(3, |&byte| byte == b' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if method.is_empty() || !method.iter().all(|&byte| is_token(byte)) {
        return FramingError::BadMethod;
    }
    if target.is_empty() || !target.iter().all(u8::is_ascii_graphic) {
        return FramingError::BadTarget;
    }
    version(words.next().unwrap_or_default())
}

fn version(word: &[u8]) -> FramingError {
    match word.strip_prefix(b"HTTP/") {
        Some(b"1.0" | b"1.1") => FramingError::BadVersion,
        Some([major, b'.', minor]) if major.is_ascii_digit() && minor.is_ascii_digit() => {
            FramingError::UnsupportedVersion
        }
        _ => FramingError::BadVersion,
    }
}

fn header_name(head: &[u8]) -> FramingError {
    for line in lines(head).skip(1).take_while(|line| !line.is_empty()) {
        let Some(colon) = memchr(b':', line) else { break };
        let name = &line[..colon];
        if let Some((b' ' | b'\t', rest)) = name.split_last()
            && rest.iter().any(|&byte| is_token(byte))
        {
            return FramingError::SpaceBeforeColon;
        }
        if name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
            break;
        }
    }
    FramingError::BadHeaderName
}

/// Whether a byte may stand in a method or header name.
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
