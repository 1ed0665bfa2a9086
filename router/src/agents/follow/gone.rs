//! Taking back what an agent said of endpoints that it tells of no longer.

use std::collections::HashSet;

use warmlane_api::node as told;
use warmlane_picker::{Health, Slot};

use super::Follower;
use crate::world::writer::Update;

// === Follower ===

impl Follower {
    /// Speaks no longer for those that are gone from the agent's node: the router reads them itself, if they are anywhere.
    pub(super) async fn leave_gone(&mut self, update: &told::Update) {
        let slots = if update.full { self.untold(update) } else { self.named_gone(update) };
        if !slots.is_empty() {
            self.take_back(&slots).await;
            // Whoever comes to this place publishes anew.
            self.diverged.retain(|slot, _| !slots.contains(slot));
        }
    }

    /// What was said of these endpoints is taken back while nobody else can speak for them: whoever does so next must have the
    /// last word.
    pub(super) async fn take_back(&mut self, slots: &[Slot]) {
        let world = self.following.world.clone();
        world.blocks.leave(slots).await;
        for slot in slots {
            let said = self.spoken_for.remove(slot);
            if said.is_some_and(|said| said.health != Health::Healthy) {
                self.send(Update::GpuUntold { slot: *slot }).await;
            }
            self.places.doubt(*slot);
            world.agents.coverage.leave(self.number, *slot);
        }
    }

    /// Those that it spoke for in a stream before, and that are not in the full state of this one.
    fn untold(&self, update: &told::Update) -> Vec<Slot> {
        let roster = self.following.world.roster.borrow();
        let told: HashSet<Slot> =
            update.endpoints.iter().filter_map(|endpoint| roster.slot(&endpoint.address)).collect();
        let mut slots = self.following.world.agents.coverage.of(self.number);
        slots.retain(|slot| !told.contains(slot));
        slots
    }

    fn named_gone(&mut self, update: &told::Update) -> Vec<Slot> {
        if update.gone.is_empty() {
            return Vec::new();
        }
        let (coverage, roster) = (&self.following.world.agents.coverage, &self.following.world.roster);
        let mut slots = Vec::new();
        for address in &update.gone {
            // Another one may have come to that address meanwhile.
            let then = self.tells_of.remove(address).flatten();
            slots.extend(then.into_iter().chain(roster.borrow().slot(address)));
        }
        let its: HashSet<Slot> = coverage.of(self.number).into_iter().collect();
        slots.retain(|slot| its.contains(slot));
        slots
    }
}
