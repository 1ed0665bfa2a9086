//! `agents`: those that the router follows.

use warmlane_api::admin::{Agent, Agents};

use super::{
    View,
    pods::{connection, gpus},
};
use crate::{
    screen::{Screen, Tone},
    table::{Cell, Column, Table, column},
    units,
};

/// An agent speaks once a second at least.
const QUIET_MS: u64 = 5_000;

const COLUMNS: [Column; 13] = [
    column("NODE", 0).long(10),
    column("ADDRESS", 0).long(21),
    column("STREAM", 0),
    column("HEARD", 2).right(),
    column("ENDPOINTS", 3).right(),
    column("IGNORED", 4).right(),
    column("GPUS", 3).long(10),
    column("KV EVENTS", 4).right(),
    column("TLS", 5),
    column("TROUBLE", 1).long(16),
    column("UPDATES", 6).right().wide(),
    column("LOSSES", 6).right().wide(),
    column("GENERATION", 7).wide(),
];

impl View for Agents {
    fn draw(&self, screen: Screen, wide: bool) -> String {
        if self.agents.is_empty() {
            return "no agent is followed: the router reads engines by itself, and GPUs are not known (docs/AGENT.md)\n"
                .to_owned();
        }
        Table::new(&COLUMNS).with(self.agents.iter().map(row)).draw(screen, wide)
    }
}

fn row(agent: &Agent) -> Vec<Cell> {
    let heard = agent.heard_ms_ago;
    let quiet = heard.is_some_and(|ago| ago >= QUIET_MS);
    let ignored = Cell::new(agent.ignored.to_string());
    vec![
        if agent.node.is_empty() { Cell::none() } else { Cell::new(&agent.node) },
        Cell::new(&agent.address),
        connection(agent.connected),
        Cell::maybe(heard.map(units::millis)).toned(if quiet { Tone::Warn } else { Tone::Plain }),
        Cell::new(agent.endpoints.len().to_string()),
        if agent.ignored > 0 { ignored.toned(Tone::Warn) } else { ignored },
        gpus(&agent.gpus),
        Cell::new(format!("{} of {}", agent.kv.iter().filter(|kv| kv.counts).count(), agent.endpoints.len())),
        Cell::truth(agent.tls),
        Cell::maybe(agent.trouble.as_deref()).toned(Tone::Bad),
        Cell::new(units::count(agent.updates)),
        Cell::new(units::count(agent.losses)),
        Cell::new(&agent.generation),
    ]
}
