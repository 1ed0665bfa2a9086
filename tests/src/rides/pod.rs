//! The pod: an engine on a thread of its own, here or in a network namespace beside ours.

use std::{
    fmt::{self, Display, Formatter},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::mpsc,
    thread::{self, JoinHandle},
};

use anyhow::Context as _;
use rustix::{process::Pid, thread::gettid};
use tokio::sync::oneshot;

use crate::{namespace::Beside, proxy::engine::Engines};

/// Where a pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Place {
    /// In the router's network
    Loopback,
    /// In a network namespace of its own, behind a pair of veth devices
    Veth,
    /// The same, and the router sees only its own cgroup, as if the pod were on another node
    Remote,
}

/// A running pod. Dropped, it ends, and then its namespace.
pub(super) struct Pod {
    pub(super) address: SocketAddr,
    pub(super) thread: Pid,
    pub(super) place: Place,
    stop: Option<oneshot::Sender<()>>,
    work: Option<JoinHandle<()>>,
    /// Goes last.
    _beside: Option<Beside>,
}

type Up = anyhow::Result<(SocketAddr, Pid)>;

// === Place ===

impl Place {
    pub(super) const ALL: [Self; 3] = [Self::Loopback, Self::Veth, Self::Remote];

    fn address(self) -> IpAddr {
        match self {
            Self::Loopback => Ipv4Addr::LOCALHOST.into(),
            Self::Veth | Self::Remote => Beside::ADDRESS.into(),
        }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "loopback",
            Self::Veth => "veth",
            Self::Remote => "remote",
        })
    }
}

// === Pod ===

impl Pod {
    /// Starts one on this thread's core.
    pub(super) fn start(place: Place) -> anyhow::Result<Self> {
        let beside = (place != Place::Loopback).then(Beside::new);
        let (told, up) = mpsc::channel::<Up>();
        let (stop, stopped) = oneshot::channel();
        let work = thread::scope(|scope| {
            // Entered in a thread that ends with it: its children are in the namespace as well.
            let start = || {
                beside.iter().for_each(Beside::enter);
                thread::Builder::new()
                    .name("pod".to_owned())
                    .spawn(move || serve(place.address(), &told, stopped))
            };
            scope.spawn(start).join().map_err(|_| anyhow::anyhow!("the pod's namespace cannot be entered"))
        })??;
        let (address, thread) = up.recv().context("the pod's thread ended")??;
        Ok(Self { address, thread, place, stop: Some(stop), work: Some(work), _beside: beside })
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(work) = self.work.take() {
            // A panic has been printed.
            let _ = work.join();
        }
    }
}

/// Serves until the other end of `stopped` is dropped.
fn serve(address: IpAddr, told: &mpsc::Sender<Up>, stopped: oneshot::Receiver<()>) {
    let serving = async {
        let engines = Engines::at(address, 1).await?;
        // Nobody waits for it where the starter is gone.
        let _ = told.send(Ok((engines.addresses[0], gettid())));
        let _ = stopped.await;
        anyhow::Ok(())
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| tokio::task::LocalSet::new().block_on(&runtime, serving));
    if let Err(error) = served {
        let _ = told.send(Err(error.context("the pod cannot serve")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_serves_until_it_is_dropped() {
        let pod = Pod::start(Place::Loopback).unwrap();
        let mut wire = crate::Wire::connect(pod.address);
        assert!(wire.get("/v1/models").text().contains("\"id\":\"m\""));
        let address = pod.address;
        drop(pod);
        assert!(std::net::TcpStream::connect(address).is_err());
    }
}
