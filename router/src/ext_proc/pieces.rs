//! A body in pieces, as it came, until it is given back.
//!
//! A piece is a slice of the message that it came in, and keeps all of it in memory. So large pieces stay as they are,
//! and small ones, in which a slow or an evil client may send a body, are copied behind each other.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::reply::PIECE;

/// Pieces from this size on are kept as they came, and the first one always: most bodies have no other.
const LARGE: usize = 4 * 1024;
/// What a kept piece takes beside its bytes and its message.
const ENTRY: usize = 64;

/// See the module's header.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    kept: Vec<Bytes>,
    /// Small ones, copied, behind what is kept.
    tail: BytesMut,
    bytes: u64,
    taken: u64,
}

// === Pieces ===

impl Pieces {
    /// Takes the next piece; `beside`: the bytes of its message that are none of the body.
    pub(super) fn push(&mut self, piece: Bytes, beside: usize) {
        if piece.is_empty() {
            return;
        }
        self.bytes += piece.len() as u64;
        let is_first = self.kept.is_empty() && self.tail.is_empty();
        if piece.len() >= LARGE || is_first {
            self.close_tail();
            self.taken += (piece.len() + beside + ENTRY) as u64;
            self.kept.push(piece);
            return;
        }
        if self.tail.len() + piece.len() > PIECE {
            self.close_tail();
        }
        self.taken += piece.len() as u64;
        self.tail.extend_from_slice(&piece);
    }

    /// The length of the body so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What it takes of memory.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// All of them.
    pub(super) fn all(mut self) -> Vec<Bytes> {
        self.close_tail();
        self.kept
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.taken += ENTRY as u64;
            self.kept.push(self.tail.split().freeze());
        }
    }
}

/// Another value for `model`, in the pieces of a body that has it at `span`. The pieces stay what they are around it.
pub(super) fn renamed(pieces: Vec<Bytes>, span: &Range<u64>, name: &str) -> Vec<Bytes> {
    let value = Bytes::from(serde_json::Value::String(name.to_owned()).to_string());
    let mut all = Vec::with_capacity(pieces.len() + 2);
    let (mut at, mut value) = (0_u64, Some(value));
    for piece in pieces {
        let end = at + piece.len() as u64;
        let within = |place: u64| place.clamp(at, end) - at;
        let (from, to) = (within(span.start) as usize, within(span.end) as usize);
        if from == to {
            all.push(piece);
        } else {
            all.push(piece.slice(..from));
            all.extend(value.take());
            all.push(piece.slice(to..));
        }
        at = end;
    }
    all.retain(|piece| !piece.is_empty());
    all
}

/// The pieces as one, copied only where there are several.
pub(super) fn joined(pieces: Vec<Bytes>) -> Bytes {
    if pieces.len() < 2 {
        return pieces.into_iter().next().unwrap_or_default();
    }
    let mut all = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    pieces.iter().for_each(|piece| all.extend_from_slice(piece));
    all.freeze()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_model_is_renamed_wherever_the_pieces_were_cut(cuts in proptest::collection::vec(0_usize..30, 0..5)) {
            let text = br#"{"model":"chat","prompt":"hi"}"#;
            let mut cuts = cuts;
            cuts.sort_unstable();
            let (mut pieces, mut from) = (Vec::new(), 0);
            for cut in cuts {
                pieces.push(Bytes::copy_from_slice(&text[from..cut]));
                from = cut;
            }
            pieces.push(Bytes::copy_from_slice(&text[from..]));
            let renamed = joined(renamed(pieces, &(9..15), "chat-\"2\""));
            prop_assert_eq!(&renamed[..], &br#"{"model":"chat-\"2\"","prompt":"hi"}"#[..]);
        }

        #[test]
        fn a_body_is_the_same_in_pieces_of_any_length(
            lengths in proptest::collection::vec(prop_oneof![0..3_usize, 4_000..5_000_usize, 50_000..70_000_usize], 0..12),
        ) {
            let (mut pieces, mut whole) = (Pieces::default(), Vec::new());
            for (number, length) in lengths.into_iter().enumerate() {
                let piece = vec![number as u8; length];
                pieces.push(Bytes::copy_from_slice(&piece), 0);
                whole.extend(piece);
            }
            prop_assert_eq!(pieces.bytes(), whole.len() as u64);
            prop_assert_eq!(&joined(pieces.all())[..], &whole[..]);
        }
    }

    #[test]
    fn a_body_of_single_bytes_takes_little_more_than_itself() {
        let mut pieces = Pieces::default();
        let message = Bytes::from_static(&[b'x'; 200]);
        (0..1_000_000).for_each(|at| pieces.push(message.slice(at % 200..=at % 200), 199));
        assert!(pieces.taken() < 1_002_000, "{}", pieces.taken());
        assert_eq!(pieces.all().len(), 1 + 999_999_usize.div_ceil(PIECE));
    }

    #[test]
    fn a_large_piece_is_not_copied_and_counts_with_its_message() {
        let mut pieces = Pieces::default();
        let large = Bytes::from(vec![b'x'; LARGE]);
        pieces.push(Bytes::from_static(b"{"), 0);
        pieces.push(large.clone(), 1_000);
        assert_eq!(pieces.taken(), (1 + ENTRY + LARGE + 1_000 + ENTRY) as u64);
        assert_eq!(pieces.all()[1].as_ptr(), large.as_ptr());
    }
}
