//! Routers that send prompts to the engines that really hold them, by the engines' own KV events.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use warmlane_api::node::{Blocks, Update};
use warmlane_engine::kv_events;
use warmlane_picker::{Profile, Strategy};
use warmlane_sim::server::{KvEvents, KvFormat, Options, Running, start};
use warmlane_tests::{
    TestRouter, Wire,
    agent::TestAgent,
    eventually,
    follower::TestFollower,
    told::{ToldAgent, delta, full, waiting},
};

const ANY: &str = "127.0.0.1:0";

fn engine(tokens: u32) -> Running {
    let any: SocketAddr = ANY.parse().expect("an address");
    let mut options = Options::new("m");
    options.listen = any;
    options.adapters = vec!["a".to_owned()];
    options.kv_events = Some(KvEvents { listen: any, format: KvFormat::Map });
    options.engine.kv_tokens = Some(tokens);
    options.engine.max_model_len = tokens.min(2_048);
    options.time_scale = 100.0;
    start(options).expect("the engine starts")
}

fn agent(engines: &[Running]) -> TestAgent {
    let addresses: Vec<SocketAddr> = engines.iter().map(Running::address).collect();
    TestAgent::with(&addresses, |config| {
        config.kv_events = engines.iter().map(|engine| engine.kv_events().map(|at| at.to_string())).collect();
    })
}

/// A router that has seen no prompt, once all that its engines hold is known to it.
fn router(engines: &[Running], agent: &TestAgent) -> TestRouter {
    let addresses: Vec<SocketAddr> = engines.iter().map(Running::address).collect();
    let router = TestRouter::with(&addresses, |config| {
        config.agents = vec![agent.address().to_string()];
        config.profile = Profile::of(Strategy::PrefixCache);
        config.prefix.tokenizer_wait = Duration::from_secs(5);
    });
    eventually("all is known", || {
        kv(&router).iter().filter(|row| row["whole"] == true).count() == engines.len()
    });
    router
}

fn kv(router: &TestRouter) -> Vec<Value> {
    let page = router.admin().get("/debug/agents").json();
    page["agents"][0]["kv"].as_array().cloned().unwrap_or_default()
}

/// How many the router is told that an engine holds.
fn blocks(router: &TestRouter, engine: &Running) -> u64 {
    let address = engine.address().to_string();
    let row = kv(router).into_iter().find(|row| row["endpoint"] == address.as_str());
    row.and_then(|row| row["blocks"].as_u64()).unwrap_or_default()
}

/// Token ids that no other prompt begins with.
fn ids(number: usize) -> Vec<usize> {
    (0..1_600).map(|at| if at == 0 { 1_000 + number } else { 500 + (number * 7 + at) % 400 }).collect()
}

fn body(number: usize) -> Value {
    json!({ "model": "m", "prompt": ids(number), "max_tokens": 1 })
}

/// Sends a body; who served it, and how many tokens of its prompt were there already.
fn send(wire: &mut Wire, path: &str, body: &Value) -> (String, u64) {
    let response = wire.post(path, &body.to_string());
    assert_eq!(response.status, 200, "{}", response.text());
    let cached = response.json()["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64();
    let endpoint = response.header("x-warmlane-endpoint").unwrap_or_default().to_owned();
    (endpoint, cached.unwrap_or_default())
}

/// Waits until the router knows that an engine holds a prompt, and what that one has dropped for it.
fn hear(router: &TestRouter, agent: &TestAgent, engine: SocketAddr, number: usize) {
    let tokens: Vec<u32> = ids(number).iter().map(|id| *id as u32).collect();
    let last = *kv_events::chained(kv_events::root(None, None), &tokens, 16).last().expect("a block");
    let follower = TestFollower::of(agent.address());
    follower.until("the prompt is told", &engine.to_string(), |held| held.blocks.contains(&last));
    router.hear_agents();
}

fn warm(engines: &[Running], number: usize) -> &Running {
    let engine = &engines[number % engines.len()];
    send(&mut Wire::connect(engine.address()), "/v1/completions", &body(number));
    engine
}

#[test]
fn prompts_that_a_router_never_saw_go_where_others_sent_them() {
    let engines = [engine(40_000), engine(40_000), engine(40_000)];
    let agent = agent(&engines);
    let router = router(&engines, &agent);
    for number in 0..12 {
        let engine = warm(&engines, number);
        let at = number % engines.len();
        let held = 100 * (number / engines.len() + 1) as u64;
        eventually("its blocks are told", || blocks(&router, &engines[at]) >= held);
        let (endpoint, cached) = send(&mut router.aware(), "/v1/completions", &body(number));
        assert_eq!(endpoint, engine.address().to_string(), "prompt {number}");
        assert!(cached >= 1_580, "prompt {number}: {cached} tokens were there");
    }
    assert_eq!((router.matched_by("events"), router.matched_by("history")), (12.0, 0.0));
    // Its own history knows them too by now, and the engines still say so themselves.
    for number in 0..12 {
        send(&mut router.aware(), "/v1/completions", &body(number));
    }
    assert_eq!(router.matched_by("events"), 24.0);
}

#[test]
fn text_goes_where_it_is_warm_once_an_engine_has_said_what_its_tokens_are() {
    let engines = [engine(40_000), engine(40_000)];
    let agent = agent(&engines);
    let router = router(&engines, &agent);
    warm(&engines, 0);
    eventually("blocks are told", || blocks(&router, &engines[0]) > 0);
    let text = "some words that are worth to be remembered, and go on for a while ".repeat(20);
    let chat = json!({ "model": "m", "max_tokens": 1, "messages": [{ "role": "user", "content": text }] });
    let adapter = json!({ "model": "a", "prompt": text, "max_tokens": 1, "cache_salt": "tenant" });
    for (path, body) in [("/v1/chat/completions", &chat), ("/v1/completions", &adapter)] {
        let known = router.metric("warmlane_prompts_known");
        // Goes anywhere, and has the engines asked.
        send(&mut router.aware(), path, body);
        eventually("its tokens are known", || router.metric("warmlane_prompts_known") > known);
        let before = router.matched_by("events");
        eventually("the engine tells of it", || {
            send(&mut router.aware(), path, body);
            router.matched_by("events") > before
        });
    }
}

#[test]
fn what_an_engine_dropped_is_not_believed_to_be_there() {
    // Room for two prompts.
    let engines = [engine(4_096), engine(4_096)];
    let agent = agent(&engines);
    let router = router(&engines, &agent);
    let small = engines[0].address();
    send(&mut Wire::connect(small), "/v1/completions", &body(0));
    eventually("its blocks are told", || blocks(&router, &engines[0]) >= 100);
    for number in 1..9 {
        send(&mut Wire::connect(small), "/v1/completions", &body(number));
    }
    hear(&router, &agent, small, 8);
    let (endpoint, cached) = send(&mut router.aware(), "/v1/completions", &body(8));
    assert_eq!(endpoint, small.to_string(), "the last is there");
    assert!(cached > 1_500, "{cached}");
    let matched = || router.matched_by("events") + router.matched_by("history");
    let before = matched();
    send(&mut router.aware(), "/v1/completions", &body(0));
    assert_eq!(matched(), before, "the first is nowhere");
}

/// What was sent counts for up to two turns of 15 s, for as long as engines may not have computed it yet.
const SENT_LATELY: Duration = Duration::from_secs(31);

#[test]
fn own_history_is_not_believed_where_an_engine_has_dropped_what_was_sent() {
    let engines = [engine(4_096), engine(4_096)];
    let agent = agent(&engines);
    let router = router(&engines, &agent);
    let (endpoint, _) = send(&mut router.aware(), "/v1/completions", &body(0));
    let holder =
        engines.iter().position(|engine| engine.address().to_string() == endpoint).expect("it is one");
    eventually("its blocks are told", || blocks(&router, &engines[holder]) >= 100);
    let sent = Instant::now();
    for number in 1..9 {
        send(&mut Wire::connect(engines[holder].address()), "/v1/completions", &body(number));
    }
    let other = &engines[1 - holder];
    let half = json!({ "model": "m", "prompt": ids(0)[..800], "max_tokens": 1 });
    send(&mut Wire::connect(other.address()), "/v1/completions", &half);
    eventually("its blocks are told", || blocks(&router, other) >= 50);
    std::thread::sleep(SENT_LATELY.saturating_sub(sent.elapsed()));
    hear(&router, &agent, engines[holder].address(), 8);
    let (endpoint, cached) = send(&mut router.aware(), "/v1/completions", &body(0));
    assert_eq!(endpoint, other.address().to_string(), "half of it is there, and nothing where it was sent");
    assert!((700..900).contains(&cached), "{cached}");
}

#[test]
fn a_word_that_does_not_add_up_has_everything_told_again_and_is_left_aside_if_it_never_does() {
    let engines = [engine(40_000)];
    let address = engines[0].address();
    let told = ToldAgent::start();
    let router = TestRouter::with(&[address], |config| config.agents = vec![told.address.to_string()]);
    told.wait_for(1);
    told.say(full(vec![waiting(address, 0.0)]));
    let wrong = Blocks {
        address: address.to_string(),
        reset: true,
        added: vec![1, 2, 3],
        count: 2,
        block_size: 16,
        whole: true,
        ..Blocks::default()
    };
    told.say(Update { blocks: vec![wrong.clone()], ..delta(2, Vec::new()) });
    let trouble = || router.admin().get("/debug/agents").json()["agents"][0]["trouble"].to_string();
    eventually("it says why", || trouble().contains("counts 2 blocks"));
    // Twice more, and then it is followed without its blocks: the rest of what it says is of use.
    for stream in 2..=3 {
        told.wait_for(stream);
        told.say(full(vec![waiting(address, 3.0)]));
        told.say(Update { blocks: vec![wrong.clone()], ..delta(2, Vec::new()) });
    }
    eventually("it is followed all the same", || {
        router.endpoints()[0]["signals"]["queue"]["value"] == 3.0 && trouble() == "null"
    });
    told.say(delta(3, vec![waiting(address, 4.0)]));
    eventually("and believed", || router.endpoints()[0]["signals"]["queue"]["value"] == 4.0);
    assert_eq!(told.followers(), 3);
    assert!(kv(&router).iter().all(|row| row["counts"] == false), "but for its blocks");
}
