//! Pools: sets of replicas that serve the same, each with its own rules.
//!
//! What is in them is [`Wanted`], by the settings or by the cluster. The writer gives each pool a snapshot of its own, so that a
//! pick costs what its pool costs. A [`Pool`] stays the same value for as long as it is wanted: a request that holds one sees its
//! newest snapshot, whatever happens to others meanwhile.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    fmt,
    sync::Arc,
};

use arc_swap::{ArcSwap, Guard};
use warmlane_engine::metrics::EngineKind;
use warmlane_picker::{Criticality, Profile, Snapshot};

use crate::config::{Config, ModelRule, Objective, Target};

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

/// How requests of one pool are treated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// How its replicas are weighed.
    pub profile: Profile,
    /// By the name that clients use.
    models: HashMap<String, ModelRule>,
    /// Those of the models that hold in every pool: a request that names one is not this pool's for that.
    general: HashSet<String>,
    /// By name.
    objectives: HashMap<String, Criticality>,
    /// Names to send instead of one that stands above what models say, by the name that clients use.
    rewrites: HashMap<String, Vec<Target>>,
    /// The same for all other names.
    rewrite_all: Vec<Target>,
}

/// See the module's header.
#[derive(Debug)]
pub struct Pool {
    /// As it is wanted.
    pub name: Arc<str>,
    snapshot: ArcSwap<Snapshot>,
    rules: ArcSwap<Rules>,
}

/// All pools, in the order in which they are wanted.
#[derive(Debug, Default)]
pub struct Pools(ArcSwap<Vec<Arc<Pool>>>);

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

// === Rules ===

impl Rules {
    /// As the settings say.
    pub fn of(config: &Config) -> Self {
        Self::new(config.profile, &config.models, &config.objectives)
    }

    /// Of these; of two with one name the first counts.
    pub fn new(profile: Profile, models: &[ModelRule], objectives: &[Objective]) -> Self {
        let mut rules = Self { profile, ..Self::default() };
        for model in models {
            rules.models.entry(model.name.clone()).or_insert_with(|| model.clone());
        }
        for objective in objectives {
            rules.objectives.entry(objective.name.clone()).or_insert_with(|| objective.criticality());
        }
        rules
    }

    /// Rules for models that hold in every pool, where this one has none of its own.
    pub fn generally(&mut self, models: &[ModelRule]) {
        for model in models {
            if let Entry::Vacant(place) = self.models.entry(model.name.clone()) {
                self.general.insert(model.name.clone());
                place.insert(model.clone());
            }
        }
    }

    /// Sends these instead of a model, whatever its own rule says; `None`: instead of all that have none of their own. The first
    /// word for a name counts.
    pub fn rewrite(&mut self, model: Option<&str>, targets: Vec<Target>) {
        match model {
            Some(model) => {
                self.rewrites.entry(model.to_owned()).or_insert(targets);
            }
            None if self.rewrite_all.is_empty() => self.rewrite_all = targets,
            None => {}
        }
    }

    /// What is said of a model.
    pub fn model(&self, name: &str) -> Option<&ModelRule> {
        self.models.get(name)
    }

    /// The names to send instead of a model; empty: itself.
    pub fn targets(&self, model: &str) -> &[Target] {
        let ruled = || self.model(model).map(|rule| rule.targets.as_slice());
        match self.rewrites.get(model) {
            Some(targets) => targets,
            None if !self.rewrite_all.is_empty() => &self.rewrite_all,
            None => ruled().unwrap_or_default(),
        }
    }

    /// Every name that something is said of, with its importance, sorted.
    pub fn named(&self) -> Vec<(&str, Criticality)> {
        let ruled = self.models.values().map(|rule| (rule.name.as_str(), rule.criticality));
        let others = self.rewrites.keys().filter(|name| !self.models.contains_key(*name));
        let mut named: Vec<_> =
            ruled.chain(others.map(|name| (name.as_str(), Criticality::default()))).collect();
        named.sort_unstable_by_key(|(name, _)| *name);
        named
    }

    /// How important an objective is, where there is one of this name.
    pub fn objective(&self, name: &str) -> Option<Criticality> {
        self.objectives.get(name).copied()
    }

    /// Whether a model is named as this pool's, served or not.
    fn names(&self, model: &str) -> bool {
        let is_ruled = self.models.contains_key(model) && !self.general.contains(model);
        is_ruled || self.rewrites.contains_key(model)
    }
}

// === Pool ===

impl Pool {
    /// Nobody serves it yet.
    pub fn new(wanted: &WantedPool) -> Self {
        Self {
            name: wanted.name.clone(),
            snapshot: ArcSwap::default(),
            rules: ArcSwap::new(wanted.rules.clone()),
        }
    }

    /// Its replicas.
    pub fn snapshot(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// Its rules.
    pub fn rules(&self) -> Guard<Arc<Rules>> {
        self.rules.load()
    }

    pub(crate) fn publish(&self, snapshot: Arc<Snapshot>) {
        self.snapshot.store(snapshot);
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
        self.0.load()
    }

    /// The one that serves what names no model, and everything on the plain listener.
    pub fn first(&self) -> Option<Arc<Pool>> {
        self.0.load().first().cloned()
    }

    /// The one of this name. Configured endpoints go by every name: what a gateway calls them is the gateway's business.
    pub fn named(&self, name: &str) -> Option<Arc<Pool>> {
        let named = |pool: &&Arc<Pool>| *pool.name == *name || *pool.name == *CONFIGURED;
        self.0.load().iter().find(named).cloned()
    }

    /// The one for a model: whose rules name it, else whose replicas list it, else the first.
    pub fn serving(&self, model: &str) -> Option<Arc<Pool>> {
        let all = self.0.load();
        if let [only] = all.as_slice() {
            return Some(only.clone());
        }
        let names = |pool: &&Arc<Pool>| pool.rules().names(model);
        let lists = |pool: &&Arc<Pool>| pool.snapshot().serving(model).is_some();
        all.iter().find(names).or_else(|| all.iter().find(lists)).or_else(|| all.first()).cloned()
    }

    /// Has the pools that are wanted, the old ones where they are among them; those that are not wanted any more have nobody.
    pub(crate) fn want(&self, wanted: &Wanted) {
        let old = self.0.load();
        let of = |wanted: &WantedPool| match old.iter().find(|pool| pool.name == wanted.name) {
            Some(pool) => {
                pool.rule(&wanted.rules);
                pool.clone()
            }
            None => Arc::new(Pool::new(wanted)),
        };
        let new: Vec<Arc<Pool>> = wanted.pools.iter().map(of).collect();
        for gone in old.iter().filter(|old| !new.iter().any(|new| Arc::ptr_eq(old, new))) {
            gone.publish(Arc::default());
        }
        self.0.store(Arc::new(new));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(names: &[&str]) -> Wanted {
        let pool = |name: &&str| WantedPool {
            name: (*name).into(),
            rules: Arc::new(Rules::new(Profile::default(), &[model(name)], &[])),
            replicas: Vec::new(),
        };
        Wanted { pools: names.iter().map(pool).collect() }
    }

    fn model(name: &str) -> ModelRule {
        let name = format!("{name}-model");
        ModelRule { name, criticality: Criticality::Standard, targets: vec![target("ruled")] }
    }

    fn target(name: &str) -> Target {
        Target { name: name.to_owned(), weight: 1 }
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

    #[test]
    fn every_name_that_something_is_said_of_is_shown_once() {
        let mut rules = Rules::new(Profile::default(), &[model("b"), model("b")], &[]);
        rules.rewrite(Some("a"), vec![target("new")]);
        rules.rewrite(Some("b-model"), vec![target("new")]);
        let names: Vec<&str> = rules.named().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "b-model"]);
    }

    #[test]
    fn rewrites_stand_above_what_models_say_and_those_of_one_name_above_those_of_all() {
        let mut rules = Rules::new(Profile::default(), &[model("a")], &[]);
        let name = |rules: &Rules, model| rules.targets(model).first().map(|target| target.name.clone());
        assert_eq!((name(&rules, "a-model").as_deref(), name(&rules, "b").as_deref()), (Some("ruled"), None));
        rules.rewrite(None, vec![target("any")]);
        rules.rewrite(None, vec![target("later")]);
        assert_eq!(name(&rules, "a-model").as_deref(), Some("any"));
        rules.rewrite(Some("a-model"), vec![target("exact")]);
        rules.rewrite(Some("a-model"), vec![target("later")]);
        assert_eq!(
            (name(&rules, "a-model").as_deref(), name(&rules, "b").as_deref()),
            (Some("exact"), Some("any"))
        );
    }
}
