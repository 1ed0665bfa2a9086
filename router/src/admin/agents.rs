//! `/debug/agents`: every agent with what it tells of and how long ago that was.

use serde::Serialize;

use crate::{agents::Agent, world::World};

#[derive(Serialize)]
struct Page {
    agents: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    address: String,
    node: String,
    connected: bool,
    /// `null`: nothing has come yet.
    heard_ms_ago: Option<u64>,
    generation: String,
    sequence: u64,
    updates: u64,
    losses: u64,
    endpoints: Vec<String>,
    ignored: usize,
    gpus: Vec<Gpu>,
    trouble: Option<String>,
}

#[derive(Serialize)]
struct Gpu {
    uuid: String,
    name: String,
    verdict: String,
}

/// The page.
pub(super) fn show(world: &World) -> String {
    let now = world.now();
    let row = |agent: Agent| Row {
        heard_ms_ago: agent.heard.map(|at| now.saturating_sub(at).as_millis() as u64),
        // More digits than a JSON number is sure to keep.
        generation: format!("{:016x}", agent.generation),
        gpus: agent.gpus.into_iter().map(Gpu::from).collect(),
        address: agent.address,
        node: agent.node,
        connected: agent.connected,
        sequence: agent.sequence,
        updates: agent.updates,
        losses: agent.losses,
        endpoints: agent.endpoints,
        ignored: agent.ignored,
        trouble: agent.trouble,
    };
    let page = Page { agents: world.agents.each().into_iter().map(row).collect() };
    // Strings and numbers always serialise; the fallback only keeps this function total.
    serde_json::to_string(&page).unwrap_or_default() + "\n"
}

// === Gpu ===

impl From<crate::agents::Gpu> for Gpu {
    fn from(gpu: crate::agents::Gpu) -> Self {
        Self { uuid: gpu.uuid, name: gpu.name, verdict: gpu.verdict }
    }
}
