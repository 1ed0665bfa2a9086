//! The real router binary in front of two real vLLM engines, spoken to by real clients.
//!
//! Not started by a plain `cargo test`: `cargo xtask test --only real-vllm` installs and starts the engines and names
//! them in the environment. Python clients tell what they saw as JSON; this file judges it.

#[path = "real_vllm/clients.rs"]
mod clients;
#[path = "real_vllm/exact.rs"]
mod exact;
#[path = "real_vllm/kv.rs"]
mod kv;
#[path = "real_vllm/router.rs"]
mod router;
#[path = "real_vllm/tokens.rs"]
mod tokens;

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};

use clients::{Engines, Seen, models, repeats, streamed, told};
use router::Router;
use warmlane_tests::envoy::Bootstrap;

const MODEL: &str = "/model/qwen";
const ADAPTERS: [&str; 2] = ["travel-helper-v1", "travel-helper-v2"];

/// An address that nothing listens on.
fn closed_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").to_string()
}

fn all_models() -> Vec<String> {
    [MODEL, ADAPTERS[0], ADAPTERS[1]].map(str::to_owned).to_vec()
}

#[test]
fn the_openai_client_gets_completions_and_chats_from_the_model_and_from_each_adapter() {
    let engines = Engines::given();
    let router = Router::start("answers", &engines.addresses);
    for model in [MODEL, ADAPTERS[0], ADAPTERS[1]] {
        for command in ["complete", "chat"] {
            let seen: Seen = told(&engines, &router.aware, &[command, "--model", model]);
            assert_eq!(seen.model, model, "{command}");
            assert_eq!(seen.completion_tokens, 8, "{command} {model}");
            assert!(
                engines.addresses.contains(&seen.endpoint),
                "{command} {model} came from {}",
                seen.endpoint
            );
        }
    }
}

#[test]
fn streamed_chats_arrive_token_by_token_with_their_usage() {
    let engines = Engines::given();
    let router = Router::start("streams", &engines.addresses);
    for model in [MODEL, ADAPTERS[0], ADAPTERS[1]] {
        streamed(&engines, &router.aware, model).assert_whole(model);
    }
    assert_ne!(router.rode(), Some(false), "some of it took the kernel lane");
}

#[test]
fn repeats_go_to_the_engine_that_is_warm_for_them() {
    let engines = Engines::given();
    let router = Router::start("warm", &engines.addresses);
    let seen = repeats(&engines, &router.aware, 1);
    let (first, later) = seen.split_at(seen.iter().filter(|seen| seen.round == 0).count());
    assert!(first.iter().all(|seen| seen.cached_tokens == 0), "the prompts were not new: {first:?}");
    let homes: BTreeSet<&str> = first.iter().map(|seen| seen.endpoint.as_str()).collect();
    assert_eq!(
        homes.len(),
        2,
        "all new prompts went to one engine, so warmth is not what repeats show: {first:?}"
    );
    assert!(!later.is_empty());
    for again in later {
        let home = first.iter().find(|seen| seen.prompt == again.prompt).unwrap();
        assert_eq!(again.endpoint, home.endpoint, "prompt {} left its warm engine", again.prompt);
        // All but the last block of 32 tokens can be warm.
        assert!(again.cached_tokens + 64 > again.prompt_tokens, "{again:?}");
    }
}

#[test]
fn the_plain_listener_spreads_repeats_without_looking_at_warmth() {
    let engines = Engines::given();
    let router = Router::start("plain", &engines.addresses);
    let seen = repeats(&engines, &router.plain, 2);
    let home = |prompt| seen.iter().find(|seen| seen.prompt == prompt).unwrap().endpoint.as_str();
    let strayed = seen.iter().filter(|again| again.endpoint != home(again.prompt)).count();
    // 24 repeats on a coin each: none straying happens once in sixteen million runs.
    assert!(strayed > 0, "the plain listener behaved like the aware one: {seen:?}");
}

#[test]
fn the_model_list_is_merged_and_names_each_model_once() {
    let engines = Engines::given();
    let router = Router::start("models", &engines.addresses);
    assert_eq!(models(&engines, &router.aware), all_models());
    assert_eq!(models(&engines, &router.plain), all_models());
}

#[test]
fn with_one_engine_down_models_are_listed_and_every_request_is_answered() {
    let engines = Engines::given();
    let alive = engines.addresses[0].clone();
    let router = Router::start("one-down", &[closed_port(), alive.clone()]);
    assert_eq!(models(&engines, &router.aware), all_models());
    for seen in repeats(&engines, &router.aware, 3) {
        assert_eq!(seen.endpoint, alive);
    }
}

#[test]
fn the_engines_own_load_test_ends_without_a_failed_request() {
    let engines = Engines::given();
    let router = Router::start("load", &engines.addresses);
    let result = clients::load_test(&engines, &router.aware, 60);
    assert_eq!(result.failed, 0);
    assert_eq!(result.completed, 60);
    assert!(result.total_output_tokens >= 60 * 51, "requests ended early: {}", result.total_output_tokens);
    assert_ne!(router.rode(), Some(false), "some of it took the kernel lane");
}

#[test]
fn the_engines_own_load_test_ends_without_a_failed_request_through_envoy_too() {
    let engines = Engines::given();
    let router = Router::start("envoy-load", &engines.addresses);
    let replicas: Vec<SocketAddr> =
        engines.addresses.iter().map(|address| address.parse().expect("an address")).collect();
    for (number, bootstrap) in
        ["override-host.yaml", "full-duplex.yaml", "original-dst.yaml"].iter().enumerate()
    {
        let picker = router.picker.parse().expect("an address");
        let envoy = Bootstrap::of(bootstrap, picker, &replicas).start();
        envoy.wait_for_picker(true);
        let result = clients::load_test(&engines, &envoy.aware().to_string(), 60);
        assert_eq!((result.failed, result.completed), (0, 60), "{bootstrap}");
        assert!(
            result.total_output_tokens >= 60 * 51,
            "requests ended early: {}",
            result.total_output_tokens
        );
        let adapter = ADAPTERS[number % 2];
        streamed(&engines, &envoy.aware().to_string(), adapter).assert_whole(adapter);
    }
}
