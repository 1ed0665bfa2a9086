//! What a Kubernetes cluster says of inference pools and their pods, watched.
//!
//! ```text
//!   API server --> feed, one for each source --> keeper: the store --> resolve (the caller's) --> watch channel
//!        ^           |  asks which resources there are
//!        +------ discovery
//! ```
//!
//! Watches fill a store of reduced objects, one table per resource. Whatever changes there is resolved as a whole, by a pure
//! function of the caller, into a value that replaces the one before. The API server may be away for as long as it likes: the
//! store stays as it is, and a table is swapped when its resource has been listed to the end, so that nothing is missing
//! meanwhile and nothing that was deleted in the dark remains.

mod client;
mod discovery;
mod error;
mod feed;
mod keeper;
mod members;
mod name;
mod objects;
mod pace;
mod watching;

pub use client::connect;
pub use error::{KubeError, Source, Trouble};
pub use kube::Client;
pub use members::{Members, Replica, ReplicaState};
pub use name::{ObjectName, PoolName, listed};
pub use objects::{
    Body, Choice, Condition, Declared, Kind, KvPorts, Member, Meta, Object, Objects, Pod, Slice, reduce,
};
pub use watching::{Resolved, SourceState, Wanted, watch};
