//! KV events from simulated engines through an agent to whoever follows it.

use std::net::SocketAddr;

use serde_json::{Value, json};
use warmlane_engine::kv_events::{chained, root};
use warmlane_sim::server::{KvEvents, KvFormat, Options, Running, start};
use warmlane_tests::{Wire, agent::TestAgent, eventually, follower::TestFollower};

const ANY: &str = "127.0.0.1:0";

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// An engine that publishes, on these addresses.
fn engine(http: SocketAddr, events: SocketAddr, format: KvFormat, tokens: u32) -> Running {
    let mut options = Options::new("m");
    options.listen = http;
    options.adapters = vec!["a".to_owned(), "b".to_owned()];
    options.kv_events = Some(KvEvents { listen: events, format });
    options.engine.kv_tokens = Some(tokens);
    options.engine.max_model_len = tokens.min(2_048);
    options.time_scale = 100.0;
    start(options).expect("the engine starts")
}

fn agent(engines: &[&Running]) -> TestAgent {
    let addresses: Vec<SocketAddr> = engines.iter().map(|engine| engine.address()).collect();
    TestAgent::with(&addresses, |config| {
        config.kv_events = engines.iter().map(|engine| engine.kv_events().map(|at| at.to_string())).collect();
    })
}

fn post(engine: SocketAddr, path: &str, body: &Value) -> Value {
    let response = Wire::connect(engine).post(path, &body.to_string());
    assert_eq!(response.status, 200, "{path}: {}", response.text());
    response.json()
}

/// Has a prompt computed, and tells the blocks that it makes.
fn complete(engine: SocketAddr, model: &str, salt: Option<&str>, prompt: &str) -> Vec<u64> {
    let mut body = json!({ "model": model, "prompt": prompt, "max_tokens": 1 });
    if let Some(salt) = salt {
        body["cache_salt"] = salt.into();
    }
    post(engine, "/v1/completions", &body);
    let answer = post(engine, "/tokenize", &json!({ "model": "m", "prompt": prompt }));
    let tokens = answer["tokens"].as_array().expect("tokens").iter();
    let tokens: Vec<u32> = tokens.map(|token| token.as_u64().expect("a token") as u32).collect();
    chained(root((model != "m").then_some(model), salt), &tokens, 16)
}

fn prompt(number: usize) -> String {
    format!("{number} ") + &"words that fill some blocks of a cache ".repeat(12)
}

#[test]
fn blocks_of_every_adapter_and_salt_reach_who_follows_in_both_formats() {
    for format in [KvFormat::Map, KvFormat::Array] {
        let engine = engine(address(ANY), address(ANY), format, 40_000);
        let agent = agent(&[&engine]);
        let (at, name) = (engine.address(), engine.address().to_string());
        let early = TestFollower::of(agent.address());
        early.until("all is known", &name, |held| held.whole);
        let mut all = Vec::new();
        for (model, salt) in
            [("m", None), ("a", None), ("b", None), ("m", Some("tenant")), ("a", Some("tenant"))]
        {
            let blocks = complete(at, model, salt, &prompt(0));
            assert!(blocks.len() > 3 && blocks.iter().all(|block| !all.contains(block)), "{model} {salt:?}");
            all.extend(blocks);
        }
        let late = TestFollower::of(agent.address());
        for follower in [&early, &late] {
            follower.until("all blocks are there", &name, |held| {
                all.iter().all(|block| held.blocks.contains(block))
            });
            assert_eq!(follower.held(&name).block_size, 16);
        }
        assert_eq!(agent.metric("warmlane_agent_endpoint_kv_blocks{"), early.held(&name).blocks.len() as f64);
    }
}

#[test]
fn what_an_engine_throws_out_is_told_too() {
    let engine = engine(address(ANY), address(ANY), KvFormat::Map, 2_048);
    let agent = agent(&[&engine]);
    let (at, name) = (engine.address(), engine.address().to_string());
    let follower = TestFollower::of(agent.address());
    let first = complete(at, "m", None, &prompt(0));
    follower.until("it is held", &name, |held| first.iter().all(|block| held.blocks.contains(block)));
    (1..40).for_each(|number| drop(complete(at, "m", None, &prompt(number))));
    follower
        .until("it is gone", &name, |held| first.iter().skip(3).all(|block| !held.blocks.contains(block)));
    assert!(follower.held(&name).blocks.len() <= 2_048 / 16);
    assert!(follower.held(&name).whole);
}

#[test]
fn an_engine_that_restarts_holds_nothing_of_before() {
    let first = engine(address(ANY), address(ANY), KvFormat::Map, 40_000);
    let agent = agent(&[&first]);
    let (http, events) = (first.address(), first.kv_events().expect("it publishes"));
    let name = http.to_string();
    let follower = TestFollower::of(agent.address());
    let old = complete(http, "m", None, &prompt(0));
    follower.until("it is held", &name, |held| old.iter().all(|block| held.blocks.contains(block)));
    drop(first);
    follower.until("nobody vouches for it", &name, |held| !held.whole);
    assert_eq!(agent.metric("warmlane_agent_endpoint_kv_whole"), 0.0);
    let _second = engine(http, events, KvFormat::Map, 40_000);
    follower.until("the new one's are known", &name, |held| held.whole && held.blocks.is_empty());
    assert_eq!(agent.metric("warmlane_agent_endpoint_kv_whole"), 1.0);
    let new = complete(http, "m", None, &prompt(1));
    follower.until("and only they", &name, |held| new.iter().all(|block| held.blocks.contains(block)));
    assert!(old.iter().all(|block| !follower.held(&name).blocks.contains(block)));
}

#[test]
fn an_agent_that_restarts_learns_all_again() {
    let engine = engine(address(ANY), address(ANY), KvFormat::Map, 40_000);
    let (at, name) = (engine.address(), engine.address().to_string());
    let blocks = complete(at, "m", None, &prompt(0));
    for _ in 0..2 {
        let agent = agent(&[&engine]);
        let follower = TestFollower::of(agent.address());
        follower
            .until("by a replay", &name, |held| held.whole && blocks.iter().all(|b| held.blocks.contains(b)));
    }
}

#[test]
fn engines_whose_events_nobody_publishes_are_told_of_as_before() {
    let publishing = engine(address(ANY), address(ANY), KvFormat::Map, 40_000);
    let nobody = "127.0.0.1:1".to_owned();
    let addresses = [publishing.address()];
    let agent = TestAgent::with(&addresses, |config| config.kv_events = vec![Some(nobody)]);
    eventually("it is read", || agent.metric("warmlane_agent_scrapes_total{outcome=\"ok\"}") > 0.0);
    assert_eq!(agent.metric("warmlane_agent_endpoint_kv_blocks{"), 0.0);
    let score = agent.metric("warmlane_agent_endpoint_score{");
    assert!(score > 0.5, "{score}");
}
