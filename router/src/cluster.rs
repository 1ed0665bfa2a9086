//! From what the cluster wants to what the router serves.
//!
//! The settings hold for every pool; what the cluster says of one stands above them: its strategy, its models, its objectives.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::watch;
use warmlane_engine::metrics::EngineKind;
use warmlane_picker::Profile;

use crate::{
    agents::Told,
    config::Config,
    kube::{Agent, Desired, Pool, ReplicaState},
    world::pools::{Closed, Replica, Rules, Wanted, WantedPool},
};

mod watching;

pub use watching::Watching;

/// Passes on what is wanted whenever that is something else.
#[derive(Debug)]
pub struct Cluster {
    config: Arc<Config>,
    desired: watch::Receiver<Arc<Desired>>,
    wanted: watch::Sender<Arc<Wanted>>,
    agents: watch::Sender<Arc<Vec<Told>>>,
}

/// What is to be served, and whose word on it is to be heard.
pub type Orders = (watch::Receiver<Arc<Wanted>>, watch::Receiver<Arc<Vec<Told>>>);

// === Cluster ===

impl Cluster {
    /// Over what the cluster wants.
    pub fn new(config: Arc<Config>, desired: watch::Receiver<Arc<Desired>>) -> (Self, Orders) {
        let (wanted, is_wanted) = watch::channel(Arc::new(Wanted::of(&config)));
        let (agents, are_agents) = watch::channel(Arc::default());
        (Self { config, desired, wanted, agents }, (is_wanted, are_agents))
    }

    /// Works until nobody says any more what the cluster wants.
    pub async fn run(mut self) {
        while self.desired.changed().await.is_ok() {
            let desired = self.desired.borrow_and_update().clone();
            let wanted = wanted(&desired, &self.config, &self.wanted.borrow());
            self.wanted.send_if_modified(|now| replace(now, wanted));
            let agents: Vec<Told> = desired.agents.iter().map(told).collect();
            self.agents.send_if_modified(|now| replace(now, agents));
        }
    }
}

fn replace<T: PartialEq>(now: &mut Arc<T>, new: T) -> bool {
    let is_other = **now != new;
    if is_other {
        *now = Arc::new(new);
    }
    is_other
}

/// In the order of the settings: the first pool serves what names no model.
fn wanted(desired: &Desired, config: &Config, before: &Wanted) -> Wanted {
    let by_name: HashMap<String, &Pool> =
        desired.pools.iter().map(|pool| (pool.name.to_string(), pool)).collect();
    let pool = |name: &String| {
        let old = before.pools.iter().find(|pool| *pool.name == **name);
        let pool = by_name.get(name);
        let rules = pool.map_or_else(|| Rules::of(config), |pool| rules(pool, config));
        WantedPool {
            name: name.as_str().into(),
            // The same value where nothing changed: it is compared with the one before by its place.
            rules: old
                .map(|old| &old.rules)
                .filter(|old| ***old == rules)
                .cloned()
                .unwrap_or_else(|| rules.into()),
            replicas: pool.map(|pool| replicas(pool)).unwrap_or_default(),
        }
    };
    Wanted { pools: config.kube.pools.iter().map(pool).collect() }
}

/// A node's name is the cluster's word, not the agent's own.
fn told(agent: &Agent) -> Told {
    let node = Some(&agent.node).filter(|node| !node.is_empty());
    Told { address: agent.address.clone(), node: node.cloned() }
}

fn replicas(pool: &Pool) -> Vec<Replica> {
    pool.replicas.iter().map(|one| Replica { runtime: pool.runtime, ..replica(one) }).collect()
}

fn replica(replica: &crate::kube::Replica) -> Replica {
    let closed = match replica.state {
        ReplicaState::Ready => None,
        ReplicaState::NotReady => Some(Closed::NotReady),
        ReplicaState::Terminating => Some(Closed::Terminating),
    };
    Replica {
        address: replica.address.as_str().into(),
        identity: replica.uid.as_str().into(),
        node: Some(replica.node.as_str()).filter(|node| !node.is_empty()).map(Into::into),
        closed,
        runtime: EngineKind::Unknown,
    }
}

fn rules(pool: &Pool, config: &Config) -> Rules {
    let objectives: Vec<_> = pool.objectives.iter().chain(&config.objectives).cloned().collect();
    let mut rules = Rules::new(profile(pool, config), &pool.models, &objectives);
    rules.generally(&config.models);
    for rewrite in &pool.rewrites {
        rules.rewrite(rewrite.model.as_deref(), rewrite.targets.clone());
    }
    rules
}

/// Another strategy than the settings' brings its own weights; thresholds are the settings'.
fn profile(pool: &Pool, config: &Config) -> Profile {
    match pool.strategy.filter(|strategy| *strategy != config.profile.strategy) {
        Some(strategy) => Profile { strategy, weights: Profile::of(strategy).weights, ..config.profile },
        None => config.profile,
    }
}

#[cfg(test)]
mod tests;
