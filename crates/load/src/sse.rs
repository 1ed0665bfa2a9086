//! Splits a stream of bytes into SSE payloads.

/// Cuts events out of bytes that arrive in any pieces.
#[derive(Debug, Default)]
pub(crate) struct Events {
    carry: Vec<u8>,
}

impl Events {
    /// Calls `each` with the payload of every event that `bytes` completes.
    pub(crate) fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        let mut rest = bytes;
        while let Some(at) = memchr::memchr(b'\n', rest) {
            let line = &rest[..at];
            rest = &rest[at + 1..];
            if self.carry.is_empty() {
                payload(line).map(&mut each);
            } else {
                self.carry.extend_from_slice(line);
                payload(&self.carry).map(&mut each);
                self.carry.clear();
            }
        }
        self.carry.extend_from_slice(rest);
    }
}

fn payload(line: &[u8]) -> Option<&[u8]> {
    let data = line.strip_suffix(b"\r").unwrap_or(line).strip_prefix(b"data:")?;
    Some(data.strip_prefix(b" ").unwrap_or(data))
}
