//! `/debug/endpoints`: every replica with what is known of it and how old that is.

use std::collections::BTreeMap;

use serde::Serialize;
use warmlane_picker::{Endpoint, Health, Reading, Snapshot, Time};

use super::pages;
use crate::world::World;

#[derive(Serialize)]
struct Page<'s> {
    endpoints: Vec<Row<'s>>,
}

#[derive(Serialize)]
struct Row<'s> {
    address: &'s str,
    ready: bool,
    in_flight: u32,
    signals: Signals<'s>,
    health: String,
    slot: u16,
    socket: String,
    local: bool,
    requests: u64,
    kv_capacity_tokens: Option<u64>,
    /// `null`: the replica has not said, or its word is too old.
    models: Option<Vec<&'s str>>,
}

#[derive(Serialize)]
struct Signals<'s> {
    queue: Option<Aged<f32>>,
    running: Option<Aged<f32>>,
    kv_use: Option<Aged<f32>>,
    awake: Option<Aged<bool>>,
    lora: Option<Aged<Lora<'s>>>,
}

#[derive(Serialize)]
struct Aged<T> {
    value: T,
    age_ms: u64,
}

#[derive(Serialize)]
struct Lora<'s> {
    active: &'s [String],
    waiting: &'s [String],
    max: u32,
}

/// The page.
pub(super) fn show(world: &World) -> String {
    let snapshot = world.snapshot.load();
    let now = world.now();
    let served = served(&snapshot);
    let row = |(position, endpoint)| row(world, &snapshot, &served, position, endpoint, now);
    let page = Page { endpoints: snapshot.endpoints().iter().enumerate().map(row).collect() };
    pages::json(&page)
}

/// Why nothing can be served, for people.
pub(super) fn why_none_is_ready(endpoints: &[Endpoint]) -> String {
    let Some(first) = endpoints.first() else {
        return "not ready: there is no replica; /debug/pools on the admin port says which pools there are"
            .to_owned();
    };
    format!(
        "not ready: none of {} replicas answers; {}: {}",
        endpoints.len(),
        first.address,
        health(&first.health)
    )
}

/// Names by position.
fn served(snapshot: &Snapshot) -> BTreeMap<usize, Vec<&str>> {
    let mut served: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for name in snapshot.model_names() {
        let Some(serving) = snapshot.serving(name) else { continue };
        for position in (0..snapshot.endpoints().len()).filter(|p| serving.endpoints.contains(*p)) {
            served.entry(position).or_default().push(name);
        }
    }
    served
}

fn row<'s>(
    world: &World,
    snapshot: &Snapshot,
    served: &BTreeMap<usize, Vec<&'s str>>,
    position: usize,
    endpoint: &'s Endpoint,
    now: Time,
) -> Row<'s> {
    let account = world.ledger.account(endpoint.slot);
    let listed = !snapshot.unlisted().contains(position);
    let signals = &endpoint.signals;
    let lora = signals.lora.as_ref().map(|reading| Aged {
        value: Lora {
            active: &reading.value.active,
            waiting: &reading.value.waiting,
            max: reading.value.max,
        },
        age_ms: millis(reading.age(now)),
    });
    Row {
        address: &endpoint.address,
        ready: endpoint.ready,
        in_flight: account.in_flight(),
        signals: Signals {
            queue: aged(signals.queue, now),
            running: aged(signals.running, now),
            kv_use: aged(signals.kv_use, now),
            awake: aged(signals.awake, now),
            lora,
        },
        health: health(&endpoint.health),
        slot: endpoint.slot.0,
        socket: endpoint.socket.to_string(),
        local: endpoint.local,
        requests: account.sent().requests,
        kv_capacity_tokens: signals.kv_capacity_tokens,
        models: listed.then(|| served.get(&position).cloned().unwrap_or_default()),
    }
}

fn aged<T: Copy>(reading: Option<Reading<T>>, now: Time) -> Option<Aged<T>> {
    reading.map(|reading| Aged { value: reading.value, age_ms: millis(reading.age(now)) })
}

fn millis(age: Time) -> u64 {
    u64::try_from(age.as_millis()).unwrap_or(u64::MAX)
}

fn health(health: &Health) -> String {
    match health {
        Health::Healthy => "healthy".to_owned(),
        Health::Degraded(why) => format!("degraded: {why}"),
        Health::Failed(why) => format!("failed: {why}"),
    }
}
