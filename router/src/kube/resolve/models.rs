//! Which models are served, and what is to be said of those that are not.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use warmlane_api::kube::{Importance, Model};
use warmlane_kube::{Body, Condition, Kind, Object, ObjectName, Objects, PoolName};
use warmlane_picker::Criticality;

use super::{are_pools_read, seniority, targets};
use crate::{
    config::ModelRule,
    kube::desired::{Acceptance, Accepted},
};

/// What is said of a model that is served. By these words an `Accepted` of ours is known from another's.
const SERVED: &str = "it is served";

/// What became of the models.
#[derive(Default)]
pub(super) struct Judged {
    /// Those that are served, by pool and name.
    pub(super) rules: BTreeMap<PoolName, Vec<ModelRule>>,
    pub(super) accepted: Vec<Accepted>,
    pub(super) troubles: Vec<String>,
}

/// Judges every model of a pool that is served here, or that is known not to exist. Those of other pools are others' to judge.
pub(super) fn judge(objects: &Objects, served: &BTreeSet<&PoolName>) -> Judged {
    let mut judged = Judged::default();
    let mut all: Vec<_> = objects.of(Kind::Model).collect();
    all.sort_by_cached_key(|(name, object)| seniority(name, object));
    let mut holders: BTreeMap<(PoolName, String), &ObjectName> = BTreeMap::new();
    for (name, object) in all {
        let Some(Body::Model(model)) = &object.body else {
            judged.refuse(name, object, served);
            continue;
        };
        let pool = PoolName::new(&name.namespace, &model.pool.name);
        if !exists(objects, &pool) {
            judged.wait(name, object, &pool, are_pools_read(objects, &pool.namespace));
        } else if served.contains(&pool) {
            match holders.entry((pool.clone(), model.name.clone())) {
                Entry::Occupied(holder) => judged.duplicate(name, object, model, holder.get()),
                Entry::Vacant(free) => {
                    free.insert(name);
                    judged.serve(name, object, model, pool);
                }
            }
        }
    }
    judged.rules.values_mut().for_each(|rules| rules.sort_by(|a, b| a.name.cmp(&b.name)));
    judged.accepted.sort_by(|a, b| a.model.cmp(&b.model));
    judged
}

fn exists(objects: &Objects, pool: &PoolName) -> bool {
    Kind::POOLS.into_iter().any(|kind| objects.get(kind, pool).is_some())
}

fn criticality(importance: Importance) -> Criticality {
    match importance {
        Importance::Critical => Criticality::Critical,
        Importance::Standard => Criticality::Standard,
        Importance::Sheddable => Criticality::Sheddable,
    }
}

// === Judged ===

impl Judged {
    fn serve(&mut self, name: &ObjectName, object: &Object, model: &Model, pool: PoolName) {
        match &object.refused {
            None => self.say(name, object, Acceptance::Accepted, SERVED.to_owned()),
            // It may have gone over to a pool that is another's to judge.
            Some(_) if object.pool.as_ref().is_some_and(|named| *named != pool.name) => {}
            Some(why) => {
                let message = format!("{why}; the last valid spec stays in use");
                self.say(name, object, Acceptance::Invalid, message);
            }
        }
        self.rules.entry(pool).or_default().push(ModelRule {
            name: model.name.clone(),
            criticality: criticality(model.importance),
            targets: targets(&model.targets),
        });
    }

    fn duplicate(&mut self, name: &ObjectName, object: &Object, model: &Model, holder: &ObjectName) {
        let message = format!("the older InferenceModel {holder} has the name {} in this pool", model.name);
        self.troubles.push(format!("InferenceModel {name} is not used: {message}"));
        self.say(name, object, Acceptance::NameInUse, message);
    }

    /// Its pool is not there, as far as anybody knows. What another said of it stays: it may know of the pool.
    fn wait(&mut self, name: &ObjectName, object: &Object, pool: &PoolName, is_known: bool) {
        if !is_known {
            self.troubles.push(format!("InferenceModel {name}: its InferencePool {pool} cannot be read"));
            return;
        }
        self.troubles.push(format!("InferenceModel {name}: its InferencePool {pool} does not exist"));
        let is_anothers = |standing: &Condition| {
            standing.status == Acceptance::Accepted.status() && standing.message != SERVED
        };
        if !object.condition.as_ref().is_some_and(is_anothers) {
            self.say(name, object, Acceptance::Pending, format!("InferencePool {pool} does not exist"));
        }
    }

    /// What cannot be read may still say whose it is. Where it does not, nobody judges it: others watch it too.
    fn refuse(&mut self, name: &ObjectName, object: &Object, served: &BTreeSet<&PoolName>) {
        let pool = object.pool.as_ref().map(|pool| PoolName::new(&name.namespace, pool));
        if let Some(why) = &object.refused
            && pool.is_some_and(|pool| served.contains(&pool))
        {
            self.say(name, object, Acceptance::Invalid, why.clone());
        }
    }

    fn say(&mut self, name: &ObjectName, object: &Object, acceptance: Acceptance, message: String) {
        let generation = object.meta.generation;
        let standing = object.condition.clone();
        self.accepted.push(Accepted { model: name.clone(), generation, acceptance, message, standing });
    }
}
