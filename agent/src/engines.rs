//! The engines of this node: which there are, and a reader for each from when it comes until it goes, however many routers follow.
//!
//! They are those that flags name and those that the cluster tells of; an address that a flag names is what the flag says. At most
//! [`MOST_ENGINES`]: who is read already stays, of others those that come first.

use std::{collections::HashSet, future::pending, sync::Arc};

use tokio::{
    sync::{Notify, watch},
    task::{AbortHandle, JoinSet},
};
use warmlane_scrape::{Reader, Rhythm};

use crate::{
    cache::Feed,
    kube::Found,
    metrics::Metrics,
    node::{Engine, EngineId, MOST_ENGINES, Named, Node},
};

mod place;

use place::Place;

/// See the module's header. Dropped, all readers stop.
pub(crate) struct Crew {
    pub(crate) node: Arc<Node>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) rhythm: Rhythm,
    /// Those of the flags.
    pub(crate) named: Vec<Named>,
    /// Those that the cluster tells of; `None`: it is not asked.
    pub(crate) found: Option<watch::Receiver<Arc<Found>>>,
    /// Told when engines came whose GPUs are to be found out.
    pub(crate) came: Arc<Notify>,
}

/// Whoever reads one engine.
struct Post {
    id: EngineId,
    address: Arc<str>,
    tasks: Vec<AbortHandle>,
}

// === Crew ===

impl Crew {
    /// Has engines read until a reader fails, which none does by itself.
    pub(crate) async fn run(mut self) {
        let (mut tasks, mut posts) = (JoinSet::new(), Vec::<Post>::new());
        let mut left_out = 0;
        loop {
            self.engage(&mut left_out);
            self.post(&mut posts, &mut tasks);
            loop {
                tokio::select! {
                    () = changed(&mut self.found) => break,
                    Some(ended) = tasks.join_next() => match ended {
                        Err(error) if error.is_cancelled() => {}
                        ended => return tracing::error!("a reader of an engine has ended: {ended:?}"),
                    }
                }
            }
        }
    }

    /// Has the node know which engines there are.
    fn engage(&mut self, left_out: &mut usize) {
        let Some(found) = &mut self.found else { return };
        let found = found.borrow_and_update().clone();
        let there: HashSet<Arc<Named>> = self.node.engines().into_iter().map(|engine| engine.named).collect();
        let (engines, others) = union(&self.named, &found.engines, |named| there.contains(named));
        if others.len() != *left_out {
            *left_out = others.len();
            match others.first() {
                Some(first) => tracing::warn!(
                    left_out,
                    first = %first.address,
                    "an agent reads {MOST_ENGINES} engines at most: routers read those by themselves that are left out"
                ),
                None => tracing::info!("no engine of this node is left out any more"),
            }
        }
        self.node.engage(&engines, others.len());
    }

    /// Has each engine of the node read, and nobody else.
    fn post(&self, posts: &mut Vec<Post>, tasks: &mut JoinSet<()>) {
        let engines = self.node.engines();
        let there: HashSet<EngineId> = engines.iter().map(|engine| engine.id).collect();
        posts.retain(|post| {
            let stays = there.contains(&post.id);
            if !stays {
                post.leave();
            }
            stays
        });
        let known: HashSet<EngineId> = posts.iter().map(|post| post.id).collect();
        for engine in engines.into_iter().filter(|engine| !known.contains(&engine.id)) {
            posts.push(self.read(&engine, tasks));
        }
    }

    fn read(&self, engine: &Engine, tasks: &mut JoinSet<()>) -> Post {
        let named = &engine.named;
        if self.found.is_some() {
            let pod = named.pod.as_ref().map(ToString::to_string).unwrap_or_default();
            tracing::info!(engine = %named.address, pod, kv_events = named.kv_events.as_deref(), "an engine of this node");
        }
        let place = Place::new(self.node.clone(), self.metrics.clone(), engine);
        let reader = Reader::new(named.address.to_string(), self.rhythm, place).of(named.runtime);
        let mut handles = vec![tasks.spawn(reader.run())];
        if let Some((cache, events)) = engine.cache.clone().zip(named.kv_events.as_ref()) {
            let feed = Feed { node: self.node.clone(), cache };
            handles.push(tasks.spawn(warmlane_kv::Follower::new(events.to_string(), feed).run()));
        }
        if named.pod.is_some() {
            self.came.notify_one();
        }
        Post { id: engine.id, address: named.address.clone(), tasks: handles }
    }
}

async fn changed(found: &mut Option<watch::Receiver<Arc<Found>>>) {
    let told = match found {
        Some(found) => found.changed().await.is_ok(),
        None => false,
    };
    // Nobody tells; or whoever told has ended, and with it the agent.
    if !told {
        pending::<()>().await;
    }
}

/// Whom to read, and whom there is no room for.
fn union(named: &[Named], found: &[Named], is_read: impl Fn(&Named) -> bool) -> (Vec<Named>, Vec<Named>) {
    let flags: HashSet<&str> = named.iter().map(|named| &*named.address).collect();
    let others = found.iter().filter(|found| !flags.contains(&*found.address)).cloned();
    let (known, new): (Vec<_>, Vec<_>) = others.partition(|found| is_read(found));
    let mut all: Vec<Named> = named.iter().cloned().chain(known).chain(new).collect();
    let left_out = all.split_off(all.len().min(MOST_ENGINES));
    (all, left_out)
}

// === Post ===

impl Post {
    fn leave(&self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        tracing::info!(engine = %self.address, "an engine has left this node");
    }
}

#[cfg(test)]
mod tests {
    use warmlane_engine::metrics::EngineKind;

    use super::*;

    fn named(address: &str, uid: &str) -> Named {
        Named {
            address: address.into(),
            pod: None,
            uid: uid.into(),
            kv_events: None,
            runtime: EngineKind::Unknown,
        }
    }

    #[test]
    fn an_address_that_a_flag_names_is_what_the_flag_says() {
        let (flags, found) = ([named("a:1", "")], [named("a:1", "x"), named("b:1", "y")]);
        let (all, left_out) = union(&flags, &found, |_| false);
        assert_eq!((all, left_out.len()), (vec![named("a:1", ""), named("b:1", "y")], 0));
    }

    #[test]
    fn beyond_the_bound_those_stay_that_are_read() {
        let all: Vec<Named> = (0..70).map(|n| named(&format!("10.0.0.{n}:1"), "x")).collect();
        let (first, left_out) = union(&[], &all[5..], |_| false);
        assert_eq!((first.len(), left_out.len()), (MOST_ENGINES, 1));
        let (then, left_out) = union(&[named("a:1", "")], &all, |named| first.contains(named));
        assert_eq!((then.len(), left_out.len()), (MOST_ENGINES, 7));
        assert!(
            then[1..].iter().all(|named| first.contains(named)),
            "nobody gives way to those who come first"
        );
    }
}
