//! The `vllm:` families in the order of the recorded page.
//!
//! Families of things that are not simulated (arithmetic estimates, external caches, multi-modal input,
//! admission limits) are there with the value 0, as in the recorded page.

use super::{
    Metrics,
    page::{Page, escape},
};
use crate::model::Stats;

/// State of the engine that the page shows besides what `Metrics` counts.
#[derive(Debug)]
pub(crate) struct Sample<'a> {
    pub(crate) model: &'a str,
    pub(crate) stats: Stats,
    pub(crate) sleep_level: Option<u8>,
    pub(crate) max_loras: u32,
    /// Names joined by commas.
    pub(crate) running_adapters: String,
    pub(crate) waiting_adapters: String,
    pub(crate) block_size: u32,
    pub(crate) blocks: u32,
    pub(crate) kv_bytes_per_token: f64,
    pub(crate) max_model_len: u32,
    pub(crate) prefix_caching: bool,
    pub(crate) kv_overridden: bool,
}

// === Metrics ===

impl Metrics {
    pub(super) fn write_families(&self, page: &mut Page, sample: &Sample) {
        write_estimates(page);
        write_load(page, sample);
        write_caches(page, sample);
        self.write_tokens(page, sample);
        self.write_sizes(page);
        self.write_times(page);
        self.write_adapters(page, sample);
        write_cache_config(page, sample);
    }

    fn write_tokens(&self, page: &mut Page, sample: &Sample) {
        let totals = &sample.stats.totals;
        let (prompt, cached) = (totals.prompt_tokens as f64, totals.cached_tokens as f64);
        let by = |source, value| (Some(("source", source)), value);
        let ended = |reason, count: u64| (Some(("finished_reason", reason)), count as f64);
        page.counter("vllm:prompt_tokens", "Number of prefill tokens processed.", &[(None, prompt)]);
        page.counter(
            "vllm:prompt_tokens_by_source",
            "Number of prompt tokens by source.",
            &[
                by("local_compute", prompt - cached),
                by("local_cache_hit", cached),
                by("external_kv_transfer", 0.0),
            ],
        );
        page.counter(
            "vllm:prompt_tokens_cached",
            "Number of cached prompt tokens (local + external).",
            &[(None, cached)],
        );
        page.counter("vllm:prompt_tokens_cached_by_source", "Prefix-cache hit tokens by the cache tier that supplied them: device (local HBM), host (offloaded to DRAM), disk, p2p (transferred from another vLLM instance) or external_unspecified. Counted at admission; sums to vllm:prefix_cache_hits + vllm:external_prefix_cache_hits.", &[by("device", totals.prefix_hits as f64), by("host", 0.0), by("p2p", 0.0), by("disk", 0.0), by("external_unspecified", 0.0)]);
        page.counter(
            "vllm:generation_tokens",
            "Number of generation tokens processed.",
            &[(None, totals.output_tokens as f64)],
        );
        page.counter(
            "vllm:request_success",
            "Count of successfully processed requests.",
            &[
                ended("stop", self.stopped),
                ended("length", self.cut),
                ended("abort", 0),
                ended("error", 0),
                ended("repetition", 0),
            ],
        );
        write_rejections(page);
    }

    fn write_sizes(&self, page: &mut Page) {
        page.histogram(
            "vllm:request_prompt_tokens",
            "Number of prefill tokens processed.",
            &self.prompt_tokens,
        );
        page.histogram(
            "vllm:request_generation_tokens",
            "Number of generation tokens processed.",
            &self.output_tokens,
        );
        page.histogram(
            "vllm:iteration_tokens_total",
            "Histogram of number of tokens per engine_step.",
            &self.step_tokens,
        );
        page.histogram(
            "vllm:request_max_num_generation_tokens",
            "Histogram of maximum number of requested generation tokens.",
            &self.most_tokens,
        );
        page.histogram("vllm:request_params_n", "Histogram of the n request parameter.", &self.asked_answers);
        page.histogram(
            "vllm:request_params_max_tokens",
            "Histogram of the max_tokens request parameter.",
            &self.asked_tokens,
        );
    }

    fn write_times(&self, page: &mut Page) {
        page.histogram(
            "vllm:time_to_first_token_seconds",
            "Histogram of time to first token in seconds.",
            &self.first_token,
        );
        page.histogram(
            "vllm:inter_token_latency_seconds",
            "Histogram of inter-token latency in seconds.",
            &self.gap,
        );
        page.histogram(
            "vllm:request_time_per_output_token_seconds",
            "Histogram of time_per_output_token_seconds per request.",
            &self.gap_mean,
        );
        page.histogram(
            "vllm:e2e_request_latency_seconds",
            "Histogram of e2e request latency in seconds.",
            &self.whole,
        );
        page.histogram(
            "vllm:request_queue_time_seconds",
            "Histogram of time spent in WAITING phase for request.",
            &self.queue,
        );
        page.histogram(
            "vllm:request_inference_time_seconds",
            "Histogram of time spent in RUNNING phase for request.",
            &self.inference,
        );
        page.histogram(
            "vllm:request_prefill_time_seconds",
            "Histogram of time spent in PREFILL phase for request.",
            &self.prefill,
        );
        page.histogram(
            "vllm:request_decode_time_seconds",
            "Histogram of time spent in DECODE phase for request.",
            &self.decode,
        );
        page.histogram(
            "vllm:request_num_preemptions",
            "Histogram of the number of times a request was preempted.",
            &self.preemptions,
        );
        page.histogram(
            "vllm:request_prefill_kv_computed_tokens",
            "Histogram of new KV tokens computed during prefill (excluding cached tokens).",
            &self.computed,
        );
    }

    fn write_adapters(&self, page: &mut Page, sample: &Sample) {
        if sample.max_loras == 0 {
            return;
        }
        let name = "vllm:lora_requests_info";
        page.head(name, "Running stats on lora requests.", "gauge");
        for series in &self.adapters {
            let labels = format!(
                "max_lora=\"{}\",running_lora_adapters=\"{}\",waiting_lora_adapters=\"{}\"",
                sample.max_loras,
                escape(&series.running),
                escape(&series.waiting)
            );
            page.line(name, &labels, series.seen);
        }
    }
}

fn write_estimates(page: &mut Page) {
    page.counter(
        "vllm:estimated_flops_per_gpu",
        "Estimated number of floating point operations per GPU (for Model Flops Utilization calculations).",
        &[(None, 0.0)],
    );
    page.counter(
        "vllm:estimated_read_bytes_per_gpu",
        "Estimated number of bytes read from memory per GPU (for Model Flops Utilization calculations).",
        &[(None, 0.0)],
    );
    page.counter(
        "vllm:estimated_write_bytes_per_gpu",
        "Estimated number of bytes written to memory per GPU (for Model Flops Utilization calculations).",
        &[(None, 0.0)],
    );
}

fn write_load(page: &mut Page, sample: &Sample) {
    let stats = &sample.stats;
    let capacity = f64::from(stats.waiting - stats.deferred);
    let state = |name, on: bool| (Some(("sleep_state", name)), f64::from(u8::from(on)));
    page.gauge(
        "vllm:num_requests_running",
        "Number of requests in model execution batches.",
        &[(None, f64::from(stats.running))],
    );
    page.gauge(
        "vllm:num_requests_waiting",
        "Number of requests waiting to be processed.",
        &[(None, f64::from(stats.waiting))],
    );
    page.gauge("vllm:num_requests_waiting_by_reason", "Number of waiting requests by reason. Reason labels: 'capacity' = waiting for scheduling capacity; 'deferred' = deferred by transient constraints (LoRA budget, KV transfer, blocked status). Sum of all reasons equals vllm:num_requests_waiting.", &[(Some(("reason", "capacity")), capacity), (Some(("reason", "deferred")), f64::from(stats.deferred))]);
    page.gauge("vllm:engine_sleep_state", "Engine sleep state; awake = 0 means engine is sleeping; awake = 1 means engine is awake; weights_offloaded = 1 means sleep level 1; discard_all = 1 means sleep level 2.", &[state("awake", sample.sleep_level.is_none()), state("weights_offloaded", sample.sleep_level == Some(1)), state("discard_all", sample.sleep_level == Some(2))]);
    page.gauge(
        "vllm:kv_cache_usage_perc",
        "KV-cache usage. 1 means 100 percent usage.",
        &[(None, stats.kv_use)],
    );
}

fn write_caches(page: &mut Page, sample: &Sample) {
    let totals = &sample.stats.totals;
    page.counter(
        "vllm:prefix_cache_queries",
        "Prefix cache queries, in terms of number of queried tokens.",
        &[(None, totals.prefix_queries as f64)],
    );
    page.counter(
        "vllm:prefix_cache_hits",
        "Prefix cache hits, in terms of number of cached tokens.",
        &[(None, totals.prefix_hits as f64)],
    );
    page.counter("vllm:external_prefix_cache_queries", "External prefix cache queries from KV connector cross-instance cache sharing, in terms of number of queried tokens.", &[(None, 0.0)]);
    page.counter("vllm:external_prefix_cache_hits", "External prefix cache hits from KV connector cross-instance cache sharing, in terms of number of cached tokens.", &[(None, 0.0)]);
    page.counter(
        "vllm:mm_cache_queries",
        "Multi-modal cache queries, in terms of number of queried items.",
        &[(None, 0.0)],
    );
    page.counter(
        "vllm:mm_cache_hits",
        "Multi-modal cache hits, in terms of number of cached items.",
        &[(None, 0.0)],
    );
    page.counter(
        "vllm:num_preemptions",
        "Cumulative number of preemption from the engine.",
        &[(None, totals.preemptions as f64)],
    );
}

/// These have no `engine` label.
fn write_rejections(page: &mut Page) {
    let help = "Number of admission attempts rejected by a queue limit, by reason.";
    let labels = ["max_num_queued_reqs", "max_num_queued_tokens"]
        .map(|reason| format!("model_name=\"{}\",reason=\"{reason}\"", page.model()));
    page.head("vllm:admission_rejections_total", help, "counter");
    for labels in &labels {
        page.line("vllm:admission_rejections_total", labels, 0.0);
    }
    page.head("vllm:admission_rejections_created", help, "gauge");
    for labels in &labels {
        page.line("vllm:admission_rejections_created", labels, page.created());
    }
}

/// Labels as a 7B model without a sliding window has them; only the sizes are the engine's own.
fn write_cache_config(page: &mut Page, sample: &Sample) {
    let (size, blocks) = (sample.block_size, sample.blocks);
    let tokens = u64::from(size) * u64::from(blocks);
    let concurrency = tokens as f64 / f64::from(sample.max_model_len);
    let bytes = (tokens as f64 * sample.kv_bytes_per_token) as u64;
    let caching = if sample.prefix_caching { "True" } else { "False" };
    let overridden = if sample.kv_overridden { blocks.to_string() } else { "None".to_owned() };
    let labels = format!(
        "_block_size_resolved=\"True\",block_size=\"{size}\",cache_dtype=\"auto\",\
         cache_hit_alignment_tokens=\"None\",effective_attention_block_size=\"{size}\",\
         enable_mamba_shared_prefix_checkpoint=\"False\",enable_prefix_caching=\"{caching}\",\
         engine=\"0\",gpu_memory_utilization=\"0.92\",hash_block_size=\"None\",\
         is_attention_free=\"False\",kv_cache_dtype_skip_layers=\"[]\",kv_cache_layout=\"None\",\
         kv_cache_max_concurrency=\"{concurrency:.2}\",kv_cache_memory_bytes=\"{bytes}\",\
         kv_cache_size_tokens=\"{tokens}\",kv_offloading_backend=\"native\",\
         kv_offloading_size=\"None\",kv_sharing_fast_prefill=\"False\",mamba_block_size=\"None\",\
         mamba_cache_dtype=\"auto\",mamba_cache_mode=\"none\",mamba_page_size_padded=\"None\",\
         mamba_ssm_cache_dtype=\"float32\",num_cpu_blocks=\"None\",num_gpu_blocks=\"{blocks}\",\
         num_gpu_blocks_override=\"{overridden}\",prefix_cache_retention_interval=\"0\",\
         prefix_caching_hash_algo=\"sha256_cbor\",prefix_match_unit=\"None\",\
         replayssm_buffer_len=\"16\",skip_page_size_padded=\"None\",sliding_window=\"None\",\
         swa_bounded_replay=\"True\",use_kda_recoverssm=\"False\",use_replayssm=\"False\",\
         user_specified_block_size=\"True\""
    );
    page.head("vllm:cache_config_info", "Information of the LLMEngine CacheConfig", "gauge");
    page.line("vllm:cache_config_info", &labels, 1.0);
}
