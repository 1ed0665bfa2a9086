//! A body without end, every byte of which is known by its place.

use anyhow::Context as _;

use crate::wire::find;

/// Bytes of an event; the script has the same.
const EVENT: usize = 2_048;
/// From one chunk to the next.
const CHUNK: usize = EVENT + "800\r\n".len() + "\r\n".len();
const NUMBER: &str = "800\r\ndata: ";
const DIGITS: usize = 20;

/// The head before it.
pub(super) const HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// One chunk after the other, in one place.
pub(super) struct Chunk(Vec<u8>);

/// Holds what comes against what was sent.
#[derive(Default)]
pub(super) struct Check {
    /// As much as has come of it.
    head: Vec<u8>,
    in_body: bool,
    passed: u64,
    chunk: Chunk,
}

// === Chunk ===

impl Default for Chunk {
    fn default() -> Self {
        let fill = CHUNK - NUMBER.len() - DIGITS - "\n\n\r\n".len();
        Self(format!("{NUMBER}{:020}{:x<fill$}\n\n\r\n", 0, "").into_bytes())
    }
}

impl Chunk {
    /// The one with this number.
    pub(super) fn number(&mut self, number: u64) -> &[u8] {
        let digits = format!("{number:020}");
        self.0[NUMBER.len()..NUMBER.len() + DIGITS].copy_from_slice(digits.as_bytes());
        &self.0
    }
}

// === Check ===

impl Check {
    /// Bytes of the body that were as they should.
    pub(super) fn passed(&self) -> u64 {
        self.passed
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        if self.in_body {
            return self.body(bytes);
        }
        self.head.extend_from_slice(bytes);
        let Some(at) = find(&self.head, b"\r\n\r\n") else { return Ok(()) };
        anyhow::ensure!(self.head.starts_with(b"HTTP/1.1 200"), "{}", self.head.escape_ascii());
        self.in_body = true;
        let rest = self.head.split_off(at + 4);
        self.body(&rest)
    }

    fn body(&mut self, mut bytes: &[u8]) -> anyhow::Result<()> {
        while !bytes.is_empty() {
            let from = usize::try_from(self.passed % CHUNK as u64).context("within a chunk")?;
            let expected = &self.chunk.number(self.passed / CHUNK as u64)[from..];
            let length = expected.len().min(bytes.len());
            anyhow::ensure!(expected[..length] == bytes[..length], "other bytes behind {}", self.passed);
            self.passed += length as u64;
            bytes = &bytes[length..];
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(chunks: u64) -> Vec<u8> {
        let mut chunk = Chunk::default();
        let body = (0..chunks).flat_map(|number| chunk.number(number).to_vec());
        HEAD.bytes().chain(body).collect()
    }

    #[test]
    fn what_was_sent_passes_however_it_is_cut() {
        let sent = sent(5);
        for size in [1, 100, 3_000, sent.len()] {
            let mut check = Check::default();
            sent.chunks(size).for_each(|piece| check.feed(piece).unwrap());
            assert_eq!(check.passed(), 5 * CHUNK as u64);
        }
    }

    #[test]
    fn a_byte_that_is_missing_or_doubled_is_found() {
        for at in [200, 3_000, 6_000] {
            let mut missing = sent(5);
            missing.remove(at);
            assert!(Check::default().feed(&missing).is_err());
        }
        let mut doubled = sent(5);
        let again = doubled[2_200..2_200 + CHUNK].to_vec();
        doubled.splice(2_200..2_200, again);
        assert!(Check::default().feed(&doubled).is_err());
    }
}
