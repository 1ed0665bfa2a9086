//! What the kubelet told last, and for how long that counts. Pure: times are since any fixed start.

use std::{sync::Arc, time::Duration};

use super::{Known, Pod};

/// See the module's header.
#[derive(Debug)]
pub(super) struct Memory {
    keep: Duration,
    last: Option<(Duration, Arc<[Pod]>)>,
}

// === Memory ===

impl Memory {
    pub(super) fn new(keep: Duration) -> Self {
        Self { keep, last: None }
    }

    /// It answered.
    pub(super) fn heard(&mut self, now: Duration, pods: Arc<[Pod]>) {
        self.last = Some((now, pods));
    }

    /// It did not. Whether that makes what was known too old.
    pub(super) fn failed(&mut self, now: Duration) -> bool {
        let is_old = self.left(now).is_some_and(|left| left.is_zero());
        if is_old {
            self.last = None;
        }
        is_old
    }

    pub(super) fn known(&self) -> Known {
        self.last.as_ref().map(|(_, pods)| pods.clone())
    }

    /// For how long what is known still counts.
    pub(super) fn left(&self, now: Duration) -> Option<Duration> {
        let (heard, _) = self.last.as_ref()?;
        Some(self.keep.saturating_sub(now.saturating_sub(*heard)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_last_answer_counts_for_a_while_and_then_nothing_is_known() {
        let mut memory = Memory::new(at(60));
        assert!(!memory.failed(at(0)), "there is nothing to forget");
        assert_eq!((memory.known(), memory.left(at(0))), (None, None));
        memory.heard(at(5), Arc::from([]));
        assert!(!memory.failed(at(64)));
        assert_eq!((memory.known(), memory.left(at(64))), (Some(Arc::from([])), Some(at(1))));
        assert!(memory.failed(at(65)));
        assert_eq!(memory.known(), None, "unknown, which is not none");
        assert!(!memory.failed(at(66)), "told once");
    }

    #[test]
    fn an_answer_makes_it_young_again() {
        let mut memory = Memory::new(at(60));
        memory.heard(at(0), Arc::from([]));
        memory.heard(at(50), Arc::from([]));
        assert!(!memory.failed(at(100)));
        assert!(memory.known().is_some());
    }
}
