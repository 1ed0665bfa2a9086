//! What a Kubernetes cluster says of pools, models and pods, watched and resolved into what the router is to serve.
//!
//! `warmlane-kube` watches and keeps the store of objects. Whatever changes there is resolved as a whole, by a pure
//! function, into a [`Desired`] that replaces the one before.
//!
//! The only place of the router that names the `kube` crates. What becomes of a [`Desired`] is the business of others.

mod desired;
mod election;
mod resolve;
mod status;
mod watching;

pub use desired::{Acceptance, Accepted, Agent, Desired, Pool, Rewrite};
pub use resolve::resolve;
pub use status::{Writer, write_status};
pub use warmlane_api::kube::{FailureMode, Picker};
pub use warmlane_kube::{Client, KubeError, ObjectName, PoolName, Replica, ReplicaState, connect};
pub use watching::{Watched, watch};
