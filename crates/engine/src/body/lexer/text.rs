//! The inside of a JSON string: runs, escapes and UTF-8, resumable at any byte.
//!
//! Runs go to the listener straight from the input; only an escape or a character cut in two by a chunk's end
//! waits here. A lone surrogate is let through, as Python's `json` does, and decoded to U+FFFD.

use super::{Facts, invalid};
use crate::body::{BodyError, scan};

const NOT_UTF8: &str = "bytes in a string that are not UTF-8";

/// A string being read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Text {
    step: Step,
    /// A high surrogate whose other half may follow.
    high: Option<u16>,
}

#[derive(Debug, Clone, Copy, Default)]
enum Step {
    /// Between characters.
    #[default]
    Plain,
    /// After a backslash.
    Escape,
    /// Within the four digits of `\u`.
    Unicode { digits: u8, value: u16 },
    /// Within a character of several bytes that the last chunk cut.
    Cut { bytes: [u8; 4], len: usize },
}

// === Text ===

impl Text {
    /// Reads on from `at`. Returns the index of the closing quote, or `None` if the chunk ended first.
    /// `base` is the offset of the chunk, for errors.
    pub(super) fn read(
        &mut self,
        input: &[u8],
        mut at: usize,
        base: u64,
        facts: &mut Facts,
    ) -> Result<Option<usize>, BodyError> {
        loop {
            if let Step::Plain = self.step {
                if self.high.is_some() && input.get(at).is_some_and(|&byte| byte != b'\\') {
                    self.settle(facts);
                }
                at += facts.take_plain(&input[at..]);
            }
            let Some(&byte) = input.get(at) else { return Ok(None) };
            let here = base + at as u64;
            match (self.step, byte) {
                (Step::Plain, b'"') => return Ok(Some(at)),
                (Step::Plain, b'\\') => self.step = Step::Escape,
                (Step::Plain, 0..0x20) => return Err(invalid(here, "a control character in a string")),
                (Step::Plain, _) => {
                    at += self.characters(&input[at..], here, facts)?;
                    continue;
                }
                (Step::Escape, _) => self.escape(byte, here, facts)?,
                (Step::Unicode { digits, value }, _) => self.unicode(digits, value, byte, here, facts)?,
                (Step::Cut { bytes, len }, _) => self.join(bytes, len, byte, here, facts)?,
            }
            at += 1;
        }
    }

    fn escape(&mut self, byte: u8, here: u64, facts: &mut Facts) -> Result<(), BodyError> {
        let decoded = match byte {
            b'n' => b'\n',
            b'"' | b'\\' | b'/' => byte,
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 0x08,
            b'f' => 0x0c,
            b'u' => {
                self.step = Step::Unicode { digits: 0, value: 0 };
                return Ok(());
            }
            _ => return Err(invalid(here, "an unknown escape in a string")),
        };
        self.settle(facts);
        facts.take_byte(decoded);
        self.step = Step::Plain;
        Ok(())
    }

    /// One digit of `\u`; the last one yields the character, or half of one.
    fn unicode(
        &mut self,
        digits: u8,
        value: u16,
        byte: u8,
        here: u64,
        facts: &mut Facts,
    ) -> Result<(), BodyError> {
        let Some(digit) = char::from(byte).to_digit(16) else {
            return Err(invalid(here, "a \\u escape without four hexadecimal digits"));
        };
        let value = value << 4 | digit as u16;
        if digits < 3 {
            self.step = Step::Unicode { digits: digits + 1, value };
            return Ok(());
        }
        self.step = Step::Plain;
        match (self.high, value) {
            (Some(high), 0xdc00..=0xdfff) => {
                self.high = None;
                let pair = char::decode_utf16([high, value]).flatten().next();
                take_char(pair, facts);
            }
            (_, 0xd800..=0xdbff) => {
                self.settle(facts);
                self.high = Some(value);
            }
            _ => {
                self.settle(facts);
                take_char(char::from_u32(value.into()), facts);
            }
        }
        Ok(())
    }

    /// Takes a run that begins with a non-ASCII byte, up to the next byte that is special whatever the
    /// script.
    fn characters(&mut self, input: &[u8], here: u64, facts: &mut Facts) -> Result<usize, BodyError> {
        let run = &input[..scan::text_run(input)];
        let Err(error) = std::str::from_utf8(run) else {
            facts.take(run);
            return Ok(run.len());
        };
        let (whole, rest) = run.split_at(error.valid_up_to());
        if error.error_len().is_some() {
            return Err(invalid(here + whole.len() as u64, NOT_UTF8));
        }
        facts.take(whole);
        let mut bytes = [0; 4];
        bytes[..rest.len()].copy_from_slice(rest);
        self.step = Step::Cut { bytes, len: rest.len() };
        Ok(run.len())
    }

    /// Adds a byte to a character that the last chunk cut. One of four bytes is whole or wrong, so `len`
    /// stays in bounds.
    fn join(
        &mut self,
        mut bytes: [u8; 4],
        len: usize,
        byte: u8,
        here: u64,
        facts: &mut Facts,
    ) -> Result<(), BodyError> {
        bytes[len] = byte;
        let len = len + 1;
        self.step = match std::str::from_utf8(&bytes[..len]) {
            Ok(character) => {
                facts.take(character.as_bytes());
                Step::Plain
            }
            Err(error) if error.error_len().is_none() => Step::Cut { bytes, len },
            Err(_) => return Err(invalid(here, NOT_UTF8)),
        };
        Ok(())
    }

    /// Gives up waiting for the other half of a surrogate pair.
    fn settle(&mut self, facts: &mut Facts) {
        if self.high.take().is_some() {
            take_char(None, facts);
        }
    }
}

fn take_char(character: Option<char>, facts: &mut Facts) {
    let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
    facts.take(character.encode_utf8(&mut [0; 4]).as_bytes());
}
