//! The state: objects, the history of their changes, and who may not do what.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use hyper::body::Bytes;
use serde_json::Value;

use super::{
    apply::Owners,
    call::Logged,
    refusal::Refusals,
    resource::{BUILT_IN, Resource},
};

/// Changes remembered for watches. A real server's window is of about this order.
const HISTORY: usize = 50_000;

/// Names an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// What it is.
    pub resource: Resource,
    /// Empty where there are none.
    pub namespace: String,
    /// Within the namespace.
    pub name: String,
}

/// The state of the cluster.
pub(super) struct Store {
    /// Of the last change.
    pub(super) version: u64,
    pub(super) objects: BTreeMap<Key, Arc<Stored>>,
    pub(super) resources: BTreeSet<Resource>,
    pub(super) history: VecDeque<Event>,
    /// Changes up to this one are forgotten.
    pub(super) horizon: u64,
    pub(super) gone_as_status: bool,
    /// Lists that are half read: what is left, and the version that they show.
    pub(super) pages: BTreeMap<u64, (u64, Vec<Arc<Stored>>)>,
    pub(super) last_page: u64,
    /// Lists whose second page is forgotten before it is asked for.
    pub(super) short_lived: usize,
    pub(super) refusals: Refusals,
    pub(super) turned_away: usize,
    pub(super) log: Vec<Logged>,
    pub(super) watches: usize,
}

/// An object, as value and as text: lists of ten thousand are written often.
pub(super) struct Stored {
    pub(super) value: Value,
    pub(super) text: Bytes,
    pub(super) owners: Owners,
}

/// A change.
#[derive(Clone)]
pub(super) struct Event {
    pub(super) version: u64,
    pub(super) key: Key,
    pub(super) before: Option<Arc<Stored>>,
    /// What is there now; of a deletion, what was there last, with the version of the deletion.
    pub(super) after: Arc<Stored>,
    pub(super) is_deletion: bool,
}

// === Key ===

impl Key {
    /// In a namespace.
    pub fn new(resource: Resource, namespace: &str, name: &str) -> Self {
        Self { resource, namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// Of an object, by its metadata.
    pub(super) fn of(resource: Resource, object: &Value) -> Option<Self> {
        let metadata = &object["metadata"];
        let namespace = if resource.is_namespaced { metadata["namespace"].as_str()? } else { "" };
        Some(Self::new(resource, namespace, metadata["name"].as_str()?))
    }
}

// === Stored ===

impl Stored {
    pub(super) fn new(value: Value, owners: Owners) -> Arc<Self> {
        let text = Bytes::from(value.to_string());
        Arc::new(Self { value, text, owners })
    }
}

// === Store ===

impl Default for Store {
    fn default() -> Self {
        Self {
            version: 0,
            objects: BTreeMap::new(),
            resources: BUILT_IN.into_iter().collect(),
            history: VecDeque::new(),
            horizon: 0,
            gone_as_status: false,
            pages: BTreeMap::new(),
            last_page: 0,
            short_lived: 0,
            refusals: Refusals::default(),
            turned_away: 0,
            log: Vec::new(),
            watches: 0,
        }
    }
}

impl Store {
    pub(super) fn get(&self, key: &Key) -> Option<&Arc<Stored>> {
        self.objects.get(key)
    }

    /// What an object says it is.
    pub(super) fn resource_of(&self, object: &Value) -> Option<Resource> {
        let is = |resource: &&Resource| {
            object["kind"] == resource.kind && object["apiVersion"] == resource.api_version().as_str()
        };
        self.resources.iter().find(is).copied()
    }

    pub(super) fn add(&mut self, resource: Resource) {
        self.resources.insert(resource);
    }

    pub(super) fn remove_resource(&mut self, resource: Resource) {
        let keys: Vec<Key> = self.objects.keys().filter(|key| key.resource == resource).cloned().collect();
        keys.iter().for_each(|key| {
            self.remove(key);
        });
        self.resources.remove(&resource);
        // So that its watches wake up, also where it had no objects.
        self.version += 1;
    }

    pub(super) fn remove(&mut self, key: &Key) -> bool {
        let Some(before) = self.objects.remove(key) else { return false };
        let mut last = before.value.clone();
        self.version += 1;
        last["metadata"]["resourceVersion"] = self.version.to_string().into();
        let after = Stored::new(last, Owners::default());
        self.remember(Event {
            version: self.version,
            key: key.clone(),
            before: Some(before),
            after,
            is_deletion: true,
        });
        true
    }

    pub(super) fn remember(&mut self, event: Event) {
        self.history.push_back(event);
        if self.history.len() > HISTORY
            && let Some(oldest) = self.history.pop_front()
        {
            self.horizon = oldest.version;
        }
    }

    pub(super) fn expire(&mut self) {
        // A version of its own: also a watch that has seen everything begins before it.
        self.version += 1;
        self.horizon = self.version;
        self.history.clear();
        self.pages.clear();
    }

    /// Changes after `version`; `None` where some of them are forgotten.
    pub(super) fn since(&self, version: u64) -> Option<impl Iterator<Item = &Event>> {
        let at = self.history.partition_point(|event| event.version <= version);
        (version >= self.horizon).then(|| self.history.range(at..))
    }
}
