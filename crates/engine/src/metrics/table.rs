//! The table of metric families: which name of which engine carries which signal.
//!
//! This is data. A new engine or a renamed family is a new row; the scanner stays as it is.
//! Rows of one signal stand in order of preference: the first one that appears on a page wins,
//! so an engine that shows old and new names together is not counted twice.

use std::ops::Range;

use super::EngineKind;

/// An engine: what its names begin with, and its families.
#[derive(Debug)]
pub(super) struct Engine {
    /// Which one it is.
    pub(super) kind: EngineKind,
    /// Begins each of its names.
    pub(super) prefix: &'static str,
    /// Its families, equal names side by side.
    pub(super) families: &'static [Family],
}

/// One row: a family, or the part of it that a label selects.
#[derive(Debug)]
pub(super) struct Family {
    /// The name after the engine's prefix.
    pub(super) name: &'static str,
    /// The label and value that a series must carry.
    pub(super) when: Option<(&'static str, &'static str)>,
    /// What its series tell.
    pub(super) tells: Tells,
}

/// What the series of a family tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tells {
    /// The value is this signal.
    Value(Signal),
    /// The cache layout stands in labels; the value means nothing.
    Cache(CacheLabels),
    /// Adapters stand in labels; the value is the time of the reading.
    Adapters(AdapterLabels),
}

/// A signal that is the value of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// Requests waiting.
    Queue,
    /// Requests in the batch.
    Running,
    /// Used share of the KV cache.
    KvUse,
    /// KV capacity in tokens.
    Capacity,
    /// KV capacity in blocks.
    Blocks,
    /// Tokens per block.
    BlockSize,
    /// Not 0 when awake.
    Awake,
    /// Prompt tokens looked up in the prefix cache.
    PrefixQueries,
    /// Prompt tokens found in the prefix cache.
    PrefixHits,
    /// Requests preempted.
    Preemptions,
    /// Prompt tokens processed.
    PromptTokens,
    /// Tokens generated.
    GenerationTokens,
}

/// Label names of a cache layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CacheLabels {
    /// Tokens per block.
    pub(super) block_size: &'static str,
    /// Blocks.
    pub(super) blocks: &'static str,
    /// Tokens in all, where the engine has such a label; preferred over the product of the other two.
    pub(super) tokens: Option<&'static str>,
}

/// Label names of an adapter reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AdapterLabels {
    /// Comma list of running adapters.
    pub(super) active: &'static str,
    /// Comma list of waiting adapters.
    pub(super) waiting: &'static str,
    /// Adapters per batch.
    pub(super) max: &'static str,
}

/// Most families one engine may have here.
pub(super) const MAX_FAMILIES: usize = 16;

/// All engines. No prefix begins another.
pub(super) static ENGINES: [Engine; 4] = [
    Engine { kind: EngineKind::Vllm, prefix: "vllm:", families: &VLLM },
    Engine { kind: EngineKind::Sglang, prefix: "sglang:", families: &SGLANG },
    Engine { kind: EngineKind::TensorRtLlm, prefix: "trtllm_", families: &TENSORRT_LLM },
    Engine { kind: EngineKind::Triton, prefix: "nv_trt_llm_", families: &TRITON },
];

/// vLLM. The `gpu_` names are those of 0.10 and older.
static VLLM: [Family; 14] = [
    value("num_requests_waiting", Signal::Queue),
    value("num_requests_running", Signal::Running),
    value("kv_cache_usage_perc", Signal::KvUse),
    value("gpu_cache_usage_perc", Signal::KvUse),
    selected("engine_sleep_state", ("sleep_state", "awake"), Signal::Awake),
    value("prefix_cache_queries_total", Signal::PrefixQueries),
    value("gpu_prefix_cache_queries_total", Signal::PrefixQueries),
    value("prefix_cache_hits_total", Signal::PrefixHits),
    value("gpu_prefix_cache_hits_total", Signal::PrefixHits),
    value("num_preemptions_total", Signal::Preemptions),
    value("prompt_tokens_total", Signal::PromptTokens),
    value("generation_tokens_total", Signal::GenerationTokens),
    Family {
        name: "cache_config_info",
        when: None,
        tells: Tells::Cache(CacheLabels {
            block_size: "block_size",
            blocks: "num_gpu_blocks",
            tokens: Some("kv_cache_size_tokens"),
        }),
    },
    Family {
        name: "lora_requests_info",
        when: None,
        tells: Tells::Adapters(AdapterLabels {
            active: "running_lora_adapters",
            waiting: "waiting_lora_adapters",
            max: "max_lora",
        }),
    },
];

static SGLANG: [Family; 7] = [
    value("num_queue_reqs", Signal::Queue),
    value("num_running_reqs", Signal::Running),
    value("token_usage", Signal::KvUse),
    value("max_total_num_tokens", Signal::Capacity),
    value("prompt_tokens_total", Signal::PromptTokens),
    value("generation_tokens_total", Signal::GenerationTokens),
    Family {
        name: "cache_config_info",
        when: None,
        tells: Tells::Cache(CacheLabels { block_size: "page_size", blocks: "num_pages", tokens: None }),
    },
];

static TENSORRT_LLM: [Family; 5] = [
    value("num_requests_waiting", Signal::Queue),
    value("num_requests_running", Signal::Running),
    value("kv_cache_utilization", Signal::KvUse),
    value("kv_cache_tokens_per_block", Signal::BlockSize),
    value("kv_cache_max_blocks", Signal::Blocks),
];

static TRITON: [Family; 5] = [
    selected("request_metrics", ("request_type", "waiting"), Signal::Queue),
    selected("request_metrics", ("request_type", "scheduled"), Signal::Running),
    selected("kv_cache_block_metrics", ("kv_cache_block_type", "fraction"), Signal::KvUse),
    selected("kv_cache_block_metrics", ("kv_cache_block_type", "tokens_per"), Signal::BlockSize),
    selected("kv_cache_block_metrics", ("kv_cache_block_type", "max"), Signal::Blocks),
];

const _: () = assert!(
    VLLM.len() <= MAX_FAMILIES
        && SGLANG.len() <= MAX_FAMILIES
        && TENSORRT_LLM.len() <= MAX_FAMILIES
        && TRITON.len() <= MAX_FAMILIES
);

/// Splits a name into its engine and the rest; `None` for names of no engine.
pub(super) fn split(name: &[u8]) -> Option<(&'static Engine, &[u8])> {
    ENGINES.iter().find_map(|engine| Some((engine, name.strip_prefix(engine.prefix.as_bytes())?)))
}

const fn value(name: &'static str, signal: Signal) -> Family {
    Family { name, when: None, tells: Tells::Value(signal) }
}

const fn selected(name: &'static str, when: (&'static str, &'static str), signal: Signal) -> Family {
    Family { name, when: Some(when), tells: Tells::Value(signal) }
}

// === Engine ===

impl Engine {
    /// Rows of the family with this name: none, one, or one per selecting label.
    pub(super) fn rows(&self, family: &[u8]) -> Range<usize> {
        let is_it = |row: &Family| row.name.as_bytes() == family;
        let start = self.families.iter().position(is_it).unwrap_or(self.families.len());
        start..start + self.families[start..].iter().take_while(|row| is_it(row)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_equal_names_stand_side_by_side() {
        for engine in &ENGINES {
            for (index, row) in engine.families.iter().enumerate() {
                assert!(
                    engine.rows(row.name.as_bytes()).contains(&index),
                    "{} of {}",
                    row.name,
                    engine.prefix
                );
            }
        }
    }

    #[test]
    fn no_prefix_begins_another() {
        for (index, engine) in ENGINES.iter().enumerate() {
            for (other, _) in ENGINES.iter().enumerate().filter(|(other, _)| *other != index) {
                assert!(!ENGINES[other].prefix.starts_with(engine.prefix));
            }
        }
    }

    #[test]
    fn a_longer_name_is_another_family() {
        let (engine, family) = split(b"vllm:num_requests_waiting_by_reason").unwrap();
        assert!(engine.rows(family).is_empty());
    }
}
