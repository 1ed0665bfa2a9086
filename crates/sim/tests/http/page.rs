//! The metrics page has the families, types and labels of a recorded one, and its numbers are true.

use std::collections::BTreeSet;

use serde_json::json;

use crate::client::{engine, fixture, get, metric, post};

/// What a page says of a family, values aside.
#[derive(Debug, PartialEq)]
struct Family {
    name: String,
    help: String,
    kind: String,
    /// Sample name and label names of every series, once.
    series: BTreeSet<(String, Vec<String>)>,
}

fn families(page: &str, prefix: &str) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            let (name, help) = (name.to_owned(), help.to_owned());
            families.push(Family { name, help, kind: String::new(), series: BTreeSet::new() });
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            let family = families.last_mut().unwrap();
            assert_eq!(family.name, name);
            family.kind = kind.to_owned();
        } else {
            families.last_mut().unwrap().series.insert(series(line));
        }
    }
    families.retain(|family| family.name.starts_with(prefix));
    families
}

fn series(line: &str) -> (String, Vec<String>) {
    let (name, _value) = line.rsplit_once(' ').unwrap();
    let Some((name, labels)) = name.split_once('{') else { return (name.to_owned(), Vec::new()) };
    let labels = labels.trim_end_matches('}').split("\",");
    (name.to_owned(), labels.map(|label| label.split_once('=').unwrap().0.to_owned()).collect())
}

#[test]
fn families_types_help_and_labels_are_the_recorded_ones_in_the_recorded_order() {
    let engine = engine();
    let body = json!({"model": "travel-helper-v1", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3});
    post(&engine, "/v1/chat/completions", &body.to_string());
    let page = get(&engine, "/metrics");
    assert_eq!(page.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let recorded = fixture("metrics", "vllm-0.32-metrics-load-lora.txt");
    for prefix in ["process_", "vllm:", "http_"] {
        let (own, recorded) = (families(&page.body, prefix), families(&recorded, prefix));
        assert!(!recorded.is_empty());
        for (own, recorded) in own.iter().zip(&recorded) {
            assert_eq!(own, recorded);
        }
        assert_eq!(own.len(), recorded.len());
    }
}

#[test]
fn an_engine_without_adapters_has_no_adapter_family() {
    let mut options = crate::client::options();
    options.adapters.clear();
    let engine = warmlane_sim::server::start(options).unwrap();
    assert!(!get(&engine, "/metrics").body.contains("lora"));
}

#[test]
fn counters_and_histograms_add_up() {
    let engine = engine();
    let ids: Vec<u32> = (0..100).collect();
    for max_tokens in [5, 7] {
        let body = json!({"prompt": ids, "max_tokens": max_tokens, "ignore_eos": true});
        post(&engine, "/v1/completions", &body.to_string());
    }
    let value = |series: &str| metric(&engine, &format!("vllm:{series}"));
    assert_eq!(value("prompt_tokens_total"), 200.0);
    assert_eq!(value("generation_tokens_total"), 12.0);
    assert_eq!(value("prefix_cache_queries_total"), 200.0);
    assert_eq!(value("prefix_cache_hits_total"), 96.0);
    assert_eq!(
        value(
            "prompt_tokens_by_source_total{engine=\"0\",model_name=\"/model/qwen\",source=\"local_compute\"}"
        ),
        104.0
    );
    assert_eq!(value("request_success_total{engine=\"0\",finished_reason=\"length\""), 2.0);
    assert_eq!(value("request_prefill_kv_computed_tokens_sum"), 104.0);
    assert_eq!(value("request_params_max_tokens_sum"), 12.0);
    assert_eq!(value("time_to_first_token_seconds_count"), 2.0);
    assert_eq!(value("inter_token_latency_seconds_count"), 10.0);
    let phases =
        ["queue", "prefill", "decode"].map(|phase| value(&format!("request_{phase}_time_seconds_sum")));
    let whole = value("e2e_request_latency_seconds_sum");
    assert!((phases.iter().sum::<f64>() - whole).abs() < 1e-9, "{phases:?} {whole}");
    assert_eq!(value("kv_cache_usage_perc"), 0.0);
}

#[test]
fn buckets_are_cumulative_and_end_at_the_count() {
    let engine = engine();
    let body = json!({"prompt": "hello", "max_tokens": 30, "ignore_eos": true});
    post(&engine, "/v1/completions", &body.to_string());
    let page = get(&engine, "/metrics").body;
    let values = |part: &str| -> Vec<f64> {
        let lines =
            page.lines().filter(|line| line.starts_with(&format!("vllm:inter_token_latency_seconds_{part}")));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap()).collect()
    };
    let buckets = values("bucket");
    assert!(buckets.is_sorted() && buckets.len() == 20);
    assert_eq!((buckets.last(), values("count").first()), (Some(&29.0), Some(&29.0)));
}

#[test]
fn big_numbers_are_written_as_python_writes_them() {
    let engine = engine();
    let page = get(&engine, "/metrics").body;
    let line = page.lines().find(|line| line.starts_with("process_start_time_seconds ")).unwrap();
    let value = line.rsplit_once(' ').unwrap().1;
    assert!(value.contains('.') && value.ends_with("e+09"), "{value}");
    assert!(value.parse::<f64>().unwrap() > 1.7e9);
}
