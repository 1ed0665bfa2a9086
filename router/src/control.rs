//! The control plane, on a thread and runtime of its own: the writer of the snapshot, a reader per engine, the
//! metrics and admin ports.
//!
//! The data plane never waits for it: it reads what the writer published last.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use tokio::{
    runtime::Builder,
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    admin::{Port, Server, Sources},
    agents::{self, Credentials, Following},
    cluster::Cluster,
    config::{Config, Listen},
    extension::{self, Hooks},
    kube::Desired,
    metrics::Metrics,
    own_thread::{OwnThread, Stopped},
    scrape::{self, Scraping},
    shutdown::Shutdown,
    tls::Tls,
    world::{
        World,
        writer::{Update, Writer},
    },
};

mod intake;

pub(crate) use intake::take_in;

/// What the control plane works with.
pub struct Inputs {
    /// What it writes.
    pub world: Arc<World>,
    /// Settings.
    pub config: Arc<Config>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Once it is announced, `/readyz` says 503.
    pub shutdown: watch::Receiver<Shutdown>,
    /// Those to keep up to date.
    pub certificates: Vec<Arc<Tls>>,
    /// What callers of the extension server are shown.
    pub extension: Option<Arc<Tls>>,
    /// What agents are shown.
    pub credentials: Option<Credentials>,
    /// What a cluster wants served; `None`: the settings say it.
    pub desired: Option<watch::Receiver<Arc<Desired>>>,
}

/// The running control plane. Dropping it stops all of it and waits for its thread.
#[derive(Debug)]
pub struct Control {
    metrics: SocketAddr,
    admin: SocketAddr,
    health: Option<SocketAddr>,
    extension: Option<SocketAddr>,
    updates: mpsc::Sender<Update>,
    _thread: OwnThread,
}

/// Why the control plane cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// A port cannot be served.
    #[error("cannot listen on {address} (--{flag}): is another process, or another router, using the port?")]
    Port {
        /// The flag that names the address.
        flag: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        source: io::Error,
    },
    /// No thread or runtime for it.
    #[error("cannot start the control thread: is the process limit (ulimit -u) or memory used up?")]
    Thread(#[from] io::Error),
}

// === Control ===

impl Control {
    /// Starts everything. When this returns, the first snapshot is published and both ports are bound.
    ///
    /// # Errors
    /// When a port cannot be bound or the thread not started.
    pub fn start(inputs: Inputs) -> Result<Self, ControlError> {
        let Inputs { world, config, metrics, shutdown, certificates, extension, credentials, desired } =
            inputs;
        let (metrics_port, metrics_address) = bind("metrics", config.listen.metrics)?;
        let (admin_port, admin_address) = bind("admin", config.listen.admin)?;
        let health = config.listen.grpc_health.map(|address| bind("grpc-health", address)).transpose()?;
        let (health_port, health_address) = health.unzip();
        let hooks = Hooks::new(config.extension.clone(), metrics.hooks());
        let bound = config.listen.extension.map(|address| bind("extension-server", address)).transpose()?;
        let (extension_port, extension_address) = bound.unzip();
        let (writer, updates) = Writer::new(world.clone(), &config);
        let (writer, cluster, agents_wanted) = follow(writer, &config, desired.clone());
        let config_text = config.to_string().into();
        let sources = Sources {
            world: world.clone(),
            config: config.clone(),
            config_text,
            metrics: metrics.clone(),
            shutdown,
            desired,
        };
        let reload = |tls: Arc<Tls>| tls.follow(metrics.proxy());
        let reloading: Vec<_> = certificates.into_iter().map(reload).collect();
        let following = Following {
            world: world.clone(),
            config: config.clone(),
            credentials: credentials.map(Arc::new),
            updates: updates.clone(),
        };
        let scraping = Scraping { world, config, metrics: metrics.scraping(), updates: updates.clone() };
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let hooks = {
            let _inside = runtime.enter();
            extension_port.map(|port| extension::Server::new(port, extension, hooks)).transpose()?
        };
        let work = move |stopped: Stopped| async move {
            let mut tasks = JoinSet::new();
            tasks.spawn(writer.run());
            tasks.spawn(scrape::run(scraping));
            agents::spawn(&following, agents_wanted, &mut tasks);
            cluster.map(|cluster| tasks.spawn(cluster.run()));
            reloading.into_iter().for_each(|reloading| {
                tasks.spawn(reloading);
            });
            serve(&mut tasks, metrics_port, Port::Metrics, &sources);
            serve(&mut tasks, admin_port, Port::Admin, &sources);
            if let Some(health_port) = health_port {
                serve(&mut tasks, health_port, Port::Health, &sources);
            }
            hooks.map(|hooks| tasks.spawn(hooks.run()));
            // Ends when its owner lets it go.
            let _ = stopped.await;
        };
        let thread = OwnThread::start("control", runtime, work)?;
        Ok(Self {
            metrics: metrics_address,
            admin: admin_address,
            health: health_address,
            extension: extension_address,
            updates,
            _thread: thread,
        })
    }

    /// Where the metrics port is bound.
    pub fn metrics_address(&self) -> SocketAddr {
        self.metrics
    }

    /// Where the admin port is bound.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// Puts in where all of its ports are bound.
    pub fn say_where(&self, listening: &mut Listen) {
        listening.metrics = self.metrics;
        listening.admin = self.admin;
        listening.grpc_health = self.health;
        listening.extension = self.extension;
    }

    /// For what the data plane learns about endpoints.
    pub fn updates(&self) -> mpsc::Sender<Update> {
        self.updates.clone()
    }
}

/// Has the writer follow what a cluster wants, where one is watched.
fn follow(
    writer: Writer,
    config: &Arc<Config>,
    desired: Option<watch::Receiver<Arc<Desired>>>,
) -> (Writer, Option<Cluster>, Option<agents::Wanted>) {
    let Some(desired) = desired else { return (writer, None, None) };
    let (cluster, (wanted, agents)) = Cluster::new(config.clone(), desired);
    (writer.following(wanted), Some(cluster), Some(agents))
}

fn bind(flag: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), ControlError> {
    let open = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    open().map_err(|source| ControlError::Port { flag, address, source })
}

fn serve(tasks: &mut JoinSet<()>, listener: TcpListener, port: Port, sources: &Sources) {
    match Server::new(listener, port, sources.clone()) {
        Ok(server) => {
            tasks.spawn(server.run());
        }
        Err(error) => tracing::error!(?port, "cannot serve this port: {error}"),
    }
}

#[cfg(test)]
mod tests;
