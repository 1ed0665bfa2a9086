//! Strings kept from a body, under a bound that no body can lift.
//!
//! A string over [`KEPT_BYTES`] is replaced by a digest of all of it, never cut: two long session keys that
//! differ only at their ends stay two. The digest folds the bytes in steps of the bound, so it does not
//! depend on how they arrived.

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_128;

/// The longest string kept as it is.
pub(super) const KEPT_BYTES: usize = 1024;

/// A decoded string on its way in.
#[derive(Debug, Default)]
pub(super) struct Kept {
    bytes: Vec<u8>,
    folded: bool,
}

/// The first `N` bytes of something short: a known key, a number.
#[derive(Debug)]
pub(super) struct Short<const N: usize> {
    bytes: [u8; N],
    len: usize,
    over: bool,
}

// === Kept ===

impl Kept {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.folded = false;
    }

    pub(super) fn extend(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            if self.bytes.len() == KEPT_BYTES {
                let digest = xxh3_128(&self.bytes);
                self.bytes.clear();
                self.bytes.extend_from_slice(&digest.to_le_bytes());
                self.folded = true;
            }
            let (head, rest) = piece.split_at(piece.len().min(KEPT_BYTES - self.bytes.len()));
            self.bytes.extend_from_slice(head);
            piece = rest;
        }
    }

    /// Whether the string was too long to be kept as it is.
    pub(super) fn is_folded(&self) -> bool {
        self.folded
    }

    pub(super) fn text(&self) -> Cow<'_, str> {
        if self.folded {
            Cow::Owned(format!("xxh128-{:032x}", xxh3_128(&self.bytes)))
        } else {
            // Always valid: the lexer hands on whole characters only.
            String::from_utf8_lossy(&self.bytes)
        }
    }
}

// === Short ===

impl<const N: usize> Short<N> {
    pub(super) fn clear(&mut self) {
        self.len = 0;
        self.over = false;
    }

    pub(super) fn extend(&mut self, piece: &[u8]) {
        match self.bytes.get_mut(self.len..self.len + piece.len()) {
            Some(room) => {
                room.copy_from_slice(piece);
                self.len += piece.len();
            }
            None => self.over = true,
        }
    }

    /// The bytes, or nothing if there were more than fit.
    pub(super) fn get(&self) -> &[u8] {
        if self.over { &[] } else { &self.bytes[..self.len] }
    }
}

impl<const N: usize> Default for Short<N> {
    fn default() -> Self {
        Self { bytes: [0; N], len: 0, over: false }
    }
}
