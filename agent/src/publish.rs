//! Tells routers of the node: one stream each, first everything, then what changes.
//!
//! An update is made when there is room to send it, from the state as it is then. A router that reads slowly gets the newest
//! state and never a queue of old ones: memory is one update and one sending window for each, and at most
//! [`MOST_FOLLOWERS`] of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::ready,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_stream::Stream;
use tonic::{Request, Response, Status, async_trait};
use warmlane_api::node::{self as told, node_server};

use crate::{
    cache::Cache,
    incoming::Followed,
    message,
    metrics::Metrics,
    node::{EngineId, Node},
    pace::Pace,
};

/// Routers that follow at once: more than there are nodes in most clusters.
pub const MOST_FOLLOWERS: usize = 1_024;
/// How often something is sent at least. A router takes three missing ones for the agent's end.
pub const HEARTBEAT: Duration = Duration::from_millis(500);
/// Shortest time between two updates to one router: many engines that move at once make one update.
const GAP: Duration = Duration::from_millis(5);
/// Lines of the log about routers that come and go, in ten seconds.
const MOST_LINES: u32 = 100;

/// See the module's header.
pub(crate) struct Publisher {
    node: Arc<Node>,
    metrics: Arc<Metrics>,
    /// Another one means another process.
    generation: u64,
    followers: Arc<Followers>,
}

/// Those who follow.
pub(crate) struct Followers {
    crowd: Mutex<Crowd>,
    log: Mutex<Pace>,
}

#[derive(Default)]
struct Crowd {
    there: BTreeMap<u64, Follower>,
    /// Of the next.
    number: u64,
}

/// A router that follows.
#[derive(Clone)]
pub(crate) struct Follower {
    /// As it calls itself.
    pub(crate) router: String,
    /// When it came.
    pub(crate) since: Instant,
}

/// One router's stream. Dropped, its task ends.
pub(crate) struct Following {
    updates: mpsc::Receiver<Result<told::Update, Status>>,
    _task: JoinSet<()>,
    _place: Place,
}

/// A router's place among the followers.
struct Place {
    followers: Arc<Followers>,
    number: u64,
}

/// What one stream has told so far.
struct Teller {
    node: Arc<Node>,
    metrics: Arc<Metrics>,
    generation: u64,
    sequence: u64,
    seen: u64,
    /// The engines that it has told of.
    engines: BTreeSet<Arc<str>>,
    /// What it has told of each cache.
    blocks: BTreeMap<EngineId, Told>,
    /// Everything in a cache was told, and others wait for their turn.
    has_more: bool,
    /// Whose turn it is to be told of as a whole.
    turn: usize,
}

/// What was told of a cache.
struct Told {
    /// Its engine's address.
    engine: Arc<str>,
    seen: u64,
}

// === Publisher ===

impl Publisher {
    pub(crate) fn new(node: Arc<Node>, metrics: Arc<Metrics>, followers: Arc<Followers>) -> Self {
        // Never 0, which is what a router begins with.
        let generation = fastrand::u64(1..);
        Self { node, metrics, generation, followers }
    }
}

#[async_trait]
impl node_server::Node for Publisher {
    type FollowStream = Following;

    async fn follow(&self, request: Request<told::FollowRequest>) -> Result<Response<Following>, Status> {
        let followed = request.extensions().get::<Followed>().cloned();
        let Some(place) = Place::take(&self.followers, request.into_inner().router) else {
            return Err(Status::resource_exhausted(format!("{MOST_FOLLOWERS} routers follow already")));
        };
        followed.iter().for_each(Followed::begin);
        let (sender, updates) = mpsc::channel(1);
        let teller = Teller {
            node: self.node.clone(),
            metrics: self.metrics.clone(),
            generation: self.generation,
            sequence: 0,
            seen: 0,
            engines: BTreeSet::new(),
            blocks: BTreeMap::new(),
            has_more: false,
            turn: 0,
        };
        let mut task = JoinSet::new();
        task.spawn(teller.run(sender));
        Ok(Response::new(Following { updates, _task: task, _place: place }))
    }
}

// === Teller ===

impl Teller {
    async fn run(mut self, sender: mpsc::Sender<Result<told::Update, Status>>) {
        let mut changes = self.node.changes();
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // The first tick comes at once, and with it everything.
            tokio::select! {
                _ = changes.changed() => {}
                _ = heartbeat.tick() => {}
                () = ready(()), if self.has_more => {}
            }
            let Ok(room) = sender.reserve().await else { return };
            changes.mark_unchanged();
            room.send(Ok(self.update()));
            heartbeat.reset();
            sleep(GAP).await;
        }
    }

    fn update(&mut self) -> told::Update {
        let full = self.sequence == 0;
        let news = self.node.since(self.seen);
        (self.seen, self.sequence) = (news.version, self.sequence + 1);
        let now = self.node.now();
        let endpoint = |engine| message::endpoint(engine, now);
        self.metrics.told(full);
        let gone = news.all.map(|all| self.gone(all)).unwrap_or_default();
        let blocks = self.blocks();
        told::Update {
            generation: self.generation,
            sequence: self.sequence,
            node: if full { self.node.name().to_owned() } else { String::new() },
            heartbeat_ms: HEARTBEAT.as_millis() as u32,
            full,
            endpoints: news.engines.iter().map(endpoint).collect(),
            gpus: news.gpus.iter().map(message::gpu).collect(),
            blocks,
            gone,
        }
    }

    /// Who was told of and is no longer there.
    fn gone(&mut self, all: Vec<Arc<str>>) -> Vec<String> {
        let before = std::mem::replace(&mut self.engines, all.into_iter().collect());
        before.difference(&self.engines).map(ToString::to_string).collect()
    }

    /// What changed in the caches. One at most is told as a whole: two megabytes if it is large.
    fn blocks(&mut self) -> Vec<told::Blocks> {
        let caches = self.node.caches();
        let (mut told, mut wholes) = (self.emptied(&caches), 0);
        self.has_more = false;
        let first = self.turn;
        for at in (0..caches.len()).map(|step| (first + step) % caches.len()) {
            let cache = &caches[at];
            let before = self.blocks.get(&cache.id).map(|told| told.seen);
            if wholes > 0 && cache.needs_all(before) {
                self.has_more = true;
                continue;
            }
            if let Some(delta) = cache.since(before) {
                if delta.reset {
                    (wholes, self.turn) = (wholes + 1, at + 1);
                }
                self.blocks.insert(cache.id, Told { engine: cache.engine.clone(), seen: delta.seen });
                told.push(message::blocks(&cache.engine, delta));
            }
        }
        told
    }

    /// Takes back what was told of caches that are gone, where an engine without one is at their address now.
    fn emptied(&mut self, caches: &[Arc<Cache>]) -> Vec<told::Blocks> {
        let there: BTreeSet<EngineId> = caches.iter().map(|cache| cache.id).collect();
        let gone = self.blocks.extract_if(.., |id, _| !there.contains(id));
        let gone: BTreeSet<Arc<str>> = gone.map(|(_, told)| told.engine).collect();
        let is_orphan = |engine: &&Arc<str>| {
            self.engines.contains(&**engine) && !caches.iter().any(|cache| cache.engine == **engine)
        };
        gone.iter().filter(is_orphan).map(|engine| message::no_blocks(engine)).collect()
    }
}

// === Following ===

impl Stream for Following {
    type Item = Result<told::Update, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.updates.poll_recv(cx)
    }
}

// === Followers ===

impl Followers {
    /// Nobody yet.
    pub(crate) fn new() -> Self {
        Self { crowd: Mutex::default(), log: Mutex::new(Pace::of(MOST_LINES)) }
    }

    /// Everybody, in the order in which they came.
    pub(crate) fn each(&self) -> Vec<Follower> {
        self.crowd().there.values().cloned().collect()
    }

    fn tell(&self, router: &str, what: &str) {
        if let Some(not_logged) = self.log.lock().unwrap_or_else(PoisonError::into_inner).turn() {
            tracing::info!(router, not_logged, "a router {what}");
        }
    }

    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === Place ===

impl Place {
    fn take(followers: &Arc<Followers>, router: String) -> Option<Self> {
        let mut crowd = followers.crowd();
        if crowd.there.len() >= MOST_FOLLOWERS {
            return None;
        }
        let number = crowd.number;
        crowd.number += 1;
        followers.tell(&router, "follows");
        crowd.there.insert(number, Follower { router, since: Instant::now() });
        Some(Self { followers: followers.clone(), number })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let gone = self.followers.crowd().there.remove(&self.number);
        gone.iter().for_each(|follower| self.followers.tell(&follower.router, "follows no more"));
    }
}
