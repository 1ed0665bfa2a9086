//! Server-sent events: cuts a response body into events, whatever the chunk boundaries.
//!
//! It follows the event-stream format of the HTML standard (LF, CR or CRLF line ends, comments,
//! several `data` lines, an optional byte order mark) without `id` and `retry`, which no engine
//! sends. It does not look into the data; [`payload`] does.
//!
//! Invariant: the events do not depend on how the bytes were cut. An event over the limit is left
//! out and counted, never an error: the bytes themselves go on to the client, only the look
//! at them is lost. Memory is the limit, plus the small change of a growing buffer.
//!
//! An event that no blank line ended is dropped, as the standard says.

use memchr::memchr2;

pub mod payload;

/// A limit that holds every chunk of a stream and all but the longest final objects.
pub const DEFAULT_LIMIT: usize = 1 << 20;

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// What the `event` field says; empty without one.
    pub name: &'a [u8],
    /// The `data` lines, joined by newlines.
    pub data: &'a [u8],
}

/// Cuts events out of a stream.
#[derive(Clone, Debug)]
pub struct Splitter {
    limit: usize,
    /// The beginning of a line whose end has not come yet.
    line: Vec<u8>,
    /// Fields of the event so far.
    event: Fields,
    /// What the next byte continues.
    at: Position,
    /// Whether no line has ended yet: a byte order mark may begin the first one.
    first_line: bool,
    /// Whether the event is over the limit and its lines are passed over.
    skipping: bool,
    skipped: u64,
}

/// Fields of an unfinished event.
#[derive(Clone, Debug, Default)]
struct Fields {
    name: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
}

/// Where in the stream the splitter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// At the start of a line.
    LineStart,
    /// Within a line.
    InLine,
    /// After a CR: a LF now belongs to the same line end.
    AfterCr,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

// === Splitter ===

impl Splitter {
    /// A splitter for one stream that holds at most `limit` bytes of an event.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            event: Fields::default(),
            at: Position::LineStart,
            first_line: true,
            skipping: false,
            skipped: 0,
        }
    }

    /// Takes the next bytes and gives `each` every event they complete.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Event<'_>)) {
        let mut rest = bytes;
        if self.at == Position::AfterCr && !rest.is_empty() {
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            self.at = Position::LineStart;
        }
        while let Some(end) = memchr2(b'\n', b'\r', rest) {
            self.end_line(&rest[..end], &mut each);
            let cr = rest[end] == b'\r';
            rest = &rest[end + 1..];
            if cr && rest.is_empty() {
                self.at = Position::AfterCr;
            } else if cr {
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
        }
        self.keep(rest);
    }

    /// Events left out because they were over the limit.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Keeps the beginning of a line.
    fn keep(&mut self, part: &[u8]) {
        if part.is_empty() {
            return;
        }
        if !self.over_limit(part) {
            self.line.extend_from_slice(part);
        }
        self.at = Position::InLine;
    }

    /// Ends a line whose last part is `part`.
    fn end_line(&mut self, part: &[u8], each: &mut impl FnMut(Event<'_>)) {
        if part.is_empty() && self.at != Position::InLine {
            self.end_event(each);
        } else if !self.over_limit(part) {
            let whole = self.line.is_empty();
            if !whole {
                self.line.extend_from_slice(part);
            }
            let line = if whole { part } else { &self.line };
            let mark = if self.first_line { BYTE_ORDER_MARK } else { b"" };
            self.event.add(line.strip_prefix(mark).unwrap_or(line));
        }
        self.first_line = false;
        self.line.clear();
        self.at = Position::LineStart;
    }

    fn end_event(&mut self, each: &mut impl FnMut(Event<'_>)) {
        if self.skipping {
            self.skipping = false;
            self.skipped += 1;
        } else if self.event.has_data {
            each(Event { name: &self.event.name, data: &self.event.data });
        }
        self.event.clear();
    }

    /// Whether `part` makes the event too large; from then on the event is passed over.
    fn over_limit(&mut self, part: &[u8]) -> bool {
        if self.event.len() + self.line.len() + part.len() > self.limit {
            self.skipping = true;
            // Not only emptied: one huge event must not leave a huge buffer behind.
            self.line = Vec::new();
            self.event = Fields::default();
        }
        self.skipping
    }
}

impl Default for Splitter {
    fn default() -> Self {
        Self::new(DEFAULT_LIMIT)
    }
}

// === Fields ===

impl Fields {
    fn add(&mut self, line: &[u8]) {
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.data.extend_from_slice(value);
                self.has_data = true;
            }
            b"event" => {
                self.name.clear();
                self.name.extend_from_slice(value);
            }
            _ => {}
        }
    }

    fn len(&self) -> usize {
        self.name.len() + self.data.len()
    }

    fn clear(&mut self) {
        self.name.clear();
        self.data.clear();
        self.has_data = false;
    }
}

#[cfg(test)]
mod tests;
