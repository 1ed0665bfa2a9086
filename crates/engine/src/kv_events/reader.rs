//! Bounded reading of msgpack values from a slice.

use rmp::{Marker, decode};

use super::{DecodeError, MAX_TEXT};

/// What is left of a payload.
pub(super) struct Reader<'a> {
    left: &'a [u8],
}

// === Reader ===

impl<'a> Reader<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self { left: payload }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// The bytes not read yet.
    pub(super) fn left(&self) -> &'a [u8] {
        self.left
    }

    /// The next value's type, not consumed.
    pub(super) fn peek(&self) -> Result<Marker, DecodeError> {
        self.left.first().map(|byte| Marker::from_u8(*byte)).ok_or(DecodeError::Truncated)
    }

    /// Consumes a nil if one is next.
    pub(super) fn nil(&mut self) -> Result<bool, DecodeError> {
        let nil = self.peek()? == Marker::Null;
        if nil {
            self.left = &self.left[1..];
        }
        Ok(nil)
    }

    /// A whole number that is not negative.
    pub(super) fn uint(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        decode::read_int(&mut self.left).map_err(|error| match error {
            decode::NumValueReadError::TypeMismatch(_) | decode::NumValueReadError::OutOfRange => {
                DecodeError::Type(what)
            }
            decode::NumValueReadError::InvalidMarkerRead(_)
            | decode::NumValueReadError::InvalidDataRead(_) => DecodeError::Truncated,
        })
    }

    pub(super) fn small(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        u32::try_from(self.uint(what)?).map_err(|_| DecodeError::TooLarge(what))
    }

    /// A number of either kind.
    pub(super) fn float(&mut self, what: &'static str) -> Result<f64, DecodeError> {
        match self.peek()? {
            Marker::F64 => decode::read_f64(&mut self.left).map_err(|_| DecodeError::Truncated),
            _ => self.uint(what).map(|number| number as f64),
        }
    }

    /// Length of an array. Each entry takes at least a byte, so a longer one than bytes are left was cut.
    pub(super) fn array(&mut self, what: &'static str) -> Result<usize, DecodeError> {
        let length = decode::read_array_len(&mut self.left).map_err(|error| kind(&error, what))?;
        self.fits(length, 1)
    }

    /// Entries of a map.
    pub(super) fn map(&mut self, what: &'static str) -> Result<usize, DecodeError> {
        let length = decode::read_map_len(&mut self.left).map_err(|error| kind(&error, what))?;
        self.fits(length, 2)
    }

    pub(super) fn text(&mut self, what: &'static str) -> Result<&'a str, DecodeError> {
        let length = decode::read_str_len(&mut self.left).map_err(|error| kind(&error, what))?;
        let bytes = self.take(length)?;
        if bytes.len() > MAX_TEXT {
            return Err(DecodeError::TooLarge(what));
        }
        std::str::from_utf8(bytes).map_err(|_| DecodeError::Type(what))
    }

    /// A block hash: a number, in SGLang also a negative one, or bytes of which vLLM's own number is the last eight.
    pub(super) fn hash(&mut self) -> Result<u64, DecodeError> {
        const WHAT: &str = "a block hash";
        match self.peek()? {
            Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => {}
            Marker::FixNeg(_) | Marker::I8 | Marker::I16 | Marker::I32 | Marker::I64 => {
                // None of these widths is out of range: it is cut, or it can be read.
                let number: Result<i64, _> = decode::read_int(&mut self.left);
                return number.map(i64::cast_unsigned).map_err(|_| DecodeError::Truncated);
            }
            _ => return self.uint(WHAT),
        }
        let length = decode::read_bin_len(&mut self.left).map_err(|error| kind(&error, WHAT))?;
        let bytes = self.take(length)?;
        let tail = &bytes[bytes.len().saturating_sub(8)..];
        Ok(tail.iter().fold(0, |hash, byte| hash << 8 | u64::from(*byte)))
    }

    /// Steps over one value and returns its bytes. A counter instead of recursion: depth costs no stack.
    pub(super) fn skip(&mut self) -> Result<&'a [u8], DecodeError> {
        let start = self.left;
        let mut values = 1_u64;
        while values > 0 {
            values += self.step()?;
            values -= 1;
        }
        Ok(&start[..start.len() - self.left.len()])
    }

    /// Steps over one marker and its bytes; returns how many values follow inside it.
    fn step(&mut self) -> Result<u64, DecodeError> {
        let marker = self.peek()?;
        self.left = &self.left[1..];
        let (bytes, values) = match marker {
            Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::True | Marker::False => (0, 0),
            Marker::Reserved => return Err(DecodeError::Type("a value")),
            Marker::U8 | Marker::I8 => (1, 0),
            Marker::U16 | Marker::I16 | Marker::FixExt1 => (2, 0),
            Marker::FixExt2 => (3, 0),
            Marker::U32 | Marker::I32 | Marker::F32 => (4, 0),
            Marker::FixExt4 => (5, 0),
            Marker::U64 | Marker::I64 | Marker::F64 => (8, 0),
            Marker::FixExt8 => (9, 0),
            Marker::FixExt16 => (17, 0),
            Marker::FixStr(length) => (u64::from(length), 0),
            Marker::Str8 | Marker::Bin8 => (self.length(1)?, 0),
            Marker::Str16 | Marker::Bin16 => (self.length(2)?, 0),
            Marker::Str32 | Marker::Bin32 => (self.length(4)?, 0),
            Marker::Ext8 => (self.length(1)? + 1, 0),
            Marker::Ext16 => (self.length(2)? + 1, 0),
            Marker::Ext32 => (self.length(4)? + 1, 0),
            Marker::FixArray(length) => (0, u64::from(length)),
            Marker::Array16 => (0, self.length(2)?),
            Marker::Array32 => (0, self.length(4)?),
            Marker::FixMap(length) => (0, 2 * u64::from(length)),
            Marker::Map16 => (0, 2 * self.length(2)?),
            Marker::Map32 => (0, 2 * self.length(4)?),
        };
        self.take(u32::try_from(bytes).map_err(|_| DecodeError::Truncated)?)?;
        Ok(values)
    }

    fn length(&mut self, bytes: u32) -> Result<u64, DecodeError> {
        Ok(self.take(bytes)?.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)))
    }

    fn take(&mut self, length: u32) -> Result<&'a [u8], DecodeError> {
        let (taken, left) = self.left.split_at_checked(length as usize).ok_or(DecodeError::Truncated)?;
        self.left = left;
        Ok(taken)
    }

    fn fits(&self, length: u32, least: usize) -> Result<usize, DecodeError> {
        let length = length as usize;
        if length > self.left.len() / least { Err(DecodeError::Truncated) } else { Ok(length) }
    }
}

fn kind<E: decode::RmpReadErr>(error: &decode::ValueReadError<E>, what: &'static str) -> DecodeError {
    match error {
        decode::ValueReadError::TypeMismatch(_) => DecodeError::Type(what),
        decode::ValueReadError::InvalidMarkerRead(_) | decode::ValueReadError::InvalidDataRead(_) => {
            DecodeError::Truncated
        }
    }
}
