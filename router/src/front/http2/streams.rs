//! The open streams of one HTTP/2 connection, and how many of them its client has given up.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

/// Streams that a client may give up at once, and for how long each counts. A gateway whose users all leave resets
/// its hundred streams; one that resets 50 a second for long is not serving anybody.
const RESETS: u32 = 200;
const RESET_COUNTS_FOR: Duration = Duration::from_millis(20);

/// See the module's header.
#[derive(Debug)]
pub(crate) struct Streams {
    open: Cell<usize>,
    /// Of those, how many wait for nothing but the client.
    served: Cell<usize>,
    /// When something was last written for a stream, or one began, was served or ended.
    progress: Cell<Instant>,
    resets: RefCell<Resets>,
    flooded: Notify,
}

/// One stream, until its last byte has been written.
#[derive(Debug)]
pub(crate) struct Open {
    streams: Rc<Streams>,
    served: Cell<bool>,
}

/// Streams given up lately, as the time at which all of them are forgotten.
#[derive(Debug)]
struct Resets(Instant);

// === Streams ===

impl Streams {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            open: Cell::new(0),
            served: Cell::new(0),
            progress: Cell::new(now),
            resets: RefCell::new(Resets(now)),
            flooded: Notify::new(),
        }
    }

    /// Counts a stream until the guard is dropped.
    pub(crate) fn open(self: &Rc<Self>) -> Open {
        self.open.set(self.open.get() + 1);
        self.progress.set(Instant::now());
        Open { streams: self.clone(), served: Cell::new(false) }
    }

    /// Since when nothing has moved, where all that is open waits for its client to read.
    pub(super) fn stalled_since(&self) -> Option<Instant> {
        (self.open.get() > 0 && self.open.get() == self.served.get()).then(|| self.progress.get())
    }

    /// Since when no stream has been open; `now` while one is.
    pub(super) fn quiet_since(&self, now: Instant) -> Instant {
        if self.open.get() == 0 { self.progress.get() } else { now }
    }

    /// Resolves when the client has given up more streams than it may.
    pub(super) async fn flooded(&self) {
        self.flooded.notified().await;
    }
}

// === Open ===

impl Open {
    /// The client gave the stream up before its answer was complete.
    pub(super) fn was_reset(&self) {
        if !self.streams.resets.borrow_mut().add(Instant::now()) {
            self.streams.flooded.notify_one();
        }
    }

    /// The router has no more to do for it: what is left is to be read by the client.
    pub(super) fn served(&self) {
        if !self.served.replace(true) {
            self.streams.served.set(self.streams.served.get() + 1);
            self.progressed();
        }
    }

    /// The client has taken something.
    pub(super) fn progressed(&self) {
        self.streams.progress.set(Instant::now());
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.streams.open.set(self.streams.open.get() - 1);
        self.streams.served.set(self.streams.served.get() - usize::from(self.served.get()));
        self.progressed();
    }
}

// === Resets ===

impl Resets {
    /// Counts one more; false when that is one too many.
    fn add(&mut self, now: Instant) -> bool {
        self.0 = self.0.max(now) + RESET_COUNTS_FOR;
        self.0 - now <= RESET_COUNTS_FOR * RESETS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_resets_is_let_pass_and_a_flood_is_not() {
        let start = Instant::now();
        let mut resets = Resets(start);
        assert!((0..RESETS).all(|_| resets.add(start)));
        assert!(!resets.add(start));
        let mut slow = Resets(start);
        assert!((0..10_000).all(|n| slow.add(start + RESET_COUNTS_FOR * n)), "50 a second for ever");
    }

    #[test]
    fn a_connection_is_quiet_since_its_last_stream_ended() {
        let start = Instant::now();
        let streams = Rc::new(Streams::new(start));
        assert_eq!(streams.quiet_since(start), start);
        let later = start + Duration::from_secs(5);
        let open = streams.open();
        assert_eq!(streams.quiet_since(later), later);
        drop(open);
        assert!(streams.quiet_since(later) < later);
    }
}
