//! `/debug/pools`: every pool with its rules and what there is of it, and what is wrong with the cluster's objects.

use std::sync::Arc;

use serde::Serialize;
use warmlane_picker::Criticality;

use super::{Sources, pages};
use crate::{
    kube::{Acceptance, Desired},
    world::{Pool, pools::Rules},
};

#[derive(Serialize)]
struct Page {
    pools: Vec<Row>,
    /// `null`: the settings name the replicas, and no cluster is watched.
    cluster: Option<Cluster>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    /// Whether the cluster has it; `null` without a cluster.
    found: Option<bool>,
    strategy: &'static str,
    replicas: usize,
    ready: usize,
    /// Names that its replicas list.
    serves: Vec<String>,
    models: Vec<Model>,
}

#[derive(Serialize)]
struct Model {
    name: String,
    criticality: &'static str,
    targets: Vec<Target>,
}

#[derive(Serialize)]
struct Target {
    name: String,
    weight: u32,
}

#[derive(Serialize)]
struct Cluster {
    /// What is wrong, and what to do.
    troubles: Vec<String>,
    agents: Vec<String>,
    /// InferenceModels that are not served.
    refused: Vec<Refused>,
}

#[derive(Serialize)]
struct Refused {
    model: String,
    reason: &'static str,
    message: String,
}

/// The page.
pub(super) fn show(sources: &Sources) -> String {
    let desired = sources.desired.as_ref().map(|desired| desired.borrow().clone());
    let row = |pool: &Arc<Pool>| row(pool, desired.as_deref());
    let page = Page {
        pools: sources.world.pools.all().iter().map(row).collect(),
        cluster: desired.as_deref().map(cluster),
    };
    pages::json(&page)
}

fn row(pool: &Pool, desired: Option<&Desired>) -> Row {
    let (snapshot, rules) = (pool.snapshot(), pool.rules());
    let has = |desired: &Desired| desired.pools.iter().any(|p| p.found && p.name.to_string() == *pool.name);
    Row {
        name: pool.name.to_string(),
        found: desired.map(has),
        strategy: rules.profile.strategy.name(),
        replicas: snapshot.endpoints().len(),
        ready: snapshot.endpoints().iter().filter(|endpoint| endpoint.ready).count(),
        serves: snapshot.model_names().into_iter().map(str::to_owned).collect(),
        models: models(&rules),
    }
}

fn models(rules: &Rules) -> Vec<Model> {
    let model = |(name, criticality): (&str, Criticality)| {
        let target =
            |target: &crate::config::Target| Target { name: target.name.clone(), weight: target.weight };
        let targets = rules.targets(name).iter().map(target).collect();
        Model { name: name.to_owned(), criticality: criticality.name(), targets }
    };
    rules.named().into_iter().map(model).collect()
}

fn cluster(desired: &Desired) -> Cluster {
    let refused = desired.accepted.iter().filter(|model| model.acceptance != Acceptance::Accepted);
    Cluster {
        troubles: desired.troubles.clone(),
        agents: desired.agents.iter().map(|agent| agent.address.clone()).collect(),
        refused: refused
            .map(|model| Refused {
                model: model.model.to_string(),
                reason: model.acceptance.reason(),
                message: model.message.clone(),
            })
            .collect(),
    }
}
