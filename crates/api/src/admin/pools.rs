//! `/debug/pools`: every pool with its rules and what there is of it, and what is wrong with the cluster's objects.

use serde::{Deserialize, Serialize};

/// The page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Pools {
    /// The first one serves what names no model.
    pub pools: Vec<Pool>,
    /// `None`: the settings name the replicas, and no cluster is watched.
    pub cluster: Option<Cluster>,
}

/// A pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Pool {
    /// `namespace/name`, or `endpoints` without a cluster.
    pub name: String,
    /// Whether the cluster has it; `None` without a cluster.
    pub found: Option<bool>,
    /// How its replicas are weighed.
    pub strategy: String,
    /// In all.
    pub replicas: usize,
    /// Of those, how many get requests.
    pub ready: usize,
    /// Names that its replicas list.
    pub serves: Vec<String>,
    /// Rules for names that clients use.
    pub models: Vec<Model>,
}

/// A rule for a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Model {
    /// As clients call it.
    pub name: String,
    /// How much its requests matter.
    pub criticality: String,
    /// What is asked of replicas instead.
    pub targets: Vec<Target>,
}

/// A name that is asked of replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Target {
    /// As replicas call it.
    pub name: String,
    /// Its share, beside those of the others.
    pub weight: u32,
}

/// What a cluster says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Cluster {
    /// What is wrong, and what to do.
    pub troubles: Vec<String>,
    /// Addresses of the agents that it tells of.
    pub agents: Vec<String>,
    /// InferenceModels that are not served.
    pub refused: Vec<Refused>,
}

/// An InferenceModel that is not served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Refused {
    /// `namespace/name`.
    pub model: String,
    /// As its status says.
    pub reason: String,
    /// The same at length.
    pub message: String,
}
