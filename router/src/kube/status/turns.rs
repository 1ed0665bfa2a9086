//! Whose status is due, by model: what was tried, and how long to leave it alone. A pure book; the time is an argument.
//!
//! What is wanted again although it was written was undone by somebody who wants something else. It is treated as what was
//! refused: tried again later each time, so that two who disagree do not write as fast as they can watch.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio::time::Instant;
use warmlane_kube::ObjectName;

use crate::kube::desired::Accepted;

/// Between two writes of one model.
pub(super) const REST: Duration = Duration::from_secs(5);
/// The longest wait for a model whose status is refused or undone again and again.
const LONGEST: Duration = Duration::from_secs(120);

/// See the module's header. It knows as many models as there are.
#[derive(Debug, Default)]
pub(super) struct Turns {
    of: HashMap<ObjectName, Turn>,
}

#[derive(Debug)]
struct Turn {
    tried: Accepted,
    at: Instant,
    /// Tries of the same in a row.
    count: u32,
}

// === Turns ===

impl Turns {
    /// Forgets models that are gone.
    pub(super) fn keep(&mut self, all: &[Accepted]) {
        let there: HashSet<&ObjectName> = all.iter().map(|accepted| &accepted.model).collect();
        self.of.retain(|name, _| there.contains(name));
    }

    /// Begins anew: another one wrote meanwhile.
    pub(super) fn clear(&mut self) {
        self.of.clear();
    }

    pub(super) fn is_due(&self, accepted: &Accepted, now: Instant) -> bool {
        self.due(accepted).is_none_or(|due| due <= now)
    }

    /// The first time at which something is due.
    pub(super) fn next<'a>(&self, all: impl Iterator<Item = &'a Accepted>) -> Option<Instant> {
        all.filter_map(|accepted| self.due(accepted)).min()
    }

    /// It is being written.
    pub(super) fn tried(&mut self, accepted: &Accepted, now: Instant) {
        let before = self.of.get(&accepted.model);
        let is_again = |turn: &&Turn| turn.tried.says_as(accepted) && now < turn.at + LONGEST * 3;
        let count = before.filter(is_again).map_or(1, |turn| turn.count.saturating_add(1));
        self.of.insert(accepted.model.clone(), Turn { tried: accepted.clone(), at: now, count });
    }

    /// `None`: at once. Another word than the last waits only as long as any two writes.
    fn due(&self, accepted: &Accepted) -> Option<Instant> {
        let turn = self.of.get(&accepted.model)?;
        let again = turn.tried.says_as(accepted);
        let wait = if again { REST.saturating_mul(1 << (turn.count - 1).min(16)).min(LONGEST) } else { REST };
        Some(turn.at + wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::desired::Acceptance;

    fn said(model: &str, message: &str) -> Accepted {
        Accepted {
            model: ObjectName::new("default", model),
            generation: 1,
            acceptance: Acceptance::Invalid,
            message: message.into(),
            standing: None,
        }
    }

    #[test]
    fn what_is_refused_or_undone_waits_longer_each_time_and_others_do_not() {
        let (mut turns, mut now) = (Turns::default(), Instant::now());
        let (a, b) = (said("a", "why"), said("b", "why"));
        let mut waits = Vec::new();
        for _ in 0..8 {
            assert!(turns.is_due(&a, now));
            turns.tried(&a, now);
            let next = turns.next([&a].into_iter()).expect("a time");
            assert!(!turns.is_due(&a, next - Duration::from_millis(1)) && turns.is_due(&b, now));
            waits.push((next - now).as_secs());
            now = next;
        }
        assert_eq!(waits, [5, 10, 20, 40, 80, 120, 120, 120]);
        turns.tried(&a, now + LONGEST * 4);
        assert_eq!(turns.next([&a].into_iter()), Some(now + LONGEST * 4 + REST), "that was long ago");
    }

    #[test]
    fn another_word_waits_as_long_as_any_two_writes_do() {
        let (mut turns, now) = (Turns::default(), Instant::now());
        (0..4).for_each(|_| turns.tried(&said("a", "why"), now));
        let other = said("a", "another");
        assert!(!turns.is_due(&other, now) && turns.is_due(&other, now + REST));
        let seen = Accepted { standing: Some(warmlane_kube::Condition::default()), ..said("a", "why") };
        assert!(!turns.is_due(&seen, now + REST), "what stands there is not what is said");
        turns.keep(&[]);
        assert!(turns.is_due(&other, now), "it is gone");
    }
}
