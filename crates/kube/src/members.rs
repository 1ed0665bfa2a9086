//! Which pods are of which pool.
//!
//! Every pod is looked at once, not once per pool: pools stand in an index under the one label of their selector that
//! fewest pools share, and only those found under a label of the pod compare the rest. A hundred pools over a thousand pods,
//! resolved up to fifty times a second while pods come and go, must not cost a core.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
};

use crate::{
    name::{ObjectName, PoolName, listed},
    objects::{Body, Declared, Kind, Objects, Pod},
};

/// Pools, with what they declare.
pub(crate) type Served<'o> = BTreeMap<&'o PoolName, &'o Declared>;

type Label<'o> = (&'o str, &'o str);

/// Pods by pool.
#[derive(Debug)]
pub struct Members<'o> {
    of: BTreeMap<&'o PoolName, Vec<(&'o ObjectName, &'o Pod)>>,
    /// Pods that more than one pool claims, by those pools.
    shared: BTreeMap<Vec<&'o PoolName>, Vec<&'o ObjectName>>,
}

/// An address of a pod: one port of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// `ip:port`; an IPv6 address in brackets.
    pub address: String,
    /// Name of its pod.
    pub pod: String,
    /// Which of the pods that have had this name it is.
    pub uid: String,
    /// Name of its node.
    pub node: String,
    /// What its pod can do.
    pub state: ReplicaState,
    /// `ip:port` where it publishes KV events, if its pod says so.
    pub kv_events: Option<String>,
}

/// What a pod can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReplicaState {
    /// Serve.
    Ready,
    /// Not yet, or not now.
    NotReady,
    /// End what it has begun, and nothing new.
    Terminating,
}

// === Members ===

impl<'o> Members<'o> {
    /// Finds the pods of each pool.
    pub fn select(objects: &'o Objects, served: &Served<'o>) -> Self {
        let index = index(served);
        let mut members = Self { of: BTreeMap::new(), shared: BTreeMap::new() };
        for (name, object) in objects.of(Kind::Pod) {
            let Some(Body::Pod(pod)) = &object.body else { continue };
            let labels = pod.labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
            let candidates =
                labels.filter_map(|label| index.get(&(name.namespace.as_str(), label))).flatten();
            let mut pools: Vec<&PoolName> =
                candidates.filter(|pool| selects(served, pool, pod)).copied().collect();
            pools.sort_unstable();
            for pool in &pools {
                members.of.entry(pool).or_default().push((name, pod));
            }
            if pools.len() > 1 && !pod.ended {
                members.shared.entry(pools).or_default().push(name);
            }
        }
        members
    }

    /// Whether a pool selects no pod at all, ready or not.
    pub fn is_empty(&self, pool: &PoolName) -> bool {
        !self.of.contains_key(pool)
    }

    /// What serves a pool.
    pub fn replicas(&self, pool: &PoolName, ports: &[u16]) -> Vec<Replica> {
        let pods = self.of.get(pool).map(Vec::as_slice).unwrap_or_default();
        let all = pods.iter().flat_map(|(name, pod)| replicas(name, pod, ports));
        let (mut kept, mut places) = (Vec::<Replica>::new(), HashMap::<String, usize>::new());
        for replica in all {
            match places.get(&replica.address) {
                // An address passes from a pod to its successor: who can serve speaks for it.
                Some(place) if kept[*place].state > replica.state => kept[*place] = replica,
                Some(_) => {}
                None => {
                    places.insert(replica.address.clone(), kept.len());
                    kept.push(replica);
                }
            }
        }
        kept
    }

    /// Pods of a pool whose annotation on KV events is not taken, with why.
    pub fn events_refused(&self, pool: &PoolName, ports: &[u16]) -> Vec<String> {
        let pods = self.of.get(pool).map(Vec::as_slice).unwrap_or_default().iter();
        let live = pods.filter(|(_, pod)| !pod.ended);
        live.filter_map(|(name, pod)| Some(format!("Pod {name}: {}", pod.kv_events.refused(ports.len())?)))
            .collect()
    }

    /// Pods that more than one pool claims.
    pub fn claims(&self) -> Vec<String> {
        let claim = |(pools, pods): (&Vec<&PoolName>, &Vec<&ObjectName>)| {
            let pools: Vec<String> = pools.iter().map(ToString::to_string).collect();
            let pools = pools.join(" and ");
            format!("InferencePools {pools} claim the same pods and all send to them: {}", listed(pods))
        };
        self.shared.iter().map(claim).collect()
    }
}

fn index<'o>(served: &Served<'o>) -> HashMap<(&'o str, Label<'o>), Vec<&'o PoolName>> {
    let mut shares: HashMap<(&str, Label<'_>), usize> = HashMap::new();
    let labels = |name: &&'o PoolName| {
        let (name, declared) = (*name, served[*name]);
        let label = move |(key, value): (&'o String, &'o String)| {
            (name.namespace.as_str(), (key.as_str(), value.as_str()))
        };
        declared.pool.selector.iter().map(label)
    };
    for label in served.keys().flat_map(labels) {
        *shares.entry(label).or_default() += 1;
    }
    let mut index: HashMap<_, Vec<&PoolName>> = HashMap::new();
    for pool in served.keys() {
        if let Some(rarest) = labels(pool).min_by_key(|label| shares[label]) {
            index.entry(rarest).or_default().push(pool);
        }
    }
    index
}

fn selects(served: &Served<'_>, pool: &PoolName, pod: &Pod) -> bool {
    served[pool].pool.selector.iter().all(|(key, value)| pod.labels.get(key) == Some(value))
}

/// One per port, where the pod has an address and has not ended.
fn replicas<'p>(name: &'p ObjectName, pod: &'p Pod, ports: &'p [u16]) -> impl Iterator<Item = Replica> + 'p {
    let state = match pod {
        Pod { terminating: true, .. } => ReplicaState::Terminating,
        Pod { ready: true, .. } => ReplicaState::Ready,
        _ => ReplicaState::NotReady,
    };
    pod.ip.filter(|_| !pod.ended).into_iter().flat_map(move |ip| {
        ports.iter().enumerate().map(move |(number, port)| Replica {
            address: SocketAddr::new(ip, *port).to_string(),
            pod: name.name.clone(),
            uid: pod.uid.clone(),
            node: pod.node.clone(),
            state,
            kv_events: pod
                .kv_events
                .of(number, ports.len())
                .map(|port| SocketAddr::new(ip, port).to_string()),
        })
    })
}
