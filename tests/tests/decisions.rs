//! Where a request went and why, asked afterwards; where a body would go; decisions in a file, made again.

use std::{collections::HashMap, net::SocketAddr};

use serde_json::{Value, json};
use warmlane_api::admin::{Choice, Decisions, Explanation};
use warmlane_picker::{Criticality, Profile, Strategy};
use warmlane_replay::{Admit, choice, file};
use warmlane_router::config::{ModelRule, Target};
use warmlane_sim::server::{self, Options, Running};
use warmlane_tests::{Response, TestRouter, Wire, eventually};

const COMPLETIONS: &str = "/v1/completions";

fn replicas(count: u64) -> Vec<Running> {
    replicas_at(1_000.0, count)
}

/// So much faster than real ones.
fn replicas_at(time_scale: f64, count: u64) -> Vec<Running> {
    let start = |seed| {
        let mut options = Options::new("m");
        (options.time_scale, options.seed) = (time_scale, seed);
        server::start(options).expect("engine starts")
    };
    (0..count).map(start).collect()
}

fn addresses(replicas: &[Running]) -> Vec<SocketAddr> {
    replicas.iter().map(Running::address).collect()
}

fn router(replicas: &[Running]) -> TestRouter {
    let router = TestRouter::with(&addresses(replicas), |config| {
        config.profile = Profile::of(Strategy::PrefixCache);
    });
    eventually("the model lists are known", || {
        router.aware().post(COMPLETIONS, r#"{"model":"nobody's"}"#).status == 404
    });
    router
}

fn completion(number: usize) -> String {
    let prompt: String = (0..400).map(|word| format!("w{number}x{} ", word * 31 % 997)).collect();
    json!({ "model": "m", "prompt": prompt, "max_tokens": 2 }).to_string()
}

fn send(router: &TestRouter, id: &str, body: &str) -> String {
    let response = router.aware().post_with(COMPLETIONS, &format!("x-request-id: {id}\r\n"), body);
    assert_eq!(response.status, 200, "{}", response.text());
    response.header("x-warmlane-endpoint").expect("endpoint").to_owned()
}

fn page<T: serde::de::DeserializeOwned>(response: &Response) -> T {
    assert_eq!(response.status, 200, "{}", response.text());
    serde_json::from_slice(&response.body).expect("the page's type")
}

fn explanation(router: &TestRouter, id: &str) -> Explanation {
    page(&router.admin().get(&format!("/debug/decisions/{id}")))
}

fn list(router: &TestRouter, query: &str) -> Decisions {
    page(&router.admin().get(&format!("/debug/decisions{query}")))
}

fn file(router: &TestRouter, query: &str) -> Vec<file::Entry> {
    let response = router.admin().get(&format!("/debug/decisions?format=lines{query}"));
    file::read(&*response.body).expect("a file of decisions")
}

#[test]
fn a_request_is_explained_by_what_was_weighed_then() {
    let replicas = replicas(3);
    let router = router(&replicas);
    let body = completion(1);
    let home = send(&router, "first", &body);
    assert_eq!(send(&router, "second", &body), home);
    let Explanation { decision, then, now, weights, .. } = explanation(&router, "second");
    assert_eq!(decision.endpoint.as_deref(), Some(&*home));
    assert_eq!(decision.matched_by.as_deref(), Some("history"));
    let then = then.expect("its state is kept");
    assert_eq!((then.endpoint.as_deref(), then.endpoints.len()), (Some(&*home), 3));
    assert_eq!(then.ahead.first().map(|(score, _)| &**score), Some("prefix"), "{:?}", then.why);
    assert!(then.why.starts_with("better than ") && then.why.contains("prefix +"), "{}", then.why);
    let first = &then.endpoints[0];
    assert_eq!((&*first.address, &*first.verdict), (&*home, "candidate"));
    let sum: f32 = first.scores.iter().map(|(score, value)| weights[score] * value).sum();
    assert!((first.total - sum).abs() < 1e-4, "{} is no sum of {:?}", first.total, first.scores);
    assert!(first.matched_tokens > 500 && first.signals.contains_key("queue"), "{first:?}");
    assert_eq!(now.expect("the pool is there").endpoint.as_deref(), Some(&*home), "it is still warm there");
}

#[test]
fn what_became_of_a_request_stands_beside_why_it_went_there() {
    let replicas = replicas(2);
    let router = router(&replicas);
    let home = send(&router, "done", &completion(1));
    let outcome = |id: &str| explanation(&router, id).decision.outcome;
    eventually("its end is noted", || outcome("done").is_some());
    let done = outcome("done").expect("it ended");
    assert_eq!((done.status, &*done.end, done.endpoint.as_deref()), (Some(200), "complete", Some(&*home)));
    assert!(done.bytes.is_some_and(|bytes| bytes > 0) && done.first_byte_us.is_some());
    assert!(["read", "pick", "relay"].iter().all(|stage| done.stages_us.contains_key(*stage)), "{done:?}");
    let refused = r#"{"model":"nobody's"}"#;
    let id = "x-request-id: refused\r\n";
    assert_eq!(router.aware().post_with(COMPLETIONS, id, refused).status, 404);
    let refused = explanation(&router, "refused");
    assert_eq!(refused.decision.endpoint, None);
    assert!(refused.decision.refusal.as_deref().is_some_and(|why| why.contains("nobody's")), "{refused:?}");
    let dropped = refused.then.expect("its state is kept").endpoints;
    assert!(dropped.iter().all(|endpoint| endpoint.verdict == "serves_model"), "{dropped:?}");
}

#[test]
fn a_live_explanation_equals_a_pure_replay_of_the_same_snapshot() {
    // Slow enough that none is done before all are sent.
    let replicas = replicas_at(5.0, 4);
    let router = router(&replicas);
    // All at once, so that what is under way counts, and every seventh prompt again.
    let mut clients: Vec<Wire> = (0..60).map(|_| router.aware()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.begin_post(COMPLETIONS, &format!("x-request-id: r{number}\r\n"), &completion(number % 47));
    }
    let went: HashMap<String, String> = clients
        .iter_mut()
        .enumerate()
        .map(|(number, client)| {
            let endpoint = client.response().header("x-warmlane-endpoint").map(str::to_owned);
            (format!("r{number}"), endpoint.expect("endpoint"))
        })
        .collect();
    let entries = file(&router, "&model=m");
    assert_eq!(entries.len(), 60);
    assert!(entries.iter().any(|entry| entry.inputs.live.iter().any(|live| live.in_flight > 2)));
    for entry in &entries {
        let id = &*entry.decision.request_id;
        let live = explanation(&router, id).then.expect("its state is kept");
        let asked = entry.asked(&entry.profile, Admit::AsThen).expect("its state is in the file");
        assert_eq!(choice(asked), live);
        assert_eq!(live.endpoint.as_ref(), went.get(id), "and that is where it went");
    }
}

#[test]
fn other_weights_send_recorded_requests_elsewhere() {
    let replicas = replicas(3);
    let router = router(&replicas);
    let home = send(&router, "warm", &completion(1));
    for number in 0..6 {
        send(&router, &format!("again{number}"), &completion(1));
    }
    let entries = file(&router, "&model=m");
    let without = |entry: &file::Entry| -> Choice {
        choice(entry.asked(&Profile::of(Strategy::Default), Admit::Anew).expect("its state is there"))
    };
    assert!(entries.iter().skip(1).all(|entry| entry.decision.endpoint.as_deref() == Some(&*home)));
    let elsewhere = entries.iter().filter(|entry| without(entry).endpoint.as_deref() != Some(&*home));
    assert!(elsewhere.count() > 0, "without prefix reuse any of three will do");
}

#[test]
fn asking_where_a_body_would_go_changes_nothing() {
    let replicas = replicas(3);
    let router = router(&replicas);
    let body = completion(1);
    let home = send(&router, "real", &body);
    let before = (list(&router, "").kept, router.endpoints(), pins(&router));
    for _ in 0..10 {
        let dry: Explanation =
            page(&router.admin().post(&format!("/debug/explain?path={COMPLETIONS}"), &body));
        let then = dry.then.expect("a dry run has one");
        assert_eq!(then.endpoint.as_deref(), Some(&*home), "{}", then.why);
        assert!(dry.now.is_none() && dry.decision.request_id.is_empty());
    }
    let requests = |endpoints: &[Value]| -> Vec<u64> {
        endpoints.iter().filter_map(|endpoint| endpoint["requests"].as_u64()).collect()
    };
    let after = (list(&router, "").kept, router.endpoints(), pins(&router));
    assert_eq!((before.0, requests(&before.1), before.2), (after.0, requests(&after.1), after.2));
}

fn pins(router: &TestRouter) -> (Value, Value) {
    let page = router.admin().get("/debug/pins").json();
    (page["sessions"]["pinned"].clone(), page["groups"]["pinned"].clone())
}

#[test]
fn a_dry_run_follows_the_session_that_its_headers_declare() {
    let replicas = replicas(4);
    let router = router(&replicas);
    let session = "x-session-id: mine\r\n";
    let first = router.aware().post_with(COMPLETIONS, session, &completion(1));
    let home = first.header("x-warmlane-endpoint").expect("endpoint").to_owned();
    let path = format!("/debug/explain?path={COMPLETIONS}");
    let dry: Explanation = page(&router.admin().post_with(&path, session, &completion(2)));
    assert!(dry.decision.session.is_some());
    assert_eq!(dry.then.expect("a dry run has one").endpoint.as_deref(), Some(&*home));
}

#[test]
fn a_list_says_where_to_go_on() {
    let replicas = replicas(2);
    let router = router(&replicas);
    for number in 0..5 {
        send(&router, &format!("r{number}"), &completion(number));
    }
    let newest = list(&router, "?limit=2&model=m");
    let ids: Vec<&str> = newest.decisions.iter().map(|decision| &*decision.request_id).collect();
    assert_eq!(ids, ["r4", "r3"]);
    assert!(list(&router, &format!("?since={}", newest.cursor)).decisions.is_empty());
    let home = send(&router, "later", &completion(9));
    let later = list(&router, &format!("?since={}&endpoint={home}", newest.cursor));
    assert_eq!(later.decisions.len(), 1);
    assert_eq!(later.decisions[0].request_id, "later");
}

#[test]
fn what_cannot_be_explained_says_why_and_what_can() {
    let replicas = replicas(1);
    let router = router(&replicas);
    let message =
        |response: &Response| response.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    let unknown = router.admin().get("/debug/decisions/nobody%27s");
    assert_eq!(unknown.status, 404);
    assert!(message(&unknown).contains("\"nobody's\""), "{}", message(&unknown));
    for (path, body, why) in [
        ("/debug/explain", "", "empty"),
        ("/debug/explain", "{\"messages\":[]}", "names no model"),
        ("/debug/explain?path=/nothing", "{}", "/nothing is not an inference call"),
        ("/debug/explain?model=m", "{}", "nothing by ?model=m"),
    ] {
        let refused = router.admin().post(path, body);
        assert_eq!(refused.status, 400, "{path}");
        assert!(message(&refused).contains(why), "{path}: {}", message(&refused));
    }
    assert_eq!(router.admin().get("/debug/explain").status, 405);
    assert_eq!(router.admin().get("/debug/decisions?modle=m").status, 400);
    let without = TestRouter::with(&addresses(&replicas), |config| config.log.decisions = 0);
    send(&without, "unkept", &completion(1));
    let unkept = without.admin().get("/debug/decisions/unkept");
    assert!(unkept.status == 404 && message(&unkept).contains("log.decisions"), "{}", unkept.text());
}

#[test]
fn an_id_of_any_bytes_and_length_is_found_again() {
    let replicas = replicas(1);
    let router = router(&replicas);
    let ids: [Vec<u8>; 3] = [b"\xff\xfe odd".to_vec(), vec![b'x'; 5_000], "\u{20ac}/..?".into()];
    for id in &ids {
        let mut client = router.aware();
        let body = completion(1);
        client.send(
            format!(
                "POST {COMPLETIONS} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\nx-request-id: ",
                body.len()
            )
            .as_bytes(),
        );
        client.send(id);
        client.send(format!("\r\n\r\n{body}").as_bytes());
        // The id stands in the head as it came, so that it need not be text.
        assert!(client.until(b"HTTP/1.1 200").is_some());
        let escaped: String = id.iter().map(|byte| format!("%{byte:02x}")).collect();
        assert_eq!(explanation(&router, &escaped).others, 0);
    }
    let shown = list(&router, "?limit=3").decisions.pop().expect("the first").request_id;
    assert_eq!(shown, "%ff%fe odd");
    let shown: String = shown.replace(' ', "%20");
    assert_eq!(
        explanation(&router, &shown).decision.model.as_deref(),
        Some("m"),
        "as it is shown, so it is found"
    );
}

#[test]
fn the_model_that_a_client_names_is_kept_beside_the_one_that_is_sent_on() {
    let replicas = replicas(1);
    let router = TestRouter::with(&addresses(&replicas), |config| {
        let target = Target { name: "m".to_owned(), weight: 1 };
        let (name, criticality) = ("chat".to_owned(), Criticality::Standard);
        config.models = vec![ModelRule { name, criticality, targets: vec![target] }];
    });
    let body = json!({ "model": "chat", "prompt": "hello", "max_tokens": 2 }).to_string();
    send(&router, "renamed", &body);
    for query in ["?model=chat", "?model=m"] {
        let found = list(&router, query).decisions;
        let named: Vec<_> = found.iter().map(|it| (it.asked_model.as_deref(), it.model.as_deref())).collect();
        assert_eq!(named, [(Some("chat"), Some("m"))], "{query}");
    }
}

#[test]
fn bodies_that_dawdle_or_break_off_hold_up_nobody() {
    let replicas = replicas(1);
    let router = router(&replicas);
    let mut dawdling: Vec<Wire> = (0..4).map(|_| router.admin()).collect();
    for client in &mut dawdling {
        client.send(b"POST /debug/explain HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{");
    }
    let explain =
        || router.admin().post(&format!("/debug/explain?path={COMPLETIONS}"), &completion(1)).status;
    eventually("all places are taken", || explain() == 503);
    assert_eq!(router.admin().get("/debug/decisions").status, 200);
    drop(dawdling);
    eventually("there is room again", || explain() == 200);
}
