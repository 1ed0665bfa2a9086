//! What real engines publish of their KV caches, followed by an agent.

use std::net::SocketAddr;

use serde_json::{Value, json};
use warmlane_engine::kv_events::{chained, root};
use warmlane_tests::{Wire, follower::TestFollower};

use super::{ADAPTERS, MODEL, clients::Engines};

fn post(engine: &str, path: &str, body: &Value) -> Value {
    let address: SocketAddr = engine.parse().expect("an address");
    let response = Wire::connect(address).post(path, &body.to_string());
    assert_eq!(response.status, 200, "{path} {body}: {}", response.text());
    response.json()
}

/// The blocks of a text, under hashes that do not depend on the engine.
fn blocks(engine: &str, text: &str, size: usize, adapter: Option<&str>, salt: Option<&str>) -> Vec<u64> {
    let answer = post(engine, "/tokenize", &json!({ "model": MODEL, "prompt": text }));
    let tokens = answer["tokens"].as_array().expect("tokens").iter();
    let tokens: Vec<u32> = tokens.map(|token| token.as_u64().expect("a token") as u32).collect();
    chained(root(adapter, salt), &tokens, size)
}

#[test]
fn blocks_that_an_agent_knows_are_those_that_its_engine_holds() {
    let engines = Engines::given();
    let (agent, _) = engines.followed();
    let follower = TestFollower::of(agent.address());
    let engine = &engines.addresses[0];
    let text = "the quick brown fox jumps over the lazy dog and runs away from it ".repeat(12);
    let mut known = Vec::new();
    for (model, salt) in [(MODEL, None), (ADAPTERS[0], None), (ADAPTERS[1], None), (MODEL, Some("tenant-a"))]
    {
        let prompt = format!("kv {text}");
        let mut body = json!({ "model": model, "prompt": prompt, "max_tokens": 1 });
        if let Some(salt) = salt {
            body["cache_salt"] = salt.into();
        }
        post(engine, "/v1/completions", &body);
        follower.until("the engine says what it holds", engine, |held| held.block_size > 0);
        let size = follower.held(engine).block_size;
        let adapter = (model != MODEL).then_some(model);
        let wanted = blocks(engine, &prompt, size, adapter, salt);
        assert!(wanted.len() > 3, "a prompt of several blocks");
        follower.until("its blocks are known", engine, |held| {
            wanted.iter().all(|block| held.blocks.contains(block))
        });
        assert!(wanted.iter().all(|block| !known.contains(block)), "of one adapter and one salt each");
        known.extend(wanted);
    }
    let other = follower.held(&engines.addresses[1]);
    assert!(known.iter().all(|block| !other.blocks.contains(block)), "the other engine has none of them");
    assert!(follower.held(engine).whole);
    let again = TestFollower::of(agent.address());
    again.until("who comes later gets the same", engine, |held| held.blocks == follower.held(engine).blocks);
}
