//! What is known of the agents: read when a page is asked for.

use std::{fmt, sync::Arc};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::{page::Page, seconds};
use crate::world::World;

/// See the module's header.
pub(super) struct Agents(Arc<World>);

// === Agents ===

impl Agents {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self(world)
    }
}

impl fmt::Debug for Agents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agents").finish_non_exhaustive()
    }
}

impl Collector for Agents {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (agents, now) = (self.0.agents.each(), self.0.now());
        let mut page = Page(encoder);
        let label = |address: &str| [("agent", address.to_owned())];
        let connected =
            agents.iter().map(|agent| (label(&agent.address), f64::from(u8::from(agent.connected))));
        page.gauges("node_connected", "1 while the agent's stream is open", connected)?;
        let silence = agents.iter().filter_map(|agent| {
            agent.heard.map(|at| (label(&agent.address), seconds(now.saturating_sub(at))))
        });
        page.gauges("node_silence_seconds", "Time since something came from the agent", silence)?;
        let updates = agents.iter().map(|agent| (label(&agent.address), agent.updates));
        page.counters("node_updates", "Updates taken from the agent", updates)?;
        let losses = agents.iter().map(|agent| (label(&agent.address), agent.losses));
        page.counters("node_losses", "Streams of the agent that ended", losses)
    }
}
