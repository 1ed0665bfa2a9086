//! What the upstream endpoint picker counts, under its names, so that dashboards made for it work: `inference_*`, as the Gateway API
//! Inference Extension has them up to 1.5, and `llm_d_epp_*`, as llm-d's router has them. `docs/metrics.md` lists both.
//!
//! Values are this router's own; what it does not know is left out.

use std::{collections::BTreeMap, fmt, sync::Arc};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use warmlane_picker::{Endpoint, Reading};
use warmlane_scrape::Outcome;

use super::{Label, ProxyMetrics, ScrapeMetrics, StreamEnd, page::Page};
use crate::{
    stage::Stage,
    world::{Pool, World},
};

mod models;

/// One of the two sets of names.
struct Names {
    /// Before those of requests.
    request: &'static str,
    /// Before those of pools.
    pool: &'static str,
    /// Before those of the picker itself.
    picker: &'static str,
    /// Endpoints of a pool that are ready.
    ready: &'static str,
    /// Of the names of models' counts, those in which the sets differ.
    of_models: models::Names,
    /// Requests waiting at each endpoint, and the label that names it.
    each_queue: (&'static str, &'static str),
}

const NAMES: [Names; 2] = [
    Names {
        request: "inference_objective_",
        pool: "inference_pool_",
        picker: "inference_extension_",
        ready: "ready_pods",
        of_models: models::INFERENCE,
        each_queue: ("per_pod_queue_size", "model_server_pod"),
    },
    Names {
        request: "llm_d_epp_",
        pool: "llm_d_epp_",
        picker: "llm_d_epp_",
        ready: "ready_endpoints",
        of_models: models::LLM_D,
        each_queue: ("per_endpoint_queue_size", "model_server_endpoint"),
    },
];

/// What an endpoint has said.
type Said = fn(&Endpoint) -> Option<Reading<f32>>;

/// What pools are shown by: names, what is said, and where it stands.
const SAID: [(&str, &str, Said); 3] = [
    ("kv_cache_utilization", "share of the KV cache in use", |endpoint| endpoint.signals.kv_use),
    ("queue_size", "number of requests waiting", |endpoint| endpoint.signals.queue),
    ("running_requests", "number of requests running", |endpoint| endpoint.signals.running),
];

/// See the module's header.
pub(super) struct Upstream {
    world: Arc<World>,
    sum: Arc<ProxyMetrics>,
    scraping: Arc<ScrapeMetrics>,
}

// === Upstream ===

impl Upstream {
    /// `sum`: of all threads.
    pub(super) fn new(world: Arc<World>, sum: Arc<ProxyMetrics>, scraping: Arc<ScrapeMetrics>) -> Self {
        Self { world, sum, scraping }
    }

    fn pools(&self, page: &mut Page<'_>, names: &Names) -> fmt::Result {
        let pools = self.world.pools.all();
        let mut of = |name: &str, help: &str, value: &dyn Fn(&Pool) -> Option<f64>| {
            let rows =
                pools.iter().filter_map(|pool| Some(([("name", pool.name.to_string())], value(pool)?)));
            page.gauges(&format!("{}{name}", names.pool), help, rows)
        };
        for (what, help, value) in SAID {
            of(&format!("average_{what}"), &format!("Mean {help}"), &|pool| Some(spread(pool, value)?.0))?;
            let help = format!("Standard deviation of the {help}");
            of(&format!("std_dev_{what}"), &help, &|pool| Some(spread(pool, value)?.1))?;
        }
        of(names.ready, "Replicas of the pool that get requests", &|pool| {
            Some(pool.snapshot().endpoints().iter().filter(|endpoint| endpoint.ready).count() as f64)
        })?;
        let (name, label) = names.each_queue;
        let rows = pools.iter().flat_map(|pool| {
            let each = |endpoint: &Endpoint| {
                let queue = endpoint.signals.queue?;
                let labels = [("name", pool.name.to_string()), (label, endpoint.address.to_string())];
                Some((labels, f64::from(queue.value)))
            };
            pool.snapshot().endpoints().iter().filter_map(each).collect::<Vec<_>>()
        });
        page.gauges(&format!("{}{name}", names.pool), "Requests waiting at each replica", rows)
    }

    fn picker(&self, page: &mut Page<'_>, names: &Names, sum: &ProxyMetrics) -> fmt::Result {
        let name = |name: &str| format!("{}{name}", names.picker);
        let picks = sum.stage_durations(Stage::Pick);
        page.histogram(
            &name("scheduler_e2e_duration_seconds"),
            "Time that requests spent in being picked for, waiting for tokens of new prompts included",
            picks,
        )?;
        let (failed, picked) = (sum.unpicked_in_all(), sum.picked_in_all());
        let rows = [([("status", "success")], picked), ([("status", "failure")], failed)];
        page.counters(&name("scheduler_attempts"), "Picks, and those that found nobody", rows)?;
        let index = self.world.index.load();
        let blocks = index.filled() * index.capacity() as f64;
        page.gauge(&name("prefix_indexer_size"), "Blocks in the prefix index, about", blocks)?;
        let help = "Share of each prompt that its endpoint was believed to hold";
        page.histogram(&name("prefix_indexer_hit_ratio"), help, sum.hits())?;
        let labels = [("version", env!("CARGO_PKG_VERSION")), ("implementation", "warmlane")];
        page.gauges(&name("info"), "Always 1; the labels say which picker runs", [(labels, 1.0)])
    }
}

impl Upstream {
    /// What only llm-d's router has: exchanges with Envoy, by gRPC's names of how they ended, and readings that failed.
    fn llm_d(&self, page: &mut Page<'_>, sum: &ProxyMetrics) -> fmt::Result {
        let exchanges = sum.exchanges();
        let mut ended = BTreeMap::new();
        for end in StreamEnd::ALL {
            *ended.entry(end.code()).or_default() += exchanges.ends.get(*end);
        }
        let rows = ended.into_iter().map(|(code, count)| ([("code", code)], count));
        page.counters("llm_d_epp_extproc_streams", "Exchanges with Envoy that ended, by how", rows)?;
        let open = exchanges.open.get() as f64;
        page.gauge("llm_d_epp_extproc_streams_inflight", "Exchanges with Envoy that are open", open)?;
        let help = "Time that an exchange with Envoy was open";
        page.histogram("llm_d_epp_extproc_stream_duration_seconds", help, &exchanges.durations)?;
        let failed = Outcome::ALL
            .iter()
            .filter(|outcome| **outcome != Outcome::Ok)
            .map(|outcome| self.scraping.count(*outcome));
        let rows = [([("source_type", "metrics-data-source")], failed.sum())];
        page.counters("llm_d_epp_datalayer_poll_errors", "Readings of engines' pages that failed", rows)
    }
}

impl Collector for Upstream {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let page = &mut Page(encoder);
        let sum = &*self.sum;
        let models = sum.by_model.all();
        for names in &NAMES {
            models::encode(page, names.request, &names.of_models, &models)?;
            self.pools(page, names)?;
            self.picker(page, names, sum)?;
        }
        self.llm_d(page, sum)
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").finish_non_exhaustive()
    }
}

/// Mean and standard deviation over those that get requests and have said so; `None`: nobody has. What is no number is no word.
fn spread(pool: &Pool, of: Said) -> Option<(f64, f64)> {
    let snapshot = pool.snapshot();
    let ready = snapshot.endpoints().iter().filter(|endpoint| endpoint.ready);
    let said: Vec<f64> =
        ready.filter_map(of).map(|said| f64::from(said.value)).filter(|v| v.is_finite()).collect();
    if said.is_empty() {
        return None;
    }
    let count = said.len() as f64;
    let mean = said.iter().sum::<f64>() / count;
    let variance = said.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
    Some((mean, variance.sqrt()))
}
