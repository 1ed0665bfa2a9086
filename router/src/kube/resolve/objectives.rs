//! Objectives by pool. One name may stand in both groups: the older counts.

use std::collections::{BTreeMap, BTreeSet};

use warmlane_kube::{Body, Kind, Objects, PoolName};

use super::seniority;
use crate::config::Objective;

pub(super) fn group(objects: &Objects) -> BTreeMap<PoolName, Vec<Objective>> {
    let mut all: Vec<_> = Kind::OBJECTIVES.into_iter().flat_map(|kind| objects.of(kind)).collect();
    all.sort_by_cached_key(|(name, object)| seniority(name, object));
    let mut groups: BTreeMap<PoolName, Vec<Objective>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (name, object) in all {
        let Some(Body::Objective(objective)) = &object.body else { continue };
        let pool = PoolName::new(&name.namespace, &objective.pool.name);
        if seen.insert((pool.clone(), &name.name)) {
            let objective = Objective { name: name.name.clone(), priority: objective.priority };
            groups.entry(pool).or_default().push(objective);
        }
    }
    groups.values_mut().for_each(|group| group.sort_by(|a, b| a.name.cmp(&b.name)));
    groups
}
