//! From what the objects say to what is to be served: a pure function of the store.
//!
//! Everything is resolved anew each time: a pool with its pods, models, objectives and rewrites. That is milliseconds for ten
//! thousand pods, and leaves no way for an event that was missed to be missed for long.

use std::collections::{BTreeMap, BTreeSet};

use warmlane_api::kube::Target;
use warmlane_kube::{Body, Declared, Kind, Members, Object, ObjectName, Objects, PoolName};

use crate::config;

use super::desired::{Agent, Desired, Pool};

mod models;
mod objectives;
mod rewrites;

/// Resolves what `objects` say for `pools`.
pub fn resolve(objects: &Objects, pools: &[PoolName]) -> Desired {
    let mut troubles = refusals(objects);
    let names: BTreeSet<&PoolName> = pools.iter().collect();
    let served: BTreeMap<&PoolName, &Declared> =
        names.iter().filter_map(|name| Some((*name, objects.pool(name)?))).collect();
    let members = Members::select(objects, &served);
    troubles.extend(members.claims());
    let mut models = models::judge(objects, &names);
    troubles.append(&mut models.troubles);
    let mut objectives = objectives::group(objects);
    let mut rewrites = rewrites::group(objects);
    let mut resolved = Vec::with_capacity(names.len());
    for name in names {
        let mut pool = Pool {
            name: name.clone(),
            models: models.rules.remove(name).unwrap_or_default(),
            objectives: objectives.remove(name).unwrap_or_default(),
            rewrites: rewrites.remove(name).unwrap_or_default(),
            ..Pool::default()
        };
        match served.get(name) {
            None => troubles.push(missing(objects, name)),
            Some(declared) => {
                troubles.extend(differing(objects, name));
                pool.declare(declared);
                pool.replicas = members.replicas(name, &declared.pool.ports);
                if members.is_empty(name) {
                    troubles.push(format!("InferencePool {name} selects no pod: {}", selector(declared)));
                }
            }
        }
        resolved.push(pool);
    }
    troubles.sort_unstable();
    Desired {
        pools: resolved,
        agents: agents(objects),
        troubles,
        accepted: models.accepted,
        ..Desired::default()
    }
}

fn missing(objects: &Objects, name: &PoolName) -> String {
    let is_there = Kind::POOLS.into_iter().any(|kind| objects.get(kind, name).is_some());
    if is_there {
        format!("InferencePool {name} cannot be served: its spec was never valid")
    } else if !are_pools_read(objects, &name.namespace) {
        format!("InferencePool {name} cannot be read: not all versions of pools were told yet")
    } else {
        format!("InferencePool {name} does not exist: is it spelled right, and in this namespace?")
    }
}

/// Whether it is known which pools there are, in every version.
fn are_pools_read(objects: &Objects, namespace: &str) -> bool {
    Kind::POOLS.into_iter().all(|kind| objects.has_read(kind, namespace))
}

/// Of a pool that is there in both versions, whether somebody changed only one of them.
fn differing(objects: &Objects, name: &PoolName) -> Option<String> {
    let declared = |kind| match objects.get(kind, name)?.body.as_ref()? {
        Body::Pool(declared) => Some(declared),
        _ => None,
    };
    let (new, old) = (declared(Kind::PoolV1)?, declared(Kind::PoolX)?);
    let differs = (&new.pool.selector, &new.pool.ports, new.strategy.value, new.runtime.value)
        != (&old.pool.selector, &old.pool.ports, old.strategy.value, old.runtime.value);
    differs.then(|| {
        let (group, ignored) = (Kind::PoolV1.group(), Kind::PoolX.group());
        format!(
            "InferencePool {name} is there in two versions that differ: the one of {group} is served, and that of {ignored} is not looked at"
        )
    })
}

/// What was refused, of every object and of the annotations of pools.
fn refusals(objects: &Objects) -> Vec<String> {
    let mut refusals = Vec::new();
    for kind in Kind::ALL {
        for (name, object) in objects.of(kind) {
            let stays = if object.body.is_some() { "; the last valid one stays" } else { "" };
            refusals.extend(object.refused.iter().map(|why| format!("{} {name}: {why}{stays}", kind.name())));
            if let Some(Body::Pool(declared)) = &object.body {
                let choices = [
                    (&declared.strategy.refused, declared.strategy.value.is_some()),
                    (&declared.runtime.refused, declared.runtime.value.is_some()),
                ];
                for (why, stays) in choices {
                    let stays = if stays { "; the last valid one stays" } else { "" };
                    refusals.extend(why.iter().map(|why| format!("{} {name}: {why}{stays}", kind.name())));
                }
            }
        }
    }
    refusals
}

fn selector(declared: &Declared) -> String {
    let labels = declared.pool.selector.iter().map(|(key, value)| format!("{key}={value}"));
    format!("no pod of its namespace has the labels {}", labels.collect::<Vec<_>>().join(","))
}

/// Each agent once: the slices of both address families name the same pods.
fn agents(objects: &Objects) -> Vec<Agent> {
    let mut seen = BTreeSet::new();
    let mut agents = Vec::new();
    for (_, object) in objects.of(Kind::Agents) {
        let Some(Body::Slice(slice)) = &object.body else { continue };
        for member in &slice.agents {
            let who = if member.pod.is_empty() { &member.address } else { &member.pod };
            if seen.insert(who) {
                agents.push(Agent { address: member.address.clone(), node: member.node.clone() });
            }
        }
    }
    agents.sort_unstable();
    agents
}

/// Objects that name the same thing: the oldest counts, then the first by name.
fn seniority(name: &ObjectName, object: &Object) -> (i64, ObjectName) {
    (object.meta.created, name.clone())
}

fn targets(targets: &[Target]) -> Vec<config::Target> {
    let target = |target: &Target| config::Target { name: target.name.clone(), weight: target.weight };
    targets.iter().map(target).collect()
}

// === Pool ===

impl Pool {
    fn declare(&mut self, declared: &Declared) {
        self.found = true;
        self.strategy = declared.strategy.value;
        self.runtime = declared.runtime.value.unwrap_or_default();
        self.picker.clone_from(&declared.pool.picker);
        self.failure_mode = declared.pool.picker.as_ref().map(|picker| picker.failure).unwrap_or_default();
    }
}

#[cfg(test)]
mod judging;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
