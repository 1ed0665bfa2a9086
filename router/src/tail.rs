//! The end of a response: what it cost and why it ended stand there. Nothing before it is looked at.
//!
//! A [`Tail`] keeps the last pieces as they came, without a copy: at most those that hold the last 4 KiB, and 8 of them. A
//! [`Copied`] is for bytes that land in a buffer which others use next: at most 8 KiB.

use std::collections::VecDeque;

use bytes::Bytes;
use memchr::memmem;
use serde_json::value::RawValue;
use warmlane_engine::sse::{
    Event, Splitter,
    payload::{self, Kind, Report},
};

/// Bytes that the last events of a stream, or the end of a JSON object, take.
const ENOUGH: usize = 4 * 1024;
/// A final chunk of a stream that has usage comes behind one that says why it ended, and before `[DONE]`.
const PIECES: usize = 8;

/// Names of the events that end the streams which have no `[DONE]`.
const LAST: [&[u8]; 4] = [b"message_stop", b"response.completed", b"response.incomplete", b"response.failed"];

const USAGE: &[u8] = b"\"usage\"";

/// What the end of a response says.
#[derive(Debug, Default)]
pub(crate) struct End {
    pub(crate) report: Report,
    /// The engine gave the answer up and is to blame.
    pub(crate) gave_up: bool,
    /// Nothing of it is to come.
    pub(crate) is_last: bool,
}

/// See the module's header.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    pieces: VecDeque<Bytes>,
    bytes: usize,
}

/// See the module's header.
#[derive(Debug, Default)]
pub(crate) struct Copied(Vec<u8>);

// === Tail ===

impl Tail {
    /// Takes the next piece.
    pub(crate) fn push(&mut self, piece: &Bytes) {
        if piece.is_empty() {
            return;
        }
        self.bytes += piece.len();
        self.pieces.push_back(piece.clone());
        while let Some(first) = self.pieces.front()
            && (self.pieces.len() > PIECES || self.bytes - first.len() >= ENOUGH)
        {
            self.bytes -= first.len();
            self.pieces.pop_front();
        }
    }

    /// What it says.
    pub(crate) fn read(&self, is_events: bool) -> End {
        End::of(&self.text(), is_events)
    }

    /// The last bytes, and no more of them than are of use.
    fn text(&self) -> Vec<u8> {
        let mut skipped = self.bytes.saturating_sub(ENOUGH);
        let mut text = Vec::with_capacity(self.bytes - skipped);
        for piece in &self.pieces {
            let from = skipped.min(piece.len());
            skipped -= from;
            text.extend_from_slice(&piece[from..]);
        }
        text
    }
}

// === Copied ===

impl Copied {
    /// Takes the next piece.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        let piece = &piece[piece.len().saturating_sub(ENOUGH)..];
        if self.0.len() + piece.len() > 2 * ENOUGH {
            self.0.drain(..self.0.len() - (ENOUGH - piece.len()));
        }
        self.0.extend_from_slice(piece);
    }

    /// What came so far is not what stands before the next piece.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }

    /// What it says.
    pub(crate) fn read(&self, is_events: bool) -> Report {
        End::of(&self.0[self.0.len().saturating_sub(ENOUGH)..], is_events).report
    }
}

// === End ===

impl End {
    /// What a text says. An object that is no stream of events says by its status whether it is an answer.
    fn of(text: &[u8], is_events: bool) -> Self {
        if !is_events {
            let report = of_object(text);
            let is_last = report != Report::default() && text.trim_ascii_end().ends_with(b"}");
            return Self { report, gave_up: false, is_last };
        }
        let mut end = Self::default();
        Splitter::new(ENOUGH).push(text, |event| {
            end.gave_up |= payload::is_failure(event);
            end.is_last |= payload::kind(event) == Kind::Done || LAST.contains(&event.name);
            end.report.absorb(Report::of(event.data));
        });
        end.cut(text);
        end
    }

    /// A last event that is longer than what is kept has the whole answer in it: what stands behind the answer tells.
    fn cut(&mut self, text: &[u8]) {
        let is_one = |event: &&[u8]| memmem::find(event, b"\n\n").is_none();
        let Some(event) = text.strip_suffix(b"\n\n").filter(is_one).filter(|_| !self.is_last) else { return };
        if self.report == Report::default() {
            self.report = of_object(event);
        }
        let is_named =
            |name: &&&[u8]| memmem::rfind(event, &[b"\"type\":\"", **name, b"\""].concat()).is_some();
        if let Some(name) = LAST.iter().find(is_named) {
            self.is_last = true;
            self.gave_up |= payload::is_failure(Event { name, data: b"{}" });
        }
    }
}

/// Of the end of an object: its usage stands there, in quotes that no text of an answer can have.
fn of_object(text: &[u8]) -> Report {
    let whole = Report::of(text);
    if whole != Report::default() {
        return whole;
    }
    let usage = |at: usize| {
        let value = text[at + USAGE.len()..].trim_ascii_start().strip_prefix(b":")?;
        let value = serde_json::Deserializer::from_slice(value).into_iter::<&RawValue>().next()?.ok()?;
        let report = Report::of(format!("{{\"usage\":{value}}}").as_bytes());
        Some(report).filter(|report| *report != Report::default())
    };
    memmem::rfind_iter(text, USAGE).find_map(usage).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]], is_events: bool) -> End {
        let mut tail = Tail::default();
        pieces.iter().for_each(|piece| tail.push(&Bytes::copy_from_slice(piece)));
        tail.read(is_events)
    }

    #[test]
    fn usage_stands_before_done_at_the_end_of_a_stream() {
        let long = vec![b'x'; 100_000];
        let pieces: [&[u8]; 3] = [
            &long,
            b"\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"total_tokens\":17,\"completion_tokens\":10}}\n\n",
            b"data: [DONE]\n\n",
        ];
        let end = read(&pieces, true);
        let usage = end.report.usage.expect("usage");
        assert_eq!((usage.prompt_tokens, usage.completion_tokens, end.gave_up), (7, 10, false));
        assert!(end.is_last && !read(&pieces[..2], true).is_last, "some engines state usage in every event");
    }

    #[test]
    fn usage_stands_at_the_end_of_an_object_however_long_it_is() {
        let text = format!("{{\"choices\":[{{\"text\":\"{}\"", "x".repeat(50_000));
        let end = b",\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":5}}";
        let end = read(&[text.as_bytes(), end], false);
        assert_eq!(end.report.usage.map(|usage| usage.completion_tokens), Some(5));
    }

    #[test]
    fn a_last_event_that_has_the_whole_answer_in_it_is_read_from_its_end() {
        let begin = format!("event: x\ndata: {{\"response\":{{\"output\":\"{}\",", "x".repeat(9_000));
        let end = |name: &str| {
            let usage = "\"usage\":{\"input_tokens\":7,\"output_tokens\":9},\"user\":\"usage\"}";
            format!("{usage},\"sequence_number\":4,\"type\":\"{name}\"}}\n\n")
        };
        let of = |end: &str| read(&[begin.as_bytes(), end.as_bytes()], true);
        let whole = of(&end("response.completed"));
        assert_eq!(whole.report.usage.map(|usage| usage.completion_tokens), Some(9));
        assert_eq!((whole.is_last, whole.gave_up), (true, false));
        let failed = of(&end("response.failed"));
        assert_eq!((failed.is_last, failed.gave_up), (true, true));
        let quoted = of(&end("response.completed").replace('"', "\\\""));
        assert!(
            !quoted.is_last && quoted.report == Report::default(),
            "words of an answer are none of its end"
        );
        assert!(!of(end("response.completed").trim_end()).is_last, "not all of it came");
        let before = [&end("response.completed"), "event: y\ndata: {}\n\n"].concat();
        assert!(!of(&before).is_last, "what was cut is not the last one");
    }

    #[test]
    fn an_object_that_is_broken_off_behind_its_usage_is_not_whole() {
        let text = format!(
            "{{\"text\":\"{}\",\"usage\":{{\"prompt_tokens\":3,\"completion_tokens\":5}},\"choices\":[{{",
            "x".repeat(5_000)
        );
        let end = read(&[text.as_bytes()], false);
        assert!(!end.is_last && end.report.usage.is_some());
    }

    #[test]
    fn an_answer_that_was_given_up_is_seen() {
        assert!(read(&[b"data: {\"error\":{\"message\":\"x\"}}\n\n", b"data: [DONE]\n\n"], true).gave_up);
        let clients = b"data: {\"error\":{\"message\":\"x\",\"type\":\"BadRequestError\",\"code\":400}}\n\n";
        assert!(!read(&[clients], true).gave_up, "by its client's fault");
    }

    #[test]
    fn each_api_says_in_its_own_way_that_nothing_is_to_come() {
        for (event, is_last) in [
            (&b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"[..], true),
            (b"event: message_delta\ndata: {\"usage\":{\"output_tokens\":3}}\n\n", false),
            (b"event: response.completed\ndata: {}\n\n", true),
            (b"event: response.output_text.delta\ndata: {}\n\n", false),
        ] {
            assert_eq!(read(&[event], true).is_last, is_last, "{}", String::from_utf8_lossy(event));
        }
    }

    #[test]
    fn a_copy_says_the_same_however_it_was_cut_and_nothing_of_what_was_forgotten() {
        let usage = b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":10}}\n\ndata: [DONE]\n\n";
        let stream = [&b"data: {\"choices\":[{\"text\":\"x\"}]}\n\n".repeat(1_000)[..], usage].concat();
        for size in [1, 7, 100, 4_095, 4_096, 5_000, stream.len()] {
            let mut copied = Copied::default();
            stream.chunks(size).for_each(|piece| copied.push(piece));
            assert_eq!(copied.read(true).usage.map(|usage| usage.prompt_tokens), Some(7), "by {size}");
            assert!(copied.0.len() <= 2 * ENOUGH, "by {size}: {}", copied.0.len());
            copied.forget();
            copied.push(b"data: [DONE]\n\n");
            assert_eq!(copied.read(true), Report::default());
        }
    }

    #[test]
    fn only_the_end_of_a_large_piece_is_read() {
        let large = [vec![b'x'; 3 * ENOUGH], b"end".to_vec()].concat();
        let mut tail = Tail::default();
        tail.push(&Bytes::from(large));
        assert_eq!((tail.text().len(), tail.text().ends_with(b"end")), (ENOUGH, true));
    }

    #[test]
    fn only_the_end_is_kept() {
        let mut tail = Tail::default();
        for _ in 0..1_000 {
            tail.push(&Bytes::from_static(&[b'x'; 3_000]));
        }
        assert_eq!((tail.pieces.len(), tail.bytes), (2, 6_000));
        for _ in 0..1_000 {
            tail.push(&Bytes::from_static(b"x"));
        }
        assert_eq!(tail.pieces.len(), PIECES);
    }
}
