//! What this router sent within the last seconds: prompts that engines may still be computing, and cannot tell of yet.
//!
//! Two indexes take turns: everything is recorded in the younger one, and the older one goes when the younger one is
//! a quarter of a minute old. So what was sent counts for one to two turns.
//!
//! Memory: two indexes of 32,768 links of text, a megabyte each.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use arc_swap::ArcSwap;
use warmlane_picker::{Chain, Matches, PrefixIndex, Slot, Time};

/// Longer than a prompt waits and is computed, unless its engine has more than it can do.
const TURN: Time = Time::from_secs(15);
/// Of 64 bytes: 2 MB of new prompt text in a turn.
const BLOCKS: usize = 32_768;

/// See the module's header.
pub struct Lately {
    young: ArcSwap<PrefixIndex>,
    old: ArcSwap<PrefixIndex>,
    blocks: usize,
    endpoints: AtomicUsize,
    /// When the younger one began, in milliseconds.
    began: AtomicU64,
}

// === Lately ===

impl Lately {
    /// Nothing sent to so many endpoints. `used`: something will be recorded.
    pub fn new(endpoints: usize, used: bool) -> Self {
        let blocks = if used { BLOCKS } else { 0 };
        let empty = || ArcSwap::from_pointee(PrefixIndex::new(blocks, endpoints));
        let (young, old) = (empty(), empty());
        Self { young, old, blocks, endpoints: endpoints.into(), began: AtomicU64::new(0) }
    }

    /// A prompt goes to an endpoint.
    pub fn record(&self, prompt: &Chain, to: Slot, now: Time) {
        self.young.load().record(prompt, to, 0, now);
    }

    /// Finds how much of a prompt was sent to each endpoint lately; `sent`, and `before` for its use, must be reset.
    pub fn find(&self, prompt: &Chain, sent: &mut Matches, before: &mut Matches) {
        self.young.load().lookup(prompt, sent);
        self.old.load().lookup(prompt, before);
        before.holders().for_each(|slot| sent.raise(slot, before.depth(slot)));
    }

    /// Has room for so many endpoints from now on. What was sent is kept.
    pub fn widen(&self, endpoints: usize) {
        self.endpoints.store(endpoints, Relaxed);
        self.young.store(Arc::new(self.young.load().resized(self.blocks, endpoints)));
    }

    /// Forgets what was sent to an endpoint.
    pub fn forget(&self, slot: Slot) {
        self.young.load().forget(slot);
        self.old.load().forget(slot);
    }

    /// The younger one becomes the older one, where it is time. For one thread.
    pub fn turn(&self, now: Time) {
        let now = now.as_millis() as u64;
        if now - self.began.load(Relaxed).min(now) >= TURN.as_millis() as u64 {
            self.began.store(now, Relaxed);
            self.old.store(self.young.load_full());
            self.young.store(Arc::new(PrefixIndex::new(self.blocks, self.endpoints.load(Relaxed))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_counts_for_one_to_two_turns() {
        let lately = Lately::new(2, true);
        let prompt = Chain::new(1, &[1, 2, 3]);
        let sent = |slot| {
            let mut matches = [Matches::default(), Matches::default()];
            let [sent, before] = &mut matches;
            sent.reset(1.0);
            lately.find(&prompt, sent, before);
            sent.depth(Slot(slot))
        };
        let seconds = Time::from_secs;
        lately.turn(seconds(20));
        lately.record(&prompt, Slot(1), seconds(21));
        assert_eq!((sent(0), sent(1)), (0, 3));
        lately.turn(seconds(34));
        lately.turn(seconds(36));
        lately.record(&prompt, Slot(0), seconds(36));
        assert_eq!((sent(0), sent(1)), (3, 3));
        lately.turn(seconds(51));
        assert_eq!((sent(0), sent(1)), (3, 0));
    }
}
