//! `gpus`: every card that an agent tells of, the ill ones first.

use serde::Serialize;
use warmlane_api::admin::Agents;

use super::View;
use crate::{
    screen::{Screen, Tone},
    table::{Cell, Column, Table, column},
};

const COLUMNS: [Column; 4] = [
    column("NODE", 1).long(10),
    column("GPU", 2).long(10),
    column("VERDICT", 0).long(16),
    column("UUID", 1).long(12),
];

/// See the module's header.
#[derive(Clone, Debug, Serialize)]
pub struct Gpus {
    gpus: Vec<Gpu>,
    /// Agents that are followed: without them no GPU is known.
    agents: usize,
}

#[derive(Clone, Debug, Serialize)]
struct Gpu {
    node: String,
    uuid: String,
    name: String,
    verdict: String,
}

// === Gpus ===

impl Gpus {
    /// Of all nodes.
    pub fn new(page: Agents) -> Self {
        let agents = page.agents.len();
        let of = |(node, gpu): (String, warmlane_api::admin::Gpu)| Gpu {
            node,
            uuid: gpu.uuid,
            name: gpu.name,
            verdict: gpu.verdict,
        };
        let all = page.agents.into_iter().flat_map(|agent| {
            let node = agent.node;
            agent.gpus.into_iter().map(move |gpu| (node.clone(), gpu))
        });
        let mut gpus: Vec<Gpu> = all.map(of).collect();
        gpus.sort_by(|a, b| (a.is_healthy(), &a.node).cmp(&(b.is_healthy(), &b.node)));
        Self { gpus, agents }
    }
}

impl View for Gpus {
    fn draw(&self, screen: Screen, wide: bool) -> String {
        match (self.gpus.len(), self.agents) {
            (0, 0) => "no GPU is known: agents watch them, and this router follows none (docs/AGENT.md)\n"
                .to_owned(),
            (0, _) => "no GPU is known: no agent has told of one; its log says whether it can load NVML\n"
                .to_owned(),
            _ => Table::new(&COLUMNS).with(self.gpus.iter().map(Gpu::row)).draw(screen, wide),
        }
    }
}

// === Gpu ===

impl Gpu {
    fn is_healthy(&self) -> bool {
        self.verdict == "healthy"
    }

    fn row(&self) -> Vec<Cell> {
        let tone = match self.verdict.split(':').next() {
            Some("healthy") => Tone::Good,
            Some("degraded") => Tone::Warn,
            _ => Tone::Bad,
        };
        vec![
            if self.node.is_empty() { Cell::none() } else { Cell::new(&self.node) },
            Cell::new(&self.name),
            Cell::new(&self.verdict).toned(tone),
            Cell::new(&self.uuid),
        ]
    }
}
