//! The control plane, on a thread and runtime of its own: the writer of the snapshot, a reader per engine, the
//! metrics and admin ports.
//!
//! The data plane never waits for it: it reads what the writer published last.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use tokio::{
    runtime::Builder,
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};

use crate::{
    admin::{Levers, Port, Server, SocketError, Sources, serve_locally},
    agents::{self, Credentials, Following},
    cluster::Cluster,
    config::{Admin, Config, Listen},
    extension::{self, Hooks},
    kube::Desired,
    log::LogLevel,
    metrics::Metrics,
    own_thread::{OwnThread, Stopped},
    scrape::{self, Scraping},
    shutdown::Shutdown,
    spans::Exporter,
    tls::Tls,
    world::{
        World,
        writer::{Update, Writer},
    },
};

mod intake;
mod ports;

pub(crate) use intake::take_in;
use ports::{Places, Ports};

/// How long a router that stops waits for the collector to take its last spans.
const FLUSH: Duration = Duration::from_secs(1);

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
    /// The router's own log, if it is.
    pub log: Option<LogLevel>,
    /// Who hands spans over, where there are any.
    pub exporter: Option<Exporter>,
}

/// The running control plane. Dropping it stops all of it and waits for its thread.
#[derive(Debug)]
pub struct Control {
    places: Places,
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
    /// The admin port's Unix socket cannot be served.
    #[error(transparent)]
    Socket(#[from] SocketError),
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
        let Inputs { world, config, metrics, shutdown, extension, desired, log, exporter, .. } = inputs;
        let (ports, places) = Ports::bind(&config)?;
        let hooks = Hooks::new(config.extension.clone(), metrics.hooks());
        let (writer, updates) = Writer::new(world.clone(), &config);
        let (writer, cluster, agents_wanted) = follow(writer, &config, desired.clone());
        let config_text = config.to_string().into();
        let levers = levers(&config, updates.clone(), log);
        let sources = Sources {
            world: world.clone(),
            config: config.clone(),
            config_text,
            metrics: metrics.clone(),
            shutdown,
            desired,
            levers,
        };
        let reload = |tls: Arc<Tls>| tls.follow(metrics.proxy());
        let reloading: Vec<_> = inputs.certificates.into_iter().map(reload).collect();
        let following = Following {
            world: world.clone(),
            config: config.clone(),
            credentials: inputs.credentials.map(Arc::new),
            updates: updates.clone(),
        };
        let scraping = Scraping { world, config, metrics: metrics.scraping(), updates: updates.clone() };
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (hooks, local) = {
            let _inside = runtime.enter();
            let hooks =
                ports.extension.map(|port| extension::Server::new(port, extension, hooks)).transpose()?;
            let local = ports.socket.map(|socket| serve_locally(socket, sources.clone())).transpose()?;
            (hooks, local)
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
            serve(&mut tasks, ports.metrics, Port::Metrics, &sources);
            serve(&mut tasks, ports.admin, Port::Admin, &sources);
            if let Some(health) = ports.health {
                serve(&mut tasks, health, Port::Health, &sources);
            }
            hooks.map(|hooks| tasks.spawn(hooks.run()));
            local.map(|local| tasks.spawn(local));
            export_until(stopped, exporter).await;
        };
        let thread = OwnThread::start("control", runtime, work)?;
        Ok(Self { places, updates, _thread: thread })
    }

    /// Where the metrics port is bound.
    pub fn metrics_address(&self) -> SocketAddr {
        self.places.metrics
    }

    /// Where the admin port is bound.
    pub fn admin_address(&self) -> SocketAddr {
        self.places.admin
    }

    /// Puts in where all of its ports are bound.
    pub fn say_where(&self, listening: &mut Listen) {
        self.places.say(listening);
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

/// Ends when its owner lets it go. By then the workers have ended, and so does the exporter, with what they have left.
async fn export_until(stopped: Stopped, exporter: Option<Exporter>) {
    let exporting = exporter.map(|exporter| tokio::spawn(exporter.run()));
    let _ = stopped.await;
    if let Some(exporting) = exporting {
        let _ = timeout(FLUSH, exporting).await;
    }
}

fn levers(config: &Config, updates: mpsc::Sender<Update>, log: Option<LogLevel>) -> Levers {
    let Admin { token_file, hosts, .. } = config.admin.clone();
    let levers = Levers { updates, log, token_file, hosts };
    levers.look();
    levers
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
