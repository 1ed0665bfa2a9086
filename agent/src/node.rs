//! What is known of this node now: its engines and its GPUs.
//!
//! Readers write and followers read, each under one lock for as long as it takes to copy a few words. Every part carries the
//! version at which it last changed: a follower that has seen version `v` gets what changed since, once, however often
//! it changed. So nothing queues for a slow one, and memory is one state per engine and GPU.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use bytes::Bytes;
use tokio::sync::watch;
use warmlane_engine::models;
use warmlane_picker::Time;
use warmlane_scrape::{Failure, Finding, Page};

use crate::{
    cache::Cache,
    config::EngineFlag,
    gpu::Gpu,
    join::{Joined, join},
    kubelet::{Known, PodName},
};

/// The version of a node of which nothing has been found out. Who has seen nothing has seen version 0.
const FIRST: u64 = 1;

/// See the module's header.
#[derive(Debug)]
pub struct Node {
    name: String,
    began: Instant,
    state: Mutex<State>,
    /// Of engines whose KV events are followed.
    caches: Vec<Arc<Cache>>,
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    version: u64,
    engines: Vec<Engine>,
    gpus: Vec<Versioned<Gpu>>,
    pods: Known,
}

/// An engine on this node.
#[derive(Clone, Debug)]
pub struct Engine {
    /// `host:port` as configured.
    pub address: Arc<str>,
    /// The pod that it runs in, where that was said.
    pub pod: Option<PodName>,
    /// What it runs on.
    pub joined: Joined,
    /// What was reached last.
    pub contact: Versioned<Contact>,
    /// What it serves, once it has said so.
    pub models: Option<Versioned<Models>>,
}

/// How an engine was found last.
#[derive(Clone, Debug)]
pub enum Contact {
    /// It has not been tried to its end yet.
    Untried,
    /// Its page says this.
    Load(Page),
    /// It answers, but does not tell its load.
    Alive,
    /// It does not answer.
    Unreachable {
        /// Why not.
        why: Failure,
        /// When that was seen.
        at: Time,
    },
}

/// An engine's list of models.
#[derive(Clone, Debug)]
pub struct Models {
    /// When it was asked for.
    pub at: Time,
    /// As JSON.
    pub body: Bytes,
}

/// Something, and the node's version when it last changed.
#[derive(Clone, Debug)]
pub struct Versioned<T> {
    /// What it is now.
    pub now: T,
    /// Since when.
    pub version: u64,
}

/// What is new to somebody who has seen the node at an earlier version.
#[derive(Debug)]
pub struct News {
    /// The version that this leads to.
    pub version: u64,
    /// Engines that changed, each whole; models only where they changed.
    pub engines: Vec<Engine>,
    /// GPUs that changed.
    pub gpus: Vec<Gpu>,
}

// === Node ===

impl Node {
    /// A node with these engines, of which nothing is known.
    pub fn new(name: &str, engines: &[EngineFlag]) -> Self {
        Self::following(name, engines, &[])
    }

    /// The same, with the caches of those engines that have an address for KV events at their place.
    pub fn following(name: &str, engines: &[EngineFlag], events: &[Option<String>]) -> Self {
        let followed = engines.iter().zip(events).filter(|(_, events)| events.is_some());
        let caches = followed.map(|(engine, _)| Arc::new(Cache::new(&engine.address))).collect();
        let engine = |flag: &EngineFlag| Engine {
            address: flag.address.as_str().into(),
            pod: flag.pod.clone(),
            joined: Joined::default(),
            contact: Versioned { now: Contact::Untried, version: FIRST },
            models: None,
        };
        let engines = engines.iter().map(engine).collect();
        let state = State { version: FIRST, engines, ..State::default() };
        Self {
            name: name.to_owned(),
            began: Instant::now(),
            state: Mutex::new(state),
            caches,
            version: watch::Sender::new(FIRST),
        }
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
            engines: state.engines.iter().filter_map(engine).collect(),
            gpus: gpus.map(|gpu| gpu.now.clone()).collect(),
        }
    }

    /// What those engines hold in their KV caches whose events are followed, in the engines' order.
    pub fn caches(&self) -> &[Arc<Cache>] {
        &self.caches
    }

    /// Something changed that is kept elsewhere.
    pub(crate) fn touch(&self) {
        self.change(|_, _| true);
    }

    /// Something was found out about an engine.
    pub(crate) fn found(&self, engine: usize, finding: Finding) {
        let now = self.now();
        self.change(|state, version| {
            let Some(engine) = state.engines.get_mut(engine) else { return false };
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
        named.filter_map(|engine| engine.pod.clone()).collect()
    }

    /// Engines that faults of GPUs cannot take out: there are several of both, and no pod is named that would tell whose is whose.
    pub(crate) fn engines_without_gpus(&self) -> usize {
        let state = self.state();
        let without =
            state.engines.iter().filter(|engine| engine.pod.is_none() && engine.joined.gpus.is_empty());
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

// === State ===

impl State {
    /// Finds out anew what runs on what. Whether that changed for anyone.
    fn join(&mut self, version: u64) -> bool {
        let gpus: Vec<Gpu> = self.gpus.iter().map(|gpu| gpu.now.clone()).collect();
        let count = self.engines.len();
        let mut changed = false;
        for engine in &mut self.engines {
            let joined = join(engine.pod.as_ref(), count, &gpus, self.pods.as_deref());
            if engine.joined != joined {
                engine.joined = joined;
                engine.contact.version = version;
                changed = true;
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests;
