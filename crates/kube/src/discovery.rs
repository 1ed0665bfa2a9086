//! Which of the resources the cluster has: asked at the start, every half minute, whenever a watch finds none, and more often
//! while there are no pools.
//!
//! A resource is only taken for absent when discovery says so. A 404 alone may come from an API server that has just
//! started and does not know all of its resources yet.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::future::try_join_all;
use kube::Client;
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

use crate::{error::Trouble, objects::Kind, pace::Pace};

/// Between two rounds; a resource that appears is seen after this at the latest.
const INTERVAL: Duration = Duration::from_secs(30);
/// The same where there are no pools in any version: nothing is served, and somebody may be installing them just now.
const SOON: Duration = Duration::from_secs(3);
/// For an answer: it is a small one.
const PATIENCE: Duration = Duration::from_secs(10);

/// What discovery has found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// Completed rounds; a watch that found nothing waits for the next.
    pub(crate) rounds: u64,
    present: BTreeMap<Kind, bool>,
}

/// Asks again and again.
pub(crate) struct Discovery {
    pub(crate) client: Client,
    pub(crate) found: watch::Sender<Found>,
    /// Somebody has reason to think that something changed.
    pub(crate) hint: Arc<Notify>,
}

// === Found ===

impl Found {
    /// Whether the cluster has the resource; `None` as long as nobody knows.
    pub(crate) fn has(&self, kind: Kind) -> Option<bool> {
        if is_built_in(kind) { Some(true) } else { self.present.get(&kind).copied() }
    }
}

/// Every cluster has it.
fn is_built_in(kind: Kind) -> bool {
    matches!(kind, Kind::Pod | Kind::Agents)
}

// === Discovery ===

impl Discovery {
    /// Runs until it is dropped.
    pub(crate) async fn run(self) {
        let mut pace = Pace::default();
        loop {
            let wait = match self.round().await {
                Ok(()) => {
                    pace.reset();
                    let found = self.found.borrow();
                    let has_pools = Kind::POOLS.into_iter().any(|kind| found.has(kind) == Some(true));
                    if has_pools { INTERVAL } else { SOON }
                }
                // Why is told by the watches, which meet the same.
                Err(_) => pace.next(),
            };
            let _ = timeout(wait, self.hint.notified()).await;
            // Hints come in swarms: one per watch of a resource that is gone.
            tokio::time::sleep(Pace::default().next()).await;
        }
    }

    async fn round(&self) -> Result<(), Trouble> {
        let kinds = Kind::ALL.into_iter().filter(|kind| !is_built_in(*kind));
        let versions: BTreeSet<(&str, &str)> = kinds.map(|kind| (kind.group(), kind.version())).collect();
        let before = self.found.borrow().clone();
        // At once: a slow answer for one does not put off what the others say.
        let asked = versions.iter().map(|(group, version)| self.resources(format!("{group}/{version}")));
        let answers = try_join_all(asked).await?;
        let mut present = BTreeMap::new();
        for ((group, version), names) in versions.into_iter().zip(answers) {
            let here =
                Kind::ALL.into_iter().filter(|kind| (kind.group(), kind.version()) == (group, version));
            // Where discovery does not say, the watches find out, or tell what is wrong.
            let has = |kind: Kind| match &names {
                Some(names) => names.contains(kind.plural()),
                None => before.has(kind).unwrap_or(true),
            };
            present.extend(here.map(|kind| (kind, has(kind))));
        }
        self.found.send_modify(|found| {
            found.rounds += 1;
            found.present = present;
        });
        Ok(())
    }

    /// The resources of a group and version: none where there is no such version, `None` where nobody may ask or this one version
    /// is not answered for in a way that says it, which is no reason to know nothing of the others.
    async fn resources(&self, version: String) -> Result<Option<BTreeSet<String>>, Trouble> {
        let answer = timeout(PATIENCE, self.client.list_api_group_resources(&version)).await;
        let Ok(answer) = answer else { return Ok(None) };
        match answer {
            Ok(list) => Ok(Some(list.resources.into_iter().map(|resource| resource.name).collect())),
            Err(error) => match Trouble::of(&error, "get") {
                Trouble::Absent => Ok(Some(BTreeSet::new())),
                Trouble::Forbidden { .. } | Trouble::Busy { .. } | Trouble::Failed(_) => Ok(None),
                other => Err(other),
            },
        }
    }
}
