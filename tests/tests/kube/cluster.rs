//! The router's watching on a thread of its own, and what it has found.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use tokio::{
    runtime::Builder,
    sync::{oneshot, watch},
};
use warmlane_router::kube::{self, Desired, ObjectName, Watched};
use warmlane_tests::{eventually, kube::FakeApi};

/// An API server and a router that watches it.
pub(crate) struct Cluster {
    pub(crate) api: FakeApi,
    desired: watch::Receiver<Arc<Desired>>,
    last: Mutex<Arc<Desired>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

// === Cluster ===

impl Cluster {
    /// Watches for these pools of the namespace `default`.
    pub(crate) fn watching(api: FakeApi, pools: &[&str]) -> Self {
        let cluster = Self::late(api, pools);
        eventually("something is known", || !cluster.now().pools.is_empty());
        cluster
    }

    /// The same, where the API server does not answer yet.
    pub(crate) fn late(api: FakeApi, pools: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let kubeconfig = folder.path().join("kubeconfig");
        api.write_kubeconfig(&kubeconfig).expect("kubeconfig");
        let watched = Watched {
            pools: pools.iter().map(|name| ObjectName::new("default", *name)).collect(),
            agents: Some(ObjectName::new("warmlane-system", "warmlane-agent")),
        };
        let (sender, desired) = watch::channel(Arc::default());
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            run(&kubeconfig, watched, sender, stopped);
            drop(folder);
        });
        Self { api, desired, last: Mutex::default(), stop: Some(stop), thread: Some(thread) }
    }

    /// What is wanted now.
    pub(crate) fn now(&self) -> Arc<Desired> {
        self.desired.borrow().clone()
    }

    /// Waits until what is wanted is like this.
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&Desired) -> bool) -> Arc<Desired> {
        eventually(what, || {
            let now = self.now();
            let is_so = holds(&now);
            *self.last.lock().expect("one thread") = now;
            is_so
        });
        self.now()
    }

    /// Waits until the pools have exactly these addresses, by pool and pod.
    pub(crate) fn until_addresses(&self, addresses: &[&str]) -> Arc<Desired> {
        self.until(&format!("the addresses are {addresses:?}"), |desired| found(desired) == addresses)
    }

    /// Waits until somebody is told this.
    pub(crate) fn until_told(&self, part: &str) -> Arc<Desired> {
        self.until(&format!("it is told: {part}"), |desired| {
            desired.troubles.iter().any(|t| t.contains(part))
        })
    }

    /// Waits until nothing is wrong.
    pub(crate) fn until_well(&self) -> Arc<Desired> {
        self.until("nothing is wrong", |desired| !desired.pools.is_empty() && desired.troubles.is_empty())
    }

    /// Waits until every resource is watched.
    pub(crate) fn until_watched(&self, watches: usize) {
        eventually("all is watched", || self.api.watches() == watches);
    }
}

/// All addresses, by pool and pod.
pub(crate) fn found(desired: &Desired) -> Vec<&str> {
    desired.pools.iter().flat_map(|pool| &pool.replicas).map(|replica| replica.address.as_str()).collect()
}

fn run(
    kubeconfig: &Path,
    watched: Watched,
    desired: watch::Sender<Arc<Desired>>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let client = kube::connect(Some(kubeconfig)).await.expect("client");
        tokio::select! {
            () = kube::watch(client, watched, desired) => {}
            _ = stopped => {}
        }
    });
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("last: {:#?}", self.last.lock().map(|last| last.clone()));
        }
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It panicked: the test has failed by what is missing.
            let _ = thread.join();
        }
    }
}
