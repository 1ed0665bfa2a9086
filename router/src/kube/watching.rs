//! What is watched for pools: their resources in their namespaces, and the agents' Service.

use std::{collections::BTreeSet, sync::Arc};

use tokio::sync::watch;
use warmlane_kube::{Client, Kind, ObjectName, PoolName, Resolved, Source, SourceState, Wanted};

use super::{desired::Desired, resolve::resolve};

/// The label by which a slice names its Service.
const SERVICE: &str = "kubernetes.io/service-name";

/// What to watch.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The pools that are served.
    pub pools: Vec<PoolName>,
    /// The Service of the agents; `None`: there are none.
    pub agents: Option<ObjectName>,
}

/// Watches until it is dropped. Whatever changes is sent to `desired`; before enough has been read, only what stands in the way.
pub async fn watch(client: Client, watched: Watched, desired: watch::Sender<Arc<Desired>>) {
    let wanted = watched.wanted();
    warmlane_kube::watch(client, wanted, |objects| resolve(objects, &watched.pools), desired).await;
}

// === Watched ===

impl Watched {
    fn wanted(&self) -> Vec<Wanted> {
        let namespaces: BTreeSet<&String> = self.pools.iter().map(|pool| &pool.namespace).collect();
        let of_pools = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Agents);
        let mut wanted: Vec<Wanted> = of_pools
            .flat_map(|kind| namespaces.iter().map(move |namespace| (kind, (*namespace).clone())))
            .map(|(kind, namespace)| one(kind, namespace, None))
            .collect();
        wanted.extend(self.agents.iter().map(|agents| {
            one(Kind::Agents, agents.namespace.clone(), Some(format!("{SERVICE}={}", agents.name)))
        }));
        wanted
    }
}

fn one(kind: Kind, namespace: String, labels: Option<String>) -> Wanted {
    Wanted { source: Source { kind, namespace: Some(namespace) }, labels, fields: None }
}

// === Desired ===

impl Resolved for Desired {
    fn troubles(&mut self) -> &mut Vec<String> {
        &mut self.troubles
    }

    fn fare(&mut self, sources: Vec<SourceState>) {
        self.sources = sources;
    }
}
