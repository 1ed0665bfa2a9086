//! `/debug/endpoints`: every replica with what is known of it and how old that is.
//!
//! Names of nodes and pools are gathered once, by endpoint, so that a row costs no walk over all of them.

use std::{collections::HashMap, sync::Arc};

use warmlane_api::admin::{self, Aged};
use warmlane_picker::{Endpoint, Lora, Models, Reading, Signals, Slot, Snapshot, Time};

use crate::world::World;

/// Replicas that are named where none gets requests.
const MOST_TOLD: usize = 3;

/// What is known of endpoints beside the snapshot.
struct Around<'w> {
    world: &'w World,
    now: Time,
    /// Nodes, by address.
    nodes: HashMap<Arc<str>, Arc<str>>,
    /// Names of pools.
    pools: HashMap<Slot, Vec<Arc<str>>>,
}

/// The page.
pub(super) fn page(world: &World) -> admin::Endpoints {
    let snapshot = world.snapshot.load();
    let around = Around { world, now: world.now(), nodes: nodes(world), pools: pools(world) };
    let row = |(position, endpoint)| around.row(&snapshot, position, endpoint);
    admin::Endpoints { endpoints: snapshot.endpoints().iter().enumerate().map(row).collect() }
}

/// Why nothing can be served, for people.
pub(super) fn why_none_is_ready(endpoints: &[Endpoint]) -> String {
    if endpoints.is_empty() {
        return "not ready: there is no replica; /debug/pools on the admin port says which pools there are"
            .to_owned();
    }
    let first = endpoints.iter().take(MOST_TOLD);
    let first: Vec<String> =
        first.map(|endpoint| format!("{}: {}", endpoint.address, endpoint.health)).collect();
    let more = match endpoints.len().saturating_sub(MOST_TOLD) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    format!("not ready: none of {} replicas gets requests; {}{more}", endpoints.len(), first.join("; "))
}

/// Names of models, sorted; `None`: not known.
fn names(models: Models) -> Option<Vec<String>> {
    let Models::Known { base: mut names, adapters } = models else { return None };
    names.extend(adapters);
    names.sort_unstable();
    Some(names)
}

/// By address: where the cluster says that it runs, else whose agent tells of it.
fn nodes(world: &World) -> HashMap<Arc<str>, Arc<str>> {
    let mut nodes = HashMap::new();
    for agent in world.agents.each().into_iter().filter(|agent| !agent.node.is_empty()) {
        let node: Arc<str> = agent.node.into();
        nodes.extend(agent.endpoints.into_iter().map(|address| (address.into(), node.clone())));
    }
    for entry in world.roster.borrow().all() {
        nodes.extend(entry.node.clone().map(|node| (entry.address.clone(), node)));
    }
    nodes
}

fn pools(world: &World) -> HashMap<Slot, Vec<Arc<str>>> {
    let mut pools: HashMap<Slot, Vec<Arc<str>>> = HashMap::new();
    for pool in world.pools.all().iter() {
        for endpoint in pool.snapshot().endpoints() {
            pools.entry(endpoint.slot).or_default().push(pool.name.clone());
        }
    }
    pools
}

fn signals(signals: &Signals, now: Time) -> admin::Signals {
    let lora = |lora: &Lora| admin::Lora {
        active: lora.active.clone(),
        waiting: lora.waiting.clone(),
        max: lora.max,
    };
    admin::Signals {
        queue: aged(signals.queue, now),
        running: aged(signals.running, now),
        kv_use: aged(signals.kv_use, now),
        awake: aged(signals.awake, now),
        lora: signals.lora.as_ref().map(|reading| Aged::new(lora(&reading.value), reading.age(now))),
    }
}

fn aged<T: Copy>(reading: Option<Reading<T>>, now: Time) -> Option<Aged<T>> {
    reading.map(|reading| Aged::new(reading.value, reading.age(now)))
}

// === Around ===

impl Around<'_> {
    fn row(&self, snapshot: &Snapshot, position: usize, endpoint: &Endpoint) -> admin::Endpoint {
        let account = self.world.ledger.account(endpoint.slot);
        let pools = self.pools.get(&endpoint.slot).into_iter().flatten();
        admin::Endpoint {
            address: endpoint.address.to_string(),
            ready: endpoint.ready,
            in_flight: account.in_flight(),
            signals: signals(&endpoint.signals, self.now),
            health: endpoint.health.to_string(),
            slot: endpoint.slot.0,
            socket: endpoint.socket.to_string(),
            local: endpoint.local,
            requests: account.sent().requests,
            kv_capacity_tokens: endpoint.signals.kv_capacity_tokens,
            models: names(snapshot.models(position)),
            node: self.nodes.get(&endpoint.address).map(|node| node.to_string()),
            pools: pools.map(|pool| pool.to_string()).collect(),
        }
    }
}
