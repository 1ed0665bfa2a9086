//! Which endpoint has which number: the view that readers, agents and pages have of what the writer decided.

use std::{collections::HashMap, sync::Arc};

use warmlane_picker::Slot;

/// See the module's header. Immutable; the writer publishes another one whenever somebody joins or leaves.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    by_address: HashMap<Arc<str>, Slot>,
    /// In the order of slots.
    all: Vec<(Slot, Arc<str>)>,
}

// === Roster ===

impl Roster {
    /// Of these, in the order of their slots.
    pub fn new(all: Vec<(Slot, Arc<str>)>) -> Self {
        let by_address = all.iter().map(|(slot, address)| (address.clone(), *slot)).collect();
        Self { by_address, all }
    }

    /// The slot of the endpoint at this address, as it is called: see [`warmlane_picker::Endpoint::address`].
    pub fn slot(&self, address: &str) -> Option<Slot> {
        self.by_address.get(address).copied()
    }

    /// Everybody, in the order of slots.
    pub fn all(&self) -> &[(Slot, Arc<str>)] {
        &self.all
    }

    /// Numbers up to the highest slot: what a table of slots must have room for.
    pub fn width(&self) -> usize {
        self.all.last().map_or(0, |(slot, _)| usize::from(slot.0) + 1)
    }
}
