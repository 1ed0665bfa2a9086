//! Puts the client's name for a model back into a response that names what really served it.
//!
//! Looks for `"model":"NAME"`, with or without a space behind the colon, as it streams by: a piece that ends within such a
//! text is held back up to that place, so never more than the text itself is.

use bytes::{Bytes, BytesMut};
use memchr::memmem;

/// See the module's header.
#[derive(Debug)]
pub(super) struct Restore {
    /// What is looked for, and what takes its place.
    texts: [(Vec<u8>, Vec<u8>); 2],
    /// The end of what came, which may begin one of them.
    held: BytesMut,
}

// === Restore ===

impl Restore {
    /// From the name that was sent to the endpoint to the one that the client used.
    pub(super) fn new(sent: &str, asked: &str) -> Self {
        let json = |name: &str| serde_json::Value::String(name.to_owned()).to_string();
        let pair = |key: &str| {
            (format!("{key}{}", json(sent)).into_bytes(), format!("{key}{}", json(asked)).into_bytes())
        };
        Self { texts: [pair("\"model\":"), pair("\"model\": ")], held: BytesMut::new() }
    }

    /// The next piece, changed; `end`: nothing follows.
    pub(super) fn push(&mut self, piece: Bytes, end: bool) -> Bytes {
        let all = if self.held.is_empty() {
            piece
        } else {
            self.held.extend_from_slice(&piece);
            self.held.split().freeze()
        };
        let (changed, done) = self.replace(&all);
        // Only what no text has been found in can begin one.
        let keep = if end { 0 } else { self.unfinished(&all[done..]) };
        let settled = all.len() - keep;
        self.held.extend_from_slice(&all[settled..]);
        match changed {
            None => all.slice(..settled),
            Some(mut changed) => {
                changed.extend_from_slice(&all[done..settled]);
                changed.freeze()
            }
        }
    }

    /// Length of the longest end of `rest` that begins a text.
    fn unfinished(&self, rest: &[u8]) -> usize {
        let begins = |text: &[u8]| {
            let longest = rest.len().min(text.len() - 1);
            (1..=longest).rev().find(|len| text.starts_with(&rest[rest.len() - len..])).unwrap_or(0)
        };
        self.texts.iter().map(|(text, _)| begins(text)).max().unwrap_or(0)
    }

    /// Everything up to the end of the last text that is there, changed, and where that end is.
    fn replace(&self, all: &[u8]) -> (Option<BytesMut>, usize) {
        let (mut changed, mut done) = (None, 0);
        while let Some((at, len, by)) = self.first(&all[done..]) {
            let changed = changed.get_or_insert_with(|| BytesMut::with_capacity(all.len() + 64));
            changed.extend_from_slice(&all[done..done + at]);
            changed.extend_from_slice(by);
            done += at + len;
        }
        (changed, done)
    }

    /// The first text, its length, and what takes its place.
    fn first(&self, rest: &[u8]) -> Option<(usize, usize, &[u8])> {
        let found = self
            .texts
            .iter()
            .filter_map(|(text, by)| memmem::find(rest, text).map(|at| (at, text.len(), by.as_slice())));
        found.min_by_key(|(at, ..)| *at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn restored(pieces: &[&[u8]]) -> Vec<u8> {
        let mut restore = Restore::new("chat-v2", "chat");
        let mut all = Vec::new();
        for (at, piece) in pieces.iter().enumerate() {
            all.extend_from_slice(&restore.push(Bytes::copy_from_slice(piece), at + 1 == pieces.len()));
        }
        all
    }

    #[test]
    fn both_ways_of_writing_it_are_restored_and_nothing_else_is() {
        let text = br#"{"model":"chat-v2","x":{"model": "chat-v2"},"models":"chat-v2","model":"chat-v21"}"#;
        let whole = br#"{"model":"chat","x":{"model": "chat"},"models":"chat-v2","model":"chat-v21"}"#;
        assert_eq!(restored(&[text]), whole);
    }

    #[test]
    fn a_piece_that_begins_nothing_is_passed_on_at_once_and_not_copied() {
        let mut restore = Restore::new("a", "b");
        let piece = Bytes::from_static(b"data: {\"choices\":[]}\n\n");
        assert_eq!(restore.push(piece.clone(), false).as_ptr(), piece.as_ptr());
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(cuts in proptest::collection::vec(0_usize..90, 0..6)) {
            let text = br#"data: {"model":"chat-v2","model": "chat-v2"} "mode"model":"chat-v2""model":"chat-v2"#;
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&text[from..cut]);
                from = cut;
            }
            pieces.push(&text[from..]);
            prop_assert_eq!(restored(&pieces), restored(&[text]));
        }
    }
}
