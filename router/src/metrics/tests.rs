use warmlane_kube::{Kind, Source as WatchedSource, SourceState};
use warmlane_picker::{Decision, Slot, Source, Strategy};

use super::*;
use crate::{config::Config, kube::Desired, stage::Stage};

fn world(endpoints: &[&str]) -> Arc<World> {
    let config = Config::for_endpoints(endpoints.iter().map(ToString::to_string).collect());
    let world = Arc::new(World::new(&config, 1));
    // Publishes the endpoints.
    drop(crate::world::writer::Writer::new(world.clone(), &config));
    world
}

/// The families a page must have, dashboards and alerts name them.
const FAMILIES: [&str; 39] = [
    "build_info",
    "uptime_seconds",
    "requests_total",
    "request_errors_total",
    "client_connections",
    "stage_duration_seconds",
    "retries_total",
    "client_aborts_total",
    "shed_total",
    "picks_total",
    "prompt_tokens_total",
    "prefix_lookups_total",
    "prefix_matched_tokens_total",
    "prefix_matches_total{source=\"history\"}",
    "prompt_tokenize_seconds",
    "prompt_tokenize_failures_total{reason=\"crowded\"}",
    "prompts_known",
    "kv_index_bytes",
    "scrapes_total",
    "scrape_duration_seconds",
    "extension_hooks_total{hook=\"http_listener\",outcome=\"broken\"}",
    "extension_handshake_failures_total",
    "admin_actions_total{action=\"drain\",outcome=\"refused\"}",
    "cluster_sources_down",
    "cluster_troubles",
    "endpoint_ready",
    "endpoint_in_flight",
    "endpoint_queue",
    "endpoint_running",
    "endpoint_kv_use",
    "endpoint_signal_age_seconds",
    "endpoint_requests_total",
    "prefix_index_bytes",
    "prefix_index_capacity_blocks",
    "session_pins",
    "prefix_groups",
    "endpoint_ready{endpoint=\"a:1\"}",
    "endpoint_in_flight{endpoint=\"b:2\"}",
    "stage_duration_seconds_bucket{le=\"+Inf\",stage=\"relay\"}",
];

fn value(page: &str, series: &str) -> f64 {
    let line = page.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
    let line = line.unwrap_or_else(|| panic!("no {series} in\n{page}"));
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
}

#[test]
fn every_family_is_on_the_page_from_the_start() {
    let page = Metrics::new(&world(&["a:1", "b:2"])).render().expect("page");
    for family in FAMILIES {
        let name = format!("warmlane_{}", family.trim_end_matches("_total"));
        assert!(page.contains(&name), "{family} is missing in\n{page}");
    }
    assert!(page.ends_with("# EOF\n"));
}

#[test]
fn what_is_counted_is_shown() {
    let metrics = Metrics::new(&world(&["a:1"]));
    let proxy = metrics.proxy();
    proxy.request_done(Listener::Aware, 200);
    proxy.request_done(Listener::Aware, 200);
    proxy.request_done(Listener::Plain, 404);
    proxy.request_done(Listener::Plain, 999);
    proxy.error(Listener::Plain, ErrorReason::UnknownModel);
    proxy.retry(RetryReason::Closed);
    proxy.aborted();
    proxy.shed();
    let decision = |strategy, matched_tokens, source| Decision {
        endpoint: Slot(0),
        fallbacks: Vec::new(),
        tied: 1,
        relaxed: Vec::new(),
        matched_tokens,
        source,
        strategy,
    };
    proxy.picked(&decision(Strategy::PrefixCache, 48, Some(Source::Events)), 64);
    proxy.picked(&decision(Strategy::Default, 0, None), 10);
    proxy.stage(Stage::Pick, Duration::from_micros(30));
    let connected = proxy.connected(Listener::Aware);
    let page = metrics.render().expect("page");
    assert_eq!(value(&page, "warmlane_requests_total{listener=\"aware\",code=\"200\"}"), 2.0);
    assert_eq!(value(&page, "warmlane_requests_total{listener=\"plain\",code=\"404\"}"), 1.0);
    assert_eq!(value(&page, "warmlane_requests_total{listener=\"plain\",code=\"599\"}"), 1.0);
    assert_eq!(
        value(&page, "warmlane_request_errors_total{listener=\"plain\",reason=\"unknown_model\"}"),
        1.0
    );
    assert_eq!(value(&page, "warmlane_retries_total{reason=\"closed\"}"), 1.0);
    assert_eq!(value(&page, "warmlane_client_aborts_total"), 1.0);
    assert_eq!(value(&page, "warmlane_shed_total"), 1.0);
    assert_eq!(value(&page, "warmlane_picks_total{strategy=\"PREFIX_CACHE\"}"), 1.0);
    assert_eq!(value(&page, "warmlane_prompt_tokens_total"), 74.0);
    assert_eq!(value(&page, "warmlane_prefix_lookups_total"), 1.0);
    assert_eq!(value(&page, "warmlane_prefix_matched_tokens_total"), 48.0);
    assert_eq!(value(&page, "warmlane_prefix_matches_total{source=\"events\"}"), 1.0);
    assert_eq!(value(&page, "warmlane_stage_duration_seconds_count{stage=\"pick\"}"), 1.0);
    assert_eq!(value(&page, "warmlane_client_connections{listener=\"aware\"}"), 1.0);
    drop(connected);
    let page = metrics.render().expect("page");
    assert_eq!(value(&page, "warmlane_client_connections{listener=\"aware\"}"), 0.0);
}

#[test]
fn readings_that_an_engine_never_gave_are_not_shown_as_zero() {
    let page = Metrics::new(&world(&["a:1"])).render().expect("page");
    assert!(!page.contains("warmlane_endpoint_queue{"), "{page}");
    assert_eq!(value(&page, "warmlane_endpoint_ready{endpoint=\"a:1\"}"), 0.0);
}

#[test]
fn what_is_watched_of_a_cluster_is_shown_and_nothing_is_wrong_without_one() {
    let world = world(&[]);
    let metrics = Metrics::new(&world);
    let page = metrics.render().expect("a page");
    assert!(value(&page, "warmlane_cluster_sources_down").abs() < f64::EPSILON);
    let state =
        |kind, is_up| SourceState { source: WatchedSource { kind, namespace: Some("llm".into()) }, is_up };
    let desired = Desired {
        sources: vec![state(Kind::PoolV1, true), state(Kind::Pod, false)],
        troubles: vec!["one".into(), "two".into(), "three".into()],
        ..Desired::default()
    };
    let (_tell, told) = tokio::sync::watch::channel(Arc::new(desired));
    metrics.cluster().follow(told);
    let page = metrics.render().expect("a page");
    for (series, expected) in [
        (
            "warmlane_cluster_source_up{resource=\"inferencepools.inference.networking.k8s.io\",namespace=\"llm\"}",
            1.0,
        ),
        ("warmlane_cluster_source_up{resource=\"pods\",namespace=\"llm\"}", 0.0),
        ("warmlane_cluster_sources_down", 1.0),
        ("warmlane_cluster_troubles", 3.0),
    ] {
        assert!((value(&page, series) - expected).abs() < f64::EPSILON, "{series}");
    }
}

#[test]
fn a_models_counts_have_upstreams_names_too() {
    let metrics = Metrics::new(&world(&["a:1"]));
    let (proxy, mut models) = (metrics.proxy(), Models::default());
    let running = models.begin(&proxy.by_model, Some(("m", "m-v2")), 1_000);
    let usage = warmlane_engine::sse::payload::Usage {
        prompt_tokens: 700,
        completion_tokens: 5,
        cached_tokens: Some(512),
    };
    let (first_byte, took) = (Some(Duration::from_secs(2)), Duration::from_secs(10));
    running.done(took, &Answered { first_byte, bytes: Some(300), usage: Some(usage) });
    drop(running);
    // An answer of one token has no later ones, and one whose engine did not count says nothing of tokens.
    let one =
        warmlane_engine::sse::payload::Usage { prompt_tokens: 1, completion_tokens: 1, cached_tokens: None };
    let running = models.begin(&proxy.by_model, Some(("m", "m-v2")), 1_000);
    running.done(took, &Answered { first_byte, bytes: None, usage: Some(one) });
    running.done(took, &Answered::default());
    let page = metrics.render().expect("page");
    let of = "{model_name=\"m\",target_model_name=\"m-v2\"}";
    for (name, expected) in [
        ("inference_objective_request_sizes_sum", 2_000.0),
        ("llm_d_epp_response_size_bytes_sum", 300.0),
        ("inference_objective_input_tokens_sum", 701.0),
        ("llm_d_epp_request_output_tokens_sum", 6.0),
        ("llm_d_epp_request_cached_tokens_count", 1.0),
        ("inference_objective_prompt_cached_tokens_sum", 512.0),
        ("inference_objective_normalized_time_per_output_token_seconds_sum", 12.0),
        ("llm_d_epp_request_streaming_tpot_seconds_sum", 2.0),
        ("llm_d_epp_request_streaming_tpot_seconds_count", 1.0),
        ("llm_d_epp_request_duration_seconds_count", 3.0),
    ] {
        let found = value(&page, &format!("{name}{of}"));
        assert!((found - expected).abs() < 1e-6, "{name}: {found}");
    }
    let renamed = "llm_d_epp_model_rewrite_decisions_total{model_name=\"m\",target_model=\"m-v2\"}";
    assert_eq!(value(&page, renamed), 2.0);
}

#[test]
fn exchanges_with_envoy_end_by_grpcs_names() {
    let metrics = Metrics::new(&world(&["a:1"]));
    let proxy = metrics.proxy();
    (0..4).for_each(|_| proxy.stream_began());
    for end in [StreamEnd::Complete, StreamEnd::Routed, StreamEnd::Abandoned] {
        proxy.stream_ended(end, Duration::from_secs(1));
    }
    let page = metrics.render().expect("page");
    assert_eq!(value(&page, "llm_d_epp_extproc_streams_inflight"), 1.0);
    assert_eq!(value(&page, "llm_d_epp_extproc_streams_total{code=\"OK\"}"), 2.0);
    assert_eq!(value(&page, "llm_d_epp_extproc_streams_total{code=\"Canceled\"}"), 1.0);
    assert_eq!(value(&page, "llm_d_epp_extproc_stream_duration_seconds_sum"), 3.0);
}
