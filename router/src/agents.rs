//! Follows the agents of the nodes: one stream each, merged into the pool by the one writer.
//!
//! An endpoint is read by one side at a time. While an agent that covers it is alive, the router's own reader waits;
//! once the agent has been silent for three heartbeats, the stream is given up and the reader goes on. The agent that was
//! first to tell of an endpoint speaks for it until it is gone: another one's word for it is not taken.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};
use warmlane_api::admin;
use warmlane_picker::Time;

use crate::{
    config::Config,
    world::{World, writer::Update},
};

mod coverage;
mod credentials;
mod crew;
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
use crew::Crew;
use marks::Marks;

/// All agents of a router, and what is known of them.
#[derive(Debug, Default)]
pub struct Agents {
    /// Which endpoints they cover.
    pub coverage: Coverage,
    all: Mutex<Vec<Known>>,
}

/// What is known of one agent, shared with who follows it.
#[derive(Clone, Debug)]
struct Known(Arc<Mutex<Agent>>);

/// Agents to follow, besides those that are configured.
pub type Wanted = watch::Receiver<Arc<Vec<Told>>>;

/// An agent that somebody tells of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Told {
    /// `host:port`.
    pub address: String,
    /// The node that it speaks for, and for no other; `None`: that is not known.
    pub node: Option<String>,
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
    pub gpus: Vec<admin::Gpu>,
    /// Why there is no stream.
    pub trouble: Option<String>,
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

/// Follows the configured agents and, where that is told, those that are wanted besides; on `tasks`, which end it when dropped.
pub fn spawn(following: &Following, wanted: Option<Wanted>, tasks: &mut JoinSet<()>) {
    if following.config.agents.is_empty() && wanted.is_none() {
        return;
    }
    let marks = Arc::new(Marks::default());
    tasks.spawn(marks::watch(following.world.clone(), marks.clone()));
    tasks.spawn(Crew::new(following.clone(), marks).run(wanted));
}

// === Agents ===

impl Agents {
    /// What is known of each, in the order in which they were followed.
    pub fn each(&self) -> Vec<Agent> {
        self.all().iter().map(|agent| agent.lock().clone()).collect()
    }

    fn all(&self) -> MutexGuard<'_, Vec<Known>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === Known ===

impl Known {
    fn new(address: &str, tls: bool) -> Self {
        let agent = Agent { address: address.to_owned(), tls, ..Agent::default() };
        Self(Arc::new(Mutex::new(agent)))
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn lock(&self) -> MutexGuard<'_, Agent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
