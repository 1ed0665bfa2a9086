//! Which engines the cluster says are on this node: the addresses of its pods that an InferencePool selects.
//!
//! Watched are the pods of this node and the pools, in all namespaces. What comes of them is a pure function of both. Where the API
//! server is away, what was found last stays.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use tokio::sync::watch;
use warmlane_engine::metrics::EngineKind;
use warmlane_kube::{Client, Kind, Members, Objects, Replica, Resolved, Source, Wanted};

use crate::{kubelet::PodName, node::Named};

/// See the module's header.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// By pool, pod and target port, each address once.
    pub engines: Vec<Named>,
    /// What is wrong, for people.
    pub troubles: Vec<String>,
    /// Pods and pools were read, so that these are all engines.
    pub on_all: bool,
}

/// Watches until it is dropped. What is found is sent whenever it changes; before enough has been read, only what stands in the way.
pub(crate) async fn watch(client: Client, node: String, found: watch::Sender<Arc<Found>>) {
    warmlane_kube::watch(client, wanted(&node), resolve, found).await;
}

fn wanted(node: &str) -> Vec<Wanted> {
    let all = |kind, fields| Wanted { source: Source { kind, namespace: None }, labels: None, fields };
    let pools = Kind::POOLS.into_iter().map(|kind| all(kind, None));
    pools.chain([all(Kind::Pod, Some(format!("spec.nodeName={node}")))]).collect()
}

/// The engines among these pods, which are one node's.
pub fn resolve(objects: &Objects) -> Found {
    let pools = objects.pools();
    let members = Members::select(objects, &pools);
    let (mut all, mut troubles) = (Vec::new(), BTreeSet::new());
    for (pool, declared) in &pools {
        let ports = &declared.pool.ports;
        troubles.extend(members.events_refused(pool, ports));
        let runtime = declared.runtime.value.unwrap_or_default();
        let replicas = members.replicas(pool, ports).into_iter();
        all.extend(replicas.map(|replica| (&pool.namespace, runtime, replica)));
    }
    // Two pools may select a pod, or one after the other that had its address: who can serve speaks for it.
    let mut first: HashMap<&str, &Replica> = HashMap::new();
    for (_, _, replica) in &all {
        let kept = first.entry(&replica.address).or_insert(replica);
        if kept.state > replica.state {
            *kept = replica;
        }
    }
    let speaks = |replica: &Replica| std::ptr::eq(first[&*replica.address], replica);
    let speakers = all.iter().filter(|(_, _, replica)| speaks(replica));
    let engines = speakers.map(|(namespace, runtime, replica)| named(namespace, *runtime, replica)).collect();
    Found { engines, troubles: troubles.into_iter().collect(), on_all: false }
}

fn named(namespace: &str, runtime: EngineKind, replica: &Replica) -> Named {
    Named {
        address: replica.address.as_str().into(),
        pod: PodName::new(namespace, &replica.pod),
        uid: replica.uid.as_str().into(),
        kv_events: replica.kv_events.as_deref().map(Into::into),
        runtime,
    }
}

// === Found ===

impl Resolved for Found {
    fn troubles(&mut self) -> &mut Vec<String> {
        &mut self.troubles
    }

    fn stands(&mut self, on_all: bool) {
        self.on_all = on_all;
    }
}

#[cfg(test)]
mod tests;
