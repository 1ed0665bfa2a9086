//! The thread that watches the cluster: ten thousand pods are many megabytes of JSON, and nobody else should wait for them.

use std::{fs, io, sync::Arc, time::Duration};

use tokio::{
    runtime::Builder,
    spawn,
    sync::{oneshot, watch},
    time::timeout,
};

use crate::{
    config::Kube,
    kube::{self, Desired, KubeError, Watched, Writer, write_status},
    own_thread::{OwnThread, Stopped},
};

/// How long a router that stops waits until its Lease is freed.
const FAREWELL: Duration = Duration::from_secs(2);

/// See the module's header. Dropped, it stops watching and waits for its thread.
#[derive(Debug)]
pub struct Watching {
    _thread: OwnThread,
}

/// Why a cluster cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchingError {
    /// Nobody says how to reach it.
    #[error(transparent)]
    Unreachable(#[from] KubeError),
    /// No thread or runtime for it.
    #[error(
        "cannot start the thread that watches the cluster: is the process limit (ulimit -u) or memory used up?"
    )]
    Thread(#[from] io::Error),
}

/// By which the holder of the Lease is known: its pod, whose name its host has, and its process.
fn identity() -> String {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}_{:08x}", host.trim(), fastrand::u32(..))
}

// === Watching ===

impl Watching {
    /// Begins to watch what the settings name.
    ///
    /// # Errors
    /// When nothing says how to reach the API server, or what does cannot be used.
    pub fn start(settings: &Kube) -> Result<(Self, watch::Receiver<Arc<Desired>>), WatchingError> {
        let name = |text: &String| text.parse().ok();
        let watched = Watched {
            pools: settings.pools.iter().filter_map(name).collect(),
            agents: Some(&settings.agents).filter(|agents| !agents.is_empty()).and_then(name),
        };
        let kubeconfig = Some(settings.config.as_path()).filter(|path| !path.as_os_str().is_empty());
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let client = runtime.block_on(kube::connect(kubeconfig))?;
        let (desires, desired) = watch::channel(Arc::default());
        let writer = name(&settings.lease).map(|lease| Writer {
            lease,
            identity: identity(),
            pools: watched.pools.clone(),
        });
        let work = move |stopped: Stopped| async move {
            let (stop, is_stopped) = oneshot::channel();
            let seen = desires.subscribe();
            let writing = writer.map(|writer| spawn(write_status(client.clone(), writer, seen, is_stopped)));
            tokio::select! {
                () = kube::watch(client, watched, desires) => {}
                _ = stopped => {}
            }
            drop(stop);
            // It frees its Lease, so that another router need not wait until that has run out.
            if let Some(writing) = writing
                && timeout(FAREWELL, writing).await.is_err()
            {
                tracing::warn!("the Lease of the status writer was not freed in time: it runs out by itself");
            }
        };
        Ok((Self { _thread: OwnThread::start("kube", runtime, work)? }, desired))
    }
}
