//! What this router had sent to each endpoint at moments gone by.
//!
//! A reading says what an engine had at the moment it was asked for, and the picker adds what this router has sent since.
//! Who reads by itself notes that before it asks. An agent asks at moments that are known only afterwards, so what
//! was sent is noted here every [`TICK`], where it changed. Between two notes the earlier one holds: what was sent in between
//! then counts twice for a while, where the other way it would not count at all, and an idle engine would be rushed at.
//!
//! Memory: [`KEPT`] notes for each endpoint.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::interval;
use warmlane_picker::{Slot, Time, Work};

use crate::world::World;

/// How often is noted what was sent. Less than readings of one engine are apart.
const TICK: Time = Time::from_millis(10);
/// Notes kept: of an endpoint that is sent something in each tick, those of 1.3 s, which is longer than readings take.
const KEPT: usize = 128;

/// See the module's header.
#[derive(Debug, Default)]
pub(super) struct Marks(Mutex<Vec<VecDeque<(Time, Work)>>>);

/// Notes for as long as it is polled.
pub(super) async fn watch(world: Arc<World>, marks: Arc<Marks>) {
    let mut beat = interval(TICK);
    loop {
        beat.tick().await;
        let width = world.roster.borrow().width();
        marks.note(world.now(), width, |slot| world.ledger.account(slot).sent());
    }
}

// === Marks ===

impl Marks {
    /// Of so many slots.
    fn note(&self, now: Time, width: usize, sent: impl Fn(Slot) -> Work) {
        let mut all = self.notes();
        all.resize_with(width, VecDeque::new);
        for (slot, notes) in (0..).map(Slot).zip(all.iter_mut()) {
            let sent = sent(slot);
            if notes.back().is_some_and(|(_, last)| *last == sent) {
                continue;
            }
            if notes.len() == KEPT {
                notes.pop_front();
            }
            notes.push_back((now, sent));
        }
    }

    /// What had been sent by then, at least.
    pub(super) fn at(&self, slot: Slot, at: Time) -> Work {
        let all = self.notes();
        let Some(notes) = all.get(usize::from(slot.0)) else { return Work::default() };
        let known = notes.partition_point(|(noted, _)| *noted <= at);
        let note = notes.get(known.saturating_sub(1));
        note.map_or_else(Work::default, |(_, sent)| *sent)
    }

    fn notes(&self) -> MutexGuard<'_, Vec<VecDeque<(Time, Work)>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(requests: u64) -> Work {
        Work { requests, ..Work::default() }
    }

    #[test]
    fn what_was_sent_by_a_moment_is_what_was_noted_before_it() {
        let marks = Marks::default();
        let at = |millis| marks.at(Slot(0), Time::from_millis(millis)).requests;
        assert_eq!(at(5), 0);
        for (millis, requests) in [(10, 1), (20, 1), (30, 4)] {
            marks.note(Time::from_millis(millis), 1, |_| sent(requests));
        }
        assert_eq!([at(10), at(29), at(30), at(99)], [1, 1, 4, 4]);
        assert_eq!(at(3), 1, "before the first note");
        assert_eq!(marks.at(Slot(7), Time::ZERO), Work::default(), "nobody's slot");
    }

    #[test]
    fn no_more_than_the_bound_is_kept() {
        let marks = Marks::default();
        (0..1_000).for_each(|n| marks.note(Time::from_millis(n), 1, |_| sent(n)));
        assert_eq!(marks.notes()[0].len(), KEPT);
        assert_eq!(marks.at(Slot(0), Time::ZERO).requests, 1_000 - KEPT as u64, "the oldest that is known");
    }
}
