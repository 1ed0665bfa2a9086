//! Places for client connections, and for the streams of HTTP/2 connections, under one process-wide limit.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use crate::seldom::Seldom;

/// All places of a process.
#[derive(Debug)]
pub struct Seats {
    limit: usize,
    taken: AtomicUsize,
    /// It is full for as long as somebody keeps knocking.
    full: Seldom,
}

/// One taken place. Dropping it frees it.
#[derive(Debug)]
pub struct Seat(Arc<Seats>);

// === Seats ===

impl Seats {
    /// So many places.
    pub fn new(limit: usize) -> Self {
        Self { limit, taken: AtomicUsize::new(0), full: Seldom::new() }
    }

    /// A place, if one is free. A refusal is logged now and then.
    pub fn take(self: &Arc<Self>) -> Option<Seat> {
        let fits = |count: usize| (count < self.limit).then_some(count + 1);
        if self.taken.fetch_update(Relaxed, Relaxed, fits).is_ok() {
            return Some(Seat(self.clone()));
        }
        if let Some(not_logged) = self.full.is_due() {
            let limit = self.limit;
            tracing::warn!(limit, not_logged, "connections are refused: limits.connections is reached");
        }
        None
    }
}

// === Seat ===

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_up_to_the_limit_and_again_when_freed() {
        let seats = Arc::new(Seats::new(2));
        let (first, second) = (seats.take(), seats.take());
        assert!(first.is_some() && second.is_some() && seats.take().is_none());
        drop(first);
        assert!(seats.take().is_some());
    }
}
