//! A connection's part in the lane: asked for once it is needed, and kept with the connection.

use std::mem;

use crate::kernel::{self, Refusal, Side};

/// See the module's header.
#[derive(Debug, Default)]
pub enum Part<T> {
    /// It has not been asked for.
    #[default]
    Unasked,
    /// It has none, and will have none.
    Refused(Refusal),
    /// It may take part.
    Taken(T),
}

// === Part ===

impl<T> Part<T> {
    /// The part, asked for the first time, and again where something was full.
    pub(super) fn get(&mut self, ask: impl FnOnce() -> Result<T, Refusal>) -> Result<&mut T, Refusal> {
        if matches!(self, Self::Unasked | Self::Refused(Refusal::Full | Refusal::ClientFull)) {
            *self = ask().map_or_else(Self::Refused, Self::Taken);
        }
        match self {
            Self::Taken(part) => Ok(part),
            Self::Refused(refusal) => Err(*refusal),
            Self::Unasked => Err(Refusal::Socket),
        }
    }

    /// Takes it out, so that it can be borrowed apart from its connection.
    pub fn take(&mut self) -> Self {
        mem::take(self)
    }
}

impl Part<kernel::Upstream> {
    /// Whether the other end was seen on this node; `None` where it has not been looked for.
    pub fn is_local(&self) -> Option<bool> {
        match self {
            Self::Taken(upstream) => Some(upstream.side() == Side::Local),
            Self::Refused(Refusal::Left) => Some(true),
            Self::Refused(Refusal::Remote) => Some(false),
            Self::Refused(_) | Self::Unasked => None,
        }
    }

    /// Has the pod's end leave the lane; why it takes no part from then on, if it does not.
    pub fn leave(&mut self) -> Option<Refusal> {
        match self.take() {
            Self::Taken(upstream) if upstream.side() == Side::Local => {
                upstream.leave();
                *self = Self::Refused(Refusal::Left);
                Some(Refusal::Left)
            }
            other => {
                *self = other;
                None
            }
        }
    }
}
