//! The world as one writer last saw it: immutable, shared by `Arc`, replaced as a whole.
//!
//! A [`Slot`] names an endpoint for as long as it lives and is not given to another one before the tables
//! that remember slots were swept. Model names are resolved once per request to a set of endpoints, so no
//! string is compared per endpoint.

use std::{collections::HashMap, fmt, net::SocketAddr, sync::Arc};

use crate::{
    Signals, Time,
    estimate::{ASSUMED_KV_TOKENS, Glance},
};

mod slots;

pub use slots::SlotSet;
pub(crate) use slots::bits_of;

/// A number that stands for one endpoint in tables and decisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u16);

/// What is known of the hardware and the serving process under an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Nothing speaks against it.
    #[default]
    Healthy,
    /// It serves, but something is wrong: used when nothing better is left.
    Degraded(Arc<str>),
    /// It must not be used.
    Failed(Arc<str>),
}

/// One place that can serve requests.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its number.
    pub slot: Slot,
    /// `host:port` as configured: what people and headers call it.
    pub address: Arc<str>,
    /// Where to connect.
    pub socket: SocketAddr,
    /// It answers, and is not being drained.
    pub ready: bool,
    /// Hardware and process health.
    pub health: Health,
    /// Whether requests that it holds will come to nothing, although it has closed nothing.
    pub stuck: Option<Stuck>,
    /// It runs on the router's own node.
    pub local: bool,
    /// When it joined, or came back to, a pool that was at work; `None` for those that were there from the start.
    pub joined: Option<Time>,
    /// Its load.
    pub signals: Signals,
}

/// How an endpoint keeps whoever waits for it waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stuck {
    /// It answers nobody and refuses nobody: its machine, or the way to it, is gone.
    Silent {
        /// When it was last heard of.
        since: Time,
    },
    /// It takes connections and answers nothing: its process is stuck.
    Mute {
        /// When it was last heard of.
        since: Time,
    },
    /// It answers readings, holds requests and computes nothing.
    Stalled,
}

/// The names that one endpoint serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Models {
    /// The endpoint has not said, or its word is too old.
    #[default]
    Unknown,
    /// Base models and adapters.
    Known {
        /// Base model names.
        base: Vec<String>,
        /// Adapter names.
        adapters: Vec<String>,
    },
}

/// Who serves one name.
#[derive(Clone, Debug, Default)]
pub struct Serving {
    /// Endpoints that list the name.
    pub endpoints: SlotSet,
    /// The name is a LoRA adapter.
    pub adapter: bool,
    /// Endpoints on which the adapter is active now.
    pub active: SlotSet,
    /// Endpoints on which requests wait for the adapter.
    pub waiting: SlotSet,
}

/// The immutable state of the world that a pick reads.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    endpoints: Vec<Endpoint>,
    /// One per endpoint.
    glances: Vec<Glance>,
    serving: HashMap<Box<str>, Serving>,
    unlisted: SlotSet,
    /// Those on the router's own node.
    local: SlotSet,
    lists_complete: bool,
    newcomers: bool,
}

// === Health ===

impl Health {
    /// Reason, if anything is wrong.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Healthy => None,
            Self::Degraded(why) | Self::Failed(why) => Some(why),
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy => f.write_str("healthy"),
            Self::Degraded(why) => write!(f, "degraded: {why}"),
            Self::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}

// === Endpoint ===

impl Endpoint {
    /// One in working order, of whose load nothing is known.
    pub fn ready(slot: Slot, address: &str, socket: SocketAddr) -> Self {
        Self {
            slot,
            address: address.into(),
            socket,
            ready: true,
            health: Health::Healthy,
            stuck: None,
            local: false,
            joined: None,
            signals: Signals::default(),
        }
    }
}

// === Snapshot ===

impl Snapshot {
    /// Builds the snapshot from endpoints, each with the names it serves. They stand in the order of their slots.
    pub fn new(mut entries: Vec<(Endpoint, Models)>) -> Self {
        entries.sort_by_key(|(endpoint, _)| endpoint.slot);
        let mut snapshot = Self { lists_complete: true, ..Self::default() };
        for (position, (endpoint, models)) in entries.into_iter().enumerate() {
            match models {
                Models::Unknown => {
                    snapshot.unlisted.insert(position);
                    snapshot.lists_complete &= !endpoint.ready;
                }
                Models::Known { base, adapters } => snapshot.list(position, base, adapters),
            }
            if endpoint.local {
                snapshot.local.insert(position);
            }
            snapshot.newcomers |= endpoint.joined.is_some();
            snapshot.glances.push(Glance::of(&endpoint));
            snapshot.endpoints.push(endpoint);
        }
        snapshot.place_adapters();
        snapshot
    }

    fn list(&mut self, position: usize, base: Vec<String>, adapters: Vec<String>) {
        let named = base.into_iter().map(|n| (n, false)).chain(adapters.into_iter().map(|n| (n, true)));
        for (name, adapter) in named {
            let serving = self.serving.entry(name.into_boxed_str()).or_default();
            serving.endpoints.insert(position);
            serving.adapter |= adapter;
        }
    }

    fn place_adapters(&mut self) {
        for (position, endpoint) in self.endpoints.iter().enumerate() {
            let Some(lora) = &endpoint.signals.lora else { continue };
            for name in &lora.value.active {
                if let Some(serving) = self.serving.get_mut(name.as_str()) {
                    serving.active.insert(position);
                }
            }
            for name in &lora.value.waiting {
                if let Some(serving) = self.serving.get_mut(name.as_str()) {
                    serving.waiting.insert(position);
                }
            }
        }
    }

    /// All endpoints, in the order of their slots.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// What a pick reads first of each endpoint, in the same order.
    pub(crate) fn glances(&self) -> &[Glance] {
        &self.glances
    }

    /// Who serves `model`, if any endpoint lists it.
    pub fn serving(&self, model: &str) -> Option<&Serving> {
        self.serving.get(model)
    }

    /// The names that the endpoint at a position serves, as they were listed; sorted.
    pub fn models(&self, position: usize) -> Models {
        if self.unlisted.contains(position) {
            return Models::Unknown;
        }
        let (mut base, mut adapters) = (Vec::new(), Vec::new());
        let listed = self.serving.iter().filter(|(_, serving)| serving.endpoints.contains(position));
        for (name, serving) in listed {
            if serving.adapter { &mut adapters } else { &mut base }.push(name.to_string());
        }
        base.sort_unstable();
        adapters.sort_unstable();
        Models::Known { base, adapters }
    }

    /// Endpoints whose list of models is unknown: they may serve anything.
    pub fn unlisted(&self) -> &SlotSet {
        &self.unlisted
    }

    /// Endpoints on the router's own node.
    pub(crate) fn local(&self) -> &SlotSet {
        &self.local
    }

    /// True when every ready endpoint's list is known: only then can a name be called unknown.
    pub fn lists_complete(&self) -> bool {
        self.lists_complete && self.endpoints.iter().any(|e| e.ready)
    }

    /// Whether any endpoint joined while the pool was at work.
    pub(crate) fn has_newcomers(&self) -> bool {
        self.newcomers
    }

    /// Every name that some endpoint lists, sorted.
    pub fn model_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.serving.keys().map(|name| &**name).collect();
        names.sort_unstable();
        names
    }

    /// Position of a slot, if its endpoint is still there.
    pub fn position(&self, slot: Slot) -> Option<usize> {
        // Where everybody is in one pool and nobody has left, a slot is its position.
        let guess = usize::from(slot.0);
        if self.endpoints.get(guess).is_some_and(|e| e.slot == slot) {
            return Some(guess);
        }
        self.endpoints.binary_search_by_key(&slot, |e| e.slot).ok()
    }

    /// The endpoint in a slot.
    pub fn endpoint(&self, slot: Slot) -> Option<&Endpoint> {
        self.position(slot).map(|position| &self.endpoints[position])
    }

    /// KV tokens that all endpoints together can hold, as they say; of one that has not said, an assumption.
    pub fn kv_capacity_tokens(&self) -> u64 {
        let stated = |e: &Endpoint| e.signals.kv_capacity_tokens.unwrap_or(ASSUMED_KV_TOKENS);
        self.endpoints.iter().fold(0, |sum, endpoint| sum.saturating_add(stated(endpoint)))
    }
}
