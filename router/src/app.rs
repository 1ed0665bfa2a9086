//! The whole router in one process: one data-plane thread per core, one control-plane thread.
//!
//! Data plane: a single-threaded runtime each, with its own listeners on the shared addresses and its own
//! connections to endpoints. Control plane: reading engines, writing the snapshot, `/metrics` and admin. A busy
//! control plane never delays a token.

use std::{
    io,
    net::SocketAddr,
    rc::Rc,
    sync::{Arc, atomic::AtomicUsize},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::{runtime::Builder, sync::watch, task::LocalSet};

use crate::{
    config::{Config, Listen},
    control::{self, Control},
    front::{self, Sockets},
    metrics::Metrics,
    worker::{Shared, Worker},
    world::World,
};

/// Starts routers.
#[derive(Debug)]
pub struct App;

/// A router that runs. Dropping it cuts what is open and waits for its threads.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub listening: Listen,
    draining: watch::Sender<bool>,
    cut: watch::Sender<bool>,
    workers: Vec<JoinHandle<io::Result<()>>>,
    control: Option<Control>,
    drain_limit: Duration,
}

// === App ===

impl App {
    /// Binds the listeners and starts all threads.
    ///
    /// # Errors
    /// When an address cannot be listened on or a thread not started; the message names which.
    pub fn start(config: Config) -> anyhow::Result<Running> {
        let threads = match config.workers {
            0 => thread::available_parallelism().map_or(1, usize::from),
            set => set,
        };
        let (plain, aware) = (config.listen.plain, config.listen.aware);
        let (plain, plain_address) = front::bind(plain, threads).with_context(|| taken("plain", plain))?;
        let (aware, aware_address) = front::bind(aware, threads).with_context(|| taken("aware", aware))?;
        let config = Arc::new(config);
        let world = Arc::new(World::new(&config, fastrand::u64(..)));
        let metrics = Arc::new(Metrics::new(&world));
        let (draining, is_draining) = watch::channel(false);
        let (cut, is_cut) = watch::channel(false);
        let control = Control::start(control::Inputs {
            world: world.clone(),
            config: config.clone(),
            metrics: metrics.clone(),
            draining: is_draining.clone(),
        })?;
        let listening = Listen {
            plain: plain_address,
            aware: aware_address,
            metrics: control.metrics_address(),
            admin: control.admin_address(),
        };
        let shared = Shared {
            metrics: metrics.proxy(),
            updates: control.updates(),
            draining: is_draining,
            world,
            config: config.clone(),
        };
        let seats = Arc::new(AtomicUsize::new(0));
        let workers = plain.into_iter().zip(aware).enumerate();
        let workers = workers.map(|(number, (plain, aware))| {
            spawn(number, shared.clone(), Sockets { plain, aware }, seats.clone(), is_cut.clone())
        });
        let workers = workers.collect::<io::Result<_>>().context("starting a data-plane thread failed")?;
        let drain_limit = config.timeouts.drain;
        Ok(Running { listening, draining, cut, workers, control: Some(control), drain_limit })
    }
}

fn taken(listener: &str, address: SocketAddr) -> String {
    format!("cannot listen on {address} (--{listener}): is another process using the port?")
}

fn spawn(
    number: usize,
    shared: Shared,
    sockets: Sockets,
    seats: Arc<AtomicUsize>,
    mut cut: watch::Receiver<bool>,
) -> io::Result<JoinHandle<io::Result<()>>> {
    thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let worker = Rc::new(Worker::new(shared));
        let until_cut = async move {
            let _ = cut.wait_for(|cut| *cut).await;
        };
        LocalSet::new().block_on(&runtime, front::serve(worker, sockets, seats, until_cut))
    })
}

// === Running ===

impl Running {
    /// Takes no new connection, lets open requests end, and cuts those that are left after the drain limit.
    /// Returns when all threads have ended. Call from outside any runtime.
    pub fn drain(mut self) {
        self.draining.send_replace(true);
        let until = Instant::now() + self.drain_limit;
        while Instant::now() < until && self.workers.iter().any(|worker| !worker.is_finished()) {
            thread::sleep(Duration::from_millis(10));
        }
        self.stop();
    }

    /// A handle that cuts all open requests while [`Running::drain`] waits for them.
    pub fn cutter(&self) -> impl Fn() + Send + 'static {
        let cut = self.cut.clone();
        move || {
            cut.send_replace(true);
        }
    }

    fn stop(&mut self) {
        self.draining.send_replace(true);
        self.cut.send_replace(true);
        for worker in self.workers.drain(..) {
            match worker.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!(%error, "a data-plane thread ended with an error"),
                Err(_) => tracing::error!("a data-plane thread panicked"),
            }
        }
        self.control = None;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}
