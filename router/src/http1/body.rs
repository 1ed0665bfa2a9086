//! Where a body ends, whatever its framing, found while its bytes pass through.

use super::{Chunked, Framing, FramingError};
use crate::kernel::{self, kind};

/// What one call read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'i> {
    /// Bytes of the input that belong to the body as sent, framing included.
    pub consumed: usize,
    /// The payload among them, one piece. Empty where only framing was read.
    pub payload: &'i [u8],
    /// Whether the body is complete; what was not consumed belongs to the next message.
    pub done: bool,
}

/// What a whole input held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    /// Bytes of the input that belong to the body as sent.
    pub consumed: usize,
    /// Bytes of payload among them.
    pub payload: u64,
    /// Whether the body is complete.
    pub done: bool,
}

/// How much of a body is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// So many bytes; zero means that the body is complete or that there is none.
    Length(u64),
    /// Chunks up to the empty one.
    Chunked(Chunked),
    /// All bytes until the peer closes.
    UntilClose,
}

impl Body {
    /// The body that follows a head of this framing.
    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::None => Self::Length(0),
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Chunked::default()),
            Framing::UntilClose => Self::UntilClose,
        }
    }

    /// Reads on in `input`, up to the end of the first piece of payload or of the body.
    ///
    /// Call again with what is left until it is empty or [`Step::done`].
    #[inline]
    pub fn advance<'i>(&mut self, input: &'i [u8]) -> Result<Step<'i>, FramingError> {
        let payload = match self {
            Self::Chunked(chunked) => return chunked.advance(input),
            Self::UntilClose => input,
            Self::Length(left) => {
                let taken = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= taken as u64;
                &input[..taken]
            }
        };
        Ok(Step { consumed: payload.len(), payload, done: self.is_done() })
    }

    /// Reads all of `input` that belongs to the body, for bytes that are passed on as they are.
    pub fn scan(&mut self, input: &[u8]) -> Result<Scan, FramingError> {
        let mut scan = Scan { consumed: 0, payload: 0, done: self.is_done() };
        while !scan.done && scan.consumed < input.len() {
            let step = self.advance(&input[scan.consumed..])?;
            scan.consumed += step.consumed;
            scan.payload += step.payload.len() as u64;
            scan.done = step.done;
        }
        Ok(scan)
    }

    /// The payload of a body as it was sent, as far as it is sound.
    pub fn payload(framing: Framing, sent: &[u8]) -> Vec<u8> {
        let (mut body, mut payload, mut at) = (Self::new(framing), Vec::new(), 0);
        while let Ok(step) = body.advance(&sent[at..]) {
            payload.extend_from_slice(step.payload);
            at += step.consumed;
            if step.done || step.consumed == 0 {
                break;
            }
        }
        payload
    }

    /// Whether the body is complete. Never true of a body that ends by closing.
    pub fn is_done(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunked) => chunked.is_done(),
            Self::UntilClose => false,
        }
    }

    /// Its place in the terms of the kernel lane, where the kernel may go on from it.
    pub fn to_kernel(&self) -> Option<kernel::Framing> {
        match self {
            Self::Length(left) if *left > 1 => Some(kernel::Framing::length(*left)),
            Self::Chunked(chunked) => chunked.to_kernel(),
            Self::Length(_) | Self::UntilClose => None,
        }
    }

    /// The place at which the kernel has stopped; `None` for one that it cannot be at.
    pub fn of_kernel(framing: &kernel::Framing) -> Option<Self> {
        match framing.kind {
            kind::LENGTH => Some(Self::Length(framing.remaining)),
            kind::CHUNKED => Chunked::of_kernel(framing).map(Self::Chunked),
            _ => None,
        }
    }

    /// The peer closed: an error unless that is how this body ends, or it was complete.
    pub fn closed(&self) -> Result<(), FramingError> {
        if self.is_done() || *self == Self::UntilClose { Ok(()) } else { Err(FramingError::Truncated) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_body_takes_its_bytes_and_leaves_the_next_message() {
        let mut body = Body::new(Framing::Length(5));
        let step = body.advance(b"abc").unwrap();
        assert_eq!((step.consumed, step.payload, step.done), (3, &b"abc"[..], false));
        assert_eq!(body.closed(), Err(FramingError::Truncated));
        let step = body.advance(b"deGET /").unwrap();
        assert_eq!((step.consumed, step.payload, step.done), (2, &b"de"[..], true));
        assert_eq!(body.closed(), Ok(()));
        assert_eq!(body.scan(b"GET /").unwrap(), Scan { consumed: 0, payload: 0, done: true });
    }

    #[test]
    fn no_body_takes_nothing() {
        let mut body = Body::new(Framing::None);
        assert!(body.is_done());
        assert_eq!(body.advance(b"GET /").unwrap(), Step { consumed: 0, payload: b"", done: true });
    }

    #[test]
    fn a_body_until_close_takes_everything_and_ends_only_by_closing() {
        let mut body = Body::new(Framing::UntilClose);
        assert_eq!(body.scan(b"anything").unwrap(), Scan { consumed: 8, payload: 8, done: false });
        assert_eq!(body.closed(), Ok(()));
    }

    #[test]
    fn a_chunked_body_is_scanned_to_its_exact_end() {
        let mut body = Body::new(Framing::Chunked);
        let scan = body.scan(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nA: b\r\n\r\nHTTP/1.1 200").unwrap();
        assert_eq!(scan, Scan { consumed: 30, payload: 5, done: true });
    }

    #[test]
    fn the_payload_of_a_body_is_what_its_framing_carries() {
        assert_eq!(Body::payload(Framing::Chunked, b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), b"abcde");
        assert_eq!(Body::payload(Framing::Length(2), b"abc"), b"ab");
        assert_eq!(Body::payload(Framing::None, b"abc"), b"");
        assert_eq!(Body::payload(Framing::Chunked, b"3\r\nabc\r\nzz"), b"abc", "as far as it is sound");
    }

    #[test]
    fn the_tracker_fits_three_words() {
        assert!(size_of::<Body>() <= 24);
        assert!(size_of::<Chunked>() <= 16);
    }
}
