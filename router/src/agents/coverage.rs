//! Which agent speaks for which endpoint.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;
use warmlane_picker::Slot;

/// See the module's header. Who waits for an endpoint to lose its agent is woken then. Memory: an entry for each endpoint that an
/// agent spoke for or that is read.
#[derive(Debug, Default)]
pub struct Coverage(Mutex<HashMap<Slot, Cover>>);

#[derive(Debug, Default)]
struct Cover {
    /// The agent's number.
    owner: Option<usize>,
    covered: watch::Sender<bool>,
}

// === Coverage ===

impl Coverage {
    /// Whether `agent` may speak for an endpoint: it does already, or nobody else does.
    pub(super) fn claim(&self, agent: usize, slot: Slot) -> bool {
        let mut covers = self.covers();
        let cover = covers.entry(slot).or_default();
        if *cover.owner.get_or_insert(agent) != agent {
            return false;
        }
        cover.covered.send_if_modified(|covered| !std::mem::replace(covered, true));
        true
    }

    /// The endpoints that `agent` speaks for.
    pub(super) fn of(&self, agent: usize) -> Vec<Slot> {
        let covers = self.covers();
        covers.iter().filter(|(_, cover)| cover.owner == Some(agent)).map(|(slot, _)| *slot).collect()
    }

    /// `agent` speaks for an endpoint no longer, if it did.
    pub(super) fn leave(&self, agent: usize, slot: Slot) {
        if let Some(cover) = self.covers().get_mut(&slot).filter(|cover| cover.owner == Some(agent)) {
            cover.owner = None;
            cover.covered.send_replace(false);
        }
    }

    /// `agent` is gone.
    pub(super) fn release(&self, agent: usize) {
        for cover in self.covers().values_mut().filter(|cover| cover.owner == Some(agent)) {
            cover.owner = None;
            cover.covered.send_replace(false);
        }
    }

    /// The endpoint is gone.
    pub fn forget(&self, slot: Slot) {
        self.covers().remove(&slot);
    }

    /// Whether an agent speaks for the endpoint now.
    pub fn is_covered(&self, slot: Slot) -> bool {
        self.covers().get(&slot).is_some_and(|cover| *cover.covered.borrow())
    }

    /// Resolves once no agent speaks for the endpoint.
    pub async fn uncovered(&self, slot: Slot) {
        let mut covered = self.covers().entry(slot).or_default().covered.subscribe();
        // Fails where the endpoint is forgotten.
        let _ = covered.wait_for(|covered| !*covered).await;
    }

    fn covers(&self) -> MutexGuard<'_, HashMap<Slot, Cover>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::time::{Duration, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_agent_speaks_for_an_endpoint_until_it_is_gone() {
        let coverage = Coverage::default();
        assert!(coverage.claim(0, Slot(1)) && coverage.claim(0, Slot(1)));
        assert!(!coverage.claim(1, Slot(1)), "another one's word is not taken");
        let mut waiting = pin!(coverage.uncovered(Slot(1)));
        assert!(timeout(Duration::from_secs(1), waiting.as_mut()).await.is_err());
        assert_eq!((coverage.of(0), coverage.of(1)), (vec![Slot(1)], vec![]));
        coverage.leave(1, Slot(1));
        assert!(coverage.is_covered(Slot(1)), "that was not its to leave");
        coverage.release(0);
        waiting.await;
        assert!(coverage.claim(1, Slot(1)));
        coverage.release(0);
        assert!(coverage.is_covered(Slot(1)) && !coverage.is_covered(Slot(0)));
        coverage.leave(1, Slot(1));
        coverage.uncovered(Slot(1)).await;
    }
}
