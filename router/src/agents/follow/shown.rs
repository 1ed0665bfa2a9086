//! What is shown of an agent, and whom it tells of.

use warmlane_api::{admin, node as told};

use super::Follower;
use crate::{
    agents::{Agent, merge},
    world::Roster,
};

// === Follower ===

impl Follower {
    pub(super) fn note(&mut self, update: &told::Update) {
        let roster = self.following.world.roster.borrow().clone();
        if update.full {
            self.tells_of.clear();
        }
        let known = self.tells_of.len();
        for told in &update.endpoints {
            // Whoever has another slot by now was told of as somebody else: that must show.
            self.tells_of.entry(told.address.clone()).or_insert_with(|| roster.slot(&told.address));
        }
        let is_other = update.full || !update.gone.is_empty() || self.tells_of.len() != known;
        let mut agent = self.agent.lock();
        agent.heard = Some(self.following.world.now());
        (agent.generation, agent.sequence) = (update.generation, update.sequence);
        if is_other {
            agent.list(self.tells_of.keys(), &roster);
        }
        if update.full {
            (agent.node, agent.connected, agent.trouble) = (update.node.clone(), true, None);
            let (address, replicas) = (&agent.address, agent.endpoints.len());
            let (node, ignored) = (&agent.node, agent.ignored);
            tracing::info!(agent = address, node, replicas, ignored, "an agent tells of its node");
            // Of a cluster's node it tells of all pools' replicas, and this router may serve others.
            if ignored == replicas && replicas > 0 && self.following.config.kube.pools.is_empty() {
                let theirs = agent.endpoints.first();
                tracing::warn!(
                    agent = address,
                    "nothing that it tells of is an endpoint here: write the agent's --engine as this router's --endpoint, not {theirs:?}"
                );
            }
        }
        if update.full || !update.gpus.is_empty() {
            agent.gpus = update.gpus.iter().map(gpu).collect();
        }
    }
}

// === Agent ===

impl Agent {
    /// Takes the list of whom it tells of.
    fn list<'a>(&mut self, told: impl Iterator<Item = &'a String>, roster: &Roster) {
        self.endpoints = told.cloned().collect();
        self.endpoints.sort_unstable();
        let routed_to = |address: &&String| roster.slot(address).is_some();
        self.ignored = self.endpoints.len() - self.endpoints.iter().filter(routed_to).count();
    }
}

fn gpu(told: &told::Gpu) -> admin::Gpu {
    admin::Gpu::of(told.clone(), merge::health(told.verdict.as_ref()).to_string())
}
