//! Puts the watches together: one feed per resource and namespace, one keeper of the store, one discovery.

use std::{collections::BTreeSet, sync::Arc};

use kube::Client;
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinSet,
};

use super::{
    desired::{Desired, ObjectName, PoolName},
    discovery::{Discovery, Found},
    error::Source,
    feed::Feed,
    keeper::Keeper,
    objects::Kind,
};

/// News that may wait to be taken in: a page of a list is one.
const QUEUE: usize = 1_024;
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

/// Watches until it is dropped. Whatever changes is sent to `desired`, for the first time when everything has been read once.
pub async fn watch(client: Client, watched: Watched, desired: watch::Sender<Arc<Desired>>) {
    let sources = watched.sources();
    let (news, inbox) = mpsc::channel(QUEUE);
    let (found, seen) = watch::channel(Found::default());
    let hint = Arc::new(Notify::new());
    // Dropped with this future, and all feeds with it.
    let mut tasks = JoinSet::new();
    for source in &sources {
        let feed = Feed {
            client: client.clone(),
            labels: watched.labels(source.kind),
            source: source.clone(),
            found: seen.clone(),
            hint: hint.clone(),
            news: news.clone(),
        };
        tasks.spawn(feed.run());
    }
    tasks.spawn(Discovery { client, found, hint }.run());
    Keeper::new(watched.pools, sources, desired).run(inbox).await;
}

// === Watched ===

impl Watched {
    fn sources(&self) -> Vec<Source> {
        let namespaces: BTreeSet<&String> = self.pools.iter().map(|pool| &pool.namespace).collect();
        let of_pools = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Agents);
        let mut sources: Vec<Source> = of_pools
            .flat_map(|kind| namespaces.iter().map(move |namespace| (kind, (*namespace).clone())))
            .map(|(kind, namespace)| Source { kind, namespace })
            .collect();
        let agents = self.agents.iter().map(|agents| agents.namespace.clone());
        sources.extend(agents.map(|namespace| Source { kind: Kind::Agents, namespace }));
        sources
    }

    fn labels(&self, kind: Kind) -> Option<String> {
        let agents = self.agents.as_ref().filter(|_| kind == Kind::Agents)?;
        Some(format!("{SERVICE}={}", agents.name))
    }
}
