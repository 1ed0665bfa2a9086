//! What the writer is told, by readers, agents and the data plane.

use std::net::SocketAddr;

use tokio::sync::oneshot;
use warmlane_engine::models::ModelList;
use warmlane_picker::{Health, Signals, Slot, Time};

use super::Failure;

/// Something learnt about an endpoint.
#[derive(Debug)]
pub enum Update {
    /// Its metrics page was read.
    Load(Box<Load>),
    /// Its list of models was read.
    Models {
        /// Which endpoint.
        slot: Slot,
        /// When the request for the list was sent.
        at: Time,
        /// The list.
        list: ModelList,
    },
    /// It answered, but said nothing of its load.
    Alive {
        /// Which endpoint.
        slot: Slot,
    },
    /// It could not be talked to.
    Unreachable {
        /// Which endpoint.
        slot: Slot,
        /// Why not.
        why: Failure,
    },
    /// A request failed there.
    Failed {
        /// Which endpoint.
        slot: Slot,
    },
    /// What an agent says of the GPUs it runs on.
    Gpu {
        /// Which endpoint.
        slot: Slot,
        /// The worst of them.
        health: Health,
    },
    /// The agent that said so is gone.
    GpuUntold {
        /// Which endpoint.
        slot: Slot,
    },
    /// It refused a request because it is shutting down.
    Terminating {
        /// Which endpoint.
        slot: Slot,
    },
    /// Its name led to this address.
    Resolved {
        /// Which endpoint.
        slot: Slot,
        /// Where to connect.
        socket: SocketAddr,
        /// The address is one of this machine's own.
        local: bool,
    },
    /// A connection to it showed where it is.
    Seen {
        /// Which endpoint.
        slot: Slot,
        /// Where the connection led.
        socket: SocketAddr,
        /// On this node.
        local: bool,
    },
    /// Somebody wants that it gets no new requests, or gets them again.
    Drain(Drain),
}

/// What somebody wants of an endpoint. It holds for as long as its pod is there.
#[derive(Debug)]
pub struct Drain {
    /// Which endpoint.
    pub slot: Slot,
    /// It gets no new requests.
    pub drained: bool,
    /// Who waits until it holds for every pick to come, and is told then whether it was otherwise before.
    pub asker: Option<oneshot::Sender<bool>>,
}

/// What a metrics page said.
#[derive(Clone, Debug)]
pub struct Load {
    /// Which endpoint.
    pub slot: Slot,
    /// Its load; readings it does not state stay as they were.
    pub signals: Signals,
    /// A count that only grows while the engine's process lives: a smaller one means that it was restarted.
    pub progress: Option<f64>,
}

// === Update ===

impl Update {
    /// Who waits until it is in the snapshot.
    pub(super) fn asker(&mut self) -> Option<oneshot::Sender<bool>> {
        if let Self::Drain(drain) = self { drain.asker.take() } else { None }
    }

    pub(super) fn slot(&self) -> Slot {
        match self {
            Self::Load(load) => load.slot,
            Self::Models { slot, .. }
            | Self::Alive { slot }
            | Self::Unreachable { slot, .. }
            | Self::Failed { slot }
            | Self::Gpu { slot, .. }
            | Self::GpuUntold { slot }
            | Self::Terminating { slot }
            | Self::Resolved { slot, .. }
            | Self::Seen { slot, .. }
            | Self::Drain(Drain { slot, .. }) => *slot,
        }
    }
}
