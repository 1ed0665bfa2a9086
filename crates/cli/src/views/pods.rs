//! `pods`: where each replica runs and what is around it: whose agent tells of it, which GPUs its node has, what it serves.
//!
//! Not its load, which `endpoints` shows. Joined from the router's pages: a replica's node is the one that the cluster or an
//! agent names, and its GPUs are those of the node, since routers are not told which is whose.

use std::collections::HashMap;

use serde::Serialize;
use warmlane_api::admin::{Agent, Agents, Endpoint, Endpoints, Gpu};

use super::{
    View,
    endpoints::{health, readiness},
};
use crate::{
    screen::{Screen, Tone},
    table::{Cell, Column, Table, column},
};

const COLUMNS: [Column; 10] = [
    column("NODE", 1).long(10),
    column("ADDRESS", 0).long(21),
    column("READY", 1),
    column("AGENT", 2),
    column("GPUS", 2).long(10),
    column("KV EVENTS", 4),
    column("POOLS", 3).long(10),
    column("HEALTH", 5).long(14).wide(),
    column("LOCAL", 6).wide(),
    column("MODELS", 6).long(10).wide(),
];

/// See the module's header.
#[derive(Clone, Debug, Serialize)]
pub struct Pods {
    pods: Vec<Pod>,
}

#[derive(Clone, Debug, Serialize)]
struct Pod {
    node: Option<String>,
    #[serde(flatten)]
    at: At,
    /// The agent that tells of it; none: the router reads it by itself.
    agent: Option<Teller>,
    /// Of its node.
    gpus: Vec<Gpu>,
    /// What its engine says of its cache, as the router knows it: `whole`, `partly`, `unused`; none: nothing.
    kv_events: Option<&'static str>,
}

/// What is the replica's own.
#[derive(Clone, Debug, Serialize)]
struct At {
    address: String,
    ready: bool,
    health: String,
    local: bool,
    pools: Vec<String>,
    models: Option<Vec<String>>,
    #[serde(skip)]
    readiness: Cell,
}

#[derive(Clone, Debug, Serialize)]
struct Teller {
    address: String,
    connected: bool,
}

// === Pods ===

impl Pods {
    /// By node, then by address; those whose node nobody knows come last.
    pub fn new(endpoints: Endpoints, agents: &Agents) -> Self {
        // The first that tells of a replica speaks for it, as in the router.
        let mut tellers: HashMap<&str, &Agent> = HashMap::new();
        for agent in &agents.agents {
            for address in &agent.endpoints {
                tellers.entry(address).or_insert(agent);
            }
        }
        let pod = |endpoint: Endpoint| {
            let agent = tellers.get(endpoint.address.as_str()).copied();
            Pod::new(endpoint, agent)
        };
        let mut pods: Vec<Pod> = endpoints.endpoints.into_iter().map(pod).collect();
        pods.sort_by_cached_key(|pod| (pod.node.is_none(), pod.node.clone(), pod.at.address.clone()));
        Self { pods }
    }
}

impl View for Pods {
    fn draw(&self, screen: Screen, wide: bool) -> String {
        if self.pods.is_empty() {
            return "no replica; `warmlane pools` says which pools there are and what they lack\n".to_owned();
        }
        Table::new(&COLUMNS).with(self.pods.iter().map(Pod::row)).draw(screen, wide)
    }
}

// === Pod ===

impl Pod {
    fn new(endpoint: Endpoint, agent: Option<&Agent>) -> Self {
        let kv = agent.and_then(|agent| agent.kv.iter().find(|kv| kv.endpoint == endpoint.address));
        let readiness = readiness(&endpoint);
        Self {
            node: endpoint
                .node
                .or_else(|| agent.map(|agent| agent.node.clone()).filter(|node| !node.is_empty())),
            agent: agent.map(|agent| Teller { address: agent.address.clone(), connected: agent.connected }),
            gpus: agent.map(|agent| agent.gpus.clone()).unwrap_or_default(),
            kv_events: kv.map(|kv| match (kv.counts, kv.whole) {
                (true, true) => "whole",
                (true, false) => "partly",
                (false, _) => "unused",
            }),
            at: At {
                address: endpoint.address,
                ready: endpoint.ready,
                health: endpoint.health,
                local: endpoint.local,
                pools: endpoint.pools,
                models: endpoint.models,
                readiness,
            },
        }
    }

    fn row(&self) -> Vec<Cell> {
        let at = &self.at;
        vec![
            Cell::maybe(self.node.as_deref()),
            Cell::new(&at.address),
            at.readiness.clone(),
            self.agent.as_ref().map_or_else(Cell::none, |agent| connection(agent.connected)),
            gpus(&self.gpus),
            Cell::maybe(self.kv_events),
            Cell::list(&at.pools),
            health(&at.health),
            Cell::truth(at.local),
            Cell::list(at.models.as_deref().unwrap_or_default()),
        ]
    }
}

/// An agent's.
pub(super) fn connection(connected: bool) -> Cell {
    if connected { Cell::new("connected").toned(Tone::Good) } else { Cell::new("lost").toned(Tone::Bad) }
}

/// How many, and what is wrong with the first that something is wrong with.
pub(super) fn gpus(gpus: &[Gpu]) -> Cell {
    let ill = gpus.iter().filter(|gpu| gpu.verdict != "healthy");
    match (gpus.len(), ill.clone().count(), ill.clone().next()) {
        (0, ..) => Cell::none(),
        (all, _, None) => Cell::new(format!("{all} healthy")).toned(Tone::Good),
        (all, ill, Some(first)) => Cell::new(format!("{ill} of {all} {}", first.verdict)).toned(Tone::Bad),
    }
}
