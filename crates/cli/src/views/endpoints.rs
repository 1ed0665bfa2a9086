//! `endpoints`: replicas with their load.

use std::cmp::Ordering;

use clap::ValueEnum;
use serde::Serialize;
use warmlane_api::admin::{self, Aged, Endpoint};

use super::View;
use crate::{
    screen::{Screen, Tone},
    table::{Cell, Column, Table, column},
    units,
};

/// Older readings are shown as such: engines are read once a second at least.
const OLD_MS: u64 = 5_000;
/// Readings of a replica that is not ready, and of which nothing came for longer, are of an engine that may be no more.
const GONE_MS: u64 = 10_000;
/// A cache that is as full as this begins to throw out what could be reused.
const FULL: f32 = 0.9;

const COLUMNS: [Column; 17] = [
    column("ADDRESS", 0).long(21),
    column("READY", 1),
    column("HEALTH", 2).long(14),
    column("QUEUE", 1).right(),
    column("RUNNING", 3).right(),
    column("KV CACHE", 1),
    column("IN FLIGHT", 4).right(),
    column("AGE", 3).right(),
    column("KV TOKENS", 6).right().wide(),
    column("REQUESTS", 5).right().wide(),
    column("ADAPTERS", 6).long(10).wide(),
    column("LOCAL", 6).wide(),
    column("NODE", 5).long(10).wide(),
    column("POOLS", 5).long(10).wide(),
    column("MODELS", 6).long(10).wide(),
    column("SOCKET", 7).long(21).wide(),
    column("SLOT", 8).right().wide(),
];

/// What comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// By name
    Address,
    /// By node, then by name
    Node,
    /// Most waiting
    Queue,
    /// Most running
    Running,
    /// Fullest KV cache
    Kv,
    /// Most requests of this router under way
    InFlight,
    /// Most requests that this router ever sent
    Requests,
    /// Oldest readings
    Age,
    /// Not ready and unhealthy ones
    Health,
}

/// See the module's header.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Endpoints(admin::Endpoints);

// === Endpoints ===

impl Endpoints {
    /// In this order, or in the router's.
    pub fn new(mut page: admin::Endpoints, order: Option<Order>) -> Self {
        if let Some(order) = order {
            page.endpoints.sort_by(|a, b| order.compare(a, b).then_with(|| a.address.cmp(&b.address)));
        }
        Self(page)
    }
}

impl View for Endpoints {
    fn draw(&self, screen: Screen, wide: bool) -> String {
        if self.0.endpoints.is_empty() {
            return "no replica; `warmlane pools` says which pools there are and what they lack\n".to_owned();
        }
        Table::new(&COLUMNS).with(self.0.endpoints.iter().map(row)).draw(screen, wide)
    }
}

fn row(endpoint: &Endpoint) -> Vec<Cell> {
    let signals = &endpoint.signals;
    vec![
        Cell::new(&endpoint.address),
        readiness(endpoint),
        health(&endpoint.health),
        Cell::maybe(number(current(endpoint, signals.queue))),
        Cell::maybe(number(current(endpoint, signals.running))),
        kv(current(endpoint, signals.kv_use), units::bar),
        Cell::new(endpoint.in_flight.to_string()),
        age(endpoint),
        Cell::maybe(endpoint.kv_capacity_tokens.map(units::count)),
        Cell::new(units::count(endpoint.requests)),
        Cell::maybe(signals.lora.as_ref().map(|lora| adapters(&lora.value))),
        Cell::truth(endpoint.local),
        Cell::maybe(endpoint.node.as_deref()),
        Cell::list(&endpoint.pools),
        Cell::list(endpoint.models.as_deref().unwrap_or_default()),
        Cell::new(&endpoint.socket),
        Cell::new(endpoint.slot.to_string()),
    ]
}

/// Whether it gets requests.
pub(crate) fn readiness(endpoint: &Endpoint) -> Cell {
    let asleep = endpoint.signals.awake.is_some_and(|awake| !awake.value);
    match (endpoint.ready, asleep) {
        (true, false) => Cell::new("yes").toned(Tone::Good),
        (true, true) => Cell::new("asleep").toned(Tone::Warn),
        (false, _) => Cell::new("no").toned(Tone::Bad),
    }
}

/// As the router has it, in the colour of how bad it is.
pub(crate) fn health(health: &str) -> Cell {
    Cell::new(health).toned(match health.split(':').next() {
        Some("healthy") => Tone::Good,
        Some("failed") => Tone::Bad,
        _ => Tone::Warn,
    })
}

/// A reading, unless it is of an engine that may be no more.
pub(crate) fn current(endpoint: &Endpoint, reading: Option<Aged<f32>>) -> Option<Aged<f32>> {
    reading.filter(|reading| endpoint.ready || reading.age_ms < GONE_MS)
}

/// A reading that was never had is not zero.
pub(crate) fn number(reading: Option<Aged<f32>>) -> Option<String> {
    reading.map(|reading| units::number(reading.value))
}

/// As `bar` draws it.
pub(crate) fn kv(kv_use: Option<Aged<f32>>, bar: impl Fn(f32) -> String) -> Cell {
    let cell = Cell::maybe(kv_use.map(|reading| bar(reading.value)));
    if kv_use.is_some_and(|reading| reading.value >= FULL) { cell.toned(Tone::Warn) } else { cell }
}

/// Of the oldest reading.
pub(crate) fn age(endpoint: &Endpoint) -> Cell {
    let Some(age) = oldest(endpoint) else { return Cell::none() };
    Cell::new(units::millis(age)).toned(if age >= OLD_MS { Tone::Warn } else { Tone::Plain })
}

/// Of the readings that picks rest on.
pub(crate) fn oldest(endpoint: &Endpoint) -> Option<u64> {
    let signals = &endpoint.signals;
    [signals.queue, signals.running, signals.kv_use].into_iter().flatten().map(|reading| reading.age_ms).max()
}

fn adapters(lora: &admin::Lora) -> String {
    format!("{} {}", counted(lora), lora.active.join(",")).trim_end().to_owned()
}

/// How many adapters are in use, and waited for.
pub(crate) fn counted(lora: &admin::Lora) -> String {
    let waiting = if lora.waiting.is_empty() { String::new() } else { format!("+{}", lora.waiting.len()) };
    format!("{}{waiting} of {}", lora.active.len(), lora.max)
}

// === Order ===

impl Order {
    fn compare(self, a: &Endpoint, b: &Endpoint) -> Ordering {
        let most = |of: fn(&Endpoint) -> Option<f32>| {
            // What is not known comes last.
            let of = |endpoint| of(endpoint).unwrap_or(f32::NEG_INFINITY);
            of(b).total_cmp(&of(a))
        };
        match self {
            Self::Address => Ordering::Equal,
            Self::Node => a.node.is_none().cmp(&b.node.is_none()).then_with(|| a.node.cmp(&b.node)),
            Self::Queue => most(|e| Some(current(e, e.signals.queue)?.value)),
            Self::Running => most(|e| Some(current(e, e.signals.running)?.value)),
            Self::Kv => most(|e| Some(current(e, e.signals.kv_use)?.value)),
            Self::InFlight => b.in_flight.cmp(&a.in_flight),
            Self::Requests => b.requests.cmp(&a.requests),
            Self::Age => oldest(b).cmp(&oldest(a)),
            Self::Health => illness(a).cmp(&illness(b)),
        }
    }
}

/// [`illness`] of one that has none.
pub(crate) const WELL: u8 = 3;

/// Less is worse.
pub(crate) fn illness(endpoint: &Endpoint) -> u8 {
    match (endpoint.ready, endpoint.health.split(':').next()) {
        (false, _) => 0,
        (true, Some("failed")) => 1,
        (true, Some("healthy")) => WELL,
        (true, _) => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_of_an_engine_that_may_be_no_more_are_not_shown() {
        let shown = |ready, age_ms| {
            let queue = Some(Aged { value: 7.0, age_ms });
            let signals = admin::Signals { queue, ..admin::Signals::default() };
            let endpoint = Endpoint { ready, signals, ..Endpoint::default() };
            Endpoints::new(admin::Endpoints { endpoints: vec![endpoint] }, None)
                .draw(Screen::default(), false)
        };
        for (ready, age_ms) in [(true, 60_000), (false, GONE_MS - 1)] {
            assert!(shown(ready, age_ms).contains('7'), "{ready}, {age_ms}");
        }
        let gone = shown(false, 60_000);
        assert!(!gone.contains('7') && gone.contains("60s"), "{gone}");
    }
}
