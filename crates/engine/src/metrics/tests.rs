//! Pages that engines gave, pages that lie, and an independent parser as the judge.

use std::fs;

use prometheus_parse::{Scrape, Value};
use proptest::prelude::*;

use super::*;

const PAGES: [&str; 7] = [
    "vllm-0.17-metrics-load.txt",
    "vllm-0.32-metrics-idle.txt",
    "vllm-0.32-metrics-load-lora.txt",
    "vllm-old-names.txt",
    "sglang.txt",
    "trtllm-serve.txt",
    "triton-trtllm.txt",
];

fn page(name: &str) -> Vec<u8> {
    fs::read(format!("{}/../../tests/fixtures/metrics/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn scan_page(name: &str) -> Metrics {
    scan(&page(name)).unwrap()
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

// --- what the pages say ---

#[test]
fn families_of_the_engine_that_is_said_decide_wherever_they_stand() {
    let both = b"vllm:num_requests_running 3\nsglang:num_running_reqs 5\nvllm:num_requests_waiting 4\n";
    let read = |said| scan_of(said, both).map(|metrics| (metrics.kind, metrics.running, metrics.queue));
    assert_eq!(read(EngineKind::Unknown), Ok((EngineKind::Vllm, Some(3.0), Some(4.0))), "the first");
    assert_eq!(read(EngineKind::Vllm), read(EngineKind::Unknown));
    assert_eq!(read(EngineKind::Sglang), Ok((EngineKind::Sglang, Some(5.0), None)));
    assert_eq!(read(EngineKind::Triton), read(EngineKind::Unknown), "none of it is there");
    assert!(scan_of(EngineKind::Vllm, b"up 1\n").is_err());
}

#[test]
fn a_loaded_vllm_page_is_read_whole() {
    let expected = Metrics {
        kind: EngineKind::Vllm,
        queue: Some(24.0),
        running: Some(16.0),
        kv_use: Some(0.24561403508771928),
        kv_capacity_tokens: Some(12800),
        block_size: Some(32),
        awake: Some(true),
        lora: Some(Lora { active: names(&["sql-lora"]), waiting: names(&["sql-lora"]), max: 2 }),
        prefix_queries: Some(9598.0),
        prefix_hits: Some(448.0),
        preemptions: Some(0.0),
        prompt_tokens: Some(9598.0),
        generation_tokens: Some(4337.0),
    };
    assert_eq!(scan_page("vllm-0.32-metrics-load-lora.txt"), expected);
}

#[test]
fn capacity_without_its_own_label_is_blocks_times_block_size() {
    let metrics = scan_page("vllm-0.17-metrics-load.txt");
    assert_eq!((metrics.block_size, metrics.kv_capacity_tokens), (Some(32), Some(32 * 110)));
}

#[test]
fn the_adapter_series_with_the_highest_time_wins_wherever_it_stands() {
    let older = scan_page("vllm-0.17-metrics-load.txt").lora.unwrap();
    assert_eq!(older, Lora { max: 2, ..Lora::default() });
    let middle = scan_page("vllm-old-names.txt").lora.unwrap();
    assert_eq!(middle.active, names(&["travel-helper-v1", "travel-helper-v2"]));
    assert_eq!(middle.waiting, names(&["travel-helper-v3"]));
    assert_eq!(scan_page("vllm-0.32-metrics-idle.txt").lora, None);
}

#[test]
fn old_vllm_names_give_the_same_signals() {
    let metrics = scan_page("vllm-old-names.txt");
    assert_eq!((metrics.queue, metrics.running, metrics.kv_use), (Some(5.0), Some(12.0), Some(0.6875)));
    assert_eq!((metrics.kv_capacity_tokens, metrics.block_size), (Some(16 * 1536), Some(16)));
    assert_eq!((metrics.prefix_queries, metrics.prefix_hits), (Some(81920.0), Some(20480.0)));
    assert_eq!((metrics.preemptions, metrics.awake), (Some(3.0), None));
}

#[test]
fn sglang_ranks_combine() {
    let metrics = scan_page("sglang.txt");
    assert_eq!(metrics.kind, EngineKind::Sglang);
    assert_eq!((metrics.queue, metrics.running, metrics.kv_use), (Some(3.0), Some(16.0), Some(0.5)));
    assert_eq!((metrics.kv_capacity_tokens, metrics.block_size), (Some(65536), Some(16)));
}

#[test]
fn trtllm_serve_is_read() {
    let metrics = scan_page("trtllm-serve.txt");
    assert_eq!(metrics.kind, EngineKind::TensorRtLlm);
    assert_eq!((metrics.queue, metrics.running, metrics.kv_use), (Some(4.0), Some(32.0), Some(0.4375)));
    assert_eq!((metrics.kv_capacity_tokens, metrics.block_size), (Some(65536), Some(32)));
}

#[test]
fn triton_series_are_told_apart_by_label() {
    let metrics = scan_page("triton-trtllm.txt");
    assert_eq!(metrics.kind, EngineKind::Triton);
    assert_eq!((metrics.queue, metrics.running, metrics.kv_use), (Some(6.0), Some(18.0), Some(0.5625)));
    assert_eq!((metrics.kv_capacity_tokens, metrics.block_size), (Some(65536), Some(64)));
}

// --- combining ---

#[test]
fn ranks_of_one_vllm_page_combine() {
    let page = br#"vllm:num_requests_waiting{engine="0"} 3
vllm:num_requests_waiting{engine="1"} 4
vllm:kv_cache_usage_perc{engine="0"} 0.2
vllm:kv_cache_usage_perc{engine="1"} 0.6
vllm:cache_config_info{engine="0",block_size="16",num_gpu_blocks="10"} 1
vllm:cache_config_info{engine="1",num_gpu_blocks="20",block_size="16"} 1
vllm:engine_sleep_state{engine="0",sleep_state="awake"} 1
vllm:engine_sleep_state{engine="1",sleep_state="awake"} 0
"#;
    let metrics = scan(page).unwrap();
    assert_eq!((metrics.queue, metrics.kv_use), (Some(7.0), Some(0.4)));
    assert_eq!((metrics.kv_capacity_tokens, metrics.block_size), (Some(480), Some(16)));
    assert_eq!(metrics.awake, Some(false));
}

#[test]
fn old_and_new_names_together_count_once() {
    let page = b"vllm:gpu_prefix_cache_hits_total 5\nvllm:prefix_cache_hits_total 7\nvllm:gpu_cache_usage_perc 0.5\n";
    let metrics = scan(page).unwrap();
    assert_eq!((metrics.prefix_hits, metrics.kv_use), (Some(7.0), Some(0.5)));
}

#[test]
fn the_first_engine_on_the_page_is_the_engine() {
    let metrics = scan(b"sglang:num_queue_reqs 1\nvllm:num_requests_waiting 9\n").unwrap();
    assert_eq!((metrics.kind, metrics.queue), (EngineKind::Sglang, Some(1.0)));
}

// --- lies and garbage ---

#[test]
fn a_lying_value_costs_its_own_signal_only() {
    for lie in ["NaN", "-1", "+Inf", "-Inf", "abc", "", "1e999"] {
        let page = format!("vllm:num_requests_waiting {lie}\nvllm:num_requests_running 2\n");
        let metrics = scan(page.as_bytes()).unwrap();
        assert_eq!((metrics.queue, metrics.running), (None, Some(2.0)), "{lie}");
    }
}

#[test]
fn one_lying_rank_hides_the_sum_instead_of_shrinking_it() {
    let page = b"vllm:num_requests_waiting{engine=\"0\"} 3\nvllm:num_requests_waiting{engine=\"1\"} NaN\n";
    assert_eq!(scan(page).unwrap().queue, None);
    let infinite = b"vllm:num_requests_waiting 1.7e308\nvllm:num_requests_waiting 1.7e308\n";
    assert_eq!(scan(infinite).unwrap().queue, None);
}

#[test]
fn kv_use_may_exceed_its_range_by_rounding_only() {
    let kv_use = |value: &str| scan(format!("vllm:kv_cache_usage_perc {value}\n").as_bytes()).unwrap().kv_use;
    assert_eq!(kv_use("1.0000000002"), Some(1.0));
    assert_eq!(kv_use("-0.0"), Some(0.0));
    assert_eq!(kv_use("1.2"), None);
    assert_eq!(kv_use("97"), None);
    assert_eq!(kv_use("NaN"), None);
}

#[test]
fn block_counts_that_no_cache_has_are_unknown() {
    for (size, blocks) in
        [("None", "None"), ("0", "5"), ("-1", "5"), ("16", "18446744073709551615"), ("16", "x")]
    {
        let page = format!("vllm:cache_config_info{{block_size=\"{size}\",num_gpu_blocks=\"{blocks}\"}} 1\n");
        assert_eq!(scan(page.as_bytes()).unwrap().kv_capacity_tokens, None, "{size} {blocks}");
    }
    let trt = b"trtllm_kv_cache_tokens_per_block 32.5\ntrtllm_kv_cache_max_blocks 10\n";
    assert_eq!(scan(trt).unwrap().kv_capacity_tokens, None);
}

#[test]
fn invalid_utf8_loses_its_line_only() {
    let page =
        b"\xff\xfe\x00garbage\nvllm:num_requests_waiting{a=\"\xff\"} 1\nvllm:num_requests_running 2\n\xc3(";
    let metrics = scan(page).unwrap();
    assert_eq!((metrics.queue, metrics.running), (None, Some(2.0)));
}

#[test]
fn families_that_only_look_alike_are_not_read() {
    let page = br#"vllm:num_requests_waiting_by_reason{reason="capacity"} 9
vllm:num_requests_waiting_created 1.7e9
vllm:prefix_cache_hits_created 1.7e9
vllm:iteration_tokens_total_count 5
vllm:num_requests_running 1
"#;
    let expected = Metrics { kind: EngineKind::Vllm, running: Some(1.0), ..Metrics::default() };
    assert_eq!(scan(page).unwrap(), expected);
}

#[test]
fn a_page_of_something_else_is_not_an_engine() {
    let pages: [&[u8]; 5] = [
        b"",
        b"<html>404</html>",
        b"node_load1 0.5\n",
        b"# vllm:num_requests_waiting 1\n",
        b"vllm:new_family 1\n",
    ];
    for page in pages {
        assert_eq!(scan(page), Err(MetricsError::NotAnEngine { bytes: page.len() }));
    }
}

#[test]
fn adapters_kept_are_bounded() {
    let many = (0..10_000).map(|n| format!("a{n}")).collect::<Vec<_>>().join(",");
    let long = "x".repeat(MAX_ADAPTER_NAME + 1);
    let page = format!(
        "vllm:lora_requests_info{{max_lora=\"x\",running_lora_adapters=\"{many}\",waiting_lora_adapters=\"{long}, b\"}} 1\n"
    );
    let lora = scan(page.as_bytes()).unwrap().lora.unwrap();
    assert_eq!((lora.active.len(), lora.max), (MAX_ADAPTERS, 0));
    assert_eq!(lora.waiting, names(&["b"]));
}

#[test]
fn an_escaped_adapter_name_is_unescaped_in_any_label_order() {
    let page = br#"vllm:lora_requests_info{waiting_lora_adapters="",running_lora_adapters="a\"}b\\",max_lora="1"} 1"#;
    assert_eq!(scan(page).unwrap().lora.unwrap().active, names(&[r#"a"}b\"#]));
}

// --- the judge ---

/// What prometheus-parse and a straightforward reading of its samples make of a page.
struct Oracle(Vec<prometheus_parse::Sample>);

impl Oracle {
    fn new(page: &[u8]) -> Self {
        // prometheus-parse drops names with a colon and cuts label values at commas: both are mapped first.
        let text =
            String::from_utf8(page.to_vec()).unwrap().replace("vllm:", "vllm_").replace("sglang:", "sglang_");
        let mut quoted = false;
        let map = |char| {
            quoted ^= char == '"';
            if quoted && char == ',' { ';' } else { char }
        };
        let text: String = text.chars().map(map).collect();
        Self(Scrape::parse(text.lines().map(|line| Ok(line.to_owned()))).unwrap().samples)
    }

    fn values(&self, name: &str, label: Option<(&str, &str)>) -> Vec<f64> {
        let wanted = |sample: &&prometheus_parse::Sample| {
            sample.metric == name
                && label.is_none_or(|(label, value)| sample.labels.get(label) == Some(value))
        };
        let value = |sample: &prometheus_parse::Sample| match sample.value {
            Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => value,
            Value::Histogram(_) | Value::Summary(_) => panic!("{name} is no plain number"),
        };
        self.0.iter().filter(wanted).map(value).collect()
    }

    fn sum(&self, name: &str, label: Option<(&str, &str)>) -> Option<f64> {
        let values = self.values(name, label);
        (!values.is_empty()).then(|| values.iter().sum())
    }

    fn mean(&self, name: &str, label: Option<(&str, &str)>) -> Option<f64> {
        self.sum(name, label).map(|sum| sum / self.values(name, label).len() as f64)
    }

    fn label(&self, name: &str, label: &str) -> Option<u64> {
        self.0.iter().find(|sample| sample.metric == name)?.labels.get(label)?.parse().ok()
    }

    fn lora(&self) -> Option<Lora> {
        let at = |sample: &&prometheus_parse::Sample| match sample.value {
            Value::Gauge(value) => value,
            _ => panic!("not a gauge"),
        };
        let series = self.0.iter().filter(|sample| sample.metric == "vllm_lora_requests_info");
        let newest = series.max_by(|a, b| at(a).total_cmp(&at(b)))?;
        let list = |label| {
            let names = newest.labels.get(label).unwrap();
            names.split(';').filter(|name| !name.is_empty()).map(str::to_owned).collect()
        };
        Some(Lora {
            active: list("running_lora_adapters"),
            waiting: list("waiting_lora_adapters"),
            max: newest.labels.get("max_lora").unwrap().parse().unwrap(),
        })
    }

    fn vllm(&self) -> Metrics {
        let config = |label| self.label("vllm_cache_config_info", label);
        let old_or_new = |new: &str, old: &str| self.sum(new, None).or_else(|| self.sum(old, None));
        Metrics {
            kind: EngineKind::Vllm,
            queue: self.sum("vllm_num_requests_waiting", None),
            running: self.sum("vllm_num_requests_running", None),
            kv_use: old_or_new("vllm_kv_cache_usage_perc", "vllm_gpu_cache_usage_perc"),
            kv_capacity_tokens: config("kv_cache_size_tokens")
                .or_else(|| Some(config("block_size")? * config("num_gpu_blocks")?)),
            block_size: config("block_size").map(|size| size as u32),
            awake: self
                .sum("vllm_engine_sleep_state", Some(("sleep_state", "awake")))
                .map(|awake| awake > 0.0),
            lora: self.lora(),
            prefix_queries: old_or_new(
                "vllm_prefix_cache_queries_total",
                "vllm_gpu_prefix_cache_queries_total",
            ),
            prefix_hits: old_or_new("vllm_prefix_cache_hits_total", "vllm_gpu_prefix_cache_hits_total"),
            preemptions: self.sum("vllm_num_preemptions_total", None),
            prompt_tokens: self.sum("vllm_prompt_tokens_total", None),
            generation_tokens: self.sum("vllm_generation_tokens_total", None),
        }
    }

    fn sglang(&self) -> Metrics {
        let page_size = self.label("sglang_cache_config_info", "page_size");
        let pages = self.label("sglang_cache_config_info", "num_pages");
        Metrics {
            kind: EngineKind::Sglang,
            queue: self.sum("sglang_num_queue_reqs", None),
            running: self.sum("sglang_num_running_reqs", None),
            kv_use: self.mean("sglang_token_usage", None),
            kv_capacity_tokens: page_size.zip(pages).map(|(size, pages)| size * pages),
            block_size: page_size.map(|size| size as u32),
            prompt_tokens: self.sum("sglang_prompt_tokens_total", None),
            generation_tokens: self.sum("sglang_generation_tokens_total", None),
            ..Metrics::default()
        }
    }

    fn trtllm(&self) -> Metrics {
        let size = self.sum("trtllm_kv_cache_tokens_per_block", None).unwrap();
        Metrics {
            kind: EngineKind::TensorRtLlm,
            queue: self.sum("trtllm_num_requests_waiting", None),
            running: self.sum("trtllm_num_requests_running", None),
            kv_use: self.mean("trtllm_kv_cache_utilization", None),
            kv_capacity_tokens: self
                .sum("trtllm_kv_cache_max_blocks", None)
                .map(|blocks| (blocks * size) as u64),
            block_size: Some(size as u32),
            ..Metrics::default()
        }
    }

    fn triton(&self) -> Metrics {
        let request = |kind| self.sum("nv_trt_llm_request_metrics", Some(("request_type", kind)));
        let block = |kind| self.sum("nv_trt_llm_kv_cache_block_metrics", Some(("kv_cache_block_type", kind)));
        Metrics {
            kind: EngineKind::Triton,
            queue: request("waiting"),
            running: request("scheduled"),
            kv_use: block("fraction"),
            kv_capacity_tokens: block("max").zip(block("tokens_per")).map(|(max, size)| (max * size) as u64),
            block_size: block("tokens_per").map(|size| size as u32),
            ..Metrics::default()
        }
    }
}

#[test]
fn the_scanner_agrees_with_prometheus_parse_on_every_page() {
    for name in PAGES {
        let page = page(name);
        let scanned = scan(&page).unwrap();
        let oracle = Oracle::new(&page);
        let expected = match scanned.kind {
            EngineKind::Vllm => oracle.vllm(),
            EngineKind::Sglang => oracle.sglang(),
            EngineKind::TensorRtLlm => oracle.trtllm(),
            EngineKind::Triton => oracle.triton(),
            EngineKind::Unknown => panic!("{name} is of no engine"),
        };
        assert_eq!(scanned, expected, "{name}");
        assert!(scanned.queue.is_some() && scanned.running.is_some() && scanned.kv_use.is_some(), "{name}");
    }
}

// --- anything at all ---

fn check_honest(metrics: &Metrics) {
    for count in
        [metrics.queue, metrics.running, metrics.prefix_queries, metrics.prefix_hits, metrics.preemptions]
    {
        assert!(count.is_none_or(|count| count.is_finite() && count >= 0.0));
    }
    assert!(metrics.kv_use.is_none_or(|kv_use| (0.0..=1.0).contains(&kv_use)));
    assert!(metrics.kv_capacity_tokens != Some(0) && metrics.block_size != Some(0));
}

proptest! {
    #[test]
    fn any_bytes_are_scanned_without_panic(page in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = scan(&page);
    }

    #[test]
    fn any_text_after_a_known_name_is_scanned_without_panic(rest in "[ \\t{}a-z_=\",\\\\0-9.eNa+-]{0,60}") {
        for name in ["vllm:num_requests_waiting", "vllm:cache_config_info", "vllm:lora_requests_info", "nv_trt_llm_request_metrics"] {
            if let Ok(metrics) = scan(format!("{name}{rest}\n").as_bytes()) {
                check_honest(&metrics);
            }
        }
    }

    #[test]
    fn mutated_pages_give_honest_values_or_none(
        index in 0..PAGES.len(),
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>(), 0..3_u8), 1..40),
    ) {
        let mut page = page(PAGES[index]);
        for (at, byte, kind) in edits {
            let at = at.index(page.len());
            match kind {
                0 => page[at] = byte,
                1 => page.insert(at, byte),
                _ => page.truncate(at.max(1)),
            }
        }
        if let Ok(metrics) = scan(&page) {
            check_honest(&metrics);
        }
    }
}
