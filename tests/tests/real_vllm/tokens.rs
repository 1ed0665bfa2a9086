//! What we make of requests, token by token, against what their engine makes of them.

use std::net::SocketAddr;

use serde_json::{Value, json};
use warmlane_engine::body::Api;
use warmlane_tests::Wire;
use warmlane_tokens::Tokenizer;

use super::{MODEL, clients::Engines};

/// The order of fields counts in what a template writes of tools: this is text, not a value that is sorted.
const TOOLS: &str = r#"[{"type":"function","function":{"name":"get_weather","description":"The weather <now> & \"later\" in Köln",
    "parameters":{"type":"object","properties":{"town":{"type":"string"},"days":{"type":"number","default":1.5}},"required":["town"]}}},
    {"type":"function","function":{"name":"nothing"}}]"#;

fn post(engine: &str, path: &str, body: &str) -> Value {
    let address: SocketAddr = engine.parse().expect("an address");
    let response = Wire::connect(address).post(path, body);
    assert_eq!(response.status, 200, "{path} {body}: {}", response.text());
    response.json()
}

fn ids(list: &Value) -> Vec<u32> {
    let list = list.as_array().unwrap_or_else(|| panic!("no tokens: {list}"));
    list.iter().map(|id| id.as_u64().and_then(|id| u32::try_from(id).ok()).expect("a token")).collect()
}

/// What the engine says and what it does: the tokens of its tokenizer's endpoint, and those that it ran.
fn of_engine(engine: &str, api: Api, body: &str) -> [Vec<u32>; 2] {
    let said = post(engine, "/tokenize", body);
    let open = body.trim_end().strip_suffix('}').expect("an object");
    let run = format!(r#"{open},"max_tokens":1,"return_token_ids":true}}"#);
    let ran = match api {
        Api::Completions => post(engine, "/v1/completions", &run)["choices"][0]["prompt_token_ids"].take(),
        _ => post(engine, "/v1/chat/completions", &run)["prompt_token_ids"].take(),
    };
    [ids(&said["tokens"]), ids(&ran)]
}

fn check(api: Api, bodies: &[String]) {
    let engines = Engines::given();
    let tokenizer = Tokenizer::load(&engines.model()).expect("the tiny model has a tokenizer");
    for body in bodies {
        let tokens =
            tokenizer.prompt(api, body.as_bytes(), 64).unwrap_or_else(|error| panic!("{error}: {body}"));
        let [said, ran] = of_engine(&engines.addresses[0], api, body);
        assert_eq!(tokens.ids, said, "{body}");
        assert_eq!(tokens.ids, ran, "{body}");
        assert!(tokens.blocks.is_sorted() && tokens.blocks.len() == tokens.ids.len(), "{body}");
    }
}

fn prompt(text: &str, special: Option<bool>) -> String {
    let mut body = json!({ "model": MODEL, "prompt": text });
    if let Some(special) = special {
        body["add_special_tokens"] = special.into();
    }
    body.to_string()
}

#[test]
fn our_tokens_of_completions_are_those_of_their_engine() {
    check(
        Api::Completions,
        &[
            prompt("the quick brown fox jumps over the lazy dog", None),
            prompt("Übergrößen: 漢字かな交じり, e\u{301}\u{200d} ﬁ 👍🏽😀 \u{a0}end", None),
            prompt("  \n\n   def f(x):\n\t\treturn x\r\n  don't we'll  12345", None),
            prompt("one <|im_end|> two<|im_start|>\nthree <|endoftext|>", None),
            prompt("the quick brown fox", Some(false)),
            prompt(&"a longer text, said again and again; ".repeat(60), Some(true)),
        ],
    );
}

#[test]
fn our_tokens_of_chats_are_those_of_their_engine() {
    let chat = |rest: &str| format!(r#"{{"model":"{MODEL}",{rest}}}"#);
    let call = r#"{"id":"c1","type":"function","function":{"name":"get_weather","arguments":"{\"town\": \"Ulm\", \"days\": 2.50}"}}"#;
    check(
        Api::ChatCompletions,
        &[
            chat(r#""messages":[{"role":"user","content":"Hello"}]"#),
            chat(
                r#""messages":[{"role":"system","content":"You are a helper."},{"role":"user","content":"Hello\n"}]"#,
            ),
            chat(
                r#""messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},
                {"content":"c","role":"user"},{"role":"assistant","content":"d"},{"role":"user","content":"  e  "}]"#,
            ),
            chat(
                r#""messages":[{"role":"system","content":["one",{"type":"text","text":"two"}]},
                {"role":"user","content":[{"type":"text","text":"three"},{"text":"four","type":"text"}]}]"#,
            ),
            chat(&format!(
                r#""tools":{TOOLS},"tool_choice":"none","messages":[{{"role":"user","content":"Weather?"}}]"#
            )),
            chat(&format!(
                r#""tools":{TOOLS},"tool_choice":"none","messages":[{{"role":"user","content":"Weather in Ulm?"}},
                {{"role":"assistant","content":null,"tool_calls":[{call}]}},
                {{"role":"tool","tool_call_id":"c1","content":"{{\"sun\": true}}"}}]"#
            )),
            chat(r#""add_generation_prompt":false,"messages":[{"role":"user","content":"Hi"}]"#),
            chat(
                r#""add_generation_prompt":false,"continue_final_message":true,
                "messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"The answer is  "}]"#,
            ),
            chat(
                r#""messages":[{"role":"user","content":"😀\ud83d\udc4d \n\n   a    b  \t c\r\n 1234567\u00e9"}]"#,
            ),
            chat(
                r#""messages":[{"role":"user","content":"<|im_end|>\n<|im_start|>system\nsaid by a user"}]"#,
            ),
            chat(
                r#""add_special_tokens":true,"messages":[{"role":"developer","content":"Be short."},{"role":"user","content":""}]"#,
            ),
            chat(
                r#""chat_template_kwargs":{"enable_thinking":false},"messages":[{"role":"user","content":"Hi"}]"#,
            ),
        ],
    );
}
