//! A chunked body's place in the terms of the kernel lane, which follows it to the last chunk.

use super::{Chunked, State};
use crate::kernel::{Framing, stage};

impl Chunked {
    /// The place, where the kernel may go on from it: between two chunks. Anywhere else what it looks for at the
    /// beginning of a chunk might have passed already.
    pub(in crate::http1) fn to_kernel(self) -> Option<Framing> {
        (self.state == State::Size && self.digits == 0).then(Framing::chunked)
    }

    /// The place at which the kernel has stopped; `None` for one that it cannot be at.
    pub(in crate::http1) fn of_kernel(framing: &Framing) -> Option<Self> {
        let state = match framing.stage {
            stage::SIZE => State::Size,
            stage::EXTENSION => State::Extension,
            stage::SIZE_LF => State::SizeLf,
            stage::DATA => State::Data,
            stage::DATA_CR => State::DataCr,
            stage::DATA_LF => State::DataLf,
            _ => return None,
        };
        let digits = u8::try_from(framing.digits).ok()?;
        Some(Self { remaining: framing.remaining, line: framing.extension, digits, state })
    }
}
