//! The agent as one process: readers of engines, the watch over the cluster for which those are, the watch over GPUs, questions
//! to the kubelet, the stream for routers, the page for monitoring.
//!
//! One thread does all of it but the GPUs, whose library may hang: they have threads of their own (`gpu/watch.rs`).

use std::{
    collections::BTreeSet,
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::Context;
use tokio::{
    runtime::Builder,
    sync::{Notify, mpsc, oneshot, watch},
    task::JoinSet,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use warmlane_api::node::node_server::NodeServer;
use warmlane_kube::Client;

use crate::{
    config::Config,
    engines::Crew,
    gpu::{Gpu, Settings, Watch},
    incoming::Door,
    kube::{self, Found},
    kubelet::{self, Follower, Known, Trouble},
    metrics::Metrics,
    node::Node,
    pages::{self, Sources},
    publish::{Followers, Publisher},
    tls::Tls,
};

/// How often a router is asked whether it is there, and how long it may take to answer.
const PING_INTERVAL: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Streams of one connection: a router opens one.
const MOST_STREAMS: u32 = 4;
/// A router says its name.
const MAX_QUESTION_BYTES: usize = 4 << 10;

/// A running agent. Dropping it stops it and waits for its thread.
#[derive(Debug)]
pub struct Agent {
    /// Where routers dial.
    pub listen: SocketAddr,
    /// Where its pages for monitoring are.
    pub metrics: SocketAddr,
    /// Where its page for people is.
    pub admin: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The agent's work, put together.
struct Work {
    config: Config,
    node: Arc<Node>,
    metrics: Arc<Metrics>,
    gpus: Watch,
    cluster: Option<Cluster>,
    listener: TcpListener,
    tls: Option<Tls>,
    pages: [(pages::Port, TcpListener); 2],
}

/// The cluster that is asked for engines.
struct Cluster {
    client: Client,
    finds: watch::Sender<Arc<Found>>,
    found: watch::Receiver<Arc<Found>>,
}

// === Agent ===

impl Agent {
    /// Starts it. When this returns, its ports are bound.
    ///
    /// # Errors
    /// When a port is taken, a file for TLS cannot be used, nothing says how to reach the cluster that is to be asked, or a
    /// thread cannot be started.
    pub fn start(config: Config) -> anyhow::Result<Self> {
        let tls = Tls::load(&config)?;
        let listener = bind("--listen", config.listen)?;
        let (monitoring, people) = (bind("--metrics", config.metrics)?, bind("--admin", config.admin)?);
        let (listen, metrics, admin) =
            (listener.local_addr()?, monitoring.local_addr()?, people.local_addr()?);
        let pages = [(pages::Port::Metrics, monitoring), (pages::Port::Admin, people)];
        let node = Arc::new(Node::new(&config.node, &config.named()));
        let gpus = Watch::start(Settings { library: config.library(), ..Settings::default() })
            .context("cannot start the threads that read GPUs")?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let cluster = config.kube.then(|| runtime.block_on(Cluster::connect(&config))).transpose()?;
        let found = cluster.as_ref().map(|cluster| cluster.found.clone());
        let counters = Arc::new(Metrics::new(&node, found));
        let work = Work { config, node, metrics: counters, gpus, cluster, listener, tls, pages };
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("agent".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    ended = work.run() => if let Err(error) = ended {
                        tracing::error!("the agent cannot go on: {error:#}");
                    },
                    // Ends when the sender is dropped.
                    _ = stopped => {}
                }
            });
        })?;
        Ok(Self { listen, metrics, admin, stop: Some(stop), thread: Some(thread) })
    }

    /// Whether it has ended by itself, which it does only when it cannot go on.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

fn bind(flag: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    let open = || -> io::Result<TcpListener> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    open().with_context(|| format!("{flag}: cannot listen on {address}: is another agent running here?"))
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

// === Work ===

impl Work {
    async fn run(self) -> anyhow::Result<()> {
        let Self { config, node, metrics, gpus, cluster, listener, tls, pages } = self;
        let (mut tasks, came) = (JoinSet::new(), Arc::new(Notify::new()));
        let found = cluster.as_ref().map(|cluster| cluster.found.clone());
        let crew = Crew {
            node: node.clone(),
            metrics: metrics.clone(),
            rhythm: config.rhythm(),
            named: config.named(),
            found: found.clone(),
            came: came.clone(),
        };
        tasks.spawn(crew.run());
        if let Some(cluster) = cluster {
            tasks.spawn(kube::watch(cluster.client, config.node.clone(), cluster.finds));
        }
        let kubelet = config.kubelet().map(|socket| {
            let (follower, known) = Follower::new(kubelet::Settings::new(socket), gpus.gpus());
            tasks.spawn(hear(known, node.clone()));
            let (asked, heard) = watch::channel(None);
            tasks.spawn(ask(follower.hinted_by(came), metrics.clone(), asked));
            heard
        });
        let (driver, followers) = (gpus.driver(), Arc::new(Followers::new()));
        let sources = Sources {
            node: node.clone(),
            metrics: metrics.clone(),
            found,
            driver,
            kubelet,
            followers: followers.clone(),
        };
        for (port, listener) in pages {
            tasks.spawn(pages::serve(tokio::net::TcpListener::from_std(listener)?, port, sources.clone()));
        }
        tasks.spawn(read(gpus.gpus(), node.clone()));
        let mut server = JoinSet::new();
        // A task like the others: what wakes the thread's main future costs a system call each time.
        let publisher = Publisher::new(node, metrics.clone(), followers);
        server.spawn(serve(tokio::net::TcpListener::from_std(listener)?, tls, publisher, metrics));
        tokio::select! {
            Some(served) = server.join_next() => served?,
            // None of them ends by itself: what it knew would seem to hold for ever.
            Some(ended) = tasks.join_next() => anyhow::bail!("a task of the agent has ended: {ended:?}"),
        }
    }
}

// === Cluster ===

impl Cluster {
    async fn connect(config: &Config) -> anyhow::Result<Self> {
        let client = warmlane_kube::connect(config.kubeconfig.as_deref()).await.context("--kube")?;
        let (finds, found) = watch::channel(Arc::default());
        Ok(Self { client, finds, found })
    }
}

/// Tells routers, in the clear or by TLS.
async fn serve(
    listener: tokio::net::TcpListener,
    tls: Option<Tls>,
    publisher: Publisher,
    metrics: Arc<Metrics>,
) -> anyhow::Result<()> {
    let server = Server::builder()
        .http2_keepalive_interval(Some(PING_INTERVAL))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .max_concurrent_streams(Some(MOST_STREAMS))
        .add_service(service(publisher));
    let mut tasks = JoinSet::new();
    // The server takes them at once: one waits at most.
    let (ready, opened) = mpsc::channel(1);
    if let Some(tls) = &tls {
        tasks.spawn(tls.clone().watch());
    }
    tasks.spawn(Door::new(listener, tls, metrics).run(ready));
    tokio::select! {
        served = server.serve_with_incoming(ReceiverStream::new(opened)) => Ok(served?),
        Some(ended) = tasks.join_next() => anyhow::bail!("a task that lets routers in has ended: {ended:?}"),
    }
}

fn service(publisher: Publisher) -> NodeServer<Publisher> {
    NodeServer::new(publisher).max_decoding_message_size(MAX_QUESTION_BYTES)
}

/// Asks the kubelet, and says how that went.
async fn ask(follower: Follower, metrics: Arc<Metrics>, asked: watch::Sender<Option<Result<(), String>>>) {
    let said = |outcome: Result<(), &Trouble>| {
        metrics.asked(outcome);
        asked.send_replace(Some(outcome.map_err(ToString::to_string)));
    };
    follower.run(said).await;
}

/// Keeps the node told of how its GPUs are, and says once where that cannot serve its purpose.
async fn read(mut seen: watch::Receiver<Arc<[Gpu]>>, node: Arc<Node>) {
    let mut told = false;
    while seen.changed().await.is_ok() {
        let gpus = seen.borrow_and_update().clone();
        node.read_gpus(&gpus);
        if told {
            continue;
        }
        let engines = node.engines_without_gpus();
        told = engines > 0;
        if told {
            tracing::warn!(
                gpus = gpus.len(),
                engines,
                "it is not known which GPU these engines run on, so a failed one takes none of them out: name their pods in --engine \
                 HOST:PORT=NAMESPACE/POD"
            );
        }
    }
}

/// Keeps the node told of who has which GPU, and says where that cannot be what was meant.
async fn hear(mut known: watch::Receiver<Known>, node: Arc<Node>) {
    let mut without = BTreeSet::new();
    while known.changed().await.is_ok() {
        let pods = known.borrow_and_update().clone();
        node.read_pods(pods);
        let now = node.pods_without_gpus();
        for pod in now.difference(&without) {
            tracing::warn!(%pod, "the kubelet knows of no GPU of this pod: does it run, and ask for one? Where --engine names it, is it named rightly?");
        }
        without = now;
    }
}
