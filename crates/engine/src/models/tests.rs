//! The recorded list, lists that are none, and merging.

use std::fs;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// The recorded answer, without its HTTP head.
fn recorded() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/http/vllm-0.32-models.txt");
    let answer = fs::read(path).unwrap();
    let head = memchr::memmem::find(&answer, b"\r\n\r\n").unwrap();
    answer[head + 4..].to_vec()
}

fn list(entries: &[&str]) -> ModelList {
    ModelList::parse(format!(r#"{{"object":"list","data":[{}]}}"#, entries.join(",")).as_bytes()).unwrap()
}

#[test]
fn the_recorded_list_names_the_base_model_and_its_adapters() {
    let list = ModelList::parse(&recorded()).unwrap();
    let read: Vec<_> = list
        .models
        .iter()
        .map(|model| (model.id.as_str(), model.parent.as_deref(), model.is_adapter()))
        .collect();
    assert_eq!(
        read,
        [
            ("/model/qwen", None, false),
            ("travel-helper-v1", Some("/model/qwen"), true),
            ("travel-helper-v2", Some("/model/qwen"), true),
        ]
    );
    assert_eq!(list.models[0].max_model_len, Some(4096));
    assert_eq!(list.models[0].root.as_deref(), Some("./model/qwen"));
}

#[test]
fn a_list_merged_with_itself_is_the_engines_own_answer() {
    let list = ModelList::parse(&recorded()).unwrap();
    assert_eq!(merge([&list, &list]).as_bytes(), recorded());
}

#[test]
fn merging_keeps_the_first_object_and_the_order_of_first_appearance() {
    let one = list(&[r#"{"id":"b", "x" : 1.0e2}"#, r#"{"id":"a"}"#]);
    let two = list(&[r#"{"id":"c","parent":"b"}"#, r#"{"id":"b","x":2}"#]);
    assert_eq!(
        merge([&one, &two]),
        r#"{"object":"list","data":[{"id":"b", "x" : 1.0e2},{"id":"a"},{"id":"c","parent":"b"}]}"#
    );
}

#[test]
fn no_lists_merge_into_an_empty_list() {
    assert_eq!(merge([]), r#"{"object":"list","data":[]}"#);
}

#[test]
fn what_is_no_list_is_refused_with_its_cause() {
    let refused: [(&[u8], &str); 6] = [
        (b"", "is its answer whole?"),
        (br#"{"object":"list","data":[{"id":"a"}"#, "is its answer whole?"),
        (b"<html>", "not an OpenAI model list"),
        (br#"{"data":{}}"#, "not an OpenAI model list"),
        (
            br#"{"data":[{"id":"a"},{"name":"b"}]}"#,
            "entry 1 of the model list is not a model: missing field `id`",
        ),
        (br#"{"data":[{"id":""}]}"#, "entry 0 of the model list has an id of 0 bytes"),
    ];
    for (answer, cause) in refused {
        let error = ModelList::parse(answer).unwrap_err().to_string();
        assert!(error.contains(cause), "{error}");
    }
}

#[test]
fn lists_over_a_bound_are_refused() {
    let too_large = vec![b' '; MAX_LIST_BYTES + 1];
    assert!(matches!(ModelList::parse(&too_large), Err(ModelsError::TooLarge { .. })));
    let entries = vec![r#"{"id":"a"}"#; MAX_MODELS + 1].join(",");
    let too_many = format!(r#"{{"data":[{entries}]}}"#);
    assert!(matches!(ModelList::parse(too_many.as_bytes()), Err(ModelsError::TooMany { models: 10_001 })));
    let long_id = format!(r#"{{"data":[{{"id":"{}"}}]}}"#, "x".repeat(MAX_ID_BYTES + 1));
    assert!(matches!(ModelList::parse(long_id.as_bytes()), Err(ModelsError::BadId { index: 0, .. })));
}

proptest! {
    #[test]
    fn every_id_of_every_list_is_merged_once(ids in prop::collection::vec(prop::collection::vec("[a-e\"\\\\é]{1,2}", 0..6), 0..4)) {
        let object = |id: &String| json!({ "id": id }).to_string();
        let lists: Vec<_> = ids.iter().map(|ids| {
            let objects: Vec<_> = ids.iter().map(object).collect();
            list(&objects.iter().map(String::as_str).collect::<Vec<_>>())
        }).collect();
        let merged: Value = serde_json::from_str(&merge(&lists)).unwrap();
        let merged: Vec<_> = merged["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
        let mut expected: Vec<&str> = Vec::new();
        for id in ids.iter().flatten() {
            if !expected.contains(&id.as_str()) {
                expected.push(id);
            }
        }
        prop_assert_eq!(merged, expected);
    }

    #[test]
    fn any_bytes_are_read_or_refused(answer in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = ModelList::parse(&answer);
    }
}
