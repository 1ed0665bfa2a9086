//! What the pool looks like when a page is asked for: read from the world, kept nowhere.

use std::{fmt, sync::Arc};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use warmlane_picker::{Endpoint, Health, Signals, Snapshot, Time};

use super::{page::Page, seconds};
use crate::world::{self, World};

pub(super) struct Pool {
    world: Arc<World>,
}

// === Pool ===

impl Pool {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self { world }
    }

    fn encode_endpoints(&self, page: &mut Page<'_>, snapshot: &Snapshot, now: Time) -> fmt::Result {
        let ready = |e: &Endpoint| Some(f64::from(u8::from(e.ready)));
        page.gauges("endpoint_ready", "1 while the endpoint answers", each(snapshot, ready))?;
        let healthy = |e: &Endpoint| Some(f64::from(u8::from(e.health == Health::Healthy)));
        let help = "1 while nothing speaks against the endpoint: no failed reading, failing requests, or shutting down";
        page.gauges("endpoint_healthy", help, each(snapshot, healthy))?;
        let in_flight = |e: &Endpoint| Some(f64::from(self.world.ledger.account(e.slot).in_flight()));
        page.gauges("endpoint_in_flight", "Requests of this router under way", each(snapshot, in_flight))?;
        let queue = |e: &Endpoint| e.signals.queue.map(|r| f64::from(r.value));
        page.gauges("endpoint_queue", "Requests waiting, as the engine says", each(snapshot, queue))?;
        let running = |e: &Endpoint| e.signals.running.map(|r| f64::from(r.value));
        page.gauges("endpoint_running", "Requests running, as the engine says", each(snapshot, running))?;
        let kv_use = |e: &Endpoint| e.signals.kv_use.map(|r| f64::from(r.value));
        page.gauges("endpoint_kv_use", "Share of the KV cache in use, 0 to 1", each(snapshot, kv_use))?;
        let age = |e: &Endpoint| age(&e.signals, now);
        page.gauges("endpoint_signal_age_seconds", "Age of the newest reading", each(snapshot, age))
    }

    fn encode_pools(&self, page: &mut Page<'_>) -> fmt::Result {
        let pools = self.world.pools.all();
        let of = |count: fn(&Snapshot) -> usize| {
            let row = move |pool: &Arc<world::Pool>| {
                ([("pool", pool.name.to_string())], count(&pool.snapshot()) as f64)
            };
            pools.iter().map(row)
        };
        let ready = |snapshot: &Snapshot| snapshot.endpoints().iter().filter(|e| e.ready).count();
        page.gauges("pool_replicas", "Replicas of the pool", of(|snapshot| snapshot.endpoints().len()))?;
        page.gauges("pool_replicas_ready", "Replicas of the pool that get requests", of(ready))
    }

    fn encode_sent(&self, page: &mut Page<'_>, snapshot: &Snapshot) -> fmt::Result {
        let sent = |e: &Endpoint| self.world.ledger.account(e.slot).sent().requests;
        let sent = snapshot.endpoints().iter().map(|e| ([("endpoint", &*e.address)], sent(e)));
        page.counters("endpoint_requests", "Requests of this router sent to the endpoint", sent)?;
        let bad = |e: &Endpoint| self.world.ledger.account(e.slot).outcomes().bad;
        let bad = snapshot.endpoints().iter().map(|e| ([("endpoint", &*e.address)], bad(e)));
        let help = "Requests that the endpoint failed: what its breaker counts";
        page.counters("endpoint_failures", help, bad)
    }
}

fn each<'s>(
    snapshot: &'s Snapshot,
    value: impl Fn(&Endpoint) -> Option<f64>,
) -> impl Iterator<Item = ([(&'static str, &'s str); 1], f64)> {
    let row = move |e: &'s Endpoint| value(e).map(|value| ([("endpoint", &*e.address)], value));
    snapshot.endpoints().iter().filter_map(row)
}

fn age(signals: &Signals, now: Time) -> Option<f64> {
    signals.last_heard().map(|at| seconds(now.saturating_sub(at)))
}

impl Collector for Pool {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let page = &mut Page(encoder);
        let world = &*self.world;
        let snapshot = world.snapshot.load();
        self.encode_pools(page)?;
        self.encode_endpoints(page, &snapshot, world.now())?;
        self.encode_sent(page, &snapshot)?;
        page.gauge("body_bytes_held", "Bytes of request bodies held", world.budget.held() as f64)?;
        let index = world.index.load();
        page.gauge("prefix_index_bytes", "Memory of the prefix index", index.bytes() as f64)?;
        page.gauge(
            "prefix_index_capacity_blocks",
            "Blocks the prefix index can hold",
            index.capacity() as f64,
        )?;
        page.gauge("session_pins", "Sessions pinned to an endpoint", world.pins.len() as f64)?;
        page.gauge("prefix_groups", "Prefix groups pinned to endpoints", world.groups.len() as f64)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}
