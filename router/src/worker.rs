//! One data-plane thread's own state. Nothing here is shared between threads but what `Arc`s say.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use warmlane_engine::body::BodyReader;
use warmlane_picker::{RetryBudget, Slot};

use crate::{
    chooser::Chooser,
    config::Config,
    front::Room,
    http1::HeadLimits,
    ledger::{InFlight, Outcome},
    metrics::{Metrics, Models, ProxyMetrics},
    shutdown::Shutdown,
    spans::Tracer,
    upstream::Pool,
    world::World,
    world::writer::Update,
};

/// Bytes a worker reads from an endpoint at once. Bounds what one slow client can hold: see
/// `path/relay.rs`.
pub const READ_SIZE: usize = 64 * 1024;

/// See the module's header.
pub struct Worker {
    /// The pool's state and the tables.
    pub world: Arc<World>,
    /// Settings.
    pub config: Arc<Config>,
    /// Counters.
    pub metrics: Arc<ProxyMetrics>,
    /// Where spans of requests go; `None`: there are none.
    pub tracer: Option<Tracer>,
    /// Tells the writer about endpoints that cannot be reached.
    pub updates: mpsc::Sender<Update>,
    /// How far the process is on its way out.
    pub shutdown: watch::Receiver<Shutdown>,
    /// True once it drains, for this worker's connections: they wait for it between requests, and what all workers wait for would
    /// be a lock that they share.
    pub draining: watch::Sender<bool>,
    /// Limits of heads, from the settings.
    pub head_limits: HeadLimits,
    /// Idle connections to endpoints.
    pub pool: RefCell<Pool>,
    /// Requests that may be sent once more.
    pub retries: RefCell<RetryBudget>,
    /// What it chooses with.
    pub chooser: Chooser,
    /// Counts requests for round robin.
    pub turn: Cell<usize>,
    /// Where requests of each model are counted.
    pub models: RefCell<Models>,
    /// Readers of bodies, for those that come in streams.
    pub readers: RefCell<Vec<BodyReader>>,
    /// Buffers for large bodies.
    pub room: RefCell<Room>,
    /// Where bytes from endpoints land before they go on at once.
    pub landing: RefCell<Box<[u8]>>,
}

/// What all workers of a process share.
#[derive(Clone)]
pub struct Shared {
    /// See [`Worker::world`].
    pub world: Arc<World>,
    /// See [`Worker::config`].
    pub config: Arc<Config>,
    /// Where each worker gets a sheet from.
    pub metrics: Arc<Metrics>,
    /// See [`Worker::tracer`].
    pub tracer: Option<Tracer>,
    /// See [`Worker::updates`].
    pub updates: mpsc::Sender<Update>,
    /// See [`Worker::shutdown`].
    pub shutdown: watch::Receiver<Shutdown>,
}

/// How often idle connections to endpoints are looked through.
pub const SWEEP_INTERVAL: Duration = Duration::from_millis(500);

// === Worker ===

impl Worker {
    /// A worker over what is shared.
    pub fn new(shared: Shared) -> Self {
        let Shared { world, config, metrics, tracer, updates, shutdown } = shared;
        let limits = config.limits;
        let head_limits = HeadLimits {
            head: limits.head,
            headers: limits.headers,
            // A body over the limit is refused by the read stage, which can say so in the client's terms.
            ..HeadLimits::default()
        };
        Self {
            pool: RefCell::new(Pool::new(config.timeouts.upstream_idle)),
            retries: RefCell::new(RetryBudget::new(config.retries, world.now())),
            chooser: Chooser::of_worker(world.clone(), config.clone()),
            turn: Cell::new(fastrand::usize(..)),
            models: RefCell::default(),
            readers: RefCell::default(),
            room: RefCell::default(),
            landing: RefCell::new(vec![0; READ_SIZE].into_boxed_slice()),
            world,
            config,
            metrics: metrics.proxy(),
            tracer,
            updates,
            shutdown,
            draining: watch::Sender::new(false),
            head_limits,
        }
    }

    /// Whether the retry budget has one left.
    pub fn can_retry(&self) -> bool {
        self.retries.borrow_mut().has_any(self.world.now())
    }

    /// Counts how a request ended at its endpoint, and tells the writer of a failure before the next reading does.
    pub fn judge(&self, in_flight: &mut InFlight, outcome: Outcome) {
        in_flight.end(outcome);
        if outcome == Outcome::Bad {
            // A full channel means that the writer hears of it from others.
            let _ = self.updates.try_send(Update::Failed { slot: in_flight.slot() });
        }
    }

    /// Tells the writer whether an endpoint is on this node, where a connection showed that it was wrong.
    pub fn locate(&self, slot: Slot, socket: SocketAddr, local: bool) {
        self.pool.borrow_mut().locate(slot, socket, local, Instant::now());
        let snapshot = self.world.snapshot.load();
        if snapshot.endpoint(slot).is_some_and(|endpoint| endpoint.local != local) {
            // A full channel means that the next response tells.
            let _ = self.updates.try_send(Update::Seen { slot, socket, local });
        }
    }

    /// Whether the process drains: responses then close their connections.
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }
}
