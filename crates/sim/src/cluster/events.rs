//! The queue of what happens next. Events at the same instant come in the order in which they were put in.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use warmlane_picker::{Signals, Work};

/// What happens.
#[derive(Debug)]
pub(super) enum Event {
    /// A request of the open loop comes.
    Arrive,
    /// A request reaches its replica.
    Reach { ask: usize },
    /// A replica ends its step.
    Step { replica: usize },
    /// A router asks a replica for its page.
    Ask { router: usize, replica: usize },
    /// The replica writes the page.
    Write { router: usize, replica: usize, asked: f64, mark: Work, took: f64 },
    /// The page is read.
    Read { router: usize, replica: usize, signals: Box<Signals>, took: f64 },
    /// The last replica becomes ready.
    Join,
    /// KV use is noted.
    Sample,
}

/// See the module's header.
#[derive(Debug, Default)]
pub(super) struct Events {
    heap: BinaryHeap<Reverse<Due>>,
    count: u64,
}

#[derive(Debug)]
struct Due {
    at: f64,
    order: u64,
    event: Event,
}

// === Events ===

impl Events {
    pub(super) fn push(&mut self, at: f64, event: Event) {
        self.count += 1;
        self.heap.push(Reverse(Due { at, order: self.count, event }));
    }

    pub(super) fn pop(&mut self) -> Option<(f64, Event)> {
        self.heap.pop().map(|Reverse(due)| (due.at, due.event))
    }
}

// === Due ===

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.total_cmp(&other.at).then(self.order.cmp(&other.order))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}
