//! What a Kubernetes cluster says of pools, models and pods, watched and resolved into what the router is to serve.
//!
//! Watches fill a store of reduced objects, one table per resource. Whatever changes there is resolved as a whole, by a pure
//! function, into a [`Desired`] that replaces the one before. The API server may be away for as long as it likes: the store
//! stays as it is, and a table is swapped when its resource has been listed to the end, so that nothing is missing meanwhile and
//! nothing that was deleted in the dark remains.
//!
//! The only place of the router that names the `kube` crates. What becomes of a [`Desired`] is the business of others.

mod client;
mod desired;
mod discovery;
mod election;
mod error;
mod feed;
mod keeper;
mod objects;
mod pace;
mod resolve;
mod status;
mod watching;

pub use ::kube::Client;
pub use client::connect;
pub use desired::{
    Acceptance, Accepted, Agent, Desired, ObjectName, Pool, PoolName, Replica, ReplicaState, Rewrite,
};
pub use error::KubeError;
pub use objects::{
    Body, Choice, Condition, Declared, Kind, Member, Meta, Object, Objects, Pod, Slice, reduce,
};
pub use resolve::resolve;
pub use status::{Writer, write_status};
pub use warmlane_api::kube::{FailureMode, Picker};
pub use watching::{Watched, watch};
