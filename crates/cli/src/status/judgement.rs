//! What is wrong, and what could be better. The worst comes first; of many of a kind a few are named and all are counted.

use warmlane_api::admin::{Agent, Agents, Cluster, Endpoint, Endpoints, Lane, Pools};

use super::Pages;
use crate::{units, views::oldest};

/// Named of a kind; `warmlane endpoints --sort health` and its like have all.
const NAMED: usize = 3;
/// An engine is read once a second at least, and picks lose confidence in what is older.
const OLD_MS: u64 = 10_000;
/// Below it most responses cannot take the lane of the node.
const LOW_SHARE: f32 = 0.5;
/// How the router says that somebody wants it so, where nothing else speaks against it.
const DRAINED: &str = "degraded: drained by hand";
/// A cache as full as this throws out what could be reused, and preempts.
const FULL: f32 = 0.95;

pub(super) fn wrong(pages: &Pages) -> Vec<String> {
    let mut wrong = Vec::new();
    if !pages.router.ready {
        let why = &pages.router.readiness;
        wrong.push(format!("the router serves nothing: {}", why.strip_prefix("not ready: ").unwrap_or(why)));
    }
    pools(&pages.pools, &mut wrong);
    replicas(&pages.endpoints, &mut wrong);
    agents(&pages.agents, &mut wrong);
    cluster(pages.pools.cluster.as_ref(), &mut wrong);
    wrong
}

pub(super) fn hints(pages: &Pages, local_requests: Option<f32>) -> Vec<String> {
    let mut hints = Vec::new();
    let full = |endpoint: &&Endpoint| endpoint.signals.kv_use.is_some_and(|reading| reading.value >= FULL);
    let full: Vec<&Endpoint> = pages.endpoints.endpoints.iter().filter(full).collect();
    if !full.is_empty() {
        let names = named(full.iter().map(|endpoint| endpoint.address.clone()));
        hints.push(format!(
            "KV cache full on {names}: engines preempt requests there; add replicas, or shorten contexts"
        ));
    }
    let drained: Vec<&Endpoint> = pages.endpoints.endpoints.iter().filter(|e| is_drained(e)).collect();
    if !drained.is_empty() {
        let names = named(drained.iter().map(|endpoint| endpoint.address.clone()));
        hints.push(format!("drained by hand: {names}; `warmlane undrain` lets them have requests again"));
    }
    if pages.agents.agents.is_empty() && !pages.endpoints.endpoints.is_empty() {
        hints.push(
            "no agent is followed, so failing GPUs are not seen: give --agent, or install the DaemonSet"
                .to_owned(),
        );
    }
    lane(&pages.lane, pages.endpoints.endpoints.len(), local_requests, &mut hints);
    hints
}

/// It gets no requests because somebody wants it so.
pub(super) fn is_drained(endpoint: &Endpoint) -> bool {
    endpoint.health.starts_with(DRAINED)
}

fn pools(page: &Pools, wrong: &mut Vec<String>) {
    for pool in page.pools.iter().filter(|pool| pool.ready == 0) {
        wrong.push(match (pool.found, pool.replicas) {
            (Some(false), _) => {
                format!("pool {} is not in the cluster: check its name and namespace", pool.name)
            }
            (_, 0) => format!("pool {} has no replica: its selector matches no pod", pool.name),
            (_, replicas) => {
                format!("pool {} has no ready replica of {replicas}: requests for it get 503", pool.name)
            }
        });
    }
}

fn replicas(page: &Endpoints, wrong: &mut Vec<String>) {
    let all = &page.endpoints;
    let say = |endpoint: &&Endpoint| format!("{} ({})", endpoint.address, endpoint.health);
    let closed: Vec<&Endpoint> =
        all.iter().filter(|endpoint| !endpoint.ready && !is_drained(endpoint)).collect();
    if !closed.is_empty() {
        wrong.push(format!(
            "{} of {} replicas not ready: {}",
            closed.len(),
            all.len(),
            named(closed.iter().map(say))
        ));
    }
    let is_ill = |endpoint: &&Endpoint| endpoint.health != "healthy" && !is_drained(endpoint);
    let ill: Vec<&Endpoint> = all.iter().filter(|endpoint| endpoint.ready && is_ill(endpoint)).collect();
    if !ill.is_empty() {
        wrong.push(format!(
            "{} of {} replicas unhealthy: {}",
            ill.len(),
            all.len(),
            named(ill.iter().map(say))
        ));
    }
    let old = |endpoint: &&Endpoint| endpoint.ready && oldest(endpoint).is_some_and(|age| age >= OLD_MS);
    let old: Vec<&Endpoint> = all.iter().filter(old).collect();
    if !old.is_empty() {
        let say = |endpoint: &&Endpoint| {
            format!("{} ({})", endpoint.address, units::millis(oldest(endpoint).unwrap_or_default()))
        };
        wrong.push(format!("readings are old, so picks guess: {}", named(old.iter().map(say))));
    }
}

fn agents(page: &Agents, wrong: &mut Vec<String>) {
    let lost: Vec<&Agent> = page.agents.iter().filter(|agent| !agent.connected).collect();
    if !lost.is_empty() {
        let why = |agent: &&Agent| match &agent.trouble {
            Some(trouble) => format!("{} ({trouble})", agent.address),
            None => agent.address.clone(),
        };
        let names = named(lost.iter().map(why));
        wrong.push(format!("{} of {} agents lost: {names}", lost.len(), page.agents.len()));
    }
    let of_node = |agent: &Agent| {
        let ill = agent.gpus.iter().filter(|gpu| gpu.verdict != "healthy");
        let node = agent.node.clone();
        ill.map(move |gpu| format!("{} on {node} ({})", gpu.uuid, gpu.verdict)).collect::<Vec<String>>()
    };
    let ill: Vec<String> = page.agents.iter().flat_map(of_node).collect();
    if !ill.is_empty() {
        let all: usize = page.agents.iter().map(|agent| agent.gpus.len()).sum();
        wrong.push(format!("{} of {all} GPUs unhealthy: {}", ill.len(), named(ill.into_iter())));
    }
}

fn cluster(cluster: Option<&Cluster>, wrong: &mut Vec<String>) {
    let Some(cluster) = cluster else { return };
    wrong.extend(cluster.troubles.iter().cloned());
    let refused = cluster.refused.iter().map(|refused| format!("{} ({})", refused.model, refused.reason));
    if refused.len() > 0 {
        wrong.push(format!("InferenceModels not served, {}: {}", refused.len(), named(refused)));
    }
}

fn lane(lane: &Lane, replicas: usize, local_requests: Option<f32>, hints: &mut Vec<String>) {
    if replicas == 0 {
        return;
    }
    match (&lane.why_off, local_requests) {
        (Some(_), _) if lane.mode == "off" => {}
        // Why stands in its own line already.
        (Some(_), _) => {
            hints.push("the kernel lane is off, every token wakes the router: see lane above".to_owned());
        }
        (None, Some(share)) if share < LOW_SHARE && !lane.remote => hints.push(format!(
            "only {} of requests went to the router's own node, where the kernel lane carries tokens: run a router on each \
             GPU node and keep clients on one (docs/LANE.md)",
            units::percent(share)
        )),
        (None, _) => {}
    }
}

/// The first few, and how many more.
fn named(mut names: impl ExactSizeIterator<Item = String>) -> String {
    let more = names.len().saturating_sub(NAMED);
    let first: Vec<String> = names.by_ref().take(NAMED).collect();
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    first.join(", ") + &rest
}
