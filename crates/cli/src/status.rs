//! `status`: what is well, what is wrong and what could be better, on one screen. The judgement is a pure function of the router's
//! pages.
//!
//! *Wrong* is what somebody should look at: the router serves nothing, replicas are missing, ill or not heard of, agents are lost,
//! the cluster's objects contradict each other. A *hint* is what would make things faster, or what
//! somebody wants so: a drained replica.

use serde::Serialize;
use warmlane_api::admin::{Agents, Endpoint, Endpoints, Lane, Pools, Router};

mod judgement;
mod screen;

/// The router's pages, taken one after the other.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    /// Itself.
    pub router: Router,
    /// Its replicas.
    pub endpoints: Endpoints,
    /// Agents that it follows.
    pub agents: Agents,
    /// Its pools.
    pub pools: Pools,
    /// Its lane.
    pub lane: Lane,
}

/// See the module's header.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    router: About,
    replicas: Replicas,
    /// The busiest of those that get requests.
    hottest: Option<Hottest>,
    agents: Following,
    lane: LaneShare,
    pools: Vec<PoolShare>,
    /// What somebody should look at; empty where all is well.
    wrong: Vec<String>,
    /// What would make things faster.
    hints: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct About {
    address: String,
    version: String,
    uptime_seconds: f64,
    ready: bool,
    readiness: String,
}

/// How many there are of which kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Replicas {
    pub(crate) all: usize,
    pub(crate) ready: usize,
    /// Something speaks against them, and nobody wants it so.
    pub(crate) unhealthy: usize,
    /// Somebody wants no requests there.
    pub(crate) drained: usize,
    /// On the router's own node.
    pub(crate) local: usize,
    pub(crate) in_flight: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Hottest {
    address: String,
    queue: Option<f32>,
    running: Option<f32>,
    kv_use: Option<f32>,
    in_flight: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Following {
    all: usize,
    connected: usize,
    /// The one that was silent longest.
    heard_ms_ago: Option<u64>,
    gpus: usize,
    unhealthy_gpus: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct LaneShare {
    on: bool,
    why_off: Option<String>,
    mode: String,
    /// Of the requests that this router has sent, how many went to its own node, 0..=1; none: it has sent none.
    local_requests: Option<f32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct PoolShare {
    name: String,
    strategy: String,
    replicas: usize,
    ready: usize,
}

// === Status ===

impl Status {
    /// Of the router at this address.
    pub fn of(address: String, pages: &Pages) -> Self {
        let Pages { router, endpoints, agents, pools, lane } = pages;
        let all = &endpoints.endpoints;
        let pool = |pool: &warmlane_api::admin::Pool| PoolShare {
            name: pool.name.clone(),
            strategy: pool.strategy.clone(),
            replicas: pool.replicas,
            ready: pool.ready,
        };
        Self {
            router: About {
                address,
                version: router.version.clone(),
                uptime_seconds: router.uptime_seconds,
                ready: router.ready,
                readiness: router.readiness.clone(),
            },
            replicas: Replicas::of(all),
            hottest: all.iter().filter(|endpoint| endpoint.ready).max_by(|a, b| heat(a, b)).map(Hottest::of),
            agents: Following::of(agents),
            lane: LaneShare {
                on: lane.on,
                why_off: lane.why_off.clone(),
                mode: lane.mode.clone(),
                local_requests: local_requests(all),
            },
            pools: pools.pools.iter().map(pool).collect(),
            wrong: judgement::wrong(pages),
            hints: judgement::hints(pages, local_requests(all)),
        }
    }
}

/// The one whose newcomers wait longest: more waiting, then a fuller cache, then more under way; then the first by name.
fn heat(a: &Endpoint, b: &Endpoint) -> std::cmp::Ordering {
    let value = |endpoint: &Endpoint, of: fn(&Endpoint) -> Option<f32>| of(endpoint).unwrap_or(0.0);
    let by = |of: fn(&Endpoint) -> Option<f32>| value(a, of).total_cmp(&value(b, of));
    by(|e| Some(e.signals.queue?.value))
        .then_with(|| by(|e| Some(e.signals.kv_use?.value)))
        .then_with(|| a.in_flight.cmp(&b.in_flight))
        .then_with(|| b.address.cmp(&a.address))
}

/// Of the requests that the router has sent, the share that went to its own node.
pub(crate) fn local_requests(endpoints: &[Endpoint]) -> Option<f32> {
    let sum = |all: &mut dyn Iterator<Item = &Endpoint>| all.map(|endpoint| endpoint.requests).sum::<u64>();
    let (local, all) = (sum(&mut endpoints.iter().filter(|e| e.local)), sum(&mut endpoints.iter()));
    (all > 0).then(|| local as f32 / all as f32)
}

// === Replicas ===

impl Replicas {
    pub(crate) fn of(all: &[Endpoint]) -> Self {
        let count = |is: fn(&&Endpoint) -> bool| all.iter().filter(is).count();
        Self {
            all: all.len(),
            ready: count(|endpoint| endpoint.ready),
            unhealthy: count(|endpoint| endpoint.health != "healthy" && !judgement::is_drained(endpoint)),
            drained: count(|endpoint| judgement::is_drained(endpoint)),
            local: count(|endpoint| endpoint.local),
            in_flight: all.iter().map(|endpoint| u64::from(endpoint.in_flight)).sum(),
        }
    }
}

// === Hottest ===

impl Hottest {
    fn of(endpoint: &Endpoint) -> Self {
        let signals = &endpoint.signals;
        Self {
            address: endpoint.address.clone(),
            queue: signals.queue.map(|reading| reading.value),
            running: signals.running.map(|reading| reading.value),
            kv_use: signals.kv_use.map(|reading| reading.value),
            in_flight: endpoint.in_flight,
        }
    }
}

// === Following ===

impl Following {
    fn of(agents: &Agents) -> Self {
        let gpus = || agents.agents.iter().flat_map(|agent| &agent.gpus);
        Self {
            all: agents.agents.len(),
            connected: agents.agents.iter().filter(|agent| agent.connected).count(),
            heard_ms_ago: agents.agents.iter().filter_map(|agent| agent.heard_ms_ago).max(),
            gpus: gpus().count(),
            unhealthy_gpus: gpus().filter(|gpu| gpu.verdict != "healthy").count(),
        }
    }
}

#[cfg(test)]
mod tests;
