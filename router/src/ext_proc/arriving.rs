//! The bytes of a gRPC message that is not whole yet, held to the budget for bodies: a gateway that sends bodies in one
//! message may send large ones.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tonic::Status;

use crate::budget::{Budget, Held};

/// Bytes of a message that are not counted: most have fewer, and come in one frame.
const FREE: u64 = 64 * 1024;

/// What Envoy sends on one stream.
pub(super) struct Arriving {
    body: Incoming,
    unfinished: Unfinished,
}

/// How much has come of the message that is not whole. One lock for each frame, which nobody else wants.
#[derive(Clone)]
pub(super) struct Unfinished(Arc<Mutex<Count>>);

struct Count {
    bytes: u64,
    held: Held,
}

// === Unfinished ===

impl Unfinished {
    pub(super) fn new(budget: &Arc<Budget>) -> Self {
        Self(Arc::new(Mutex::new(Count { bytes: 0, held: budget.share() })))
    }

    /// A message is whole: what is kept of it is counted by its keeper.
    pub(super) fn finished(&self) {
        let mut count = self.count();
        count.bytes = 0;
        count.held.release();
    }

    /// Counts further bytes; false when the budget does not allow them.
    fn grow(&self, bytes: usize) -> bool {
        let mut count = self.count();
        count.bytes += bytes as u64;
        let sum = count.bytes;
        sum <= FREE || count.held.grow_to(sum)
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === Arriving ===

impl Arriving {
    pub(super) fn new(body: Incoming, unfinished: Unfinished) -> Self {
        Self { body, unfinished }
    }
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = tonic::codegen::StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)?) else { return Poll::Ready(None) };
        let fits = frame.data_ref().is_none_or(|data| self.unfinished.grow(data.len()));
        Poll::Ready(Some(if fits {
            Ok(frame)
        } else {
            Err(Status::resource_exhausted("the budget for bodies is used up").into())
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_count_until_they_are_whole_and_short_ones_do_not() {
        let budget = Budget::new(100_000);
        let unfinished = Unfinished::new(&budget);
        assert!(unfinished.grow(65_536));
        assert_eq!(budget.held(), 0);
        assert!(unfinished.grow(1_000));
        assert_eq!(budget.held(), 66_536);
        assert!(!unfinished.grow(40_000), "more than there is");
        unfinished.finished();
        assert_eq!(budget.held(), 0);
        assert!(unfinished.grow(40_000));
    }
}
