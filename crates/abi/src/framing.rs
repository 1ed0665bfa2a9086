//! Where a response body ends, byte by byte: what is known between any two bytes of it.
//!
//! As strict as the router's own reader of chunks, or stricter: what it does not understand goes to user space, which
//! judges. It never reads beyond the size line of the last chunk: trailers and the end are user space's.
//!
//! ```text
//! SIZE --CR--> SIZE_LF --LF--> DATA --all--> DATA_CR --CR--> DATA_LF --LF--> SIZE
//!   \--;--> EXTENSION --CR--^            size 0: the end
//! ```

use crate::failure;

/// How long a body is said to be.
pub mod kind {
    /// By chunks.
    pub const CHUNKED: u32 = 1;
    /// By a length, of which [`super::Framing::remaining`] is to come.
    pub const LENGTH: u32 = 2;
}

/// Where in a chunk the next byte stands.
pub mod stage {
    /// At or in a size.
    pub const SIZE: u32 = 0;
    /// Behind the semicolon.
    pub const EXTENSION: u32 = 1;
    /// Behind the CR of a size line.
    pub const SIZE_LF: u32 = 2;
    /// In the data.
    pub const DATA: u32 = 3;
    /// Behind the data.
    pub const DATA_CR: u32 = 4;
    /// Behind the CR that follows the data.
    pub const DATA_LF: u32 = 5;
}

/// Longest extension of one chunk, as in the router's own reader.
const MAX_EXTENSION: u32 = 1024;
/// Digits of a size: as many as 64 bits need.
const MAX_DIGITS: u32 = 16;

/// What is known of a body between two of its bytes. Handed from user space to the kernel and back.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Framing {
    /// In a size, the size read so far; later the bytes of data still to come. Of a length, all that is to come.
    pub remaining: u64,
    /// One of [`kind`].
    pub kind: u32,
    /// One of [`stage`], where the kind is chunks.
    pub stage: u32,
    /// Digits of this size that were read.
    pub digits: u32,
    /// Bytes of this extension that were read.
    pub extension: u32,
    /// How far the data's beginning is like a [`failure`].
    pub mark: u32,
    #[doc(hidden)]
    pub _pad: u32,
}

const _: () = assert!(size_of::<Framing>() == 8 + 6 * 4);

/// What a byte came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The body goes on.
    On,
    /// It goes on, and a chunk is complete: the next byte begins a size line.
    Line,
    /// The size just read is that of the last chunk.
    End,
    /// The data begins like a failure.
    Failure,
    /// The byte must not stand here.
    Bad,
}

// === Framing ===

impl Framing {
    /// A body in chunks, from its first byte on.
    pub const fn chunked() -> Self {
        Self {
            remaining: 0,
            kind: kind::CHUNKED,
            stage: stage::SIZE,
            digits: 0,
            extension: 0,
            mark: 0,
            _pad: 0,
        }
    }

    /// A body, or the rest of one, of this length.
    pub const fn length(remaining: u64) -> Self {
        Self { remaining, kind: kind::LENGTH, stage: 0, digits: 0, extension: 0, mark: 0, _pad: 0 }
    }

    /// How many of the next `available` bytes are data that need not be read one by one.
    #[inline(always)]
    pub fn unread(&self, available: u32) -> u32 {
        if self.stage != stage::DATA || self.mark != failure::NONE {
            return 0;
        }
        if self.remaining < available as u64 { self.remaining as u32 } else { available }
    }

    /// Behind that many bytes of data.
    #[inline(always)]
    pub fn skip(mut self, bytes: u32) -> Self {
        self.remaining = self.remaining.saturating_sub(bytes as u64);
        if self.remaining == 0 {
            self.stage = stage::DATA_CR;
        }
        self
    }

    /// Behind one more byte. A turn other than on or a line leaves nothing to go on from.
    #[inline(always)]
    pub fn read(self, byte: u8) -> (Self, Turn) {
        match self.stage {
            stage::SIZE => self.size(byte),
            stage::EXTENSION => self.extension(byte),
            stage::DATA => self.data(byte),
            stage::SIZE_LF if byte == b'\n' => {
                (Self { stage: stage::DATA, mark: failure::START, ..self }, Turn::On)
            }
            stage::DATA_CR if byte == b'\r' => (Self { stage: stage::DATA_LF, ..self }, Turn::On),
            stage::DATA_LF if byte == b'\n' => (Self::chunked(), Turn::Line),
            _ => (self, Turn::Bad),
        }
    }

    #[inline(always)]
    fn size(mut self, byte: u8) -> (Self, Turn) {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' | b';' if self.digits == 0 => return (self, Turn::Bad),
            b'\r' | b';' if self.remaining == 0 => return (self, Turn::End),
            b'\r' => return (Self { stage: stage::SIZE_LF, ..self }, Turn::On),
            b';' => return (Self { stage: stage::EXTENSION, extension: 0, ..self }, Turn::On),
            _ => return (self, Turn::Bad),
        };
        if self.digits >= MAX_DIGITS {
            return (self, Turn::Bad);
        }
        self.digits += 1;
        self.remaining = self.remaining << 4 | digit as u64;
        (self, Turn::On)
    }

    #[inline(always)]
    fn extension(mut self, byte: u8) -> (Self, Turn) {
        if byte == b'\r' {
            return (Self { stage: stage::SIZE_LF, ..self }, Turn::On);
        }
        let is_text = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
        if !is_text || self.extension >= MAX_EXTENSION {
            return (self, Turn::Bad);
        }
        self.extension += 1;
        (self, Turn::On)
    }

    #[inline(always)]
    fn data(self, byte: u8) -> (Self, Turn) {
        let mark = failure::advance(self.mark, byte);
        if mark == failure::FOUND {
            return (self, Turn::Failure);
        }
        let next = Self { mark, ..self }.skip(1);
        if next.stage == stage::DATA {
            (next, Turn::On)
        } else {
            (Self { mark: failure::NONE, ..next }, Turn::On)
        }
    }
}
