//! Which agent speaks for which endpoint.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use warmlane_picker::Slot;

/// See the module's header. Who waits for an endpoint to lose its agent is woken then.
#[derive(Debug)]
pub struct Coverage {
    /// The agent's number, by slot.
    owners: Mutex<Vec<Option<usize>>>,
    covered: Vec<watch::Sender<bool>>,
}

// === Coverage ===

impl Coverage {
    /// Nobody speaks for any of so many endpoints.
    pub fn new(endpoints: usize) -> Self {
        Self {
            owners: Mutex::new(vec![None; endpoints]),
            covered: (0..endpoints).map(|_| watch::Sender::new(false)).collect(),
        }
    }

    /// Whether `agent` may speak for an endpoint: it does already, or nobody else does.
    pub(super) fn claim(&self, agent: usize, slot: Slot) -> bool {
        let at = usize::from(slot.0);
        let mut owners = self.owners();
        let Some(owner) = owners.get_mut(at) else { return false };
        if *owner.get_or_insert(agent) != agent {
            return false;
        }
        self.covered[at].send_if_modified(|covered| !std::mem::replace(covered, true));
        true
    }

    /// The endpoints that `agent` speaks for.
    pub(super) fn of(&self, agent: usize) -> Vec<Slot> {
        let owned = |(slot, owner): (Slot, &Option<usize>)| (*owner == Some(agent)).then_some(slot);
        (0..).map(Slot).zip(self.owners().iter()).filter_map(owned).collect()
    }

    /// `agent` is gone.
    pub(super) fn release(&self, agent: usize) {
        for (owner, covered) in self.owners().iter_mut().zip(&self.covered) {
            if *owner == Some(agent) {
                *owner = None;
                covered.send_replace(false);
            }
        }
    }

    /// Whether an agent speaks for the endpoint now.
    pub fn is_covered(&self, slot: Slot) -> bool {
        self.covered.get(usize::from(slot.0)).is_some_and(|covered| *covered.borrow())
    }

    /// Resolves once no agent speaks for the endpoint.
    pub async fn uncovered(&self, slot: Slot) {
        if let Some(covered) = self.covered.get(usize::from(slot.0)) {
            // Fails only without a sender, and `self` is one.
            let _ = covered.subscribe().wait_for(|covered| !*covered).await;
        }
    }

    fn owners(&self) -> MutexGuard<'_, Vec<Option<usize>>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::time::{Duration, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_agent_speaks_for_an_endpoint_until_it_is_gone() {
        let coverage = Coverage::new(2);
        assert!(coverage.claim(0, Slot(1)) && coverage.claim(0, Slot(1)));
        assert!(!coverage.claim(1, Slot(1)), "another one's word is not taken");
        assert!(!coverage.claim(1, Slot(2)), "nobody's slot");
        let mut waiting = pin!(coverage.uncovered(Slot(1)));
        assert!(timeout(Duration::from_secs(1), waiting.as_mut()).await.is_err());
        assert_eq!((coverage.of(0), coverage.of(1)), (vec![Slot(1)], vec![]));
        coverage.release(0);
        waiting.await;
        assert!(coverage.claim(1, Slot(1)));
        coverage.release(0);
        assert!(coverage.is_covered(Slot(1)) && !coverage.is_covered(Slot(0)));
    }
}
