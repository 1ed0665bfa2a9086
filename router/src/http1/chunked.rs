//! The chunked coding, scanned in place: finds the exact end of the body and the payload inside it.
//!
//! Each byte of framing is checked, each chunk's data is skipped in one step. Stricter than RFC 9112 where
//! peers disagree: no white space around a size, no more than 16 digits, CRLF and nothing else ends a line.
//!
//! ```text
//! Size --CR--> SizeLf --LF--> Data --all--> DataCr --> DataLf --> Size
//!   \--;--> Extension --CR--^   \--size 0--> Line --CR--> EndLf --LF--> Done
//!                                 Line --name:--> Value --CR--> ValueLf --LF--> Line
//! ```

use super::refusal::is_token;
use super::{FramingError, Step};

mod kernel;

/// Longest extension of one chunk, in bytes.
const MAX_EXTENSION: u32 = 1024;

/// All trailer lines together, in bytes.
const MAX_TRAILERS: u32 = 16 * 1024;

/// Digits that a chunk size may have: as many as 64 bits need.
const MAX_SIZE_DIGITS: u8 = 16;

/// Where in a chunked body the next byte stands. Starts before the first chunk size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chunked {
    /// In `Size`, the size read so far; later the bytes of data still to come.
    remaining: u64,
    /// Bytes of this extension, or of the trailers.
    line: u32,
    digits: u8,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// At or in a chunk size.
    #[default]
    Size,
    /// Behind the semicolon.
    Extension,
    /// A size line's CR was read.
    SizeLf,
    /// In a chunk's data.
    Data,
    /// A chunk's data is over.
    DataCr,
    /// The CR behind a chunk's data was read.
    DataLf,
    /// At the start of a trailer line.
    Line,
    /// In a trailer's name.
    Name,
    /// In a trailer's value.
    Value,
    /// A trailer line's CR was read.
    ValueLf,
    /// The CR of the final empty line was read.
    EndLf,
    /// The body is over.
    Done,
}

impl Chunked {
    /// Reads on in `input`, up to the end of the first piece of payload or of the body.
    ///
    /// Call again with what is left until it is empty or [`Step::done`]. After an error the body is lost.
    pub fn advance<'i>(&mut self, input: &'i [u8]) -> Result<Step<'i>, FramingError> {
        let mut pos = 0;
        while pos < input.len() {
            match self.state {
                State::Size => pos = self.size(input, pos)?,
                State::Data => return Ok(self.data(input, pos)),
                State::Done => break,
                _ => {
                    self.byte(input[pos])?;
                    pos += 1;
                }
            }
        }
        Ok(Step { consumed: pos, payload: &[], done: self.is_done() })
    }

    /// Whether the final empty line was read.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Hands out what `input` has of the present chunk, and takes a CRLF behind it along.
    #[inline]
    fn data<'i>(&mut self, input: &'i [u8], pos: usize) -> Step<'i> {
        let here = input.len() - pos;
        let taken = usize::try_from(self.remaining).map_or(here, |remaining| remaining.min(here));
        let (payload, rest) = input[pos..].split_at(taken);
        self.remaining -= taken as u64;
        let mut consumed = pos + taken;
        if self.remaining == 0 {
            if rest.starts_with(b"\r\n") {
                consumed += 2;
                self.begin_size();
            } else {
                self.state = State::DataCr;
            }
        }
        Step { consumed, payload, done: false }
    }

    fn begin_size(&mut self) {
        (self.state, self.remaining, self.digits) = (State::Size, 0, 0);
    }

    /// Reads digits and the byte that ends them.
    #[inline]
    fn size(&mut self, input: &[u8], mut pos: usize) -> Result<usize, FramingError> {
        while let Some(&byte) = input.get(pos) {
            pos += 1;
            if let Some(digit) = hex_digit(byte) {
                if self.digits == MAX_SIZE_DIGITS {
                    return Err(FramingError::HugeChunkSize);
                }
                self.digits += 1;
                self.remaining = self.remaining << 4 | u64::from(digit);
                continue;
            }
            self.state = match byte {
                b'\r' if self.digits > 0 => State::SizeLf,
                b';' if self.digits > 0 => State::Extension,
                _ => return Err(FramingError::BadChunkSize),
            };
            self.line = 0;
            break;
        }
        Ok(pos)
    }

    /// Takes one byte of framing outside sizes.
    fn byte(&mut self, byte: u8) -> Result<(), FramingError> {
        match (self.state, byte) {
            (State::Extension, b'\r') => self.state = State::SizeLf,
            (State::Extension, _) if is_text(byte) => {
                self.grow(MAX_EXTENSION, FramingError::ChunkExtensionTooLong)?;
            }
            (State::Extension, _) => return Err(FramingError::BadChunkExtension),
            (State::SizeLf, b'\n') => {
                self.line = 0;
                self.state = if self.remaining == 0 { State::Line } else { State::Data };
            }
            (State::SizeLf, _) => return Err(FramingError::BadChunkSize),
            (State::DataCr, b'\r') => self.state = State::DataLf,
            (State::DataLf, b'\n') => self.begin_size(),
            (State::DataCr | State::DataLf, _) => return Err(FramingError::BadChunkEnd),
            (State::Size | State::Data | State::Done, _) => {}
            _ => self.trailer_byte(byte)?,
        }
        Ok(())
    }

    fn trailer_byte(&mut self, byte: u8) -> Result<(), FramingError> {
        self.state = match (self.state, byte) {
            (State::Line, b'\r') => State::EndLf,
            (State::EndLf, b'\n') => State::Done,
            (State::Line | State::Name, _) if is_token(byte) => State::Name,
            (State::Name, b':') => State::Value,
            (State::Value, b'\r') => State::ValueLf,
            (State::Value, _) if is_text(byte) => State::Value,
            (State::ValueLf, b'\n') => State::Line,
            _ => return Err(FramingError::BadTrailer),
        };
        self.grow(MAX_TRAILERS, FramingError::TrailersTooLong)
    }

    fn grow(&mut self, limit: u32, error: FramingError) -> Result<(), FramingError> {
        self.line += 1;
        if self.line > limit { Err(error) } else { Ok(()) }
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Whether a byte may stand in a header value or extension.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests;
