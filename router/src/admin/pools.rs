//! `/debug/pools`: every pool with its rules and what there is of it, and what is wrong with the cluster's objects.

use std::sync::Arc;

use warmlane_api::admin;
use warmlane_picker::Criticality;

use super::Sources;
use crate::{
    config::Target,
    kube::{Acceptance, Desired},
    world::{Pool, pools::Rules},
};

/// The page.
pub(super) fn page(sources: &Sources) -> admin::Pools {
    let desired = sources.desired.as_ref().map(|desired| desired.borrow().clone());
    let row = |pool: &Arc<Pool>| row(pool, desired.as_deref());
    admin::Pools {
        pools: sources.world.pools.all().iter().map(row).collect(),
        cluster: desired.as_deref().map(cluster),
    }
}

fn row(pool: &Pool, desired: Option<&Desired>) -> admin::Pool {
    let (snapshot, rules) = (pool.snapshot(), pool.rules());
    let has = |desired: &Desired| desired.pools.iter().any(|p| p.found && p.name.to_string() == *pool.name);
    admin::Pool {
        name: pool.name.to_string(),
        found: desired.map(has),
        strategy: rules.profile.strategy.name().to_owned(),
        replicas: snapshot.endpoints().len(),
        ready: snapshot.endpoints().iter().filter(|endpoint| endpoint.ready).count(),
        serves: snapshot.model_names().into_iter().map(str::to_owned).collect(),
        models: models(&rules),
    }
}

fn models(rules: &Rules) -> Vec<admin::Model> {
    let target = |target: &Target| admin::Target { name: target.name.clone(), weight: target.weight };
    let model = |(name, criticality): (&str, Criticality)| admin::Model {
        name: name.to_owned(),
        criticality: criticality.name().to_owned(),
        targets: rules.targets(name).iter().map(target).collect(),
    };
    rules.named().into_iter().map(model).collect()
}

fn cluster(desired: &Desired) -> admin::Cluster {
    let refused = desired.accepted.iter().filter(|model| model.acceptance != Acceptance::Accepted);
    admin::Cluster {
        troubles: desired.troubles.clone(),
        agents: desired.agents.iter().map(|agent| agent.address.clone()).collect(),
        refused: refused
            .map(|model| admin::Refused {
                model: model.model.to_string(),
                reason: model.acceptance.reason().to_owned(),
                message: model.message.clone(),
            })
            .collect(),
    }
}
