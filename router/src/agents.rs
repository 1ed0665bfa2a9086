//! Follows the agents of the nodes: one stream each, merged into the pool by the one writer.
//!
//! An endpoint is read by one side at a time. While an agent that covers it is alive, the router's own reader waits;
//! once the agent has been silent for three heartbeats, the stream is given up and the reader goes on. The agent that was
//! first to tell of an endpoint speaks for it until it is gone: another one's word for it is not taken.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::mpsc, task::JoinSet};
use warmlane_api::node as told;
use warmlane_picker::{Health, Slot, Time};

use crate::{
    config::Config,
    world::{World, writer::Update},
};

mod coverage;
mod credentials;
mod decoder;
mod dial;
mod follow;
mod line;
mod marks;
mod merge;
mod order;
mod places;
mod trouble;

pub use coverage::Coverage;
pub use credentials::{AgentTls, Credentials};
use follow::Follower;
use marks::Marks;

/// All agents of a router, and what is known of them.
#[derive(Debug)]
pub struct Agents {
    /// Which endpoints they cover.
    pub coverage: Coverage,
    all: Vec<Mutex<Agent>>,
}

/// What is known of one agent.
#[derive(Clone, Debug, Default)]
pub struct Agent {
    /// `host:port` as configured.
    pub address: String,
    /// It is spoken to by TLS.
    pub tls: bool,
    /// The name of its node; empty before it has said so.
    pub node: String,
    /// Its stream is open and it has told everything.
    pub connected: bool,
    /// Of its process.
    pub generation: u64,
    /// The last update of the stream.
    pub sequence: u64,
    /// When something came last.
    pub heard: Option<Time>,
    /// Updates taken since the router started.
    pub updates: u64,
    /// Streams that ended since then.
    pub losses: u64,
    /// Endpoints that it tells of, by address.
    pub endpoints: Vec<String>,
    /// Of those, how many this router does not route to.
    pub ignored: usize,
    /// GPUs of its node, with what speaks against them.
    pub gpus: Vec<Gpu>,
    /// Why there is no stream.
    pub trouble: Option<String>,
}

/// A GPU as its agent tells of it.
#[derive(Clone, Debug)]
pub struct Gpu {
    /// Of the device or MIG slice.
    pub uuid: String,
    /// Product.
    pub name: String,
    /// `healthy`, or what is wrong.
    pub verdict: String,
}

/// What followers share.
#[derive(Clone)]
pub struct Following {
    /// For its clock, the ledger, and what is known of agents.
    pub world: Arc<World>,
    /// Who is followed, and the endpoints.
    pub config: Arc<Config>,
    /// What agents are shown; `None`: they are spoken to without TLS.
    pub credentials: Option<Arc<Credentials>>,
    /// The writer.
    pub updates: mpsc::Sender<Update>,
}

/// Starts a follower per configured agent on `tasks`; they stop when it is dropped.
pub fn spawn(following: &Following, tasks: &mut JoinSet<()>) {
    if following.config.agents.is_empty() {
        return;
    }
    let endpoints = &following.config.endpoints;
    let slots: Arc<HashMap<String, Slot>> =
        Arc::new(endpoints.iter().cloned().zip((0..).map(Slot)).collect());
    let marks = Arc::new(Marks::new(endpoints.len()));
    tasks.spawn(marks::watch(following.world.clone(), marks.clone()));
    for number in 0..following.config.agents.len() {
        tasks.spawn(Follower::new(following.clone(), number, slots.clone(), marks.clone()).run());
    }
}

// === Agents ===

impl Agents {
    /// The configured ones, of which nothing is known.
    pub fn new(config: &Config) -> Self {
        let tls = !config.agent_tls.ca.as_os_str().is_empty();
        let agent =
            |address: &String| Mutex::new(Agent { address: address.clone(), tls, ..Agent::default() });
        Self {
            coverage: Coverage::new(config.endpoints.len()),
            all: config.agents.iter().map(agent).collect(),
        }
    }

    /// What is known of each, in the configured order.
    pub fn each(&self) -> Vec<Agent> {
        (0..self.all.len()).map(|number| self.agent(number).clone()).collect()
    }

    fn agent(&self, number: usize) -> MutexGuard<'_, Agent> {
        self.all[number].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === Gpu ===

impl From<&told::Gpu> for Gpu {
    fn from(gpu: &told::Gpu) -> Self {
        let verdict = match merge::health(gpu.verdict.as_ref()) {
            Health::Healthy => "healthy".to_owned(),
            Health::Degraded(why) => format!("degraded: {why}"),
            Health::Failed(why) => format!("failed: {why}"),
        };
        Self { uuid: gpu.uuid.clone(), name: gpu.name.clone(), verdict }
    }
}
