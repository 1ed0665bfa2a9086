//! Who joins and who leaves, when something else is wanted than before.

use std::{collections::HashMap, sync::Arc};

use warmlane_picker::{Slot, Time};

use super::{Member, Members, Seats};
use crate::world::pools::{Closed, Replica, Wanted, WantedPool};

/// What became of what is wanted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::world::writer) struct Turnover {
    /// Addresses of those that were not there before.
    pub(in crate::world::writer) joined: Vec<Arc<str>>,
    /// Addresses of those that are not there any more.
    pub(in crate::world::writer) left: Vec<Arc<str>>,
    /// Those for which there is no number.
    pub(in crate::world::writer) refused: usize,
    /// Some are of another engine than was said before.
    pub(in crate::world::writer) renamed: bool,
    /// Some get no requests from now on, or again some; or a pool has lost some that others have.
    pub(in crate::world::writer) turned: bool,
    /// Who gets no requests from now on, and why, or gets them again.
    pub(in crate::world::writer) doors: Vec<(Arc<str>, Option<Closed>)>,
}

// === Members ===

impl Members {
    /// Has those that are wanted, and no others.
    pub(in crate::world::writer) fn want(&mut self, wanted: &Wanted, now: Time) -> Turnover {
        let mut turnover = Turnover::default();
        let replicas = words(wanted);
        self.let_go(&replicas, now, &mut turnover);
        // In the order in which they are wanted, so that configured ones are numbered as they are written.
        for (_, Replica { address, .. }) in all(wanted) {
            let (pool, replica) = replicas[address];
            match self.by_address.get(address) {
                Some(slot) => {
                    let &Replica { closed, runtime, .. } = replica;
                    if let Some(Some(member)) = self.members.get_mut(usize::from(slot.0)) {
                        if member.closed != closed {
                            (turnover.turned, member.fresh) = (true, true);
                            turnover.doors.push((address.clone(), closed));
                        }
                        turnover.renamed |= member.runtime != runtime;
                        (member.pool, member.closed, member.runtime) = (pool, closed, runtime);
                    }
                }
                None => self.join(pool, replica, &mut turnover),
            }
        }
        turnover.turned |= self.sort(wanted);
        turnover
    }

    /// Notes who is in which pool. Whether a pool has lost somebody.
    fn sort(&mut self, wanted: &Wanted) -> bool {
        let mut lost = false;
        let mut pools = Vec::with_capacity(wanted.pools.len());
        for (at, pool) in wanted.pools.iter().enumerate() {
            let slots = self.slots_of(pool);
            let before = self.pools.get(at).filter(|before| before.name == pool.name);
            let had = before.map(|before| before.slots.as_slice()).unwrap_or_default();
            lost |= had.iter().any(|slot| slots.binary_search(slot).is_err());
            let fresh = before.is_none_or(|before| before.fresh || before.slots != slots);
            pools.push(Seats { name: pool.name.clone(), slots, fresh });
        }
        self.pools = pools;
        lost
    }

    fn let_go(&mut self, wanted: &HashMap<Arc<str>, (usize, &Replica)>, now: Time, turnover: &mut Turnover) {
        for place in &mut self.members {
            let is_wanted = |member: &Member| {
                wanted.get(&member.address).is_some_and(|(_, replica)| replica.identity == member.identity)
            };
            if let Some(member) = place.take_if(|member| !is_wanted(member)) {
                self.by_address.remove(&member.address);
                self.slots.leave(member.slot, now);
                turnover.left.push(member.address);
            }
        }
    }

    fn join(&mut self, pool: usize, replica: &Replica, turnover: &mut Turnover) {
        let Some(slot) = self.slots.take() else {
            turnover.refused += 1;
            return;
        };
        let at = usize::from(slot.0);
        if self.members.len() <= at {
            self.members.resize_with(at + 1, || None);
        }
        self.members[at] = Some(Member::new(slot, replica, pool));
        self.by_address.insert(replica.address.clone(), slot);
        turnover.joined.push(replica.address.clone());
    }

    fn slots_of(&self, pool: &WantedPool) -> Vec<Slot> {
        let slot = |replica: &Replica| {
            let slot = *self.by_address.get(&replica.address)?;
            // Its pod at this address is on its way out, and another pool's has it already.
            let is_same = self
                .members
                .get(usize::from(slot.0))?
                .as_ref()
                .is_some_and(|member| member.identity == replica.identity);
            is_same.then_some(slot)
        };
        let mut slots: Vec<Slot> = pool.replicas.iter().filter_map(slot).collect();
        slots.sort_unstable();
        slots.dedup();
        slots
    }
}

/// Each replica that is wanted, with its pool.
fn all(wanted: &Wanted) -> impl Iterator<Item = (usize, &Replica)> {
    wanted
        .pools
        .iter()
        .enumerate()
        .flat_map(|(at, pool)| pool.replicas.iter().map(move |replica| (at, replica)))
}

/// By address: the pool whose pod there can serve best, of equals the first, and what that pool says. An address may have passed
/// to a pod of another pool while the old pod is still on its way out.
fn words(wanted: &Wanted) -> HashMap<Arc<str>, (usize, &Replica)> {
    let mut words: HashMap<_, (usize, &Replica)> = HashMap::new();
    for (pool, replica) in all(wanted) {
        let word = words.entry(replica.address.clone()).or_insert((pool, replica));
        // Open before closed, and that in the order of the reasons.
        if replica.closed < word.1.closed {
            *word = (pool, replica);
        }
    }
    words
}
