//! Which models are served, and what is to be said of those that are not.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use warmlane_api::kube::{Importance, Model};
use warmlane_kube::{Body, Kind, Object, ObjectName, Objects, PoolName};
use warmlane_picker::Criticality;

use super::{seniority, targets};
use crate::{
    config::ModelRule,
    kube::desired::{Acceptance, Accepted},
};

/// What became of the models.
#[derive(Default)]
pub(super) struct Judged {
    /// Those that are served, by pool and name.
    pub(super) rules: BTreeMap<PoolName, Vec<ModelRule>>,
    pub(super) accepted: Vec<Accepted>,
    pub(super) troubles: Vec<String>,
}

/// Judges every model of a pool that is served here, or that does not exist. Those of other pools are others' to judge.
pub(super) fn judge(objects: &Objects, served: &BTreeSet<&PoolName>) -> Judged {
    let mut judged = Judged::default();
    let mut all: Vec<_> = objects.of(Kind::Model).collect();
    all.sort_by_cached_key(|(name, object)| seniority(name, object));
    let mut holders: BTreeMap<(PoolName, String), &ObjectName> = BTreeMap::new();
    for (name, object) in all {
        let Some(Body::Model(model)) = &object.body else {
            judged.refuse(name, object);
            continue;
        };
        let pool = PoolName::new(&name.namespace, &model.pool.name);
        if !exists(objects, &pool) {
            judged.say(name, object, Acceptance::Pending, format!("InferencePool {pool} does not exist"));
            judged.troubles.push(format!("InferenceModel {name}: its InferencePool {pool} does not exist"));
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
            None => self.say(name, object, Acceptance::Accepted, "it is served".to_owned()),
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

    /// What cannot be read does not say whose it is, so it is told by everybody who watches it.
    fn refuse(&mut self, name: &ObjectName, object: &Object) {
        if let Some(why) = &object.refused {
            self.say(name, object, Acceptance::Invalid, why.clone());
        }
    }

    fn say(&mut self, name: &ObjectName, object: &Object, acceptance: Acceptance, message: String) {
        let generation = object.meta.generation;
        let standing = object.condition.clone();
        self.accepted.push(Accepted { model: name.clone(), generation, acceptance, message, standing });
    }
}
