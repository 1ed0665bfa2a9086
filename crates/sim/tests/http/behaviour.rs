//! Time, aborts, adapters, sleep and idle connections.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use warmlane_sim::server::{Running, start};

use crate::client::{Answer, await_metric, connect, engine, get, merge, metric, options, post, send};

const RUNNING: &str = "vllm:num_requests_running";
const WAITING: &str = "vllm:num_requests_waiting{";
const KV_USE: &str = "vllm:kv_cache_usage_perc";

fn body(fields: Value) -> String {
    let mut body = json!({"prompt": "hello", "max_tokens": 20, "ignore_eos": true});
    merge(&mut body, fields);
    body.to_string()
}

fn scaled(time_scale: f64) -> Running {
    let mut options = options();
    options.time_scale = time_scale;
    start(options).unwrap()
}

#[test]
fn engine_time_does_not_depend_on_the_scale_or_on_late_timers() {
    let gaps = |scale| {
        let engine = scaled(scale);
        post(&engine, "/v1/completions", &body(json!({})));
        metric(&engine, "vllm:inter_token_latency_seconds_sum")
    };
    let (slow, fast) = (gaps(20.0), gaps(2000.0));
    assert!((slow - fast).abs() < 1e-6, "{slow} {fast}");
    assert!((slow - 19.0 * 15.2e9 / 600e9).abs() < 1e-3, "19 decode steps of an A10: {slow}");
}

#[test]
fn wall_time_is_at_least_engine_time_over_the_scale() {
    let engine = scaled(10.0);
    let begun = Instant::now();
    post(&engine, "/v1/completions", &body(json!({})));
    let wall = begun.elapsed().as_secs_f64();
    let engine_time = metric(&engine, "vllm:inter_token_latency_seconds_sum");
    // The timer aims half a millisecond early.
    assert!(wall + 0.001 > engine_time / 10.0, "{wall} {engine_time}");
}

#[test]
fn tokens_come_one_by_one_while_the_answer_goes_on() {
    let engine = scaled(1.0);
    let mut stream = connect(engine.address());
    send(&mut stream, "POST", "/v1/completions", &[], &body(json!({"stream": true, "max_tokens": 4000})));
    let mut lines = BufReader::new(&mut stream).lines();
    let first = lines.find(|line| line.as_ref().unwrap().starts_with("data: ")).unwrap().unwrap();
    assert!(first.contains(r#""finish_reason":null"#));
    assert_eq!(metric(&engine, RUNNING), 1.0);
    assert!(metric(&engine, KV_USE) > 0.0);
}

#[test]
fn a_client_that_goes_away_frees_its_place_at_once() {
    let engine = scaled(1.0);
    let mut streamed = connect(engine.address());
    send(&mut streamed, "POST", "/v1/completions", &[], &body(json!({"stream": true, "max_tokens": 4000})));
    let mut whole = connect(engine.address());
    send(&mut whole, "POST", "/v1/completions", &[], &body(json!({"max_tokens": 4000})));
    await_metric(&engine, RUNNING, 2.0);
    drop((streamed, whole));
    await_metric(&engine, RUNNING, 0.0);
    assert_eq!(metric(&engine, KV_USE), 0.0);
    let ended = metric(&engine, "vllm:request_success_total{engine=\"0\",finished_reason=\"abort\"");
    assert_eq!(ended, 0.0, "the real engine does not count them either");
}

#[test]
fn requests_beyond_the_seats_wait() {
    let mut options = options();
    options.time_scale = 1.0;
    options.engine.max_num_seqs = 1;
    let engine = start(options).unwrap();
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = connect(engine.address());
        send(&mut stream, "POST", "/v1/completions", &[], &body(json!({"max_tokens": 4000})));
        held.push(stream);
    }
    await_metric(&engine, WAITING, 2.0);
    assert_eq!(metric(&engine, RUNNING), 1.0);
    let capacity =
        "vllm:num_requests_waiting_by_reason{engine=\"0\",model_name=\"/model/qwen\",reason=\"capacity\"}";
    assert_eq!(metric(&engine, capacity), 2.0);
}

#[test]
fn adapters_beyond_the_slots_wait_and_are_named() {
    let mut options = options();
    options.time_scale = 1.0;
    options.engine.max_loras = 1;
    let engine = start(options).unwrap();
    let mut held = Vec::new();
    for (model, running) in [("travel-helper-v1", 1.0), ("travel-helper-v2", 1.0), ("/model/qwen", 2.0)] {
        let mut stream = connect(engine.address());
        let fields = json!({"model": model, "stream": true, "max_tokens": 3000});
        send(&mut stream, "POST", "/v1/completions", &[], &body(fields));
        held.push(stream);
        await_metric(&engine, RUNNING, running);
    }
    await_metric(&engine, WAITING, 1.0);
    let deferred =
        "vllm:num_requests_waiting_by_reason{engine=\"0\",model_name=\"/model/qwen\",reason=\"deferred\"}";
    assert_eq!(metric(&engine, deferred), 1.0);
    let page = get(&engine, "/metrics").body;
    let mut series: Vec<(f64, &str)> = page
        .lines()
        .filter(|line| line.starts_with("vllm:lora_requests_info"))
        .map(|line| (line.rsplit_once(' ').unwrap().1.parse().unwrap(), line))
        .collect();
    series.sort_by(|a, b| a.0.total_cmp(&b.0));
    let newest = series.last().unwrap().1;
    let labels =
        r#"{max_lora="1",running_lora_adapters="travel-helper-v1",waiting_lora_adapters="travel-helper-v2"}"#;
    assert!(newest.contains(labels), "{newest}");
}

#[test]
fn a_sleeping_engine_looks_idle_and_healthy_while_requests_hang() {
    let engine = engine();
    assert_eq!(post(&engine, "/sleep?level=1", "").json(), json!({"status": "sleeping", "level": 1}));
    assert_eq!(get(&engine, "/is_sleeping").json(), json!({"is_sleeping": true}));
    let mut hanging = connect(engine.address());
    send(&mut hanging, "POST", "/v1/completions", &[], &body(json!({})));
    for _ in 0..20 {
        assert_eq!(get(&engine, "/health").status, 200);
        assert_eq!(
            (metric(&engine, RUNNING), metric(&engine, WAITING), metric(&engine, KV_USE)),
            (0.0, 0.0, 0.0)
        );
    }
    let state = |state: &str| {
        metric(
            &engine,
            &format!(
                "vllm:engine_sleep_state{{engine=\"0\",model_name=\"/model/qwen\",sleep_state=\"{state}\""
            ),
        )
    };
    assert_eq!((state("awake"), state("weights_offloaded"), state("discard_all")), (0.0, 1.0, 0.0));
    hanging.set_nonblocking(true).unwrap();
    assert_eq!(hanging.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    hanging.set_nonblocking(false).unwrap();
    assert_eq!(post(&engine, "/wake_up", "").json(), json!({"status": "awake", "tags": null}));
    assert_eq!(Answer::read(hanging).json()["usage"]["completion_tokens"], 20);
}

#[test]
fn falling_asleep_aborts_what_runs_unless_it_is_to_be_kept() {
    let engine = scaled(1.0);
    let begin = || {
        let mut stream = connect(engine.address());
        send(&mut stream, "POST", "/v1/completions", &[], &body(json!({"stream": true, "max_tokens": 3000})));
        await_metric(&engine, RUNNING, 1.0);
        stream
    };
    let aborted = begin();
    post(&engine, "/sleep", "");
    let events = Answer::read(aborted).events();
    assert_eq!(events[events.len() - 2]["choices"][0]["finish_reason"], "abort");
    post(&engine, "/wake_up", "");
    let kept = begin();
    assert_eq!(post(&engine, "/sleep?level=2&mode=keep", "").status, 200);
    post(&engine, "/wake_up", "");
    await_metric(&engine, RUNNING, 1.0);
    drop(kept);
}

#[test]
fn the_prefix_cache_can_be_emptied() {
    let engine = engine();
    let prompt: Vec<u32> = (0..100).collect();
    let cached = || {
        let usage =
            post(&engine, "/v1/completions", &body(json!({ "prompt": prompt }))).json()["usage"].clone();
        usage["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap()
    };
    assert_eq!((cached(), cached()), (0, 96));
    post(&engine, "/reset_prefix_cache", "");
    assert_eq!(cached(), 0);
}

#[test]
fn salt_and_adapter_separate_the_cache() {
    let engine = engine();
    let prompt: Vec<u32> = (0..100).collect();
    let cached = |fields: Value| {
        let mut all = json!({ "prompt": prompt });
        merge(&mut all, fields);
        let usage = post(&engine, "/v1/completions", &body(all)).json()["usage"].clone();
        usage["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap()
    };
    for fields in [json!({}), json!({"cache_salt": "a"}), json!({"model": "travel-helper-v1"})] {
        assert_eq!((cached(fields.clone()), cached(fields)), (0, 96));
    }
}

#[test]
fn an_answer_that_may_end_by_itself_does_and_the_same_way_each_time() {
    let engine = scaled(2000.0);
    let ask =
        || post(&engine, "/v1/completions", &body(json!({"ignore_eos": false, "max_tokens": 3000}))).json();
    let (first, second) = (ask(), ask());
    assert_eq!(first["choices"], second["choices"]);
    assert_eq!(first["choices"][0]["finish_reason"], "stop");
    assert!((64..=512).contains(&first["usage"]["completion_tokens"].as_u64().unwrap()));
    let longer = post(
        &engine,
        "/v1/completions",
        &body(json!({"ignore_eos": false, "max_tokens": 3000, "min_tokens": 700})),
    );
    assert_eq!(longer.json()["usage"]["completion_tokens"], 700);
}

#[test]
fn an_idle_connection_is_closed_after_the_keep_alive_time() {
    let mut options = options();
    options.keep_alive = Duration::from_millis(50);
    let engine = start(options).unwrap();
    let mut stream = connect(engine.address());
    send(&mut stream, "GET", "/health", &[], "");
    let mut reader = BufReader::new(stream);
    assert_eq!(Answer::read_from(&mut reader).status, 200);
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"", "closed without another byte");
}
