//! Which endpoint has which number: the view that readers, agents and pages have of what the writer decided.

use std::{collections::HashMap, sync::Arc};

use warmlane_engine::metrics::EngineKind;
use warmlane_picker::Slot;

/// See the module's header. Immutable; the writer publishes another one whenever somebody joins or leaves.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    /// Places in `all`.
    by_address: HashMap<Arc<str>, usize>,
    /// In the order of slots.
    all: Vec<Entry>,
}

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Its number.
    pub slot: Slot,
    /// As it is called: see [`warmlane_picker::Endpoint::address`].
    pub address: Arc<str>,
    /// The node that it runs on, where the cluster says so.
    pub node: Option<Arc<str>>,
    /// Which engine it is, where its pool says so.
    pub runtime: EngineKind,
}

// === Roster ===

impl Roster {
    /// Of these, in the order of their slots.
    pub fn new(all: Vec<Entry>) -> Self {
        let by_address = all.iter().enumerate().map(|(at, entry)| (entry.address.clone(), at)).collect();
        Self { by_address, all }
    }

    /// The endpoint at this address.
    pub fn at(&self, address: &str) -> Option<&Entry> {
        self.by_address.get(address).and_then(|at| self.all.get(*at))
    }

    /// The slot of the endpoint at this address.
    pub fn slot(&self, address: &str) -> Option<Slot> {
        self.at(address).map(|entry| entry.slot)
    }

    /// Whether this number is somebody's.
    pub fn has(&self, slot: Slot) -> bool {
        self.all.binary_search_by_key(&slot, |entry| entry.slot).is_ok()
    }

    /// Everybody, in the order of slots.
    pub fn all(&self) -> &[Entry] {
        &self.all
    }

    /// Numbers up to the highest slot: what a table of slots must have room for.
    pub fn width(&self) -> usize {
        self.all.last().map_or(0, |entry| usize::from(entry.slot.0) + 1)
    }
}
