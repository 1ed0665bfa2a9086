//! What a router reads from a replica, and when it reads again.

use warmlane_picker::{Lora, Reading, Signals, Time, Work};

use super::{replica::Replica, scenario::Scrape};

/// KV use moves when it changes by more than this.
const KV_STEP: f32 = 0.001;
/// A replica is asked for at most one part in this many of its time.
const SHARE: f64 = 30.0;
const GROWTH: f64 = 1.5;
const JITTER: f64 = 0.1;

/// The rhythm of reading one replica.
#[derive(Debug)]
pub(super) struct Rhythm {
    scrape: Scrape,
    current: f64,
}

/// The page that `replica` writes now, asked for at `asked`.
pub(super) fn page(replica: &Replica, asked: f64, mark: Work) -> Signals {
    let (engine, at) = (&replica.engine, Time::from_secs_f64(asked));
    let stats = engine.stats();
    let number = |value: f32| Some(Reading { value, at });
    let name = |id: crate::model::AdapterId| adapter_name(id.0);
    let lora = Lora {
        active: engine.running_adapters().map(name).collect(),
        waiting: engine.waiting_adapters().map(name).collect(),
        max: engine.options().max_loras,
    };
    Signals {
        queue: number(stats.waiting as f32),
        running: number(stats.running as f32),
        kv_use: number(stats.kv_use as f32),
        kv_capacity_tokens: Some(u64::from(engine.total_blocks()) * u64::from(engine.options().block_size)),
        lora: Some(Reading { value: lora, at }),
        awake: Some(Reading { value: true, at }),
        mark,
    }
}

/// Name of an adapter.
pub(super) fn adapter_name(number: u16) -> String {
    format!("adapter-{number}")
}

// === Rhythm ===

impl Rhythm {
    pub(super) fn new(scrape: Scrape) -> Self {
        Self { scrape, current: scrape.min }
    }

    /// Time until the replica is asked again. `chance` is in 0..1.
    pub(super) fn next(&mut self, old: &Signals, new: &Signals, took: f64, chance: f64) -> f64 {
        let Scrape { min, max, .. } = self.scrape;
        self.current = if moved(old, new) { min } else { (self.current * GROWTH).clamp(min, max) };
        let floor = min.max(took * SHARE);
        (self.current.max(floor) * (1.0 + JITTER * (2.0 * chance - 1.0))).max(floor)
    }
}

fn moved(old: &Signals, new: &Signals) -> bool {
    let kv = |signals: &Signals| signals.kv_use.map_or(0.0, |r| r.value);
    let number = |reading: Option<Reading<f32>>| reading.map(|r| r.value);
    let lora = |signals: &Signals| signals.lora.as_ref().map(|r| r.value.clone());
    number(old.queue) != number(new.queue)
        || number(old.running) != number(new.running)
        || (kv(old) - kv(new)).abs() > KV_STEP
        || lora(old) != lora(new)
}
