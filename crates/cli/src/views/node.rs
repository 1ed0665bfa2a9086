//! What the agent of one node knows: `agents --agent ADDR`, and its cards: `gpus --agent ADDR`.

use serde::Serialize;
use warmlane_api::admin::{Card, Node, NodeEngine, Source};

use super::{
    View,
    gpus::{busy, degrees, memory, verdict, watts},
    hang,
};
use crate::{
    clean::clean,
    screen::{Screen, Tone},
    table::{Cell, Column, Table, column},
    units,
};

const ENGINES: [Column; 9] = [
    column("ENGINE", 0).long(21),
    column("ANSWERS", 1).long(12),
    column("SCORE", 2).right(),
    column("QUEUE", 1).right(),
    column("RUNNING", 2).right(),
    column("KV CACHE", 1),
    column("GPUS", 3).long(12),
    column("KV BLOCKS", 4).right(),
    column("POD", 3).long(12),
];

const CARDS: [Column; 12] = [
    column("GPU", 0).right(),
    column("NAME", 2).long(10),
    column("VERDICT", 0).long(16),
    column("TEMP", 1).right(),
    column("BUSY", 1).right(),
    column("MEMORY", 2).right(),
    column("POWER", 2).right(),
    column("READ", 3).right(),
    column("PODS", 3).long(12),
    column("UUID", 4).long(12),
    column("ECC LOST", 5).right().wide(),
    column("CLOCK", 5).right().wide(),
];

/// The cards of a node.
#[derive(Clone, Debug, Serialize)]
pub struct Cards {
    node: String,
    nvml: Source,
    gpus: Vec<Card>,
}

impl View for Node {
    fn draw(&self, screen: Screen, wide: bool) -> String {
        let fact = |label: &str, text: &str| hang(screen, label, Tone::Plain, &clean(text));
        let about =
            format!("{}, version {}, up {}", self.node, self.version, units::seconds(self.uptime_seconds));
        let mut text = fact("node      ", &about);
        text += &source(screen, "nvml      ", &self.nvml);
        text += &source(screen, "kubelet   ", &self.kubelet);
        if let Some(cluster) = &self.cluster {
            text += &source(screen, "cluster   ", cluster);
        }
        for router in &self.routers {
            text +=
                &fact("router    ", &format!("{}, for {}", router.router, units::seconds(router.seconds)));
        }
        if self.routers.is_empty() {
            text += &fact("router    ", "none follows: does one have its address, and a way to it?");
        }
        if self.left_out > 0 {
            let left_out = format!("{} engines are not read, there are too many", self.left_out);
            text += &hang(screen, "wrong     ", Tone::Bad, &left_out);
        }
        if self.engines.is_empty() {
            return text + &fact("engines   ", "none");
        }
        text + "\n" + &Table::new(&ENGINES).with(self.engines.iter().map(engine)).draw(screen, wide)
    }
}

/// Whether it tells, and what stands in its way.
fn source(screen: Screen, label: &str, source: &Source) -> String {
    let (tone, state) = match source.works {
        Some(true) => (Tone::Good, "works"),
        Some(false) => (Tone::Warn, "does not tell"),
        None => (Tone::Plain, "has not answered yet"),
    };
    let about = source.about.iter().map(|about| format!(" ({about})"));
    let troubles = source.troubles.iter().map(|trouble| format!(": {trouble}"));
    let text: String = [state.to_owned()].into_iter().chain(about).chain(troubles).collect();
    hang(screen, label, tone, &clean(&text))
}

fn engine(engine: &NodeEngine) -> Vec<Cell> {
    let signals = &engine.signals;
    let number = |reading: Option<f32>| Cell::maybe(reading.map(units::number));
    let answers = match &engine.trouble {
        Some(trouble) => Cell::new(format!("no: {trouble}")).toned(Tone::Bad),
        None if engine.contact == "answers" => Cell::new("yes").toned(Tone::Good),
        None => Cell::new(&engine.contact).toned(Tone::Warn),
    };
    vec![
        Cell::new(&engine.address),
        answers,
        Cell::new(format!("{:.2}", engine.score)),
        number(signals.queue.map(|reading| reading.value)),
        number(signals.running.map(|reading| reading.value)),
        Cell::maybe(signals.kv_use.map(|reading| units::bar(reading.value))),
        Cell::list(&engine.gpus),
        Cell::maybe(engine.kv.map(|kv| units::count(kv.blocks) + if kv.whole { "" } else { "+" })),
        Cell::maybe(engine.pod.as_deref()),
    ]
}

// === Cards ===

impl Cards {
    /// Of this node.
    pub fn new(node: Node) -> Self {
        Self { node: node.node, nvml: node.nvml, gpus: node.gpus }
    }
}

impl View for Cards {
    fn draw(&self, screen: Screen, wide: bool) -> String {
        if self.gpus.is_empty() {
            return source(screen, "nvml      ", &self.nvml);
        }
        Table::new(&CARDS).with(self.gpus.iter().map(card)).draw(screen, wide)
    }
}

fn card(card: &Card) -> Vec<Cell> {
    let number = match card.slice {
        Some(slice) => format!("{}/{slice}", card.index),
        None => card.index.to_string(),
    };
    vec![
        Cell::new(number),
        Cell::new(&card.gpu.name),
        verdict(&card.gpu.verdict),
        degrees(&card.gpu),
        busy(&card.gpu),
        memory(&card.gpu),
        watts(&card.gpu),
        Cell::maybe(card.read_ms_ago.map(units::millis)),
        Cell::list(&card.pods),
        Cell::new(&card.gpu.uuid),
        Cell::maybe(card.ecc_uncorrected.map(units::count)),
        Cell::maybe(card.sm_clock_mhz.map(|clock| format!("{clock} MHz"))),
    ]
}
