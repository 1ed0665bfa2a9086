//! What is known, without its lock: the engines that are read and what was found out about each.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use warmlane_engine::metrics::EngineKind;
use warmlane_picker::Time;
use warmlane_scrape::{Failure, Page};

use crate::{
    cache::Cache,
    gpu::Gpu,
    join::{Joined, join},
    kubelet::{Known, PodName},
};

/// An engine as it is named, by a flag or by the cluster. One that is named otherwise is another engine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Named {
    /// `host:port`.
    pub address: Arc<str>,
    /// The pod that it runs in, where that is said.
    pub pod: Option<PodName>,
    /// Which of the pods that have had this name and this address it is; empty where nobody says.
    pub uid: Arc<str>,
    /// Where it publishes KV events, `host:port`.
    pub kv_events: Option<Arc<str>>,
    /// Which engine it is, where its pool says so.
    pub runtime: EngineKind,
}

/// Tells engines apart that had one address after the other. No number is given twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EngineId(pub u64);

/// An engine on this node.
#[derive(Clone, Debug)]
pub struct Engine {
    /// Which one.
    pub id: EngineId,
    /// As it is named.
    pub named: Arc<Named>,
    /// What it runs on.
    pub joined: Joined,
    /// What was reached last.
    pub contact: Versioned<Contact>,
    /// What it serves, once it has said so.
    pub models: Option<Versioned<Models>>,
    /// What it holds, where its KV events are followed.
    pub cache: Option<Arc<Cache>>,
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

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) version: u64,
    pub(super) engines: Vec<Engine>,
    /// When somebody joined or left last.
    pub(super) crew_version: u64,
    /// Engines that are not read, because there are too many.
    pub(super) left_out: usize,
    pub(super) gpus: Vec<Versioned<Gpu>>,
    pub(super) pods: Known,
    /// Engines that there ever were.
    pub(super) count: u64,
}

// === Engine ===

impl Engine {
    fn new(id: EngineId, named: &Named, version: u64) -> Self {
        let cache = named.kv_events.as_ref().map(|_| Arc::new(Cache::new(id, &named.address)));
        Self {
            id,
            named: Arc::new(named.clone()),
            joined: Joined::default(),
            contact: Versioned { now: Contact::Untried, version },
            models: None,
            cache,
        }
    }
}

// === State ===

impl State {
    /// Has these engines and no others: whoever was there before keeps what is known of it. Whether anybody joined or left.
    pub(super) fn engage(&mut self, named: &[Named], version: u64) -> bool {
        let before = self.engines.len();
        let mut known: HashMap<Arc<Named>, Engine> =
            self.engines.drain(..).map(|engine| (engine.named.clone(), engine)).collect();
        let (mut engines, mut joined) = (Vec::with_capacity(named.len()), 0);
        for named in named {
            engines.push(known.remove(named).unwrap_or_else(|| {
                (self.count, joined) = (self.count + 1, joined + 1);
                Engine::new(EngineId(self.count), named, version)
            }));
        }
        let changed = joined > 0 || engines.len() != before;
        self.engines = engines;
        if changed {
            self.crew_version = version;
            self.join(version);
        }
        changed
    }

    pub(super) fn engine(&mut self, id: EngineId) -> Option<&mut Engine> {
        self.engines.iter_mut().find(|engine| engine.id == id)
    }

    /// Finds out anew what runs on what. Whether that changed for anyone.
    pub(super) fn join(&mut self, version: u64) -> bool {
        let gpus: Vec<Gpu> = self.gpus.iter().map(|gpu| gpu.now.clone()).collect();
        let count = self.engines.len();
        let mut changed = false;
        for engine in &mut self.engines {
            let joined = join(engine.named.pod.as_ref(), count, &gpus, self.pods.as_deref());
            if engine.joined != joined {
                engine.joined = joined;
                engine.contact.version = version;
                changed = true;
            }
        }
        changed
    }
}
