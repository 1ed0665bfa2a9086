//! Finds the end of a head in bytes that arrive bit by bit, each byte looked at once.
//!
//! It checks what can be told from line ends alone (bare CR or LF, folding, length, number of lines), always
//! in order of position, so that the first error is the same however the bytes were split.

use memchr::memchr2;

use super::{FramingError, HeadLimits, MAX_HEADERS};

/// Longest head whatever the limits say: keeps every offset far below `u32::MAX`.
const MAX_HEAD: usize = 1 << 30;

/// Where the search stands. All offsets count from the start of the head.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeadScan {
    /// Start of the line being read.
    line: u32,
    /// First byte not looked at yet.
    pos: u32,
    /// Complete lines so far.
    lines: u32,
}

pub(super) fn max_head(limits: &HeadLimits) -> usize {
    limits.head.min(MAX_HEAD)
}

/// Whether `head`, which `httparse` accepted with `headers`, would pass [`HeadScan::end`] too.
///
/// What `httparse` accepts has no bare CR and no folding, but its lines may end in a bare LF. Each name
/// starts right behind the end of the line before.
pub(super) fn is_plain(head: &[u8], headers: &[httparse::Header<'_>], first_line: usize) -> bool {
    let offset = |header: &httparse::Header<'_>| header.name.as_ptr().addr() - head.as_ptr().addr();
    let first_end = headers.first().map_or(head.len() - 2, offset);
    first_end <= first_line
        && head.ends_with(b"\r\n\r\n")
        && headers.iter().all(|header| head[offset(header) - 2] == b'\r')
}

impl HeadScan {
    /// Whether nothing was looked at yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.pos == 0
    }

    /// Bytes up to and with the empty line that ends the head, or `None` while it has not arrived.
    ///
    /// `first_line` bounds the first line and `too_long` is what exceeding it is called.
    pub(super) fn end(
        &mut self,
        buf: &[u8],
        limits: &HeadLimits,
        first_line: usize,
        too_long: FramingError,
    ) -> Result<Option<usize>, FramingError> {
        let max_head = max_head(limits);
        let (mut line, mut pos) = (self.line as usize, self.pos as usize);
        loop {
            let (limit, error) = if self.lines == 0 && first_line < max_head {
                (first_line, too_long)
            } else {
                (max_head, FramingError::HeadTooLong)
            };
            if pos == line && self.lines > 0 && pos < limit && matches!(buf.get(pos), Some(b' ' | b'\t')) {
                return Err(FramingError::ObsFold);
            }
            let seen = buf.len().min(limit);
            let Some(found) = memchr2(b'\r', b'\n', buf.get(pos..seen).unwrap_or_default()) else {
                return if buf.len() >= limit { Err(error) } else { Ok(self.wait(line, seen)) };
            };
            let at = pos + found;
            if buf[at] == b'\n' {
                return Err(FramingError::BareLf);
            }
            if at + 1 >= limit {
                return Err(error);
            }
            match buf.get(at + 1) {
                None => return Ok(self.wait(line, at)),
                Some(b'\n') if at == line => return Ok(Some(at + 2)),
                Some(b'\n') => {}
                Some(_) => return Err(FramingError::BareCr),
            }
            (line, pos) = (at + 2, at + 2);
            self.lines += 1;
            if self.lines as usize > limits.headers.min(MAX_HEADERS) + 1 {
                return Err(FramingError::TooManyHeaders);
            }
        }
    }

    fn wait(&mut self, line: usize, pos: usize) -> Option<usize> {
        // Both are below `max_head`, which fits.
        (self.line, self.pos) = (line as u32, pos as u32);
        None
    }
}
