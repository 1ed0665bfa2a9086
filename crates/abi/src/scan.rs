//! How much of one message of a body may be redirected, and whether user space must take over there.
//!
//! A message is what one program run sees: any piece of a body, cut anywhere. It is read in steps, at most so many
//! per run: where they do not suffice, what was read is redirected, and the kernel shows the rest again.
//! Invariant: what is redirected ends before the size line of the last chunk, before the line of a chunk that tells of a
//! failure, and one byte before the end of a length; or, where such a line began in an earlier message, that
//! message's part of it is all that went. So user space always reads the end itself, and can go on from any byte.

use crate::{
    framing::{Framing, Turn, kind, stage},
    reason,
};

/// What reading a message came to.
pub mod outcome {
    /// Not known yet: there were not enough steps.
    pub const UNFINISHED: u32 = 0;
    /// All of it was read.
    pub const WHOLE: u32 = 1;
    /// The body ends in it.
    pub const END: u32 = 2;
    /// A chunk in it tells of a failure.
    pub const FAILURE: u32 = 3;
    /// It is not framed as it should be.
    pub const BAD: u32 = 4;
    /// A part of it could not be read.
    pub const UNREADABLE: u32 = 5;
}

/// How far a message was read. In the kernel it lies in a map value: the verifier does not follow what is stored there,
/// so that the states of a loop over it are all the same to it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Behind what was read.
    pub framing: Framing,
    /// Bytes read.
    pub offset: u32,
    /// Bytes of the message.
    pub length: u32,
    /// Where the last size line that begins in the message begins; 0 where none does.
    pub line: u32,
    /// Chunks that end in what was read.
    pub chunks: u32,
    /// Bytes of data in what was read.
    pub data: u32,
    /// Of them, those before [`Self::line`].
    pub line_data: u32,
}

const _: () = assert!(size_of::<Scan>() == size_of::<Framing>() + 6 * 4);

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Bytes to redirect.
    pub redirected: u32,
    /// Behind them.
    pub framing: Framing,
    /// Chunks that end in them.
    pub chunks: u32,
    /// Bytes of data among them.
    pub data: u32,
    /// One of [`reason`], where nothing is to be redirected.
    pub reason: u32,
}

// === Scan ===

impl Scan {
    /// Before the first byte of a message.
    pub const fn new(framing: Framing, length: u32) -> Self {
        Self { framing, offset: 0, length, line: 0, chunks: 0, data: 0, line_data: 0 }
    }

    /// Whether the next step needs the byte at [`Self::offset`].
    #[inline(always)]
    pub fn wants_byte(&self) -> bool {
        self.offset < self.length && self.framing.unread(self.length - self.offset) == 0
    }

    /// A step without a byte: over data, or to the end. Only where none is wanted.
    #[inline(always)]
    pub fn leap(mut self) -> (Self, u32) {
        if self.offset >= self.length {
            return (self, outcome::WHOLE);
        }
        let bytes = self.framing.unread(self.length - self.offset);
        self.framing = self.framing.skip(bytes);
        self.offset += bytes;
        self.data += bytes;
        (self, outcome::UNFINISHED)
    }

    /// A step over the wanted byte.
    #[inline(always)]
    pub fn read(mut self, byte: u8) -> (Self, u32) {
        let (framing, turn) = self.framing.read(byte);
        self.data += (self.framing.stage == stage::DATA) as u32;
        match turn {
            Turn::On => {}
            Turn::Line => {
                self.line = self.offset + 1;
                self.line_data = self.data;
                self.chunks += 1;
            }
            Turn::End => return (self, outcome::END),
            Turn::Failure => return (self, outcome::FAILURE),
            Turn::Bad => return (self, outcome::BAD),
        }
        self.framing = framing;
        self.offset += 1;
        (self, outcome::UNFINISHED)
    }

    /// What becomes of the message, in which the body stood at `before`.
    #[inline(always)]
    pub fn cut(&self, before: Framing, outcome: u32) -> Cut {
        let why = match outcome {
            outcome::WHOLE => return self.all(),
            // A line that began here is left whole for the next run, which may find that it is the last.
            outcome::UNFINISHED if self.line == 0 => return self.all(),
            outcome::UNFINISHED | outcome::BAD => reason::FRAMING,
            outcome::END => reason::END,
            outcome::FAILURE => reason::FAILURE,
            _ => reason::UNREADABLE,
        };
        if self.line == 0 {
            return Cut::nothing(before, why);
        }
        let (framing, data) = (Framing::chunked(), self.line_data);
        Cut { redirected: self.line, framing, chunks: self.chunks, data, reason: 0 }
    }

    /// What becomes of a packet, in which the body stood at `before`: all of it or nothing, as a packet cannot be parted.
    #[inline(always)]
    pub fn undivided(&self, before: Framing, outcome: u32) -> Cut {
        let why = match outcome {
            outcome::WHOLE => return self.all(),
            outcome::UNFINISHED => reason::STEPS,
            outcome::BAD => reason::FRAMING,
            outcome::END => reason::END,
            outcome::FAILURE => reason::FAILURE,
            _ => reason::UNREADABLE,
        };
        Cut::nothing(before, why)
    }

    /// Reads a message in at most `steps`. As the kernel does it, but for how bytes are got at.
    pub fn run(before: Framing, message: &[u8], steps: usize) -> Cut {
        let Ok(length) = u32::try_from(message.len()) else {
            return Cut::nothing(before, reason::UNREADABLE);
        };
        if before.kind != kind::CHUNKED {
            return Cut::of_length(before, length);
        }
        let (scan, outcome) = Self::new(before, length).steps(message, steps);
        scan.cut(before, outcome)
    }

    /// The same of a packet.
    pub fn run_undivided(before: Framing, packet: &[u8], steps: usize) -> Cut {
        let Ok(length) = u32::try_from(packet.len()) else {
            return Cut::nothing(before, reason::UNREADABLE);
        };
        if before.kind != kind::CHUNKED {
            return Cut::of_length_undivided(before, length);
        }
        let (scan, outcome) = Self::new(before, length).steps(packet, steps);
        scan.undivided(before, outcome)
    }

    fn steps(mut self, bytes: &[u8], steps: usize) -> (Self, u32) {
        let mut outcome = outcome::UNFINISHED;
        for _ in 0..steps {
            (self, outcome) = match bytes.get(self.offset as usize) {
                Some(byte) if self.wants_byte() => self.read(*byte),
                _ => self.leap(),
            };
            if outcome != outcome::UNFINISHED {
                break;
            }
        }
        (self, outcome)
    }

    #[inline(always)]
    fn all(&self) -> Cut {
        let why = if self.offset == 0 { reason::FRAMING } else { 0 };
        Cut {
            redirected: self.offset,
            framing: self.framing,
            chunks: self.chunks,
            data: self.data,
            reason: why,
        }
    }
}

// === Cut ===

impl Cut {
    #[inline(always)]
    const fn nothing(framing: Framing, reason: u32) -> Self {
        Self { redirected: 0, framing, chunks: 0, data: 0, reason }
    }

    /// What becomes of a message of a body that is not in chunks.
    #[inline(always)]
    pub fn of_length(before: Framing, length: u32) -> Self {
        if before.kind != kind::LENGTH {
            return Self::nothing(before, reason::FRAMING);
        }
        if before.remaining <= 1 {
            return Self::nothing(before, reason::END);
        }
        let most = before.remaining - 1;
        let redirected = if (length as u64) < most { length } else { most as u32 };
        let framing = Framing { remaining: before.remaining - redirected as u64, ..before };
        Self { redirected, framing, chunks: 0, data: redirected, reason: 0 }
    }

    /// What becomes of a packet of such a body: nothing where it holds the last byte.
    #[inline(always)]
    pub fn of_length_undivided(before: Framing, length: u32) -> Self {
        let cut = Self::of_length(before, length);
        if cut.redirected == length || cut.reason != 0 { cut } else { Self::nothing(before, reason::END) }
    }
}
