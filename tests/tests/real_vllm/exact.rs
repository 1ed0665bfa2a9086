//! A router that never saw a prompt sends it to the engine that holds it, by the engines' events alone.

use std::{net::SocketAddr, time::Duration};

use serde_json::json;
use warmlane_picker::{Profile, Strategy};
use warmlane_router::config::TokenizerFile;
use warmlane_tests::{TestRouter, agent::TestAgent, eventually};

use super::{ADAPTERS, MODEL, clients::Engines};

/// A router, once all that its engines hold is known to it.
fn router(addresses: &[SocketAddr], agent: &TestAgent, engines: &Engines, tokenizer: bool) -> TestRouter {
    let router = TestRouter::with(addresses, |config| {
        config.agents = vec![agent.address().to_string()];
        config.profile = Profile::of(Strategy::PrefixCache);
        // Two engines without a GPU leave the machine little time for anything else.
        config.prefix.tokenizer_wait = Duration::from_secs(20);
        if tokenizer {
            config.tokenizers = vec![TokenizerFile { model: MODEL.to_owned(), path: engines.model() }];
        }
    });
    eventually("all that engines hold is known", || {
        let page = router.admin().get("/debug/agents").json();
        let kv = page["agents"][0]["kv"].as_array().cloned().unwrap_or_default();
        kv.iter().filter(|row| row["whole"] == true && row["counts"] == true).count() == addresses.len()
    });
    router
}

/// Who served it, and how many tokens of its prompt the engine had.
fn send(router: &TestRouter, (path, body): &(&str, String)) -> (String, u64) {
    let response = router.aware().post(path, body);
    assert_eq!(response.status, 200, "{}", response.text());
    let cached = response.json()["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64();
    let endpoint = response.header("x-warmlane-endpoint").unwrap_or_default().to_owned();
    (endpoint, cached.unwrap_or_default())
}

/// Without digits: the engine makes other tokens of them than the tokenizer.json of its tiny model says.
fn text(topic: &str, number: usize) -> String {
    let places = ["town", "tower", "river", "bridge", "garden", "market", "station", "harbour"];
    format!("{topic}, the {}. ", places[number])
        + &"a traveller asks what there is to see on the way to the sea. ".repeat(40)
}

fn completion(model: &str, number: usize) -> (&'static str, String) {
    let prompt = text("events completion", number);
    let body = json!({ "model": model, "prompt": prompt, "max_tokens": 1, "cache_salt": "tenant-e" });
    ("/v1/completions", body.to_string())
}

/// The role stands before the text in some and behind it in others, as clients have it.
fn chat(number: usize) -> (&'static str, String) {
    let said = text("events chat", number);
    let said = match number % 2 {
        0 => format!(r#"{{"role":"user","content":"{said}"}}"#),
        _ => format!(r#"{{"content":"{said}","role":"user"}}"#),
    };
    let body = format!(
        r#"{{"model":"{MODEL}","messages":[{{"role":"system","content":"You know the way."}},{said}],"max_tokens":1}}"#
    );
    ("/v1/chat/completions", body)
}

#[test]
fn a_router_that_never_saw_a_prompt_sends_it_where_it_is_warm() {
    let engines = Engines::given();
    let (agent, addresses) = engines.followed();
    let mut prompts: Vec<(&str, String)> = (0..3).map(|number| completion(MODEL, number)).collect();
    prompts.push(completion(ADAPTERS[0], 3));
    prompts.extend((0..4).map(chat));
    let first = router(&addresses, &agent, &engines, true);
    let homes: Vec<String> = prompts.iter().map(|prompt| send(&first, prompt).0).collect();
    let second = router(&addresses, &agent, &engines, true);
    second.hear_agents();
    for (prompt, home) in prompts.iter().zip(&homes) {
        let (endpoint, cached) = send(&second, prompt);
        assert_eq!(endpoint, *home, "{prompt:?}");
        assert!(cached > 100, "{cached} tokens of {prompt:?} were there");
    }
    assert_eq!((second.matched_by("events"), second.matched_by("history")), (8.0, 0.0));
}

#[test]
fn without_a_tokenizer_an_engine_says_what_a_prompt_is() {
    let engines = Engines::given();
    let (agent, addresses) = engines.followed();
    let router = router(&addresses, &agent, &engines, false);
    for prompt in [completion(MODEL, 6), chat(7)] {
        let known = router.metric("warmlane_prompts_known");
        let home = send(&router, &prompt).0;
        eventually("its tokens are known", || router.metric("warmlane_prompts_known") > known);
        router.hear_agents();
        let before = router.matched_by("events");
        assert_eq!(send(&router, &prompt).0, home);
        assert_eq!(router.matched_by("events"), before + 1.0, "{prompt:?}");
    }
}
