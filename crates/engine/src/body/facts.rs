//! What the reader keeps of a body: facts of the outer object's own keys, and the prompt.
//!
//! The lexer reports every token here; this decides by the key in hand where its bytes go. Where a key is
//! repeated, the last value counts, as in Python. A prompt that is `null` is no prompt.

use super::{
    Api, BodyError, Limits, RequestBody,
    api::{Field, LAST, LIMITS, TAGS, Tag},
    kept::{Kept, Short},
    scan,
    sections::Sections,
};

/// Longer than any key that is looked for.
const KEY_BYTES: usize = 24;

/// Longer than any whole number of 64 bits.
const NUMBER_BYTES: usize = 24;

/// The facts of one body, as they come in.
#[derive(Debug)]
pub(super) struct Facts {
    api: Api,
    /// What the value in hand is good for.
    field: Field,
    /// Where the string in hand goes.
    sink: Sink,
    /// Objects open in the section in hand.
    objects: u32,
    key: Short<KEY_BYTES>,
    number: Short<NUMBER_BYTES>,
    kept: Kept,
    model: Model,
    model_name: String,
    model_span: std::ops::Range<u64>,
    stream: bool,
    limits: [Option<u64>; LIMITS],
    tags: [Option<String>; TAGS],
    sections: Sections,
}

/// Where the bytes of a string go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sink {
    Nowhere,
    /// A key of the outer object.
    Key,
    Kept,
    Section,
}

/// What the body says of the model.
#[derive(Debug, Clone, Copy)]
enum Model {
    /// Nothing, or `null`.
    Absent,
    NotString,
    TooLong,
    Named,
}

// === Facts ===

impl Facts {
    pub(super) fn new(api: Api, limits: Limits) -> Self {
        Self {
            api,
            field: Field::Other,
            sink: Sink::Nowhere,
            objects: 0,
            key: Short::default(),
            number: Short::default(),
            kept: Kept::default(),
            model: Model::Absent,
            model_name: String::new(),
            model_span: 0..0,
            stream: false,
            limits: [None; LIMITS],
            tags: Default::default(),
            sections: Sections::new(limits.block_bytes, limits.max_blocks),
        }
    }

    /// Forgets the body, not the buffers.
    pub(super) fn reset(&mut self, api: Api) {
        self.api = api;
        self.field = Field::Other;
        self.sink = Sink::Nowhere;
        self.model = Model::Absent;
        self.stream = false;
        self.limits = [None; LIMITS];
        self.tags = Default::default();
        self.sections.clear();
    }

    /// Moves the facts of a complete body out; what `body` held before is gone, its buffers are kept for the
    /// next one.
    pub(super) fn move_to(&mut self, body: &mut RequestBody) -> Result<(), BodyError> {
        match self.model {
            Model::Absent => return Err(BodyError::NoModel),
            Model::NotString => return Err(BodyError::ModelNotString),
            Model::TooLong => return Err(BodyError::ModelTooLong),
            Model::Named => std::mem::swap(&mut body.model, &mut self.model_name),
        }
        body.model_span = self.model_span.clone();
        body.stream = self.stream;
        body.max_tokens = self.limits.iter().flatten().next().copied();
        body.cache_salt = self.tags[Tag::CacheSalt as usize].take();
        body.prompt_cache_key = self.tags[Tag::PromptCacheKey as usize].take();
        body.previous_response_id = self.tags[Tag::PreviousResponse as usize].take();
        body.session_id = self.tags[Tag::Session as usize].take();
        self.sections.move_to(&mut body.prompt);
        Ok(())
    }

    // In what follows, `top` says that the token is, or belongs to, a value of the outer object itself.

    pub(super) fn begin_key(&mut self, top: bool) {
        self.sink = Sink::Nowhere;
        if top {
            self.key.clear();
            self.sink = Sink::Key;
        } else if self.in_section() {
            self.sections.push(b'"');
            self.sink = Sink::Section;
        }
    }

    pub(super) fn end_key(&mut self) {
        self.mark(b'"');
    }

    /// The colon after a key. What the outer object said before under that key is void.
    pub(super) fn colon(&mut self, top: bool) {
        if !top {
            return self.mark(b':');
        }
        self.field = self.api.field(self.key.get());
        match self.field {
            Field::Other => {}
            Field::Model => self.model = Model::NotString,
            Field::Stream => self.stream = false,
            Field::Limit(slot) => self.limits[slot] = None,
            Field::Kept(tag) => self.tags[tag as usize] = None,
            Field::Section(section) => {
                self.sections.begin(section);
                self.objects = 0;
            }
        }
    }

    /// A structural byte with no further meaning here.
    #[inline]
    pub(super) fn mark(&mut self, byte: u8) {
        if self.in_section() {
            self.sections.push(byte);
        }
    }

    pub(super) fn open(&mut self, byte: u8) {
        if self.in_section() {
            self.sections.push(byte);
            self.objects += u32::from(byte == b'{');
        }
    }

    pub(super) fn close(&mut self, byte: u8, top: bool) {
        if top {
            self.end_field();
        } else if self.in_section() {
            self.sections.push(byte);
            self.objects -= u32::from(byte == b'}');
        }
    }

    pub(super) fn begin_text(&mut self, start: u64, top: bool) {
        self.sink = match self.field {
            Field::Section(_) => {
                self.sections.push(b'"');
                Sink::Section
            }
            Field::Model | Field::Kept(_) if top => {
                self.kept.clear();
                Sink::Kept
            }
            _ => Sink::Nowhere,
        };
        if self.field == Field::Model && top {
            self.model_span.start = start;
        }
    }

    pub(super) fn end_text(&mut self, end: u64, top: bool) {
        if !top {
            return self.mark(b'"');
        }
        match self.field {
            Field::Model => {
                self.model = if self.kept.is_folded() { Model::TooLong } else { Model::Named };
                self.model_name.clear();
                self.model_name.push_str(&self.kept.text());
                self.model_span.end = end;
            }
            Field::Kept(tag) => self.tags[tag as usize] = Some(self.kept.text().into_owned()),
            Field::Other | Field::Stream | Field::Limit(_) | Field::Section(_) => {}
        }
        self.end_field();
    }

    /// Takes the plain run at the head of a string's `input` and returns its length.
    #[inline]
    pub(super) fn take_plain(&mut self, input: &[u8]) -> usize {
        if self.sink == Sink::Section {
            return self.sections.take_plain(input);
        }
        let run = scan::plain_run(input);
        self.take(&input[..run]);
        run
    }

    /// Takes decoded bytes of a string; whole characters only.
    pub(super) fn take(&mut self, piece: &[u8]) {
        match self.sink {
            Sink::Nowhere => {}
            Sink::Key => self.key.extend(piece),
            Sink::Kept => self.kept.extend(piece),
            Sink::Section => self.sections.extend(piece),
        }
    }

    /// Takes one decoded ASCII byte of a string.
    #[inline]
    pub(super) fn take_byte(&mut self, byte: u8) {
        if self.sink == Sink::Section {
            self.sections.push(byte);
        } else {
            self.take(&[byte]);
        }
    }

    pub(super) fn begin_number(&mut self, top: bool) {
        self.number.clear();
        if !top && self.in_token_ids() {
            self.sections.count_token_ids(1);
        }
    }

    /// Takes plain whole numbers from the head of `input`, which goes on after a number in an array. Returns
    /// the length of what it took, which may be nothing: anything else there is left to the grammar.
    pub(super) fn take_numbers(&mut self, input: &[u8]) -> usize {
        if !self.in_section() {
            return 0;
        }
        let (len, count) = self.sections.take_numbers(input);
        if self.in_token_ids() {
            self.sections.count_token_ids(count);
        }
        len
    }

    pub(super) fn take_number(&mut self, piece: &[u8]) {
        match self.field {
            Field::Section(_) => self.sections.extend(piece),
            Field::Limit(_) => self.number.extend(piece),
            Field::Other | Field::Model | Field::Stream | Field::Kept(_) => {}
        }
    }

    pub(super) fn end_number(&mut self, top: bool) {
        if !top {
            return;
        }
        if let Field::Limit(slot) = self.field {
            self.limits[slot] = count(self.number.get());
        }
        self.end_field();
    }

    /// A literal: `null`, `true` and the like.
    pub(super) fn word(&mut self, word: &str, top: bool) {
        match (self.field, word) {
            (Field::Model, "null") if top => self.model = Model::Absent,
            (Field::Stream, "true") if top => self.stream = true,
            (Field::Section(_), "null") if top => {
                self.sections.void();
                self.field = Field::Other;
            }
            (Field::Section(_), _) => self.sections.extend(word.as_bytes()),
            _ => {}
        }
        if top {
            self.end_field();
        }
    }

    fn end_field(&mut self) {
        if self.in_section() {
            self.sections.end();
        }
        self.field = Field::Other;
    }

    /// Whether the value in hand is nothing but arrays around numbers, as far as one can tell, where they
    /// mean tokens.
    fn in_token_ids(&self) -> bool {
        self.field == Field::Section(LAST) && self.objects == 0 && self.api.takes_token_ids()
    }

    #[inline]
    fn in_section(&self) -> bool {
        matches!(self.field, Field::Section(_))
    }
}

/// The number of tokens a limit asks for. Engines take `16.0` for 16.
fn count(number: &[u8]) -> Option<u64> {
    let number = std::str::from_utf8(number).ok()?;
    let fractional = || number.parse().ok().filter(|float: &f64| *float >= 0.0 && float.fract() == 0.0);
    number.parse().ok().or_else(|| fractional().map(|float| float as u64))
}
