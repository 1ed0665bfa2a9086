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
    tls: bool,
    /// `null`: nothing has come yet.
    heard_ms_ago: Option<u64>,
    generation: String,
    sequence: u64,
    updates: u64,
    losses: u64,
    endpoints: Vec<String>,
    ignored: usize,
    /// Of the engines whose KV events it follows.
    kv: Vec<Kv>,
    gpus: Vec<Gpu>,
    trouble: Option<String>,
}

/// What one engine says it holds.
#[derive(Serialize)]
struct Kv {
    endpoint: String,
    blocks: u64,
    /// All that it holds is known.
    whole: bool,
    /// Its blocks are as long as most engines', so that prompts are looked for in them.
    counts: bool,
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
        kv: kv(world, &agent.endpoints),
        gpus: agent.gpus.into_iter().map(Gpu::from).collect(),
        address: agent.address,
        node: agent.node,
        connected: agent.connected,
        tls: agent.tls,
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

fn kv(world: &World, endpoints: &[String]) -> Vec<Kv> {
    let (snapshot, tellers) = (world.snapshot.load(), world.blocks.tellers());
    let of = |address: &String| {
        let slot = snapshot.endpoints().iter().find(|endpoint| *endpoint.address == **address)?.slot;
        let (whole, partly) =
            (tellers.wholly.contains(slot.0.into()), tellers.partly.contains(slot.0.into()));
        let blocks = world.blocks.count(slot);
        (whole || partly || blocks > 0).then(|| Kv {
            endpoint: address.clone(),
            blocks,
            whole,
            counts: whole || partly,
        })
    };
    endpoints.iter().filter_map(of).collect()
}

// === Gpu ===

impl From<crate::agents::Gpu> for Gpu {
    fn from(gpu: crate::agents::Gpu) -> Self {
        Self { uuid: gpu.uuid, name: gpu.name, verdict: gpu.verdict }
    }
}
