//! The JSON grammar (RFC 8259) as a push lexer: takes bytes as they come, tells [`Facts`] what they are.
//!
//! It checks everything and keeps nothing but a bit per open bracket. Beyond the RFC it takes `NaN`,
//! `Infinity` and `-Infinity`, as vLLM's own parser (Python's `json`) does; unlike it, it refuses a byte
//! order mark and surrogates encoded as UTF-8. Which bytes matter is not its business.

mod number;
mod text;

use self::{number::Number, text::Text};
use super::{BodyError, facts::Facts};

/// How deep brackets may nest, the outer object included. Engines stop between 200 and 1,000.
pub(super) const MAX_DEPTH: usize = 200;

const WORDS: usize = MAX_DEPTH.div_ceil(u64::BITS as usize);

/// Where in a JSON document the next byte falls.
#[derive(Debug)]
pub(super) struct Lexer {
    state: State,
    depth: usize,
    /// For each open bracket, whether it is an object.
    objects: [u64; WORDS],
    /// Offset of the current chunk.
    base: u64,
    /// The string in hand, in the text states.
    text: Text,
    /// The literal in hand, in the word state.
    word: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the outer object.
    Start,
    /// After `{`: a key or `}`.
    FirstKey,
    /// After `,` in an object.
    Key,
    /// After a key.
    Colon,
    /// After `[`: a value or `]`.
    FirstValue,
    /// After `:` or, in an array, `,`.
    Value,
    /// After a value: `,` or the closing bracket.
    After,
    /// In a key.
    KeyText,
    /// In a string that is a value.
    ValueText,
    Number(Number),
    /// In a literal such as `true`, after as many bytes of it.
    Word(usize),
    /// After the outer object.
    End,
}

// === Lexer ===

impl Lexer {
    pub(super) fn new() -> Self {
        Self { state: State::Start, depth: 0, objects: [0; WORDS], base: 0, text: Text::default(), word: "" }
    }

    /// Whether the document is complete.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::End)
    }

    pub(super) fn push(&mut self, input: &[u8], facts: &mut Facts) -> Result<(), BodyError> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            at = match self.state {
                State::KeyText | State::ValueText => self.text(input, at, facts)?,
                State::Number(number) => self.number(number, input, at, facts)?,
                State::Word(read) => self.word(read, byte, at, facts)?,
                _ if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') => at + 1,
                _ => {
                    self.mark(byte, self.base + at as u64, facts)?;
                    // The first byte of a number is read again by it.
                    at + usize::from(!matches!(self.state, State::Number(_)))
                }
            };
        }
        self.base += input.len() as u64;
        Ok(())
    }

    /// A byte outside strings, numbers and literals.
    fn mark(&mut self, byte: u8, here: u64, facts: &mut Facts) -> Result<(), BodyError> {
        match (self.state, byte) {
            (State::Start, b'{') | (State::Value | State::FirstValue, b'{' | b'[') => {
                self.open(byte, facts)?;
            }
            (State::Start, b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n' | b'N' | b'I') => {
                return Err(BodyError::NotAnObject);
            }
            (State::FirstKey | State::Key, b'"') => {
                facts.begin_key(self.is_top());
                self.state = State::KeyText;
            }
            (State::Colon, b':') => {
                facts.colon(self.is_top());
                self.state = State::Value;
            }
            (State::Value | State::FirstValue, b'"') => {
                facts.begin_text(here, self.is_top());
                self.state = State::ValueText;
            }
            (State::FirstKey, b'}') | (State::FirstValue, b']') => self.close(byte, facts),
            (State::After, b',') => {
                facts.mark(byte);
                self.state = if self.in_object() { State::Key } else { State::Value };
            }
            (State::After, b'}') if self.in_object() => self.close(byte, facts),
            (State::After, b']') if !self.in_object() => self.close(byte, facts),
            (State::Value | State::FirstValue, _) => self.scalar(byte, here, facts)?,
            _ => return Err(invalid(here, self.due())),
        }
        Ok(())
    }

    fn open(&mut self, byte: u8, facts: &mut Facts) -> Result<(), BodyError> {
        if self.depth == MAX_DEPTH {
            return Err(BodyError::TooDeep);
        }
        let (word, bit) = place(self.depth);
        if byte == b'{' {
            self.objects[word] |= bit;
            self.state = State::FirstKey;
        } else {
            self.objects[word] &= !bit;
            self.state = State::FirstValue;
        }
        facts.open(byte);
        self.depth += 1;
        Ok(())
    }

    fn close(&mut self, byte: u8, facts: &mut Facts) {
        self.depth -= 1;
        facts.close(byte, self.is_top());
        self.state = if self.depth == 0 { State::End } else { State::After };
    }

    fn scalar(&mut self, byte: u8, here: u64, facts: &mut Facts) -> Result<(), BodyError> {
        if matches!(byte, b'-' | b'0'..=b'9') {
            facts.begin_number(self.is_top());
            self.state = State::Number(Number::Start);
            return Ok(());
        }
        self.word = match byte {
            b't' => "true",
            b'f' => "false",
            b'n' => "null",
            b'N' => "NaN",
            b'I' => "Infinity",
            _ => return Err(invalid(here, self.due())),
        };
        self.state = State::Word(1);
        Ok(())
    }

    fn text(&mut self, input: &[u8], at: usize, facts: &mut Facts) -> Result<usize, BodyError> {
        let Some(end) = self.text.read(input, at, self.base, facts)? else { return Ok(input.len()) };
        if self.state == State::KeyText {
            facts.end_key();
            self.state = State::Colon;
        } else {
            facts.end_text(self.base + end as u64 + 1, self.is_top());
            self.state = State::After;
        }
        Ok(end + 1)
    }

    fn number(
        &mut self,
        mut number: Number,
        input: &[u8],
        start: usize,
        facts: &mut Facts,
    ) -> Result<usize, BodyError> {
        let mut at = start;
        while let Some(&byte) = input.get(at) {
            let Some(next) = number.next(byte) else {
                facts.take_number(&input[start..at]);
                return self.end_number(number, input, at, facts);
            };
            number = next;
            at += 1;
        }
        facts.take_number(&input[start..]);
        self.state = State::Number(number);
        Ok(at)
    }

    /// `input[at]` is the first byte that is not part of the number.
    fn end_number(
        &mut self,
        number: Number,
        input: &[u8],
        at: usize,
        facts: &mut Facts,
    ) -> Result<usize, BodyError> {
        if number == Number::Minus && input[at] == b'I' {
            self.word = "Infinity";
            self.state = State::Word(0);
            return Ok(at);
        }
        if !number.is_whole() {
            return Err(invalid(self.base + at as u64, "an incomplete number"));
        }
        facts.end_number(self.is_top());
        self.state = State::After;
        let more = if self.in_object() { 0 } else { facts.take_numbers(&input[at..]) };
        Ok(at + more)
    }

    fn word(&mut self, read: usize, byte: u8, at: usize, facts: &mut Facts) -> Result<usize, BodyError> {
        if self.word.as_bytes()[read] != byte {
            return Err(invalid(self.base + at as u64, self.due()));
        }
        self.state = State::Word(read + 1);
        if read + 1 == self.word.len() {
            facts.word(self.word, self.is_top());
            self.state = State::After;
        }
        Ok(at + 1)
    }

    /// What was wrong with a byte that the state has no use for.
    fn due(&self) -> &'static str {
        match self.state {
            State::Start => "expected an object",
            State::FirstKey => "expected a key in double quotes or '}'",
            State::Key => "expected a key in double quotes",
            State::Colon => "expected ':' after a key",
            State::FirstValue => "expected a value or ']'",
            State::Value => "expected a value",
            State::After if self.in_object() => "expected ',' or '}'",
            State::After => "expected ',' or ']'",
            State::KeyText | State::ValueText => "unexpected byte in a string",
            State::Number(_) => "unexpected byte in a number",
            State::Word(_) => "expected true, false or null",
            State::End => "something follows the object",
        }
    }

    /// Whether the value in hand belongs to the outer object itself.
    fn is_top(&self) -> bool {
        self.depth == 1
    }

    fn in_object(&self) -> bool {
        let (word, bit) = place(self.depth - 1);
        self.objects[word] & bit != 0
    }
}

fn place(depth: usize) -> (usize, u64) {
    (depth / 64, 1 << (depth % 64))
}

fn invalid(at: u64, what: &'static str) -> BodyError {
    BodyError::NotJson { at, what }
}
