//! `gpus`: every card that an agent tells of, the ill ones first.

use serde::Serialize;
use warmlane_api::admin::{self, Agents};

use super::View;
use crate::{
    screen::{Screen, Tone},
    table::{Cell, Column, Table, column},
    units,
};

/// So near to where the hardware slows itself down, a card is shown as hot.
const HOT: f32 = 5.0;

const COLUMNS: [Column; 8] = [
    column("NODE", 1).long(10),
    column("GPU", 2).long(10),
    column("VERDICT", 0).long(16),
    column("TEMP", 1).right(),
    column("BUSY", 1).right(),
    column("MEMORY", 2).right(),
    column("POWER", 2).right(),
    column("UUID", 3).long(12),
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
    #[serde(flatten)]
    gpu: admin::Gpu,
}

// === Gpus ===

impl Gpus {
    /// Of all nodes.
    pub fn new(page: Agents) -> Self {
        let agents = page.agents.len();
        let all = page.agents.into_iter().flat_map(|agent| {
            let node = agent.node;
            agent.gpus.into_iter().map(move |gpu| Gpu { node: node.clone(), gpu })
        });
        let mut gpus: Vec<Gpu> = all.collect();
        gpus.sort_by(|a, b| (a.is_healthy(), &a.node).cmp(&(b.is_healthy(), &b.node)));
        Self { gpus, agents }
    }
}

impl View for Gpus {
    fn draw(&self, screen: Screen, wide: bool) -> String {
        match (self.gpus.len(), self.agents) {
            (0, 0) => "no GPU is known: agents watch them, and this router follows none (docs/AGENT.md)\n"
                .to_owned(),
            (0, _) => "no GPU is known: no agent has told of one; `warmlane --agent ADDR gpus` says why\n"
                .to_owned(),
            _ => Table::new(&COLUMNS).with(self.gpus.iter().map(Gpu::row)).draw(screen, wide),
        }
    }
}

// === Gpu ===

impl Gpu {
    fn is_healthy(&self) -> bool {
        self.gpu.verdict == "healthy"
    }

    fn row(&self) -> Vec<Cell> {
        let gpu = &self.gpu;
        vec![
            if self.node.is_empty() { Cell::none() } else { Cell::new(&self.node) },
            Cell::new(&gpu.name),
            verdict(&gpu.verdict),
            degrees(gpu),
            busy(gpu),
            memory(gpu),
            watts(gpu),
            Cell::new(&gpu.uuid),
        ]
    }
}

pub(crate) fn verdict(verdict: &str) -> Cell {
    Cell::new(verdict).toned(match verdict.split(':').next() {
        Some("healthy") => Tone::Good,
        Some("degraded") => Tone::Warn,
        _ => Tone::Bad,
    })
}

pub(crate) fn degrees(gpu: &admin::Gpu) -> Cell {
    let cell = Cell::maybe(gpu.temperature_celsius.map(|degrees| format!("{degrees:.0} C")));
    let hot = gpu.temperature_celsius.zip(gpu.slowdown_celsius).is_some_and(|(now, limit)| now > limit - HOT);
    if hot { cell.toned(Tone::Warn) } else { cell }
}

pub(crate) fn busy(gpu: &admin::Gpu) -> Cell {
    Cell::maybe(gpu.utilisation.map(units::percent))
}

pub(crate) fn memory(gpu: &admin::Gpu) -> Cell {
    let of = |(used, all): (u64, u64)| format!("{} of {}", units::bytes(used), units::bytes(all));
    Cell::maybe(gpu.memory_used_bytes.zip(gpu.memory_total_bytes).map(of))
}

pub(crate) fn watts(gpu: &admin::Gpu) -> Cell {
    let limit = |power: String| match gpu.power_limit_watts {
        Some(limit) => format!("{power} of {limit:.0} W"),
        None => power + " W",
    };
    Cell::maybe(gpu.power_watts.map(|power| format!("{power:.0}")).map(limit))
}
