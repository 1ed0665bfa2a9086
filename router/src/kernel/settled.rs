//! Whether a client's socket has what was redirected to it.
//!
//! A packet that is redirected is sent by a worker of the kernel, later. What user space writes before that overtakes it.
//!
//! ```text
//! settled: bytes ever written to the socket = those when the order was given + those redirected under it
//! ```
//! For the router writes nothing in between.

use std::{cmp::Ordering, os::fd::AsFd, time::Duration};

use super::socket;

/// See the module's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It has all of it: user space may write.
    Yes,
    /// Some of it still waits.
    NotYet,
    /// It has more: bytes of others are among them, and the client must see the response break off.
    Never,
}

/// What a client's socket had when an order was given; none where redirects are in the socket as they return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due(Option<u64>);

// === Settled ===

impl Settled {
    /// How long to wait before one looks again: many times what the kernel's worker takes, and less than a token does.
    pub const LOOK_AGAIN: Duration = Duration::from_millis(1);
}

// === Due ===

impl Due {
    pub(super) fn at_once() -> Self {
        Self(None)
    }

    /// Behind all that was written so far; `None` where the socket does not tell.
    pub(super) fn behind(client_side: &impl AsFd) -> Option<Self> {
        Some(Self(Some(socket::written(client_side)?)))
    }

    pub(super) fn settled(self, redirected: u64, client_side: &impl AsFd) -> Settled {
        let Self(Some(before)) = self else { return Settled::Yes };
        match socket::written(client_side).map(|written| written.cmp(&(before + redirected))) {
            Some(Ordering::Equal) => Settled::Yes,
            // It tells later: what waits here has an end, by time or by the client.
            Some(Ordering::Less) | None => Settled::NotYet,
            Some(Ordering::Greater) => Settled::Never,
        }
    }
}
