//! Answers have the keys, types, framing and headers of recorded ones.

use serde_json::{Value, json};
use warmlane_sim::server::{Running, start};

use crate::client::{Answer, engine, get, merge, options, post, post_with, recorded};

/// Types in place of values; keys and nulls stay.
fn shape(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(_) => json!("bool"),
        Value::Number(_) => json!("number"),
        Value::String(_) => json!("string"),
        Value::Array(list) => list.iter().map(shape).collect(),
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), shape(value))).collect(),
    }
}

/// Shapes of a stream's events; those repeated in a row once, for some recorded chunks hold two tokens.
fn shapes(answer: &Answer) -> Vec<Value> {
    let mut shapes: Vec<Value> = answer.events().iter().map(shape).collect();
    shapes.dedup();
    shapes
}

/// Headers a client or router reads.
fn heads(answer: &Answer) -> Vec<(&str, Option<&str>)> {
    let names = ["content-type", "transfer-encoding", "server", "vary", "allow"];
    names.into_iter().map(|name| (name, answer.header(name))).collect()
}

fn assert_like(answer: &Answer, name: &str) {
    let recorded = recorded(name);
    assert_eq!(answer.status, recorded.status, "{name}");
    assert_eq!(heads(answer), heads(&recorded), "{name}");
    assert!(answer.header("date").is_some(), "{name}");
    if recorded.chunks.is_empty() {
        assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
        assert_eq!(shape(&answer.json()), shape(&recorded.json()), "{name}");
    } else {
        assert_eq!(shapes(answer), shapes(&recorded), "{name}");
        for chunk in &answer.chunks {
            assert!(
                chunk.ends_with("\n\n") && chunk.matches("\n\n").count() == 1,
                "one event per chunk: {chunk:?}"
            );
        }
    }
}

/// An error's text is read by people and programs: it must be the recorded one, not only its shape.
fn assert_same_error(answer: &Answer, name: &str) {
    assert_like(answer, name);
    assert_eq!(answer.json(), recorded(name).json(), "{name}");
}

fn hello(tokens: u32, stream: Option<Value>) -> String {
    let messages = json!([{"role": "user", "content": "hello"}]);
    let body = json!({
        "model": "/model/qwen", "messages": messages, "max_tokens": tokens, "temperature": 0.0,
        "stream": stream.is_some(), "stream_options": stream.filter(|options| !options.is_null()),
    });
    body.to_string()
}

fn completion(fields: Value) -> String {
    let mut body = json!({"prompt": "def hello(name):", "max_tokens": 8, "temperature": 0.0});
    merge(&mut body, fields);
    body.to_string()
}

#[test]
fn whole_completions_have_the_recorded_shape() {
    let engine = engine();
    let path = "/v1/completions";
    assert_like(&post(&engine, path, &completion(json!({"model": "/model/qwen"}))), "completion");
    assert_like(&post(&engine, path, &completion(json!({}))), "completion-no-model");
    assert_like(
        &post(&engine, path, &completion(json!({"prompt": [444, 595, 78, 334]}))),
        "completion-token-ids",
    );
    let orca = post_with(&engine, path, &[("endpoint-load-metrics-format", "TEXT")], &completion(json!({})));
    assert_like(&orca, "completion-orca");
    let report = orca.header("endpoint-load-metrics").unwrap();
    assert_eq!(Some(report), recorded("completion-orca").header("endpoint-load-metrics"));
}

#[test]
fn streamed_completions_have_the_recorded_events_and_framing() {
    let engine = engine();
    let options = json!({"include_usage": true});
    let answer =
        post(&engine, "/v1/completions", &completion(json!({"stream": true, "stream_options": options})));
    assert_like(&answer, "completion-stream");
    assert_eq!(answer.chunks.len(), recorded("completion-stream").chunks.len());
    let body = completion(json!({
        "model": "travel-helper-v2", "max_tokens": 4, "stream": true, "stream_options": options,
    }));
    let answer = post(&engine, "/v1/completions", &body);
    assert_like(&answer, "adapter-completion-stream");
    assert_eq!(answer.events()[0]["model"], "travel-helper-v2");
}

#[test]
fn chats_have_the_recorded_shape_whole_and_streamed() {
    let engine = engine();
    let path = "/v1/chat/completions";
    assert_like(&post(&engine, path, &hello(8, None)), "chat");
    let usage = json!({"include_usage": true});
    let answer = post(&engine, path, &hello(8, Some(usage)));
    assert_like(&answer, "chat-stream");
    assert_eq!(answer.chunks.len(), recorded("chat-stream").chunks.len());
    assert_like(&post(&engine, path, &hello(4, Some(Value::Null))), "chat-stream-no-usage");
    let continuous = json!({"include_usage": true, "continuous_usage_stats": true});
    assert_like(&post(&engine, path, &hello(3, Some(continuous))), "chat-stream-continuous-usage");
    let adapter = hello(8, None).replace("/model/qwen", "travel-helper-v1");
    assert_like(&post(&engine, path, &adapter), "adapter-chat");
}

#[test]
fn responses_and_messages_have_the_recorded_shape_whole_and_streamed() {
    let engine = engine();
    let body = json!({"model": "/model/qwen", "input": "hello", "max_output_tokens": 8, "stream": false});
    assert_like(&post(&engine, "/v1/responses", &body.to_string()), "responses");
    let stream = body.to_string().replace("false", "true");
    let answer = post(&engine, "/v1/responses", &stream);
    assert_like(&answer, "responses-stream");
    let numbers: Vec<Value> = answer.events().iter().map(|event| event["sequence_number"].clone()).collect();
    assert_eq!(numbers, (0..numbers.len()).map(Value::from).collect::<Vec<_>>());
    assert_like(&post(&engine, "/v1/messages", &hello(8, None)), "messages");
    assert_like(&post(&engine, "/v1/messages", &hello(8, Some(Value::Null))), "messages-stream");
}

#[test]
fn a_repeated_prompt_shows_its_cached_tokens_in_every_api() {
    // Blocks of 32 tokens, as in the recording, so that the numbers are the same too.
    let mut options = options();
    options.engine.block_size = 32;
    let engine = start(options).unwrap();
    let ids: Vec<u32> = (0..133).collect();
    let body = json!({"prompt": ids, "max_tokens": 4}).to_string();
    post(&engine, "/v1/completions", &body);
    let answer = post(&engine, "/v1/completions", &body);
    assert_like(&answer, "completion-cached");
    assert_eq!(answer.json()["usage"], recorded("completion-cached").json()["usage"]);

    let long = "abc ".repeat(140);
    let input = json!({"input": long, "max_output_tokens": 4}).to_string();
    post(&engine, "/v1/responses", &input);
    let answer = post(&engine, "/v1/responses", &input);
    assert_like(&answer, "responses-cached");
    assert_eq!(answer.json()["usage"]["input_tokens_details"]["cached_tokens"], 128);

    let messages = json!({"messages": [{"role": "user", "content": long}], "max_tokens": 4}).to_string();
    let answer = post(&engine, "/v1/messages", &messages);
    assert_like(&answer, "messages-cached");
    assert_eq!(answer.json()["usage"]["cache_read_input_tokens"], 128);
}

#[test]
fn ids_follow_the_request_id_where_the_real_ones_do() {
    let engine = engine();
    let id = |path: &str, body: &str| {
        let answer = post_with(&engine, path, &[("x-request-id", "fixture-1")], body);
        answer.json()["id"].as_str().unwrap().to_owned()
    };
    assert_eq!(id("/v1/completions", &completion(json!({}))), "cmpl-fixture-1");
    assert_eq!(id("/v1/chat/completions", &hello(2, None)), "chatcmpl-fixture-1");
    assert_eq!(id("/v1/messages", &hello(2, None)), "chatcmpl-fixture-1");
    let response = id("/v1/responses", &json!({"input": "hello", "max_output_tokens": 2}).to_string());
    assert!(response.starts_with("resp_") && !response.contains("fixture"), "{response}");
}

#[test]
fn errors_are_the_recorded_ones_to_the_letter() {
    let engine = engine();
    let (completions, chat) = ("/v1/completions", "/v1/chat/completions");
    let unknown = |body: String| body.replace("/model/qwen", "no-such-model");
    assert_same_error(&post(&engine, chat, &unknown(hello(8, None))), "error-404-model");
    let body = completion(json!({"model": "no-such-model"}));
    assert_same_error(&post(&engine, completions, &body), "error-404-model-completion");
    assert_same_error(&post(&engine, "/v1/messages", &unknown(hello(8, None))), "messages-error-404-model");
    let body = json!({"model": "no-such-model", "input": "hello"}).to_string();
    assert_same_error(&post(&engine, "/v1/responses", &body), "responses-error-404-model");
    let truncated = r#"{"model":"/model/qwen","messages":[{"role":"user","con"#;
    assert_same_error(&post(&engine, chat, truncated), "error-400-truncated");
    assert_same_error(&post(&engine, completions, "hello"), "error-400-not-json");
    assert_same_error(&post(&engine, chat, r#"{"model":"/model/qwen"}"#), "error-400-no-messages");
    let body = completion(json!({"max_tokens": "many"}));
    assert_same_error(&post(&engine, completions, &body), "error-400-wrong-type");
    let body = completion(json!({"max_tokens": 100_000}));
    assert_same_error(&post(&engine, completions, &body), "error-400-too-long");
    assert_same_error(&get(&engine, "/v1/nothing"), "path-404");
    assert_same_error(&get(&engine, completions), "method-405");
}

#[test]
fn a_prompt_that_leaves_no_room_for_output_is_refused() {
    let engine = engine();
    let ask =
        |tokens: usize| post(&engine, "/v1/completions", &completion(json!({"prompt": vec![1; tokens]})));
    let refused = ask(4096);
    assert_eq!(refused.status, 400);
    let error = &refused.json()["error"];
    assert!(
        error["message"].as_str().unwrap().starts_with("This model's maximum context length is 4096 tokens.")
    );
    assert_eq!((&error["type"], &error["code"]), (&json!("BadRequestError"), &json!(400)));
    let cut = ask(4093);
    assert_eq!((cut.status, &cut.json()["usage"]["completion_tokens"]), (200, &json!(3)));
}

#[test]
fn lists_probes_and_tokens_have_the_recorded_shape() {
    let engine = engine();
    let models = get(&engine, "/v1/models");
    assert_like(&models, "models");
    let parents = |answer: &Answer| -> Vec<(Value, Value)> {
        let list = answer.json()["data"].as_array().unwrap().clone();
        list.iter().map(|model| (model["id"].clone(), model["parent"].clone())).collect()
    };
    assert_eq!(parents(&models), parents(&recorded("models")));
    assert_same_error(&get(&engine, "/version"), "version");
    for path in ["/health", "/ping"] {
        let answer = get(&engine, path);
        assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    }
    let tokenize = |body: Value| post(&engine, "/tokenize", &body.to_string());
    let answer = tokenize(json!({"prompt": "def hello(name):"}));
    let tokens = answer.json()["tokens"].clone();
    assert_eq!(answer.json()["count"], tokens.as_array().unwrap().len());
    let words =
        tokenize(json!({"prompt": "def hello", "return_token_strs": true})).json()["token_strs"].clone();
    assert_eq!(words, json!(["def", " hel", "lo"]));
    let back = post(&engine, "/detokenize", &json!({ "tokens": tokens }).to_string());
    assert_like(&back, "detokenize");
    assert_eq!(back.json()["prompt"], "def hello(name):");
}

#[test]
fn tokenize_counts_what_usage_counts() {
    let engine = engine();
    let count = |path: &str, body: &str| post(&engine, path, body).json();
    let usage = count("/v1/chat/completions", &hello(2, None))["usage"]["prompt_tokens"].clone();
    assert_eq!(count("/tokenize", &hello(2, None))["count"], usage);
}

#[test]
fn vectors_and_scores_are_plausible() {
    let engine = engine();
    let ask = |path: &str, body: Value| post(&engine, path, &body.to_string()).json();
    let embedded = ask("/v1/embeddings", json!({"input": ["one", "two", "one"]}));
    let vectors: Vec<&Value> =
        embedded["data"].as_array().unwrap().iter().map(|item| &item["embedding"]).collect();
    assert_eq!((vectors.len(), vectors[0] == vectors[2], vectors[0] == vectors[1]), (3, true, false));
    let scored = ask("/score", json!({"text_1": "one", "text_2": ["two", "one"]}));
    let scores: Vec<f64> =
        scored["data"].as_array().unwrap().iter().map(|s| s["score"].as_f64().unwrap()).collect();
    assert!(scores[0] < scores[1] && scores[1] <= 1.0);
    let ranked = ask("/rerank", json!({"query": "one", "documents": ["two", "one"], "top_n": 1}));
    let results = ranked["results"].as_array().unwrap();
    assert_eq!(
        (results.len(), &results[0]["index"], &results[0]["document"]["text"]),
        (1, &json!(1), &json!("one"))
    );
}

/// A request of each API goes on while others run: nothing is shared by accident.
#[test]
fn one_connection_serves_request_after_request() {
    let engine: Running = engine();
    let mut stream = crate::client::connect(engine.address());
    let mut reader = std::io::BufReader::new(stream.try_clone().unwrap());
    for tokens in [1, 3, 2] {
        let body = completion(json!({"max_tokens": tokens, "stream": tokens == 3}));
        crate::client::send(&mut stream, "POST", "/v1/completions", &[], &body);
        let answer = Answer::read_from(&mut reader);
        assert_eq!(answer.status, 200);
        if tokens == 3 {
            assert_eq!(answer.events().len(), 4);
        } else {
            assert_eq!(answer.json()["usage"]["completion_tokens"], tokens);
        }
    }
}
