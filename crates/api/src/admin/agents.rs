//! `/debug/agents`: every agent that the router follows, with what it tells of and how long ago that was.

use serde::{Deserialize, Serialize};

use crate::node;

/// The page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Agents {
    /// Each.
    pub agents: Vec<Agent>,
}

/// An agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Agent {
    /// `host:port`, as the router dials it.
    pub address: String,
    /// The name of its node; empty before it has said so.
    pub node: String,
    /// Its stream is open and it has told everything.
    pub connected: bool,
    /// It is spoken to by TLS.
    pub tls: bool,
    /// Since something came; `None`: nothing has come yet.
    pub heard_ms_ago: Option<u64>,
    /// Of its process: 16 hexadecimal digits, more than a JSON number is sure to keep.
    pub generation: String,
    /// The last update of the stream.
    pub sequence: u64,
    /// Updates taken since the router started.
    pub updates: u64,
    /// Streams that ended since then.
    pub losses: u64,
    /// Endpoints that it tells of, by address.
    pub endpoints: Vec<String>,
    /// Of those, how many this router does not route to.
    pub ignored: usize,
    /// Of the engines whose KV events it follows.
    pub kv: Vec<Kv>,
    /// GPUs of its node.
    pub gpus: Vec<Gpu>,
    /// Why there is no stream.
    pub trouble: Option<String>,
}

/// What one engine says it holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Kv {
    /// Its address.
    pub endpoint: String,
    /// How many.
    pub blocks: u64,
    /// All that it holds is known.
    pub whole: bool,
    /// Its blocks are as long as most engines', so that prompts are looked for in them.
    pub counts: bool,
}

/// A GPU, as its agent tells of it to routers. What cards or drivers do not tell is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Gpu {
    /// Of the device or MIG slice.
    pub uuid: String,
    /// Product.
    pub name: String,
    /// `healthy`, or `degraded: ` or `failed: ` and why.
    pub verdict: String,
    /// Share of time in which a kernel ran, 0..=1.
    pub utilisation: Option<f32>,
    /// Of the chip.
    pub temperature_celsius: Option<f32>,
    /// Where the hardware slows itself down.
    pub slowdown_celsius: Option<f32>,
    /// All there is.
    pub memory_total_bytes: Option<u64>,
    /// Taken.
    pub memory_used_bytes: Option<u64>,
    /// Drawn.
    pub power_watts: Option<f32>,
    /// What it may draw.
    pub power_limit_watts: Option<f32>,
}

// === Gpu ===

impl Gpu {
    /// One that an agent tells of; what speaks against it is for whoever shows it to word.
    pub fn of(told: node::Gpu, verdict: String) -> Self {
        Self {
            uuid: told.uuid,
            name: told.name,
            verdict,
            utilisation: told.utilisation,
            temperature_celsius: told.temperature,
            slowdown_celsius: told.slowdown_temperature,
            memory_total_bytes: told.memory_total,
            memory_used_bytes: told.memory_used,
            power_watts: told.power_watts,
            power_limit_watts: told.power_limit_watts,
        }
    }
}
