//! Keeps the turns of a session in order: a turn may go when the one before it has ended.
//!
//! Requests without a session may always go. Pure bookkeeping, no IO.

use std::collections::{HashMap, VecDeque};

use crate::{request::Request, workload::Workload};

/// The workload, its busy sessions, and what waits for them.
pub(super) struct Turns {
    workload: Workload,
    /// Sessions with a request in flight, and their later turns.
    busy: HashMap<String, VecDeque<Request>>,
    /// Turns whose session became free.
    freed: VecDeque<Request>,
}

/// What the next request of the workload may do.
#[derive(Debug, PartialEq)]
pub(super) enum Arrival {
    /// Go now.
    Ready(Request),
    /// Wait for its session; [`Turns::freed`] gives it later.
    Parked,
    /// There are no more.
    Over,
}

// === Turns ===

impl Turns {
    pub(super) fn new(workload: Workload) -> Self {
        Self { workload, busy: HashMap::new(), freed: VecDeque::new() }
    }

    /// Takes the next request of the workload.
    pub(super) fn arrive(&mut self) -> Arrival {
        let Some(request) = self.workload.next() else { return Arrival::Over };
        let Some(session) = &request.session else { return Arrival::Ready(request) };
        if let Some(waiting) = self.busy.get_mut(session) {
            waiting.push_back(request);
            return Arrival::Parked;
        }
        self.busy.insert(session.clone(), VecDeque::new());
        Arrival::Ready(request)
    }

    /// A waiting turn that may go now. Its session stays busy with it.
    pub(super) fn freed(&mut self) -> Option<Request> {
        self.freed.pop_front()
    }

    /// The next request that may go now: freed turns first, then the workload.
    pub(super) fn next(&mut self) -> Option<Request> {
        self.freed().or_else(|| {
            loop {
                match self.arrive() {
                    Arrival::Ready(request) => return Some(request),
                    Arrival::Parked => {}
                    Arrival::Over => return None,
                }
            }
        })
    }

    /// The request of `session` that was in flight has ended.
    pub(super) fn ended(&mut self, session: &str) {
        match self.busy.get_mut(session).map(VecDeque::pop_front) {
            Some(Some(turn)) => self.freed.push_back(turn),
            Some(None) => {
                self.busy.remove(session);
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Prompt;

    fn turns(sessions: &[&str]) -> Turns {
        let requests: Vec<Request> = sessions
            .iter()
            .enumerate()
            .map(|(n, session)| {
                let request = Request::new("m", Prompt::Text(n.to_string()), 1);
                if session.is_empty() { request } else { request.in_session(*session) }
            })
            .collect();
        Turns::new(Workload::from_requests(requests))
    }

    fn next(turns: &mut Turns) -> Option<String> {
        turns.next().map(|request| match request.prompt {
            Prompt::Text(text) => text,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn a_turn_waits_for_the_one_before_it_and_others_pass() {
        let mut turns = turns(&["a", "a", "b", "a"]);
        assert_eq!(next(&mut turns).as_deref(), Some("0"));
        assert_eq!(next(&mut turns).as_deref(), Some("2"));
        assert_eq!(next(&mut turns), None, "both sessions are busy");
        turns.ended("a");
        assert_eq!(next(&mut turns).as_deref(), Some("1"));
        assert_eq!(next(&mut turns), None);
        turns.ended("b");
        turns.ended("a");
        assert_eq!(next(&mut turns).as_deref(), Some("3"));
    }

    #[test]
    fn requests_without_a_session_never_wait() {
        let mut turns = turns(&["", "", ""]);
        assert_eq!(std::iter::from_fn(|| turns.next()).count(), 3);
    }

    #[test]
    fn a_session_without_waiting_turns_is_forgotten() {
        let mut turns = turns(&["a"]);
        turns.next().unwrap();
        turns.ended("a");
        assert!(turns.busy.is_empty());
    }
}
