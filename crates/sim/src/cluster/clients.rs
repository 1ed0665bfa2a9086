//! Who may send next: the order of requests, with the turns of a session one after the other.

use std::collections::{HashMap, VecDeque};

use super::load::Ask;

/// Requests not sent yet. Requests are named by their place in the list.
#[derive(Debug, Default)]
pub(super) struct Clients {
    sessions: Vec<Option<u32>>,
    next: usize,
    /// Sessions with a request in flight, and their later turns.
    busy: HashMap<u32, VecDeque<usize>>,
    /// Turns whose session became free.
    freed: VecDeque<usize>,
}

/// What the next request of the list may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Go now.
    Ready(usize),
    /// Wait for its session.
    Parked,
    /// There are no more.
    Over,
}

// === Clients ===

impl Clients {
    pub(super) fn new(asks: &[Ask]) -> Self {
        Self { sessions: asks.iter().map(|ask| ask.session).collect(), ..Self::default() }
    }

    /// Takes the next request of the list.
    pub(super) fn arrive(&mut self) -> Arrival {
        let Some(session) = self.sessions.get(self.next) else { return Arrival::Over };
        let ask = self.next;
        self.next += 1;
        let Some(session) = session else { return Arrival::Ready(ask) };
        if let Some(waiting) = self.busy.get_mut(session) {
            waiting.push_back(ask);
            return Arrival::Parked;
        }
        self.busy.insert(*session, VecDeque::new());
        Arrival::Ready(ask)
    }

    /// A turn that its session held back and may go now.
    pub(super) fn freed(&mut self) -> Option<usize> {
        self.freed.pop_front()
    }

    /// The next request that may go now.
    pub(super) fn ready(&mut self) -> Option<usize> {
        self.freed().or_else(|| {
            loop {
                match self.arrive() {
                    Arrival::Ready(ask) => return Some(ask),
                    Arrival::Parked => {}
                    Arrival::Over => return None,
                }
            }
        })
    }

    pub(super) fn ended(&mut self, ask: usize) {
        let Some(session) = self.sessions[ask] else { return };
        match self.busy.get_mut(&session).map(VecDeque::pop_front) {
            Some(Some(turn)) => self.freed.push_back(turn),
            Some(None) => {
                self.busy.remove(&session);
            }
            None => {}
        }
    }
}
