//! `/debug/endpoints`: every replica with what is known of it and how old that is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Endpoints {
    /// Each, in the order in which the router numbers them.
    pub endpoints: Vec<Endpoint>,
}

/// A replica.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Endpoint {
    /// `host:port`, as headers and logs call it.
    pub address: String,
    /// It answers, and gets requests.
    pub ready: bool,
    /// Requests that this router has under way there.
    pub in_flight: u32,
    /// What its engine says.
    pub signals: Signals,
    /// `healthy`, or `degraded: ` or `failed: ` and why.
    pub health: String,
    /// The number that the router has for it.
    pub slot: u16,
    /// Where the router connects.
    pub socket: String,
    /// It runs on the router's own node.
    pub local: bool,
    /// Requests that this router has sent there since it started.
    pub requests: u64,
    /// Room of its KV cache.
    pub kv_capacity_tokens: Option<u64>,
    /// What it serves; `None`: it has not said, or its word is too old.
    pub models: Option<Vec<String>>,
    /// The node that it runs on, where the cluster or an agent says so.
    #[serde(default)]
    pub node: Option<String>,
    /// Pools that it is in.
    #[serde(default)]
    pub pools: Vec<String>,
}

/// What an engine says of its load. `None`: it never said so.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Signals {
    /// Requests waiting for its scheduler.
    pub queue: Option<Aged<f32>>,
    /// Requests in its running batch.
    pub running: Option<Aged<f32>>,
    /// Share of the KV cache in use, 0..=1.
    pub kv_use: Option<Aged<f32>>,
    /// `false` while it sleeps.
    pub awake: Option<Aged<bool>>,
    /// Its adapters.
    pub lora: Option<Aged<Lora>>,
}

/// A value that was true so long ago.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Aged<T> {
    /// As the engine stated it.
    pub value: T,
    /// Since it was asked for.
    pub age_ms: u64,
}

/// Adapters of an engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Lora {
    /// Those that running requests use.
    pub active: Vec<String>,
    /// Those that waiting requests ask for.
    pub waiting: Vec<String>,
    /// Most that can be active at once.
    pub max: u32,
}

// === Aged ===

impl<T> Aged<T> {
    /// A value of this age.
    pub fn new(value: T, age: Duration) -> Self {
        Self { value, age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX) }
    }
}
