use serde_json::{Value, json};

use super::*;

fn endpoint() -> Value {
    json!({
        "address": "10.0.0.1:8000", "ready": true, "in_flight": 2, "health": "healthy", "slot": 3, "socket": "10.0.0.1:8000",
        "signals": { "queue": { "value": 1.5, "age_ms": 40 }, "running": null, "kv_use": null, "awake": null, "lora": null },
        "local": true, "requests": 9, "kv_capacity_tokens": null, "models": ["m"],
    })
}

#[test]
fn what_is_shown_is_read_back() {
    let lane = Lane {
        on: true,
        programs: vec![7],
        counts: Some([("bytes".to_owned(), 9)].into()),
        ..Lane::default()
    };
    let read: Lane = serde_json::from_str(&text(&lane)).expect("a page");
    assert_eq!(read, lane);
    let session = Session { session: "00ff".to_owned(), idle_seconds: 1.25, ..Session::default() };
    let pins = Pins { sessions: Sessions { pins: vec![session], ..Sessions::default() }, ..Pins::default() };
    assert_eq!(serde_json::from_str::<Pins>(&text(&pins)).expect("a page"), pins);
}

#[test]
fn a_page_is_indented_and_ends_with_its_line() {
    assert_eq!(text(&Agents::default()), "{\n  \"agents\": []\n}\n");
}

#[test]
fn a_newer_page_is_read_without_what_is_not_known() {
    let mut row = endpoint();
    row["colour"] = "green".into();
    row["signals"]["mood"] = json!({ "value": "good", "age_ms": 1 });
    let page: Endpoints = serde_json::from_value(json!({ "endpoints": [row], "more": 1 })).expect("a page");
    assert_eq!(page.endpoints[0].signals.queue, Some(Aged { value: 1.5, age_ms: 40 }));
}

#[test]
fn an_older_page_is_read_without_what_it_lacks_but_not_without_its_core() {
    let page = |row: Value| serde_json::from_value::<Endpoints>(json!({ "endpoints": [row] }));
    let read = page(endpoint()).expect("a page before nodes and pools were in it");
    assert_eq!((&read.endpoints[0].node, read.endpoints[0].pools.len()), (&None, 0));
    let mut row = endpoint();
    row.as_object_mut().expect("an object").remove("ready");
    let error = page(row).expect_err("what is not said is not `false`");
    assert!(error.to_string().contains("ready"), "{error}");
}

#[test]
fn a_failure_names_paths_only_where_there_are_some() {
    assert_eq!(text(&Failure::new("no", &[])), "{\n  \"error\": {\n    \"message\": \"no\"\n  }\n}\n");
    let told: Failure =
        serde_json::from_str(r#"{"error":{"message":"no","paths":["/a"],"code":1}}"#).expect("one");
    assert_eq!(told, Failure::new("no", &["/a"]));
}
