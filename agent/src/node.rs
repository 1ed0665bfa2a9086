//! What is known of this node now: its engines and its GPUs.
//!
//! Readers write and followers read, each under one lock for as long as it takes to copy a few words. Every part carries the
//! version at which it last changed: a follower that has seen version `v` gets what changed since, once, however often
//! it changed. So nothing queues for a slow one, and memory is one state per engine and GPU. Engines come and go; what is found
//! out about one that left is nobody's.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use bytes::Bytes;
use tokio::sync::watch;
use warmlane_engine::models;
use warmlane_picker::Time;
use warmlane_scrape::Finding;

use crate::{
    cache::Cache,
    gpu::Gpu,
    kubelet::{Known, PodName},
};

mod state;

use state::State;
pub use state::{Contact, Engine, EngineId, Models, Named, Versioned};

/// Engines that are read at most: several times as many as cards in a node, and a router takes some thousand in one update.
pub const MOST_ENGINES: usize = 64;
/// The version of a node of which nothing has been found out. Who has seen nothing has seen version 0.
const FIRST: u64 = 1;

/// See the module's header.
#[derive(Debug)]
pub struct Node {
    name: String,
    began: Instant,
    state: Mutex<State>,
    version: watch::Sender<u64>,
}

/// What is new to somebody who has seen the node at an earlier version.
#[derive(Debug)]
pub struct News {
    /// The version that this leads to.
    pub version: u64,
    /// The addresses of all engines, where some joined or left.
    pub all: Option<Vec<Arc<str>>>,
    /// Engines that changed, each whole; models only where they changed.
    pub engines: Vec<Engine>,
    /// GPUs that changed.
    pub gpus: Vec<Gpu>,
}

// === Node ===

impl Node {
    /// A node with these engines, of which nothing is known.
    pub fn new(name: &str, engines: &[Named]) -> Self {
        let mut state = State { version: FIRST, crew_version: FIRST, ..State::default() };
        state.engage(engines, FIRST);
        Self {
            name: name.to_owned(),
            began: Instant::now(),
            state: Mutex::new(state),
            version: watch::Sender::new(FIRST),
        }
    }

    /// Has these engines from now on, each address once, and no others. So many more are left out.
    pub(crate) fn engage(&self, engines: &[Named], left_out: usize) {
        self.change(|state, version| {
            state.left_out = left_out;
            state.engage(engines, version)
        });
    }

    /// All engines, as they are now.
    pub fn engines(&self) -> Vec<Engine> {
        self.state().engines.clone()
    }

    /// Engines that are not read, because there are too many.
    pub fn left_out(&self) -> usize {
        self.state().left_out
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Time since the agent started. Monotonic.
    pub fn now(&self) -> Time {
        self.began.elapsed()
    }

    /// Wakes with each change; holds the version.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// What changed after `seen`; at 0 everything is new.
    pub fn since(&self, seen: u64) -> News {
        let state = self.state();
        let is_new = |version: u64| version > seen;
        let engine = |engine: &Engine| {
            let models = engine.models.as_ref().filter(|models| is_new(models.version));
            let is_news = is_new(engine.contact.version) || models.is_some();
            is_news.then(|| Engine { models: models.cloned(), ..engine.clone() })
        };
        let gpus = state.gpus.iter().filter(|gpu| is_new(gpu.version));
        News {
            version: state.version,
            all: is_new(state.crew_version)
                .then(|| state.engines.iter().map(|engine| engine.named.address.clone()).collect()),
            engines: state.engines.iter().filter_map(engine).collect(),
            gpus: gpus.map(|gpu| gpu.now.clone()).collect(),
        }
    }

    /// What those engines hold in their KV caches whose events are followed, in the engines' order.
    pub fn caches(&self) -> Vec<Arc<Cache>> {
        self.state().engines.iter().filter_map(|engine| engine.cache.clone()).collect()
    }

    /// Which pod has which GPU, as far as is known.
    pub fn pods(&self) -> Known {
        self.state().pods.clone()
    }

    /// Something changed that is kept elsewhere.
    pub(crate) fn touch(&self) {
        self.change(|_, _| true);
    }

    /// Something was found out about an engine, unless it has left.
    pub(crate) fn found(&self, engine: EngineId, finding: Finding) {
        let now = self.now();
        self.change(|state, version| {
            let Some(engine) = state.engine(engine) else { return false };
            let contact = match finding {
                Finding::Page(page) => Contact::Load(*page),
                Finding::Alive => Contact::Alive,
                Finding::Unreachable(why) => {
                    // What it serves is asked again when it is back.
                    engine.models = None;
                    Contact::Unreachable { why, at: now }
                }
                Finding::Models { at, list } => {
                    let body = Bytes::from(models::merge([&list]));
                    engine.models = Some(Versioned { now: Models { at, body }, version });
                    return true;
                }
                // Where it is matters to nobody who is told its name.
                Finding::Resolved(_) => return false,
            };
            engine.contact = Versioned { now: contact, version };
            true
        });
    }

    /// The GPUs were read.
    pub(crate) fn read_gpus(&self, gpus: &[Gpu]) {
        self.change(|state, version| {
            state.gpus = gpus.iter().map(|gpu| Versioned { now: gpu.clone(), version }).collect();
            state.join(version);
            true
        });
    }

    /// The kubelet told who has which GPU, or has not for long.
    pub(crate) fn read_pods(&self, pods: Known) {
        self.change(|state, version| {
            state.pods = pods;
            state.join(version)
        });
    }

    /// Pods that engines are named with, and that have no GPU as far as is known.
    pub(crate) fn pods_without_gpus(&self) -> BTreeSet<PodName> {
        let state = self.state();
        let named =
            state.engines.iter().filter(|_| state.pods.is_some()).filter(|e| e.joined.gpus.is_empty());
        named.filter_map(|engine| engine.named.pod.clone()).collect()
    }

    /// Engines that faults of GPUs cannot take out: there are several of both, and no pod is named that would tell whose is whose.
    pub(crate) fn engines_without_gpus(&self) -> usize {
        let state = self.state();
        let without =
            state.engines.iter().filter(|engine| engine.named.pod.is_none() && engine.joined.gpus.is_empty());
        if state.gpus.is_empty() { 0 } else { without.count() }
    }

    /// `change` says whether anything did.
    fn change(&self, change: impl FnOnce(&mut State, u64) -> bool) {
        let mut state = self.state();
        let version = state.version + 1;
        if change(&mut state, version) {
            state.version = version;
            self.version.send_replace(version);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
