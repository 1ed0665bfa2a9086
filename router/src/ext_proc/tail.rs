//! The end of a response: what it cost and why it ended stand there. Nothing before it is looked at.
//!
//! Keeps the last pieces as they came, without a copy: at most those that hold the last 4 KiB, and 8 of them.

use std::collections::VecDeque;

use bytes::Bytes;
use memchr::memmem;
use warmlane_engine::sse::{
    Splitter,
    payload::{self, Report},
};

/// Bytes that the last events of a stream, or the end of a JSON object, take.
const ENOUGH: usize = 4 * 1024;
/// A final chunk of a stream that has usage comes behind one that says why it ended, and before `[DONE]`.
const PIECES: usize = 8;

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

    /// What it says, and whether the engine gave the answer up and is to blame. An object that is no stream of events
    /// says so by its status.
    pub(super) fn read(&self, is_events: bool) -> (Report, bool) {
        let text: Vec<u8> = self.pieces.iter().flatten().copied().collect();
        let text = &text[text.len().saturating_sub(ENOUGH)..];
        if !is_events {
            return (of_object(text), false);
        }
        let (mut report, mut gave_up) = (Report::default(), false);
        Splitter::new(ENOUGH).push(text, |event| {
            gave_up |= payload::is_failure(event);
            report.absorb(Report::of(event.data));
        });
        (report, gave_up)
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

    fn read(pieces: &[&[u8]], is_events: bool) -> (Report, bool) {
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
        let (report, gave_up) = read(&pieces, true);
        let usage = report.usage.expect("usage");
        assert_eq!((usage.prompt_tokens, usage.completion_tokens, gave_up), (7, 10, false));
    }

    #[test]
    fn usage_stands_at_the_end_of_an_object_however_long_it_is() {
        let text = format!("{{\"choices\":[{{\"text\":\"{}\"", "x".repeat(50_000));
        let end = b",\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":5}}";
        let (report, _) = read(&[text.as_bytes(), end], false);
        assert_eq!(report.usage.map(|usage| usage.completion_tokens), Some(5));
    }

    #[test]
    fn an_answer_that_was_given_up_is_seen() {
        assert!(read(&[b"data: {\"error\":{\"message\":\"x\"}}\n\n", b"data: [DONE]\n\n"], true).1);
        let clients = b"data: {\"error\":{\"message\":\"x\",\"type\":\"BadRequestError\",\"code\":400}}\n\n";
        assert!(!read(&[clients], true).1, "by its client's fault");
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
