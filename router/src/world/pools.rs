//! Pools: sets of replicas that serve the same, each with its own rules.
//!
//! What is in them is [`Wanted`], by the settings or by the cluster. The writer gives each pool a snapshot of its own, so that a
//! pick costs what its pool costs. A [`Pool`] stays the same value for as long as it is wanted: a request that holds one sees its
//! newest snapshot, whatever happens to others meanwhile.

use std::{fmt, sync::Arc, time::Instant};

use arc_swap::{ArcSwap, Guard};
use warmlane_engine::metrics::EngineKind;
use warmlane_picker::Snapshot;

use super::editions::{Edition, Editions};
use crate::config::Config;

mod rules;

pub use rules::Rules;

/// The name of the pool of configured endpoints.
const CONFIGURED: &str = "endpoints";

/// What is to be routed to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// The first one serves what names no model.
    pub pools: Vec<WantedPool>,
}

/// A pool, as it is to be.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedPool {
    /// `namespace/name`, as the cluster calls it.
    pub name: Arc<str>,
    /// How its requests are treated.
    pub rules: Arc<Rules>,
    /// Who serves them.
    pub replicas: Vec<Replica>,
}

/// A replica, as the settings or the cluster name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// `host:port`.
    pub address: Arc<str>,
    /// Another one at the same address is another replica.
    pub identity: Arc<str>,
    /// The node that it runs on, where the cluster says so.
    pub node: Option<Arc<str>>,
    /// Why it must get no new requests, if so.
    pub closed: Option<Closed>,
    /// Which engine it is, where its pool says so.
    pub runtime: EngineKind,
}

/// Why the cluster keeps requests from a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Closed {
    /// Its readiness probe fails, or has not succeeded yet.
    NotReady,
    /// It is being deleted: it may finish what it has.
    Terminating,
}

/// See the module's header.
#[derive(Debug)]
pub struct Pool {
    /// As it is wanted.
    pub name: Arc<str>,
    snapshot: ArcSwap<Edition>,
    /// Where its older ones go.
    editions: Arc<Editions>,
    rules: ArcSwap<Rules>,
}

/// All pools, in the order in which they are wanted.
#[derive(Debug, Default)]
pub struct Pools {
    all: ArcSwap<Vec<Arc<Pool>>>,
    editions: Arc<Editions>,
}

// === Wanted ===

impl Wanted {
    /// The configured endpoints as one pool, or the cluster's pools, of which nothing is known yet; none for hooks alone.
    pub fn of(config: &Config) -> Self {
        if !config.has_replicas() {
            return Self::default();
        }
        let rules = Arc::new(Rules::of(config));
        let pool = |name: &str, replicas| WantedPool { name: name.into(), rules: rules.clone(), replicas };
        if config.kube.pools.is_empty() {
            let replicas = config.endpoints.iter().map(|address| Replica::open(address)).collect();
            return Self { pools: vec![pool(CONFIGURED, replicas)] };
        }
        Self { pools: config.kube.pools.iter().map(|name| pool(name, Vec::new())).collect() }
    }
}

// === Replica ===

impl Replica {
    /// One that gets requests, known by its address alone.
    pub fn open(address: &str) -> Self {
        Self {
            address: address.into(),
            identity: address.into(),
            node: None,
            closed: None,
            runtime: EngineKind::Unknown,
        }
    }
}

// === Closed ===

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotReady => "its readiness probe has not succeeded",
            Self::Terminating => "its pod is being deleted",
        })
    }
}

// === Pool ===

impl Pool {
    /// Nobody serves it yet.
    fn new(wanted: &WantedPool, editions: Arc<Editions>) -> Self {
        Self {
            name: wanted.name.clone(),
            snapshot: ArcSwap::default(),
            editions,
            rules: ArcSwap::new(wanted.rules.clone()),
        }
    }

    /// Its replicas.
    pub fn snapshot(&self) -> Guard<Arc<Edition>> {
        self.snapshot.load()
    }

    /// Its rules.
    pub fn rules(&self) -> Guard<Arc<Rules>> {
        self.rules.load()
    }

    pub(crate) fn publish(&self, snapshot: Arc<Snapshot>) {
        let old = self.snapshot.swap(self.editions.next(snapshot));
        self.editions.retire(old, Instant::now());
    }

    pub(super) fn rule(&self, rules: &Arc<Rules>) {
        if !Arc::ptr_eq(&self.rules(), rules) {
            self.rules.store(rules.clone());
        }
    }
}

// === Pools ===

impl Pools {
    /// All of them.
    pub fn all(&self) -> Guard<Arc<Vec<Arc<Pool>>>> {
        self.all.load()
    }

    /// The one that serves what names no model, and everything on the plain listener.
    pub fn first(&self) -> Option<Arc<Pool>> {
        self.all.load().first().cloned()
    }

    /// The one of this name. Configured endpoints go by every name: what a gateway calls them is the gateway's business.
    pub fn named(&self, name: &str) -> Option<Arc<Pool>> {
        let named = |pool: &&Arc<Pool>| *pool.name == *name || *pool.name == *CONFIGURED;
        self.all.load().iter().find(named).cloned()
    }

    /// The snapshot of this number, if it is still kept.
    pub fn edition(&self, number: u64) -> Option<Arc<Edition>> {
        let newest =
            |pool: &Arc<Pool>| Some(pool.snapshot().clone()).filter(|newest| newest.number() == number);
        self.editions.find(number).or_else(|| self.all.load().iter().find_map(newest))
    }

    /// The one for a model: whose rules name it, else whose replicas list it, else the first.
    pub fn serving(&self, model: &str) -> Option<Arc<Pool>> {
        let all = self.all.load();
        if let [only] = all.as_slice() {
            return Some(only.clone());
        }
        let names = |pool: &&Arc<Pool>| pool.rules().names(model);
        let lists = |pool: &&Arc<Pool>| pool.snapshot().serving(model).is_some();
        all.iter().find(names).or_else(|| all.iter().find(lists)).or_else(|| all.first()).cloned()
    }

    /// Has the pools that are wanted, the old ones where they are among them; those that are not wanted any more have nobody.
    pub(crate) fn want(&self, wanted: &Wanted) {
        let old = self.all.load();
        let of = |wanted: &WantedPool| match old.iter().find(|pool| pool.name == wanted.name) {
            Some(pool) => {
                pool.rule(&wanted.rules);
                pool.clone()
            }
            None => Arc::new(Pool::new(wanted, self.editions.clone())),
        };
        let new: Vec<Arc<Pool>> = wanted.pools.iter().map(of).collect();
        for gone in old.iter().filter(|old| !new.iter().any(|new| Arc::ptr_eq(old, new))) {
            gone.publish(Arc::default());
        }
        self.all.store(Arc::new(new));
    }
}

#[cfg(test)]
mod tests {
    use warmlane_picker::Profile;

    use super::{rules::tests::model, *};

    fn wanted(names: &[&str]) -> Wanted {
        let pool = |name: &&str| WantedPool {
            name: (*name).into(),
            rules: Arc::new(Rules::new(Profile::default(), &[model(name)], &[])),
            replicas: Vec::new(),
        };
        Wanted { pools: names.iter().map(pool).collect() }
    }

    #[test]
    fn a_pool_stays_itself_while_others_come_and_go() {
        let pools = Pools::default();
        pools.want(&wanted(&["a", "b"]));
        let b = pools.named("b").expect("wanted");
        pools.want(&wanted(&["c", "b"]));
        assert!(Arc::ptr_eq(&b, &pools.named("b").expect("still wanted")));
        assert!(pools.named("a").is_none() && *pools.first().expect("the first").name == *"c");
    }

    #[test]
    fn a_model_goes_to_the_pool_that_names_it_and_any_other_to_the_first() {
        let pools = Pools::default();
        assert!(pools.serving("a-model").is_none());
        pools.want(&wanted(&["a", "b"]));
        let name = |model| pools.serving(model).map(|pool| pool.name.to_string());
        assert_eq!(name("b-model").as_deref(), Some("b"));
        assert_eq!(name("whatever").as_deref(), Some("a"));
    }

    #[test]
    fn rules_for_a_model_in_every_pool_make_it_no_pools_own() {
        let pools = Pools::default();
        let mut wanted = wanted(&["a", "b"]);
        for pool in &mut wanted.pools {
            Arc::make_mut(&mut pool.rules).generally(&[model("b"), model("c")]);
        }
        pools.want(&wanted);
        let serving = |model| pools.serving(model).map(|pool| pool.name.to_string());
        assert_eq!(serving("b-model").as_deref(), Some("b"), "the other has rules for it too");
        assert_eq!(serving("c-model").as_deref(), Some("a"));
        assert!(pools.named("b").expect("wanted").rules().model("c-model").is_some(), "and they hold");
    }
}
