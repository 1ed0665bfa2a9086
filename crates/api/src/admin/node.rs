//! `/debug/node` of an agent: what it knows of its node, from whom it knows it, and who follows it.

use serde::{Deserialize, Serialize};

use super::{Gpu, Signals};

/// The page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Node {
    /// Of the program.
    pub version: String,
    /// The node's name.
    pub node: String,
    /// Since the agent started.
    pub uptime_seconds: f64,
    /// Engines that are read.
    pub engines: Vec<NodeEngine>,
    /// Engines that are not, because there are too many.
    pub left_out: usize,
    /// Cards and MIG slices.
    pub gpus: Vec<Card>,
    /// Routers that follow.
    pub routers: Vec<Follower>,
    /// The library that tells of GPUs.
    pub nvml: Source,
    /// Who tells which pod has which GPU.
    pub kubelet: Source,
    /// The cluster that is asked for engines; `None`: they are named by flags.
    pub cluster: Option<Source>,
}

/// An engine of the node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NodeEngine {
    /// `host:port`.
    pub address: String,
    /// `namespace/name`, where that is known.
    pub pod: Option<String>,
    /// How it was found last: `untried`, `answers`, `alive` (without telling its load) or `unreachable`.
    pub contact: String,
    /// Why it is unreachable.
    pub trouble: Option<String>,
    /// What it says of its load.
    pub signals: Signals,
    /// Room of its KV cache.
    pub kv_capacity_tokens: Option<u64>,
    /// From 0, avoid it, to 1, idle and well.
    pub score: f32,
    /// UUIDs of the GPUs that it runs on, as far as is known.
    pub gpus: Vec<String>,
    /// The worst verdict on them; `None`: nothing is known.
    pub verdict: Option<String>,
    /// What it holds, where its KV events are followed.
    pub kv: Option<Held>,
}

/// What an engine holds in its KV cache, as its events add up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Held {
    /// How many.
    pub blocks: u64,
    /// All that it holds is known.
    pub whole: bool,
}

/// A GPU or a MIG slice of one. Of a slice only name, UUID and memory are its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Card {
    /// As routers are told.
    #[serde(flatten)]
    pub gpu: Gpu,
    /// Since it was read; `None`: it never answered.
    pub read_ms_ago: Option<u64>,
    /// NVML's number of the card.
    pub index: u32,
    /// A slice's place on its card.
    pub slice: Option<u32>,
    /// UUID of a slice's card.
    pub parent: Option<String>,
    /// Why the hardware slows itself down, while it does.
    pub slowdown: Option<String>,
    /// Of the multiprocessors.
    pub sm_clock_mhz: Option<u32>,
    /// Of the memory.
    pub memory_clock_mhz: Option<u32>,
    /// Memory errors put right since the driver was loaded.
    pub ecc_corrected: Option<u64>,
    /// Those by which data was lost.
    pub ecc_uncorrected: Option<u64>,
    /// A bad row of memory waits for a reset to be replaced.
    pub remap_pending: Option<bool>,
    /// One could not be replaced.
    pub remap_failed: Option<bool>,
    /// Packets that the bus sent again.
    pub pcie_replays: Option<u32>,
    /// Pods that have it, `namespace/name`.
    pub pods: Vec<String>,
}

/// A router that follows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Follower {
    /// As it calls itself.
    pub router: String,
    /// For so long.
    pub seconds: f64,
}

/// Somebody whom the agent asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Source {
    /// It tells; `None`: it has not answered yet.
    pub works: Option<bool>,
    /// What it is: a driver's version, or how it is meant not to be asked.
    pub about: Option<String>,
    /// Why it tells nothing, or not everything.
    pub troubles: Vec<String>,
}
