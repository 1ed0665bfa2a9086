//! The process-wide allowance for request bodies held in memory. Bodies are held from their first byte until
//! the response begins, so that a failed endpoint can be replaced.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// Bytes that may be held, and bytes held.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    held: AtomicU64,
}

/// A share of the budget, given back on drop.
#[derive(Debug)]
pub struct Held {
    budget: Arc<Budget>,
    bytes: u64,
}

// === Budget ===

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, held: AtomicU64::new(0) })
    }

    /// An empty share.
    pub fn share(self: &Arc<Self>) -> Held {
        Held { budget: self.clone(), bytes: 0 }
    }

    /// Bytes held now.
    pub fn held(&self) -> u64 {
        self.held.load(Relaxed)
    }
}

// === Held ===

impl Held {
    /// Makes the share at least `bytes` large. False, and nothing changed, when the budget does not allow it.
    #[must_use]
    pub fn grow_to(&mut self, bytes: u64) -> bool {
        let Some(more) = bytes.checked_sub(self.bytes).filter(|more| *more > 0) else { return true };
        let fits = |held: u64| held.checked_add(more).filter(|sum| *sum <= self.budget.limit);
        let granted = self.budget.held.fetch_update(Relaxed, Relaxed, fits).is_ok();
        if granted {
            self.bytes = bytes;
        }
        granted
    }

    /// Gives everything back.
    pub fn release(&mut self) {
        self.budget.held.fetch_sub(std::mem::take(&mut self.bytes), Relaxed);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_exceed_the_limit_and_come_back() {
        let budget = Budget::new(100);
        let (mut a, mut b) = (budget.share(), budget.share());
        assert!(a.grow_to(60));
        assert!(!b.grow_to(41));
        assert!(b.grow_to(40));
        assert!(!a.grow_to(61));
        assert!(a.grow_to(10), "shrinking is not asked for and changes nothing");
        drop(a);
        assert_eq!(budget.held(), 40);
        b.release();
        assert_eq!(budget.held(), 0);
    }
}
