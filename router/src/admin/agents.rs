//! `/debug/agents`: every agent with what it tells of and how long ago that was.

use warmlane_api::admin;

use crate::{agents::Agent, world::World};

/// The page.
pub(super) fn page(world: &World) -> admin::Agents {
    let now = world.now();
    let row = |agent: Agent| admin::Agent {
        heard_ms_ago: agent.heard.map(|at| now.saturating_sub(at).as_millis() as u64),
        generation: format!("{:016x}", agent.generation),
        kv: kv(world, &agent.endpoints),
        gpus: agent.gpus,
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
    admin::Agents { agents: world.agents.each().into_iter().map(row).collect() }
}

fn kv(world: &World, endpoints: &[String]) -> Vec<admin::Kv> {
    let (roster, tellers) = (world.roster.borrow().clone(), world.blocks.tellers());
    let of = |address: &String| {
        let slot = roster.slot(address)?;
        let (whole, partly) =
            (tellers.wholly.contains(slot.0.into()), tellers.partly.contains(slot.0.into()));
        let blocks = world.blocks.count(slot);
        (whole || partly || blocks > 0).then(|| admin::Kv {
            endpoint: address.clone(),
            blocks,
            whole,
            counts: whole || partly,
        })
    };
    endpoints.iter().filter_map(of).collect()
}
