//! Snapshots by number, so that a decision can say what it was made of without holding it.
//!
//! A pool's newest edition is the pool's. One that is superseded is kept here if a decision was made of it, newest first, as
//! long as there is room: [`MOST_ROWS`] endpoints in all (some 5 MB). One that was not, only for the moment in which a worker
//! may still be deciding by it.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    ops::Deref,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use warmlane_picker::Snapshot;

/// Endpoints in all snapshots that are kept, see [`OWN_ROWS`]: of 8 pods 682 snapshots, of 1,000 pods 8.
const MOST_ROWS: usize = 8_192;

/// What a snapshot takes beside its endpoints.
const OWN_ROWS: usize = 4;

/// Longer than workers take from finding a pool to deciding. Not much longer: pools whose engines are read twenty times a second each would
/// have many editions that nobody used.
const GRACE: Duration = Duration::from_millis(50);

/// A snapshot with its number. Reads as the snapshot.
#[derive(Debug, Default)]
pub struct Edition {
    number: u64,
    snapshot: Arc<Snapshot>,
    /// A decision was made of it.
    used: AtomicBool,
}

/// See the module's header.
#[derive(Default)]
pub(super) struct Editions {
    last: AtomicU64,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Superseded lately, with the moment.
    young: VecDeque<(Instant, Arc<Edition>)>,
    /// Superseded longer ago, and used; by number, which grows with time.
    used: BTreeMap<u64, Arc<Edition>>,
    /// Of both.
    rows: usize,
}

// === Edition ===

impl Edition {
    /// No other has the same; 0 is nobody's.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// A decision is made of it.
    #[inline]
    pub fn mark_used(&self) {
        // Read first: a store would take the line from every other thread with each request.
        if !self.used.load(Relaxed) {
            self.used.store(true, Relaxed);
        }
    }

    /// What it takes, in endpoints: one with few has its tables all the same.
    fn rows(&self) -> usize {
        self.snapshot.endpoints().len() + OWN_ROWS
    }
}

impl Deref for Edition {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

// === Editions ===

impl Editions {
    /// The next edition.
    pub(super) fn next(&self, snapshot: Arc<Snapshot>) -> Arc<Edition> {
        let number = self.last.fetch_add(1, Relaxed) + 1;
        Arc::new(Edition { number, snapshot, used: AtomicBool::new(false) })
    }

    /// Another one has taken its place.
    pub(super) fn retire(&self, old: Arc<Edition>, now: Instant) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).retire(old, now);
    }

    /// One that is kept. A pool's newest one is not here.
    pub(super) fn find(&self, number: u64) -> Option<Arc<Edition>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let young = || kept.young.iter().map(|(_, edition)| edition).find(|edition| edition.number == number);
        kept.used.get(&number).or_else(young).cloned()
    }
}

impl fmt::Debug for Editions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Editions").field("last", &self.last).finish_non_exhaustive()
    }
}

// === Kept ===

impl Kept {
    fn retire(&mut self, old: Arc<Edition>, now: Instant) {
        self.rows += old.rows();
        self.young.push_back((now, old));
        while self.young.front().is_some_and(|(at, _)| now.duration_since(*at) > GRACE) {
            let Some((_, edition)) = self.young.pop_front() else { break };
            if edition.used.load(Relaxed) {
                self.used.insert(edition.number, edition);
            } else {
                self.rows -= edition.rows();
            }
        }
        while self.rows > MOST_ROWS {
            let oldest = self.used.pop_first().map(|(_, edition)| edition);
            let oldest = oldest.or_else(|| Some(self.young.pop_front()?.1));
            let Some(oldest) = oldest else { break };
            self.rows -= oldest.rows();
        }
    }
}

#[cfg(test)]
mod tests {
    use warmlane_picker::{Endpoint, Models, Slot};

    use super::*;

    fn snapshot(endpoints: u16) -> Arc<Snapshot> {
        let endpoint = |slot: u16| {
            let endpoint = Endpoint::ready(Slot(slot), "pod:8000", ([10, 0, 0, 1], 8000).into());
            (endpoint, Models::Unknown)
        };
        Arc::new(Snapshot::new((0..endpoints).map(endpoint).collect()))
    }

    #[test]
    fn what_was_used_is_kept_and_what_was_not_only_for_a_moment() {
        let (editions, begun) = (Editions::default(), Instant::now());
        let (used, unused) = (editions.next(snapshot(1)), editions.next(snapshot(1)));
        used.mark_used();
        editions.retire(used.clone(), begun);
        editions.retire(unused.clone(), begun);
        assert!(editions.find(unused.number()).is_some(), "somebody may be deciding by it");
        editions.retire(editions.next(snapshot(1)), begun + GRACE * 2);
        assert!(editions.find(used.number()).is_some());
        assert!(editions.find(unused.number()).is_none());
    }

    #[test]
    fn the_oldest_makes_room() {
        let (editions, begun) = (Editions::default(), Instant::now());
        let all: Vec<u64> = (0..40)
            .map(|at| {
                let edition = editions.next(snapshot(1_000));
                edition.mark_used();
                editions.retire(edition.clone(), begun + GRACE * 2 * at);
                edition.number()
            })
            .collect();
        let kept: Vec<bool> = all.iter().map(|number| editions.find(*number).is_some()).collect();
        assert_eq!(kept.iter().filter(|kept| **kept).count(), 8, "{kept:?}");
        assert!(kept.iter().skip(32).all(|kept| *kept), "the newest are: {kept:?}");
    }
}
