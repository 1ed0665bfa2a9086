//! What became of the requests of a few decisions, in the order in which they ended.

use std::time::Duration;

use super::wire::{Reading, Written};
use crate::decisions::{Outcome, Served};

/// See the module's header.
#[derive(Clone, Debug, Default)]
pub(super) struct Ended {
    outcomes: Written,
    /// The ways of ending that came up, which are few.
    ends: Vec<&'static str>,
}

impl Ended {
    /// That of the decision at this place.
    pub(super) fn push(&mut self, at: usize, outcome: &Outcome) {
        let known = self.ends.iter().position(|end| *end == outcome.end);
        let end = known.unwrap_or_else(|| {
            self.ends.push(outcome.end);
            self.ends.len() - 1
        });
        let to = &mut self.outcomes;
        to.number(at as u64);
        to.number(end as u64);
        option(to, outcome.status.map(u64::from));
        option(to, outcome.first_byte.map(nanos));
        option(to, outcome.bytes);
        to.number(outcome.lane_bytes);
        outcome.spent.iter().for_each(|spent| to.number(nanos(*spent)));
        match &outcome.served {
            Served::Nobody => to.number(0),
            Served::By(address) => {
                to.number(1);
                to.text(address.as_bytes());
            }
        }
    }

    /// Those of so many decisions.
    pub(super) fn of_all(&self, count: usize) -> Vec<Option<Outcome>> {
        let mut all = vec![None; count];
        let mut from = self.outcomes.read();
        while !from.is_over() {
            let at = from.number() as usize;
            let outcome = self.next(&mut from);
            if let Some(of_one) = all.get_mut(at) {
                *of_one = Some(outcome);
            }
        }
        all
    }

    fn next(&self, from: &mut Reading<'_>) -> Outcome {
        Outcome {
            end: self.ends[from.number() as usize],
            status: read_option(from).map(|status| status as u16),
            first_byte: read_option(from).map(Duration::from_nanos),
            bytes: read_option(from),
            lane_bytes: from.number(),
            spent: std::array::from_fn(|_| Duration::from_nanos(from.number())),
            served: match from.number() {
                0 => Served::Nobody,
                _ => Served::By(String::from_utf8_lossy(from.text()).into()),
            },
        }
    }

    pub(super) fn clear(&mut self) {
        self.outcomes.clear();
        self.ends.clear();
    }

    /// Bytes that they take.
    pub(super) fn written(&self) -> usize {
        self.outcomes.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.outcomes.capacity() + self.ends.capacity() * size_of::<&str>()
    }
}

/// Five centuries fit.
fn nanos(time: Duration) -> u64 {
    time.as_nanos() as u64
}

fn option(to: &mut Written, number: Option<u64>) {
    to.number(number.map_or(0, |number| number.saturating_add(1)));
}

fn read_option(from: &mut Reading<'_>) -> Option<u64> {
    from.number().checked_sub(1)
}
