//! What the upstream endpoint picker counts, under its names, so that dashboards made for it work: `inference_*`, as the Gateway API
//! Inference Extension has them up to 1.5, and `llm_d_epp_*`, as llm-d's router has them. `docs/metrics.md` lists both.
//!
//! Values are this router's own; what it does not know is left out.

use std::{fmt, sync::Arc};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use warmlane_picker::{Endpoint, Reading};

use super::{ProxyMetrics, by_model::ModelSheet, page::Page, sheets::Sheets};
use crate::{
    stage::Stage,
    world::{Pool, World},
};

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
    /// Requests under way.
    running: &'static str,
}

const NAMES: [Names; 2] = [
    Names {
        request: "inference_objective_",
        pool: "inference_pool_",
        picker: "inference_extension_",
        ready: "ready_pods",
        running: "running_requests",
    },
    Names {
        request: "llm_d_epp_",
        pool: "llm_d_epp_",
        picker: "llm_d_epp_",
        ready: "ready_endpoints",
        running: "request_running",
    },
];

/// See the module's header.
pub(super) struct Upstream {
    world: Arc<World>,
    sheets: Arc<Sheets>,
}

// === Upstream ===

impl Upstream {
    pub(super) fn new(world: Arc<World>, sheets: Arc<Sheets>) -> Self {
        Self { world, sheets }
    }

    fn pools(&self, page: &mut Page<'_>, names: &Names) -> fmt::Result {
        let pools = self.world.pools.all();
        let mut of = |name: &str, help: &str, value: fn(&Pool) -> Option<f64>| {
            let rows =
                pools.iter().filter_map(|pool| Some(([("name", pool.name.to_string())], value(pool)?)));
            page.gauges(&format!("{}{name}", names.pool), help, rows)
        };
        of("average_kv_cache_utilization", "Mean share of the KV cache in use", |pool| {
            mean(pool, |endpoint| endpoint.signals.kv_use)
        })?;
        of("average_queue_size", "Mean number of requests waiting", |pool| {
            mean(pool, |endpoint| endpoint.signals.queue)
        })?;
        of("average_running_requests", "Mean number of requests running", |pool| {
            mean(pool, |endpoint| endpoint.signals.running)
        })?;
        of(names.ready, "Replicas of the pool that get requests", |pool| {
            Some(pool.snapshot().endpoints().iter().filter(|endpoint| endpoint.ready).count() as f64)
        })
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
        let labels = [("version", env!("CARGO_PKG_VERSION")), ("implementation", "warmlane")];
        page.gauges(&name("info"), "Always 1; the labels say which picker runs", [(labels, 1.0)])
    }
}

impl Collector for Upstream {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let page = &mut Page(encoder);
        let sum = self.sheets.sum();
        let models = sum.by_model.all();
        for names in &NAMES {
            requests(page, names, &models)?;
            self.pools(page, names)?;
            self.picker(page, names, &sum)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").finish_non_exhaustive()
    }
}

fn requests(page: &mut Page<'_>, names: &Names, models: &[Arc<ModelSheet>]) -> fmt::Result {
    let name = |name: &str| format!("{}{name}", names.request);
    let labels = |sheet: &ModelSheet| {
        [("model_name", sheet.model.to_string()), ("target_model_name", sheet.target.to_string())]
    };
    let rows = models.iter().map(|sheet| (labels(sheet), sheet.requests.get()));
    page.counters(&name("request"), "Requests of each model", rows)?;
    let errors = models.iter().flat_map(|sheet| {
        let failed = sheet.errors.rows().filter(|(_, count)| *count > 0);
        failed.map(|(reason, count)| {
            let [model, target] = labels(sheet);
            ([model, target, ("error_code", reason.to_owned())], count)
        })
    });
    page.counters(&name("request_error"), "Requests that failed, by why", errors)?;
    let running = models.iter().map(|sheet| (labels(sheet), sheet.running.get() as f64));
    page.gauges(&name(names.running), "Requests under way", running)?;
    let took = models.iter().map(|sheet| (labels(sheet), &sheet.durations));
    page.histograms(&name("request_duration_seconds"), "From a request's first byte to its end", took)?;
    let first = models.iter().map(|sheet| (labels(sheet), &sheet.first_bytes));
    page.histograms(&name("request_ttft_seconds"), "From a request's first byte to its answer's", first)
}

/// Of those that get requests and have said so; `None`: nobody has. What is no number is no word.
fn mean(pool: &Pool, of: impl Fn(&Endpoint) -> Option<Reading<f32>>) -> Option<f64> {
    let snapshot = pool.snapshot();
    let ready = snapshot.endpoints().iter().filter(|endpoint| endpoint.ready);
    let said: Vec<f64> =
        ready.filter_map(of).map(|said| f64::from(said.value)).filter(|v| v.is_finite()).collect();
    (!said.is_empty()).then(|| said.iter().sum::<f64>() / said.len() as f64)
}
