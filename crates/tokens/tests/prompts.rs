//! Tokens of bodies against those that vLLM 0.32 made of them, with the same tokenizer and template.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use warmlane_engine::body::Api;
use warmlane_tokens::{LoadError, Tokenizer, Tokens, Unresolved, given};

const BLOCK: u32 = 64;

/// A body and what vLLM made of it; nothing where it refused.
#[derive(Deserialize)]
struct Known<'a> {
    #[serde(borrow)]
    body: &'a RawValue,
    ids: Option<Vec<u32>>,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn tokenizer() -> &'static Tokenizer {
    static LOADED: LazyLock<Tokenizer> =
        LazyLock::new(|| Tokenizer::load(&fixtures()).expect("the fixtures are a tokenizer"));
    &LOADED
}

fn chat(body: &Value) -> Result<Tokens, Unresolved> {
    tokenizer().prompt(Api::ChatCompletions, body.to_string().as_bytes(), BLOCK)
}

fn completion(body: &Value) -> Result<Tokens, Unresolved> {
    tokenizer().prompt(Api::Completions, body.to_string().as_bytes(), BLOCK)
}

/// A folder with the tokenizer of the fixtures, and other files beside it.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::copy(fixtures().join("tokenizer.json"), folder.path().join("tokenizer.json")).expect("a copy");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    folder
}

#[test]
fn bodies_become_the_tokens_that_vllm_makes_of_them() {
    let text = fs::read_to_string(fixtures().join("bodies.json")).unwrap();
    let known: Vec<Known> = serde_json::from_str(&text).unwrap();
    let tokenizer = tokenizer();
    assert!(known.len() > 30);
    for Known { body, ids } in known {
        let api = if body.get().contains(r#""prompt":"#) { Api::Completions } else { Api::ChatCompletions };
        let tokens = tokenizer.prompt(api, body.get().as_bytes(), BLOCK);
        assert_eq!(tokens.ok().map(|tokens| tokens.ids), ids, "{body}");
    }
}

#[test]
fn the_first_of_several_prompts_counts() {
    let one = completion(&json!({ "prompt": "the quick" })).unwrap();
    let several = completion(&json!({ "prompt": ["the quick", "brown fox"] })).unwrap();
    assert_eq!(one.ids, several.ids);
    let ids = |prompt: Value| {
        given(json!({ "prompt": prompt }).to_string().as_bytes(), BLOCK).map(|tokens| tokens.ids)
    };
    assert_eq!(ids(json!([5, 6, 70])), Ok(vec![5, 6, 70]));
    assert_eq!(ids(json!([[5, 6], [7]])), Ok(vec![5, 6]));
    for refused in [
        json!([]),
        json!([[]]),
        json!([1.5]),
        json!([-1]),
        json!([4_294_967_296_u64]),
        json!("x"),
        json!([1, "x"]),
    ] {
        assert_eq!(ids(refused.clone()), Err(Unresolved::Shape), "{refused}");
    }
}

#[test]
fn given_tokens_are_settled_by_the_byte_that_ends_them() {
    let body = format!(r#"{{"prompt": [{}7]}}"#, "1234, ".repeat(9));
    let tokens = given(body.as_bytes(), 16).unwrap();
    // Five canonical bytes each, behind the bracket.
    assert_eq!(tokens.blocks, [1, 1, 1, 2, 2, 2, 3, 3, 3, 3]);
    assert_eq!(tokenizer().prompt(Api::Completions, body.as_bytes(), 16), Ok(tokens));
}

#[test]
fn what_cannot_be_told_says_why() {
    let hello = json!([{ "role": "user", "content": "Hello" }]);
    let image =
        json!([{ "role": "user", "content": [{ "type": "image_url", "image_url": { "url": "x" } }] }]);
    let said = |role: &str| json!([{ "role": role, "content": "x" }]);
    for (body, reason) in [
        (json!({ "messages": image }), "not_text"),
        (json!({ "messages": hello, "chat_template": "x" }), "own_template"),
        (json!({ "messages": hello, "chat_template_kwargs": { "chat_template": "x" } }), "own_template"),
        (json!({ "messages": hello, "truncate_prompt_tokens": 5 }), "cut"),
        (json!({ "messages": said("nobody") }), "template"),
        (json!({ "messages": said("clock") }), "clock"),
        (json!({ "messages": [] }), "shape"),
        (json!({ "messages": [5] }), "shape"),
        (json!({ "messages": hello, "tools": [] }), "shape"),
        (json!({ "messages": hello, "continue_final_message": true }), "shape"),
        (json!({ "prompt": "x" }), "json"),
    ] {
        assert_eq!(chat(&body).map_err(|unresolved| unresolved.reason()), Err(reason), "{body}");
    }
    for (body, reason) in [
        (json!({ "prompt": null }), "shape"),
        (json!({ "prompt": "a", "suffix": "b" }), "shape"),
        (json!({ "prompt_embeds": "a" }), "not_text"),
        (json!({ "prompt": "a", "truncate_prompt_tokens": 1 }), "cut"),
        (json!({ "prompt": "x".repeat(warmlane_tokens::MOST_BODY) }), "too_large"),
    ] {
        assert_eq!(completion(&body).map_err(|unresolved| unresolved.reason()), Err(reason));
    }
    for api in [Api::Responses, Api::Messages, Api::Embeddings, Api::Score, Api::Rerank] {
        assert_eq!(tokenizer().prompt(api, b"{}", BLOCK), Err(Unresolved::Shape));
    }
}

#[test]
fn templates_are_found_where_models_keep_them() {
    let hello = json!({ "messages": [{ "role": "user", "content": "Hello" }] }).to_string();
    let tool = r#""tools":[{"type":"function","function":{"name":"f"}}]"#;
    let with_tool = format!(r#"{{{tool},"messages":[{{"role":"user","content":"Hello"}}]}}"#);
    let one = r#"{"chat_template":"the {{ eos_token }}","eos_token":"<|im_end|>"}"#;
    let several =
        r#"{"chat_template":[{"name":"default","template":"the"},{"name":"tool_use","template":"fox"}]}"#;
    let ids = |files: &[(&str, &str)], body: &str| {
        let tokenizer = Tokenizer::load(folder(files).path()).unwrap();
        tokenizer.prompt(Api::ChatCompletions, body.as_bytes(), BLOCK).map(|tokens| tokens.ids)
    };
    let text = |text: &str| {
        let body = json!({ "prompt": text, "add_special_tokens": false });
        completion(&body).map(|tokens| tokens.ids)
    };
    assert_eq!(ids(&[("tokenizer_config.json", one)], &hello), text("the <|im_end|>"));
    assert_eq!(ids(&[("tokenizer_config.json", several)], &hello), text("the"));
    assert_eq!(ids(&[("tokenizer_config.json", several)], &with_tool), text("fox"));
    assert_eq!(ids(&[("tokenizer_config.json", one), ("chat_template.jinja", "dog")], &hello), text("dog"));
    assert_eq!(ids(&[], &hello), Err(Unresolved::NoTemplate));
}

#[test]
fn the_configuration_decides_on_tokens_around_a_text() {
    let ids = |config: &str| {
        let tokenizer = Tokenizer::load(folder(&[("tokenizer_config.json", config)]).path()).unwrap();
        tokenizer.prompt(Api::Completions, br#"{"prompt":"the"}"#, BLOCK).unwrap().ids
    };
    let inner = ids(r#"{"add_bos_token":false}"#);
    let around = |before: &[u32], after: &[u32]| [before, &inner[..], after].concat();
    assert_eq!(ids("{}"), around(&[0], &[]));
    let both =
        r#"{"bos_token":"<|im_start|>","eos_token":"<|im_end|>","add_bos_token":true,"add_eos_token":true}"#;
    assert_eq!(ids(both), around(&[1], &[2]));
}

#[test]
fn qwen_models_cut_words_in_their_own_way() {
    let bare = r#"{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,"pre_tokenizer":null,
        "post_processor":null,"decoder":null,"model":{"type":"BPE","dropout":null,"unk_token":null,
        "continuing_subword_prefix":null,"end_of_word_suffix":null,"fuse_unk":false,"byte_fallback":false,
        "vocab":{"1":0,"2":1,"12":2},"merges":[["1","2"]]}}"#;
    let ids = |name: &str, text: &str| {
        let tokenizer = Tokenizer::load(folder(&[("tokenizer.json", bare), (name, text)]).path()).unwrap();
        tokenizer.prompt(Api::Completions, br#"{"prompt":"12"}"#, BLOCK).unwrap().ids
    };
    assert_eq!(ids("config.json", r#"{"model_type":"llama"}"#), [2]);
    assert_eq!(ids("config.json", r#"{"model_type":"qwen2"}"#), [0, 1]);
    assert_eq!(ids("tokenizer_config.json", r#"{"tokenizer_class":"Qwen2TokenizerFast"}"#), [0, 1]);
}

#[test]
fn files_that_are_no_tokenizer_are_named() {
    let missing = Tokenizer::load(Path::new("/nowhere/tokenizer.json")).unwrap_err();
    assert!(missing.to_string().starts_with("cannot read /nowhere/tokenizer.json"), "{missing}");
    let broken = folder(&[("tokenizer.json", "{}")]);
    assert!(matches!(Tokenizer::load(broken.path()), Err(LoadError::Tokenizer { .. })));
    let config = folder(&[("tokenizer_config.json", "[")]);
    assert!(matches!(Tokenizer::load(config.path()), Err(LoadError::Config { .. })));
    let template = folder(&[("chat_template.jinja", "{% for %}")]);
    assert!(matches!(Tokenizer::load(template.path()), Err(LoadError::Template { .. })));
}

#[test]
fn templates_that_never_end_are_ended() {
    let reason = |template: &str| {
        let tokenizer = Tokenizer::load(folder(&[("chat_template.jinja", template)]).path()).unwrap();
        let body = json!({ "messages": [{ "role": "user", "content": "x".repeat(1 << 20) }] }).to_string();
        tokenizer.prompt(Api::ChatCompletions, body.as_bytes(), BLOCK).unwrap_err()
    };
    assert_eq!(
        reason("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}"),
        Unresolved::Template
    );
    assert_eq!(reason("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"), Unresolved::Template);
    assert_eq!(reason("{% for a in range(99) %}{{ messages[0].content }}{% endfor %}"), Unresolved::TooLarge);
}

#[test]
fn the_time_for_a_conversation_does_not_grow_with_the_square_of_its_messages() {
    let say = |role: &str, count| vec![json!({ "role": role, "content": "a" }); count];
    for messages in [
        say("user", 20_000),
        // Looked at as conversations that might have ended earlier.
        say("assistant", 20_000),
        [say("assistant", 20_000), say("user", 200), say("assistant", 1)].concat(),
    ] {
        let begun = Instant::now();
        chat(&json!({ "messages": messages })).unwrap();
        // A second or two; with the square it is minutes.
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "(user|assistant|tool|system|developer|text|function|.{0,8})".prop_map(Value::from),
    ];
    let key = "(role|content|type|text|tool_calls|function|arguments|name|id|parameters|.{0,3})";
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..5).prop_map(|map| map.into_iter().collect::<Value>()),
        ]
    })
}

fn fields() -> impl Strategy<Value = Value> {
    let key = "(prompt|messages|tools|functions|documents|add_generation_prompt|continue_final_message|chat_template_kwargs)";
    let message =
        (any_json(), any_json()).prop_map(|(role, content)| json!([{ "role": role, "content": content }]));
    let said = any_json().prop_map(|content| json!([{ "role": "user", "content": content }]));
    prop::collection::btree_map(key, prop_oneof![any_json(), message, said], 0..4)
        .prop_map(|map| map.into_iter().collect::<Value>())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), block in any::<u32>()) {
        let tokenizer = tokenizer();
        let _ = tokenizer.prompt(Api::Completions, &bytes, block);
        let _ = tokenizer.prompt(Api::ChatCompletions, &bytes, block);
        let _ = given(&bytes, block);
    }

    #[test]
    fn no_json_makes_it_panic(body in fields()) {
        for tokens in [completion(&body), chat(&body)].into_iter().flatten() {
            prop_assert_eq!(tokens.ids.len(), tokens.blocks.len());
            prop_assert!(tokens.blocks.is_sorted());
        }
    }
}
