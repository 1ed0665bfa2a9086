//! Rewrites by pool, in the order in which they count: an exact name before one for all, then the oldest object, then the
//! order in its list. Those that can never count are left out.

use std::collections::{BTreeMap, BTreeSet};

use warmlane_kube::{Body, Kind, Objects, PoolName};

use super::{seniority, targets};
use crate::kube::desired::Rewrite;

pub(super) fn group(objects: &Objects) -> BTreeMap<PoolName, Vec<Rewrite>> {
    let mut all: Vec<_> = Kind::REWRITES.into_iter().flat_map(|kind| objects.of(kind)).collect();
    all.sort_by_cached_key(|(name, object)| seniority(name, object));
    let mut groups: BTreeMap<PoolName, Vec<Rewrite>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (name, object) in all {
        let Some(Body::Rewrite(rewrite)) = &object.body else { continue };
        let pool = PoolName::new(&name.namespace, &rewrite.pool.name);
        for rule in &rewrite.rules {
            let exact = rule.models.iter().cloned().map(Some);
            let all = rule.models.is_empty().then_some(None);
            for model in exact.chain(all) {
                if seen.insert((pool.clone(), model.clone())) {
                    let rewrite = Rewrite { model, targets: targets(&rule.targets) };
                    groups.entry(pool.clone()).or_default().push(rewrite);
                }
            }
        }
    }
    // Stable: within each of the two the order stays.
    groups.values_mut().for_each(|group| group.sort_by_key(|rewrite| rewrite.model.is_none()));
    groups
}
