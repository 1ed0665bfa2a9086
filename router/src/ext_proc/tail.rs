//! The end of a response: what it cost and why it ended stand there. Nothing before it is looked at.
//!
//! Keeps the last pieces as they came, without a copy: at most those that hold the last 4 KiB, and 8 of them.

use std::collections::VecDeque;

use bytes::Bytes;
use memchr::memmem;
use warmlane_engine::sse::{
    Splitter,
    payload::{self, Kind, Report},
};

/// Bytes that the last events of a stream, or the end of a JSON object, take.
const ENOUGH: usize = 4 * 1024;
/// A final chunk of a stream that has usage comes behind one that says why it ended, and before `[DONE]`.
const PIECES: usize = 8;

/// Names of the events that end the streams which have no `[DONE]`.
const LAST: [&[u8]; 4] = [b"message_stop", b"response.completed", b"response.incomplete", b"response.failed"];

/// What the end of a response says.
#[derive(Debug, Default)]
pub(super) struct End {
    pub(super) report: Report,
    /// The engine gave the answer up and is to blame.
    pub(super) gave_up: bool,
    /// Nothing of it is to come.
    pub(super) is_last: bool,
}

/// See the module's header.
#[derive(Debug, Default)]
pub(super) struct Tail {
    pieces: VecDeque<Bytes>,
    bytes: usize,
}

// === Tail ===

impl Tail {
    /// Takes the next piece.
    pub(super) fn push(&mut self, piece: &Bytes) {
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

    /// What it says. An object that is no stream of events says by its status whether it is an answer.
    pub(super) fn read(&self, is_events: bool) -> End {
        let text = self.text();
        if !is_events {
            let report = of_object(&text);
            return End { report, gave_up: false, is_last: report != Report::default() };
        }
        let mut end = End::default();
        Splitter::new(ENOUGH).push(&text, |event| {
            end.gave_up |= payload::is_failure(event);
            end.is_last |= payload::kind(event) == Kind::Done || LAST.contains(&event.name);
            end.report.absorb(Report::of(event.data));
        });
        end
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

/// Of the end of an object: engines write usage last, so from there on it is an object again.
fn of_object(text: &[u8]) -> Report {
    let whole = Report::of(text);
    if whole != Report::default() {
        return whole;
    }
    let Some(at) = memmem::rfind(text, b"\"usage\"") else { return whole };
    let rest = [b"{", &text[at..]].concat();
    Report::of(&rest)
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
