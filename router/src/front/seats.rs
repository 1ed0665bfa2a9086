//! Places for client connections, and for the streams of HTTP/2 connections, under one process-wide limit.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// How often a full house is logged, at most: it is full for as long as somebody keeps knocking.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// All places of a process.
#[derive(Debug)]
pub struct Seats {
    limit: usize,
    taken: AtomicUsize,
    logged: Mutex<Option<Instant>>,
}

/// One taken place. Dropping it frees it.
#[derive(Debug)]
pub struct Seat(Arc<Seats>);

// === Seats ===

impl Seats {
    /// So many places.
    pub fn new(limit: usize) -> Self {
        Self { limit, taken: AtomicUsize::new(0), logged: Mutex::new(None) }
    }

    /// A place, if one is free. A refusal is logged now and then.
    pub fn take(self: &Arc<Self>) -> Option<Seat> {
        let fits = |count: usize| (count < self.limit).then_some(count + 1);
        if self.taken.fetch_update(Relaxed, Relaxed, fits).is_ok() {
            return Some(Seat(self.clone()));
        }
        if self.may_log(Instant::now()) {
            let limit = self.limit;
            tracing::warn!(limit, "connections are refused: limits.connections is reached");
        }
        None
    }

    fn may_log(&self, now: Instant) -> bool {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let may = logged.is_none_or(|last| now.saturating_duration_since(last) >= LOG_INTERVAL);
        if may {
            *logged = Some(now);
        }
        may
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

    #[test]
    fn a_full_house_is_logged_now_and_then() {
        let (seats, start) = (Seats::new(0), Instant::now());
        assert!(seats.may_log(start));
        assert!(!seats.may_log(start + Duration::from_secs(9)));
        assert!(seats.may_log(start + Duration::from_secs(11)));
    }
}
