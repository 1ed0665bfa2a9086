//! The end of a body, found in user space.

use warmlane_router::kernel::{Framing, Turn, kind, stage};

/// Where a body ends, as user space follows it: it goes on from wherever the kernel stopped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Body {
    pub(super) framing: Framing,
    /// Bytes of the present line behind the last chunk's size, once that was read.
    pub(super) tail: Option<u32>,
    size_line: bool,
    pub(super) done: bool,
}

// === Body ===

impl Body {
    pub(super) fn behind(head: &[u8]) -> Self {
        let head = String::from_utf8_lossy(head).to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let length = length.and_then(|length| length.trim().parse().ok());
        let framing = length.map_or(Framing::chunked(), Framing::length);
        Self { framing, tail: None, size_line: false, done: length == Some(0) }
    }

    /// How many bytes belong to the body.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() && !self.done {
            at += self.advance(&bytes[at..]);
        }
        at
    }

    fn advance(&mut self, bytes: &[u8]) -> usize {
        if self.framing.kind == kind::LENGTH {
            let taken = bytes.len().min(usize::try_from(self.framing.remaining).unwrap_or(usize::MAX));
            self.framing.remaining -= taken as u64;
            self.done = self.framing.remaining == 0;
            return taken;
        }
        if let Some(line) = self.tail {
            self.tail = Some(match bytes[0] {
                b'\n' if self.size_line => 0,
                b'\n' => {
                    self.done = line == 0;
                    0
                }
                b'\r' => line,
                _ => line + 1,
            });
            self.size_line &= bytes[0] != b'\n';
            return 1;
        }
        if self.framing.stage == stage::DATA {
            self.framing.mark = 0;
            let skipped = self.framing.unread(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
            self.framing = self.framing.skip(skipped);
            return skipped as usize;
        }
        let before = self.framing;
        let (framing, turn) = before.read(bytes[0]);
        match turn {
            Turn::End => (self.tail, self.size_line) = (Some(0), true),
            Turn::Bad => panic!("bad framing at {before:?}: {}", bytes.escape_ascii()),
            Turn::On | Turn::Line | Turn::Failure => self.framing = framing,
        }
        1
    }
}
