//! The store: a table per resource, of objects reduced to what is needed of them.
//!
//! An object that cannot be used keeps its place: what was last good of it stays in use, and why the new one was refused stands
//! beside it. So a slip in an annotation or a port does not take a pool out of service.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use warmlane_api::kube::{Labels, Model, Objective, Rewrite};

use crate::name::ObjectName;

mod declared;
mod events;
mod kind;
mod reduce;

pub use declared::{Choice, Declared};
pub use events::KvPorts;
pub use kind::Kind;
pub use reduce::reduce;

/// All that is known, by resource and name.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    tables: BTreeMap<Kind, Table>,
    /// What was listed to the end once: by resource and namespace, `None` for all.
    read: BTreeSet<(Kind, Option<String>)>,
}

type Table = BTreeMap<ObjectName, Object>;

/// An object.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// What is common to all.
    pub meta: Meta,
    /// The last good one; `None` where there never was one.
    pub body: Option<Body>,
    /// Why what stands there now is not taken.
    pub refused: Option<String>,
    /// Its condition `Accepted`, of a model.
    pub condition: Option<Condition>,
    /// The pool that it names, of a model: also of one that cannot be used for another reason.
    pub pool: Option<String>,
}

/// A condition as it stands in an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// `True`, `False`, `Unknown`.
    pub status: String,
    /// In one word.
    pub reason: String,
    /// For people.
    pub message: String,
    /// The generation that it is about.
    pub generation: i64,
    /// When its status changed last, as it stands there.
    pub since: String,
}

/// What is common to all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// When it was created, in seconds since 1970; the future where nobody knows.
    pub created: i64,
    /// Of its `spec`.
    pub generation: i64,
}

/// What is needed of an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// InferencePool.
    Pool(Declared),
    /// InferenceModel.
    Model(Model),
    /// InferenceObjective.
    Objective(Objective),
    /// InferenceModelRewrite.
    Rewrite(Rewrite),
    /// Pod.
    Pod(Pod),
    /// EndpointSlice.
    Slice(Slice),
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Which of the pods that have had its name it is.
    pub uid: String,
    /// By which pools select it.
    pub labels: Labels,
    /// Its address; none before it has one.
    pub ip: Option<IpAddr>,
    /// Its node; empty before it has one.
    pub node: String,
    /// Its condition `Ready` is true.
    pub ready: bool,
    /// It is being deleted.
    pub terminating: bool,
    /// It has ended, well or not.
    pub ended: bool,
    /// Where its engines publish KV events.
    pub kv_events: KvPorts,
}

/// Some of the addresses behind a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// The pods, with an address each.
    pub agents: Vec<Member>,
}

/// One of the addresses behind a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// `ip:port`.
    pub address: String,
    /// Its node.
    pub node: String,
    /// Its pod, to know it again in another slice.
    pub pod: String,
}

// === Objects ===

impl Objects {
    /// Takes an object in, in place of the one of that name. Whether anything is different now.
    pub fn apply(&mut self, kind: Kind, name: ObjectName, object: Object) -> bool {
        let table = self.tables.entry(kind).or_default();
        let object = object.after(table.get(&name));
        if table.get(&name) == Some(&object) {
            return false;
        }
        table.insert(name, object);
        true
    }

    /// Forgets an object. Whether it was known.
    pub fn delete(&mut self, kind: Kind, name: &ObjectName) -> bool {
        self.tables.get_mut(&kind).is_some_and(|table| table.remove(name).is_some())
    }

    /// Swaps all that is known of a resource in `namespace`, or in all of them, for `listed`. Whether anything is different now.
    pub fn replace(
        &mut self,
        kind: Kind,
        namespace: Option<&str>,
        listed: Vec<(ObjectName, Object)>,
    ) -> bool {
        let table = self.tables.entry(kind).or_default();
        let is_listed = |name: &ObjectName| namespace.is_none_or(|namespace| name.namespace == namespace);
        let (before, mut after): (Table, Table) =
            std::mem::take(table).into_iter().partition(|(name, _)| is_listed(name));
        let renewed = listed.into_iter().map(|(name, object)| {
            let object = object.after(before.get(&name));
            (name, object)
        });
        let renewed: Table = renewed.collect();
        let changed = renewed != before;
        after.extend(renewed);
        *table = after;
        self.read.insert((kind, namespace.map(str::to_owned))) || changed
    }

    /// Whether all there is of a resource in `namespace` was told once. Before that, what is not here may be there.
    pub fn has_read(&self, kind: Kind, namespace: &str) -> bool {
        [None, Some(namespace.to_owned())].into_iter().any(|read| self.read.contains(&(kind, read)))
    }

    /// All objects of a resource, by name.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = (&ObjectName, &Object)> {
        self.tables.get(&kind).into_iter().flatten()
    }

    /// What pools declare, by name: of those in both versions, what the newer one says.
    pub fn pools(&self) -> BTreeMap<&ObjectName, &Declared> {
        let mut pools = BTreeMap::new();
        // Later ones take the place of earlier ones.
        for (name, object) in Kind::POOLS.into_iter().rev().flat_map(|kind| self.of(kind)) {
            if let Some(Body::Pool(declared)) = &object.body {
                pools.insert(name, declared);
            }
        }
        pools
    }

    /// What stands under a pool's name, in the newest version that can be read.
    pub fn pool(&self, name: &ObjectName) -> Option<&Declared> {
        Kind::POOLS.into_iter().find_map(|kind| match self.get(kind, name)?.body.as_ref()? {
            Body::Pool(declared) => Some(declared),
            _ => None,
        })
    }

    /// One object.
    pub fn get(&self, kind: Kind, name: &ObjectName) -> Option<&Object> {
        self.tables.get(&kind)?.get(name)
    }
}

// === Object ===

impl Object {
    /// With what was good of the one before, where this one is refused.
    fn after(mut self, before: Option<&Self>) -> Self {
        let Some(old) = before.and_then(|before| before.body.as_ref()) else { return self };
        match (&mut self.body, old) {
            (None, old) => self.body = Some(old.clone()),
            (Some(Body::Pool(pool)), Body::Pool(old)) => pool.keep(old),
            _ => {}
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(node: &str) -> Object {
        let pod = Pod { node: node.to_owned(), ..Pod::default() };
        Object {
            meta: Meta::default(),
            body: Some(Body::Pod(pod)),
            refused: None,
            condition: None,
            pool: None,
        }
    }

    fn name(name: &str) -> ObjectName {
        ObjectName::new("default", name)
    }

    fn names(objects: &Objects) -> Vec<String> {
        objects.of(Kind::Pod).map(|(name, _)| name.to_string()).collect()
    }

    #[test]
    fn a_list_takes_the_place_of_all_that_was_known_in_its_namespace() {
        let mut objects = Objects::default();
        for (namespace, name) in [("default", "a"), ("default", "b"), ("other", "c")] {
            assert!(objects.apply(Kind::Pod, ObjectName::new(namespace, name), pod("n")));
        }
        assert!(objects.replace(Kind::Pod, Some("default"), vec![(name("b"), pod("n"))]));
        assert_eq!(names(&objects), ["default/b", "other/c"], "no ghost, and nothing else is touched");
        assert!(!objects.replace(Kind::Pod, Some("default"), vec![(name("b"), pod("n"))]), "nothing is new");
        assert!(objects.has_read(Kind::Pod, "default") && !objects.has_read(Kind::Pod, "other"));
        assert!(objects.replace(Kind::Model, None, Vec::new()), "that there are none is news");
        assert!(objects.has_read(Kind::Model, "other"));
    }

    #[test]
    fn what_stays_the_same_is_no_change() {
        let mut objects = Objects::default();
        assert!(objects.apply(Kind::Pod, name("a"), pod("n")));
        assert!(!objects.apply(Kind::Pod, name("a"), pod("n")));
        assert!(objects.apply(Kind::Pod, name("a"), pod("m")));
        assert!(objects.delete(Kind::Pod, &name("a")));
        assert!(!objects.delete(Kind::Pod, &name("a")));
    }

    #[test]
    fn what_was_good_stays_in_use_when_the_next_is_refused() {
        let mut objects = Objects::default();
        let refused = || {
            let refused = Some("spec: wrong".into());
            Object { meta: Meta::default(), body: None, refused, condition: None, pool: None }
        };
        objects.apply(Kind::Pod, name("a"), pod("n"));
        objects.apply(Kind::Pod, name("a"), refused());
        let kept = objects.get(Kind::Pod, &name("a")).expect("kept");
        assert_eq!((&kept.body, kept.refused.is_some()), (&pod("n").body, true));
        objects.replace(Kind::Pod, Some("default"), vec![(name("a"), refused()), (name("b"), refused())]);
        assert_eq!(objects.get(Kind::Pod, &name("a")).expect("kept").body, pod("n").body);
        assert_eq!(
            objects.get(Kind::Pod, &name("b")).expect("kept").body,
            None,
            "there never was a good one"
        );
    }
}
