//! The whole router in one process: one data-plane thread per core, one control-plane thread.
//!
//! Data plane: a single-threaded runtime each, with its own listeners on the shared addresses and its own
//! connections to endpoints. Control plane: reading engines, writing the snapshot, `/metrics` and admin. A busy
//! control plane never delays a token.

use std::{
    io,
    rc::Rc,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::{runtime::Builder, sync::watch, task::LocalSet};
use warmlane_tokens::Tokenizer;

use crate::{
    cluster::Watching,
    config::{Config, Listen},
    control::{self, Control},
    front::{self, Door, Front, Seats, Sockets},
    lane::Lane,
    log::LogLevel,
    metrics::{Listener, Metrics},
    shutdown::Shutdown,
    spans::Tracer,
    worker::{Shared, Worker},
    world::World,
};

mod files;

use files::Certificates;
pub use files::Files;

/// How often a router that stops is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Starts routers.
#[derive(Debug)]
pub struct App;

/// A router that runs. Dropping it cuts what is open and waits for its threads.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub listening: Listen,
    metrics: Arc<Metrics>,
    shutdown: watch::Sender<Shutdown>,
    /// When it was announced.
    announced: Option<Instant>,
    /// How many requests were open when they were cut.
    cut: watch::Sender<Option<u64>>,
    workers: Vec<JoinHandle<io::Result<()>>>,
    control: Option<Control>,
    watching: Option<Watching>,
    shutdown_delay: Duration,
    drain_limit: Duration,
}

// === App ===

impl App {
    /// Binds the listeners and starts all threads.
    ///
    /// # Errors
    /// When an address cannot be listened on or a thread not started; the message names which.
    pub fn start(config: Config) -> anyhow::Result<Running> {
        Self::start_with(config, None)
    }

    /// The same with a log whose level may be changed from the admin port.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(config: Config, log: Option<LogLevel>) -> anyhow::Result<Running> {
        let mut listening = config.listen;
        let threads = config.threads();
        let Files { certificates, credentials, tokenizers } = Files::read(&config)?;
        // Before listeners are open: a client that came first would be copied for as long as its connection lives.
        let lane = Lane::lay(&config);
        lane.serve(&listening);
        let sockets = bind(&mut listening, threads, &certificates)?;
        // Again, for ports that the system has chosen.
        lane.serve(&listening);
        let config = Arc::new(config);
        let world = world(&config, lane, tokenizers);
        let world = Arc::new(world);
        let watching = (!config.kube.pools.is_empty()).then(|| Watching::start(&config.kube)).transpose();
        let (watching, desired) = watching.context("--pool")?.unzip();
        let metrics = Arc::new(Metrics::new(&world));
        if let Some(desired) = &desired {
            metrics.cluster().follow(desired.clone());
        }
        let (tracer, exporter) = Tracer::new(&config.tracing, metrics.spans()).unzip();
        let (shutdown, is_shutdown) = watch::channel(Shutdown::default());
        let (cut, is_cut) = watch::channel(None);
        let control = Control::start(control::Inputs {
            world: world.clone(),
            config: config.clone(),
            metrics: metrics.clone(),
            shutdown: is_shutdown.clone(),
            certificates: certificates.all().cloned().collect(),
            extension: certificates.extension.clone(),
            credentials,
            desired,
            log,
            exporter,
        })?;
        control.say_where(&mut listening);
        let shared = Shared {
            metrics: metrics.clone(),
            tracer,
            updates: control.updates(),
            shutdown: is_shutdown,
            world,
            config: config.clone(),
        };
        let workers = workers(sockets, &shared, &is_cut).context("starting a data-plane thread failed")?;
        Ok(Running {
            listening,
            metrics,
            shutdown,
            announced: None,
            cut,
            workers,
            control: Some(control),
            watching,
            shutdown_delay: config.timeouts.shutdown_delay,
            drain_limit: config.timeouts.drain,
        })
    }
}

/// Starts the data plane's threads.
fn workers(
    sockets: Vec<Sockets>,
    shared: &Shared,
    is_cut: &watch::Receiver<Option<u64>>,
) -> io::Result<Vec<JoinHandle<io::Result<()>>>> {
    let seats = Arc::new(Seats::new(shared.config.limits.connections));
    let workers = sockets.into_iter().enumerate().map(|(number, sockets)| {
        let (shared, seats, cut) = (shared.clone(), seats.clone(), is_cut.clone());
        let front = move || Rc::new(Front { worker: Rc::new(Worker::new(shared)), seats });
        spawn(number, front, sockets, cut)
    });
    workers.collect()
}

fn world(config: &Config, lane: Lane, tokenizers: Vec<(String, Tokenizer)>) -> World {
    let world = World::new(config, fastrand::u64(..)).on(lane);
    // A pool's annotation may ask for it later.
    let may_match = config.profile.strategy.needs_prefix() || !config.kube.pools.is_empty();
    if config.follows_agents() && may_match {
        return world.with(tokenizers);
    }
    if !tokenizers.is_empty() {
        tracing::warn!(
            "tokenizers have no use without --strategy PREFIX_CACHE and agents (--agent) that follow the engines' KV events"
        );
    }
    world
}

/// Opens the listeners of all workers, and says where.
fn bind(listening: &mut Listen, workers: usize, certificates: &Certificates) -> anyhow::Result<Vec<Sockets>> {
    let open = |listener| Door { listener, tls: None };
    let clients = |listener| Door { listener, tls: certificates.clients.clone() };
    let gateways = Door { listener: Listener::ExtProc, tls: certificates.gateways.clone() };
    let mut all: Vec<Sockets> = (0..workers).map(|_| Sockets::new()).collect();
    let doors = [
        ("plain", open(Listener::Plain), listening.plain.as_mut()),
        ("aware", open(Listener::Aware), listening.aware.as_mut()),
        ("plain-tls", clients(Listener::Plain), listening.plain_tls.as_mut()),
        ("aware-tls", clients(Listener::Aware), listening.aware_tls.as_mut()),
        ("ext-proc", gateways, listening.ext_proc.as_mut()),
    ];
    for (flag, door, address) in doors {
        let Some(address) = address else { continue };
        let (sockets, chosen) = front::bind(*address, workers).with_context(|| {
            format!("cannot listen on {address} (--{flag}): is another process using the port?")
        })?;
        *address = chosen;
        all.iter_mut().zip(sockets).for_each(|(worker, socket)| worker.push((door.clone(), socket)));
    }
    Ok(all)
}

fn spawn(
    number: usize,
    front: impl FnOnce() -> Rc<Front> + Send + 'static,
    sockets: Sockets,
    mut cut: watch::Receiver<Option<u64>>,
) -> io::Result<JoinHandle<io::Result<()>>> {
    thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let until_cut = async move {
            let _ = cut.wait_for(Option::is_some).await;
        };
        LocalSet::new().block_on(&runtime, front::serve(front(), sockets, until_cut))
    })
}

/// Cuts what is open and notes how much that is. False where that was done before.
fn cut(cut: &watch::Sender<Option<u64>>, metrics: &Metrics) -> bool {
    cut.send_if_modified(|cut| {
        let is_first = cut.is_none();
        cut.get_or_insert_with(|| metrics.open());
        is_first
    })
}

// === Running ===

impl Running {
    /// Says on every health port that it is not ready, and goes on serving for the shutdown delay or until it is cut.
    /// Call from outside any runtime.
    pub fn announce(&mut self) {
        self.shutdown.send_replace(Shutdown::Announced);
        let now = Instant::now();
        self.announced = Some(now);
        let delay = self.shutdown_delay.min(self.drain_limit);
        tracing::info!("health checks are told that it leaves; requests are served as before for {delay:?}");
        while now.elapsed() < delay && self.cut.borrow().is_none() {
            thread::sleep(LOOK);
        }
    }

    /// Takes no new connection, lets open requests end, and cuts those that are left after the drain limit, which runs
    /// from the announcement where there was one. Returns when all threads have ended: how many requests were cut.
    /// Call from outside any runtime.
    pub fn drain(mut self) -> u64 {
        self.shutdown.send_replace(Shutdown::Draining);
        let begun = self.announced.unwrap_or_else(Instant::now);
        let until = begun + self.drain_limit;
        let (open, left) = (self.metrics.open(), until.saturating_duration_since(Instant::now()));
        if self.cut.borrow().is_none() {
            tracing::info!("new connections are refused; requests to finish: {open}, for {left:.1?} at most");
        }
        let under_way = |workers: &[JoinHandle<_>]| workers.iter().any(|worker| !worker.is_finished());
        while Instant::now() < until && under_way(&self.workers) {
            thread::sleep(LOOK);
        }
        if under_way(&self.workers) && cut(&self.cut, &self.metrics) {
            tracing::warn!("timeouts.drain ({:?}) has passed: cutting what is still open", self.drain_limit);
        }
        self.stop();
        let took = begun.elapsed();
        let cut = self.cut.borrow().unwrap_or_default();
        match cut {
            0 => tracing::info!("stopped after {took:.1?}: all requests are finished"),
            _ => tracing::warn!("stopped after {took:.1?}: requests cut off: {cut}"),
        }
        cut
    }

    /// A handle that ends [`Running::announce`] and cuts all open requests that [`Running::drain`] waits for.
    pub fn cutter(&self) -> impl Fn() + Send + 'static {
        let (sender, metrics) = (self.cut.clone(), self.metrics.clone());
        move || {
            cut(&sender, &metrics);
        }
    }

    fn stop(&mut self) {
        self.shutdown.send_replace(Shutdown::Draining);
        cut(&self.cut, &self.metrics);
        for worker in self.workers.drain(..) {
            match worker.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "a data-plane thread ended with an error"),
                Err(_) => tracing::error!("a data-plane thread panicked"),
            }
        }
        self.control = None;
        self.watching = None;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}
