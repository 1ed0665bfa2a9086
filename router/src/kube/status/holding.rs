//! The Lease: read, taken, renewed and freed. Whose it may be is the election's decision.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::time::{Instant, timeout};
use warmlane_kube::{ObjectName, Trouble, listed};

use super::{PATIENCE, Writer, why};
use crate::kube::election::{Election, Step};

/// The annotation by which candidates see what the holder serves.
const POOLS: &str = "warmlane.dev/pools";

/// One candidate's view of the Lease.
pub(super) struct Holding {
    leases: Api<Lease>,
    writer: Writer,
    election: Election,
    /// Of the Lease as it was read last.
    metadata: ObjectMeta,
    /// What went wrong last, to say it once.
    trouble: Option<Trouble>,
    /// The pools of a holder that serves others, as they were said last.
    others: Option<String>,
}

/// The answer to a request that was answered at all.
type Answered = Result<Lease, kube::Error>;

// === Holding ===

impl Holding {
    pub(super) fn new(client: Client, writer: Writer) -> Self {
        Self {
            leases: Api::namespaced(client, &writer.lease.namespace),
            election: Election::new(writer.identity.clone()),
            writer,
            metadata: ObjectMeta::default(),
            trouble: None,
            others: None,
        }
    }

    /// Whether this one may write.
    pub(super) fn holds(&self, now: Instant) -> bool {
        self.election.holds(now)
    }

    /// When to look again.
    pub(super) fn pause(&self) -> Duration {
        self.election.pause(Instant::now())
    }

    /// Looks at the Lease, and takes or renews it where that is due. Whether it was won just now.
    pub(super) async fn elect(&mut self) -> bool {
        let begun = Instant::now();
        let held = self.election.holds(begun);
        match self.turn(begun).await {
            Ok(Some(lease)) => {
                self.election.won(&lease, begun);
                self.metadata = lease.metadata;
                (self.trouble, self.others) = (None, None);
                if !held {
                    let lease = &self.writer.lease;
                    tracing::info!("this router writes the status of models (it holds the Lease {lease})");
                }
                !held
            }
            Ok(None) => {
                self.trouble = None;
                false
            }
            Err((error, verb)) => {
                self.say(Trouble::of(&error, verb), verb);
                false
            }
        }
    }

    /// One turn; `None` where it brings nothing.
    async fn turn(&mut self, begun: Instant) -> Result<Option<Lease>, (kube::Error, &'static str)> {
        // Silence is told by the watches.
        let Ok(read) = timeout(PATIENCE, self.leases.get_opt(&self.writer.lease.name)).await else {
            return Ok(None);
        };
        let lease = read.map_err(|error| (error, "get"))?;
        self.metadata = lease.as_ref().map(|lease| lease.metadata.clone()).unwrap_or_default();
        let (taken, verb) = match self.election.step(lease.as_ref(), begun, Timestamp::now()) {
            Step::Wait => {
                self.compare();
                return Ok(None);
            }
            Step::Create(spec) => (self.create(spec).await, "create"),
            Step::Replace(spec) => (self.replace(spec).await, "update"),
        };
        match taken {
            // Somebody was faster.
            Some(Err(kube::Error::Api(status))) if status.code == 409 => Ok(None),
            Some(Err(error)) => Err((error, verb)),
            Some(Ok(lease)) => Ok(Some(lease)),
            None => Ok(None),
        }
    }

    async fn create(&self, spec: LeaseSpec) -> Option<Answered> {
        let lease = self.lease(spec);
        timeout(PATIENCE, self.leases.create(&PostParams::default(), &lease)).await.ok()
    }

    async fn replace(&self, spec: LeaseSpec) -> Option<Answered> {
        let (lease, name) = (self.lease(spec), &self.writer.lease.name);
        timeout(PATIENCE, self.leases.replace(name, &PostParams::default(), &lease)).await.ok()
    }

    /// With the labels and annotations that it has.
    fn lease(&self, spec: LeaseSpec) -> Lease {
        let mut annotations = self.metadata.annotations.clone().unwrap_or_default();
        annotations.insert(POOLS.to_owned(), self.pools());
        let metadata = ObjectMeta {
            name: Some(self.writer.lease.name.clone()),
            namespace: Some(self.writer.lease.namespace.clone()),
            annotations: Some(annotations),
            managed_fields: None,
            ..self.metadata.clone()
        };
        Lease { metadata, spec: Some(spec) }
    }

    fn pools(&self) -> String {
        let mut pools: Vec<String> = self.writer.pools.iter().map(ToString::to_string).collect();
        pools.sort_unstable();
        pools.dedup();
        pools.join(",")
    }

    /// Says where the holder writes nothing about the pools of this one.
    fn compare(&mut self) {
        let annotations = self.metadata.annotations.as_ref();
        let theirs = annotations.and_then(|all: &BTreeMap<_, _>| all.get(POOLS));
        let ours = self.pools();
        let others = theirs.filter(|theirs| **theirs != ours);
        if let Some(theirs) = others
            && self.others.as_ref() != Some(theirs)
        {
            let lease = &self.writer.lease;
            tracing::warn!(
                "the holder of the Lease {lease} serves other pools ({}) than this router ({}), and writes the status of \
                 their models only: give routers of different pools Leases of their own by --kube-lease",
                shortened(theirs),
                shortened(&ours)
            );
        }
        self.others = others.cloned();
    }

    /// Frees the Lease, if it is held; the next need not wait until it has run out.
    pub(super) async fn release(&mut self) {
        if let Some(spec) = self.election.release(Instant::now()) {
            // Where it fails it runs out by itself.
            let _ = self.replace(spec).await;
        }
    }

    /// Says what is wrong, once. What all requests meet is told by the watches.
    fn say(&mut self, trouble: Trouble, verb: &str) {
        if trouble.is_everywhere() || self.trouble.as_ref().is_some_and(|last| last.is_like(&trouble)) {
            return;
        }
        let lease = &self.writer.lease;
        let what = format!("cannot {verb} the Lease {lease} (leases.coordination.k8s.io)");
        tracing::warn!(
            "{what}: the status of models stays unwritten by this router, requests are served all the same ({})",
            why(&trouble)
        );
        self.trouble = Some(trouble);
    }
}

/// The first of many.
fn shortened(pools: &str) -> String {
    let names: Vec<ObjectName> = pools.split(',').filter_map(|name| name.parse().ok()).collect();
    listed(&names.iter().collect::<Vec<_>>())
}
