//! What the agent counts, and what it shows of its node. Names begin with `warmlane_agent_`.

use std::{fmt, sync::Arc, time::Duration};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, text},
    metrics::{
        MetricType,
        counter::Counter,
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use tokio::sync::watch;
use warmlane_scrape::Outcome;

use crate::{
    gpu::Verdict,
    kube::Found,
    kubelet::Trouble,
    node::{Contact, Engine, Node},
    score::score,
};

/// Media type of a page.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// See the module's header.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    scrapes: Family<[(&'static str, &'static str); 1], Counter>,
    scrape_duration: Histogram,
    updates: Family<[(&'static str, &'static str); 1], Counter>,
    questions: Family<[(&'static str, &'static str); 1], Counter>,
    handshakes_failed: Counter,
}

/// The node as gauges, read when a page is asked for.
#[derive(Debug)]
struct Gauges {
    node: Arc<Node>,
    /// What the cluster says, where it is asked.
    found: Option<watch::Receiver<Arc<Found>>>,
}

// === Metrics ===

impl Metrics {
    /// Counters at zero, and gauges that look at `node` when a page is asked for.
    pub fn new(node: &Arc<Node>, found: Option<watch::Receiver<Arc<Found>>>) -> Self {
        let mut registry = Registry::with_prefix("warmlane_agent");
        let (scrapes, updates, questions) = (Family::default(), Family::default(), Family::default());
        // 1 ms to 4 s: a page costs an engine a few milliseconds, and 2 s is the limit.
        let scrape_duration = Histogram::new(exponential_buckets(0.001, 2.0, 13));
        registry.register("scrapes", "Readings of engines' metric pages", scrapes.clone());
        registry.register("scrape_duration_seconds", "Time such a reading took", scrape_duration.clone());
        registry.register("updates", "Updates sent to routers", updates.clone());
        registry.register(
            "kubelet_questions",
            "Questions to the kubelet, by how they ended",
            questions.clone(),
        );
        let handshakes_failed = Counter::default();
        registry.register(
            "tls_handshake_failures",
            "Connections that were not let in",
            handshakes_failed.clone(),
        );
        registry.register_collector(Box::new(Gauges { node: node.clone(), found }));
        Self { registry, scrapes, scrape_duration, updates, questions, handshakes_failed }
    }

    /// A reading of an engine's page ended like this.
    pub(crate) fn scraped(&self, outcome: Outcome, took: Duration) {
        self.scrapes.get_or_create(&[("outcome", outcome.name())]).inc();
        self.scrape_duration.observe(took.as_secs_f64());
    }

    /// An update was made for a router.
    pub(crate) fn told(&self, full: bool) {
        self.updates.get_or_create(&[("kind", if full { "full" } else { "delta" })]).inc();
    }

    /// The kubelet was asked who has which GPU.
    pub(crate) fn asked(&self, outcome: Result<(), &Trouble>) {
        let outcome = outcome.map_or_else(Trouble::name, |()| "ok");
        self.questions.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// A connection was not let in.
    pub(crate) fn handshake_failed(&self) {
        self.handshakes_failed.inc();
    }

    /// The page.
    ///
    /// # Errors
    /// Only when a collector fails to format, which none of ours does.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut page = String::with_capacity(8 << 10);
        text::encode(&mut page, &self.registry)?;
        Ok(page)
    }
}

// === Gauges ===

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let all = self.node.since(0);
        let signals = |engine: &Engine| match &engine.contact.now {
            Contact::Load(page) => Some(page.signals.clone()),
            Contact::Untried | Contact::Alive | Contact::Unreachable { .. } => None,
        };
        let each = |value: &dyn Fn(&Engine) -> Option<f32>| {
            let row = |engine: &Engine| {
                value(engine)
                    .map(|value| ([("endpoint", engine.named.address.to_string())], f64::from(value)))
            };
            all.engines.iter().filter_map(row).collect::<Vec<_>>()
        };
        let up = each(&|engine| {
            let answers = matches!(engine.contact.now, Contact::Load(_) | Contact::Alive);
            Some(f32::from(u8::from(answers)))
        });
        gauges(&mut encoder, "endpoint_up", "1 while the engine answers", up)?;
        let scores = each(&|engine| Some(score(&engine.contact.now, engine.joined.verdict.as_ref())));
        gauges(&mut encoder, "endpoint_score", "From 0, avoid it, to 1, idle and well", scores)?;
        let queue = each(&|engine| signals(engine)?.queue.map(|reading| reading.value));
        gauges(&mut encoder, "endpoint_queue", "Requests waiting, as the engine says", queue)?;
        let running = each(&|engine| signals(engine)?.running.map(|reading| reading.value));
        gauges(&mut encoder, "endpoint_running", "Requests running, as the engine says", running)?;
        let kv_use = each(&|engine| signals(engine)?.kv_use.map(|reading| reading.value));
        gauges(&mut encoder, "endpoint_kv_use", "Share of the KV cache in use, 0 to 1", kv_use)?;
        let all_caches = self.node.caches();
        let caches =
            all_caches.iter().map(|cache| ([("endpoint", cache.engine.to_string())], cache.count() as f64));
        let help = "Blocks in the KV cache, as the engine's events add up";
        gauges(&mut encoder, "endpoint_kv_blocks", help, caches.collect::<Vec<_>>())?;
        let whole = all_caches
            .iter()
            .map(|cache| ([("endpoint", cache.engine.to_string())], f64::from(u8::from(cache.is_whole()))));
        let help = "1 while those are all that the engine holds; 0: events were missed, or do not come";
        gauges(&mut encoder, "endpoint_kv_whole", help, whole.collect::<Vec<_>>())?;
        let devices = each(&|engine| Some(engine.joined.gpus.len() as f32));
        gauges(&mut encoder, "endpoint_gpus", "GPUs it is known to run on", devices)?;
        self.encode_crew(&mut encoder, all.engines.len())?;
        self.encode_gpus(&mut encoder, &all.gpus)
    }
}

impl Gauges {
    /// Who is read, and what stands in the way of knowing them all.
    fn encode_crew(&self, encoder: &mut DescriptorEncoder<'_>, engines: usize) -> fmt::Result {
        let of_node = |value: usize| vec![([("node", self.node.name().to_owned())], value as f64)];
        gauges(encoder, "engines", "Engines that are read", of_node(engines))?;
        let left_out = of_node(self.node.left_out());
        gauges(encoder, "engines_left_out", "Engines that are not read: there are too many", left_out)?;
        let Some(found) = &self.found else { return Ok(()) };
        let troubles = of_node(found.borrow().troubles.len());
        gauges(encoder, "kube_troubles", "What is wrong with finding engines in the cluster", troubles)
    }

    fn encode_gpus(&self, encoder: &mut DescriptorEncoder<'_>, gpus: &[crate::gpu::Gpu]) -> fmt::Result {
        let each = |value: &dyn Fn(&crate::gpu::Gpu) -> Option<f64>| {
            let row = |gpu: &crate::gpu::Gpu| {
                let uuid = gpu.sample.uuid.as_deref().unwrap_or_default().to_owned();
                value(gpu).map(|value| ([("gpu", uuid)], value))
            };
            gpus.iter().filter_map(row).collect::<Vec<_>>()
        };
        gauges(
            encoder,
            "gpus",
            "GPUs that are read",
            vec![([("node", self.node.name().to_owned())], gpus.len() as f64)],
        )?;
        let health = each(&|gpu| {
            Some(match gpu.verdict {
                Verdict::Healthy => 1.0,
                Verdict::Degraded { .. } => 0.5,
                Verdict::Failed { .. } => 0.0,
            })
        });
        gauges(encoder, "gpu_health", "1 healthy, 0.5 degraded, 0 failed", health)?;
        let temperature = each(&|gpu| gpu.sample.temperature.map(f64::from));
        gauges(encoder, "gpu_temperature_celsius", "Temperature", temperature)?;
        let busy = each(&|gpu| gpu.sample.utilisation.map(|busy| f64::from(busy.gpu) / 100.0));
        gauges(encoder, "gpu_utilisation", "Share of time in which a kernel ran", busy)?;
        let used = each(&|gpu| gpu.sample.memory.map(|memory| memory.used as f64));
        gauges(encoder, "gpu_memory_used_bytes", "Memory in use", used)?;
        let power = each(&|gpu| gpu.sample.power.map(|power| f64::from(power) / 1_000.0));
        gauges(encoder, "gpu_power_watts", "Power drawn", power)
    }
}

fn gauges<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    rows: Vec<(L, f64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    rows.into_iter().try_for_each(|(labels, value)| family.encode_family(&labels)?.encode_gauge(&value))
}
