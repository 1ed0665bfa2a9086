//! What is said to be settled is: bodies that share the head of their text share the tokens that it settles.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;
use warmlane_engine::body::{Api, BodyReader, Limits};
use warmlane_tokens::{Tokenizer, Tokens};

/// The smallest that there is, so that heads end in many places.
const BLOCK: u32 = 16;

/// Puts the tools before the last question, as some models do.
const LATE_TOOLS: &str = "{% for m in messages %}{% if loop.last and tools %}[T]{{ tools | tojson }}[/T]{% endif %}\
    {{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";
/// Drops what the model thought before the last question.
const FORGETFUL: &str = "{% set ns = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}\
    {% set ns.last = loop.index0 %}{% endif %}{% endfor %}{% for m in messages %}<|im_start|>{{ m.role }}\n\
    {% if m.reasoning_content and loop.index0 > ns.last %}({{ m.reasoning_content }}){% endif %}\
    {% if m.role == 'assistant' %}{{ m.content.split('</think>')[-1] | trim }}{% else %}{{ m.content }}{% endif %}\
    <|im_end|>\n{% endfor %}";
/// Takes contents as lists.
const OF_PARTS: &str = "{% for m in messages %}<|im_start|>{{ m.role }}{% for c in m.content %} {{ c.text | trim }}\
    {% if c.cache_control %}!{% endif %}{% endfor %}<|im_end|>\n{% endfor %}";

/// Knows no words: a space is a character like others, but begins every token that it is in.
const WITHOUT_WORDS: &str = r#"{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],
    "normalizer":{"type":"Replace","pattern":{"String":" "},"content":"▁"},
    "pre_tokenizer":null,"post_processor":null,"decoder":null,
    "model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,"end_of_word_suffix":null,
    "fuse_unk":false,"byte_fallback":false,
    "vocab":{"a":0,"b":1,"▁":2,"ab":3,"▁a":4,"▁ab":5,"▁▁":6,"ba":7,"aba":8,"▁▁▁▁":9},
    "merges":[["a","b"],["▁","a"],["▁a","b"],["▁","▁"],["b","a"],["ab","a"],["▁▁","▁▁"]]}}"#;

static TOKENIZERS: LazyLock<Vec<Tokenizer>> = LazyLock::new(|| {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let own = fs::read_to_string(fixtures.join("chat_template.jinja")).expect("a template");
    let templates = [own.as_str(), LATE_TOOLS, FORGETFUL, OF_PARTS];
    templates.iter().map(|template| with_template(&fixtures, template)).collect()
});

static WORDLESS: LazyLock<Tokenizer> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("tokenizer.json"), WITHOUT_WORDS).expect("a file");
    Tokenizer::load(folder.path()).expect("a tokenizer")
});

fn with_template(fixtures: &Path, template: &str) -> Tokenizer {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        fs::copy(fixtures.join(name), folder.path().join(name)).expect("a copy");
    }
    fs::write(folder.path().join("chat_template.jinja"), template).expect("a file");
    Tokenizer::load(folder.path()).expect("a tokenizer")
}

fn blocks(api: Api, body: &str) -> Vec<u64> {
    let mut reader = BodyReader::new(api, Limits { block_bytes: BLOCK, ..Limits::default() });
    reader.push(body.as_bytes()).expect("a body");
    reader.finish().expect("a whole body").prompt.blocks
}

/// Checks one body against another, and returns how many of its tokens their common head settles.
fn check(api: Api, tokenizer: &Tokenizer, one: &str, other: &str) -> Result<usize, TestCaseError> {
    let shared =
        blocks(api, one).iter().zip(&blocks(api, other)).take_while(|(one, other)| one == other).count();
    let tokens = |body: &str| tokenizer.prompt(api, body.as_bytes(), BLOCK);
    let (Ok(of_one), Ok(of_other)) = (tokens(one), tokens(other)) else { return Ok(0) };
    for (tokens, against) in [(&of_one, &of_other), (&of_other, &of_one)] {
        prop_assert_eq!(tokens.ids.len(), tokens.blocks.len());
        prop_assert!(tokens.blocks.is_sorted());
        let settled = settled(tokens, shared);
        prop_assert_eq!(
            &tokens.ids[..settled],
            against.ids.get(..settled).unwrap_or(&against.ids),
            "{} blocks are shared by\n{}\n{}",
            shared,
            one,
            other
        );
    }
    Ok(settled(&of_one, shared))
}

fn settled(tokens: &Tokens, shared: usize) -> usize {
    tokens.blocks.partition_point(|&blocks| blocks as usize <= shared)
}

/// Pieces whose seams tokenizers treat in all their ways.
fn piece() -> impl Strategy<Value = String> {
    let pieces = [
        "the quick brown fox",
        " jumps",
        "over the lazy dog and runs away from it",
        " ",
        "  ",
        "\n",
        "\n\n",
        "\r\n",
        "\t",
        "don",
        "'",
        "'l",
        "l",
        "'ll",
        "'t",
        "we",
        "1",
        "234",
        " 5678",
        ".",
        "...",
        "!?",
        "é",
        "e\u{301}",
        "\u{301}",
        "漢字",
        "😀",
        "👍🏽",
        "<|im_",
        "end|>",
        "<|im_end|>",
        "<|im_start|>",
        "<|",
        "\"",
        "\\",
        "/",
        "</think>",
        "{",
        "ABC",
        "Def",
        "\u{a0}",
        "\u{200d}",
        "weather in the town is warm",
    ];
    select(pieces.map(str::to_owned).to_vec())
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..14).prop_map(|pieces| pieces.concat())
}

/// A message, and the way in which its client writes it.
#[derive(Debug, Clone)]
struct Said {
    role: &'static str,
    content: String,
    more: String,
    way: u8,
}

impl Said {
    fn json(&self) -> String {
        let (role, content, more) = (self.role, json!(self.content), json!(self.more));
        match (role, self.way) {
            (_, 0) => format!(r#"{{"content":{content},"role":"{role}"}}"#),
            (_, 1) => {
                format!(r#"{{ "role" : "{role}", "content": [{{"type":"text","text":{content}}},{more}] }}"#)
            }
            (_, 2) => {
                format!(
                    r#"{{"role":"{role}","content":[{{"type":"text","text":{content},"cache_control":{more}}}]}}"#
                )
            }
            ("assistant", 3 | 4) => {
                format!(r#"{{"role":"assistant","content":{content},"reasoning_content":{more}}}"#)
            }
            ("assistant", 5 | 6) => {
                let call =
                    format!(r#"{{"id":"1","type":"function","function":{{"name":"f","arguments":{more}}}}}"#);
                format!(r#"{{"role":"assistant","content":{content},"tool_calls":[{call}]}}"#)
            }
            _ => format!(r#"{{"role":"{role}","content":{content}}}"#),
        }
    }

    /// The same up to some place in its text, and then something else.
    fn torn(&self, at: Index, end: &str) -> Self {
        let places: Vec<usize> = self.content.char_indices().map(|(place, _)| place).collect();
        let place = if places.is_empty() { 0 } else { places[at.index(places.len())] };
        Self { content: format!("{}{end}", &self.content[..place]), ..self.clone() }
    }
}

fn message() -> impl Strategy<Value = Said> {
    (select(vec!["user", "assistant", "system", "tool"]), text(), text(), 0..12_u8)
        .prop_map(|(role, content, more, way)| Said { role, content, more, way })
}

fn conversation() -> impl Strategy<Value = Vec<Said>> {
    prop::collection::vec(message(), 1..6).prop_map(|mut messages| {
        // Requests end with a question, or with what a tool found.
        if let Some(last) = messages.last_mut().filter(|last| last.role != "tool") {
            last.role = "user";
        }
        messages
    })
}

fn chat(tools: bool, messages: &[Said]) -> String {
    let messages: Vec<String> = messages.iter().map(Said::json).collect();
    let tools = if tools { r#""tools":[{"type":"function","function":{"name":"f"}}],"# } else { "" };
    format!(r#"{{"model":"m",{tools}"messages":[{}]}}"#, messages.join(","))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn completions_that_share_a_head_share_the_tokens_that_it_settles(head in text(), one in text(), other in text()) {
        let body = |end: &str| json!({ "model": "m", "prompt": format!("{head}{end}") }).to_string();
        check(Api::Completions, &TOKENIZERS[0], &body(&one), &body(&other))?;
    }

    #[test]
    fn tokenizers_without_words_are_taken_at_their_spaces(head in "[ab ]{0,80}", one in "[ab ]{0,9}", other in "[ab ]{0,9}") {
        let body = |end: &str| json!({ "model": "m", "prompt": format!("{head}{end}") }).to_string();
        check(Api::Completions, &WORDLESS, &body(&one), &body(&other))?;
    }

    #[test]
    fn chats_that_share_a_head_share_the_tokens_that_it_settles(
        (tools, template) in (any::<bool>(), 0..4_usize),
        (head, one, other) in (conversation(), conversation(), conversation()),
        (at, end) in (any::<Index>(), text()),
    ) {
        let mut torn = head.clone();
        if let Some(last) = torn.last_mut() {
            *last = last.torn(at, &end);
        }
        let tokenizer = &TOKENIZERS[template];
        let longer = chat(tools, &[&head[..], &one].concat());
        for other in [chat(tools, &head), chat(tools, &[&head[..], &other].concat()), chat(tools, &[torn, other].concat())] {
            check(Api::ChatCompletions, tokenizer, &longer, &other)?;
        }
    }
}

#[test]
fn spaces_settle_what_has_no_words() {
    let body = |end: &str| {
        json!({ "model": "m", "prompt": format!("{}{end}", "ab  ba aba".repeat(40)) }).to_string()
    };
    let all = WORDLESS.prompt(Api::Completions, body("").as_bytes(), BLOCK).unwrap().ids.len();
    let known = check(Api::Completions, &WORDLESS, &body(" a"), &body(" b")).unwrap();
    assert!(known > all * 9 / 10, "{known} of {all}");
}

#[test]
fn most_of_a_shared_head_settles_tokens() {
    let text = "the quick brown fox jumps over the lazy dog and runs away from it. ".repeat(20);
    let tokenizer = &TOKENIZERS[0];
    let body = |end: &str| json!({ "model": "m", "prompt": format!("{text}{end}") }).to_string();
    let all = tokenizer.prompt(Api::Completions, body("").as_bytes(), BLOCK).unwrap().ids.len();
    let known = check(Api::Completions, tokenizer, &body("one"), &body("other")).unwrap();
    assert!(known > all * 95 / 100, "{known} of {all}");
    let said = |role| Said { role, content: text.clone(), more: String::new(), way: 9 };
    let turns = [said("system"), said("user"), said("assistant"), said("user")];
    let longer = [&turns[..], &[said("assistant"), said("user")]].concat();
    for (tools, template, whole) in [(true, 0, true), (false, 1, true), (true, 1, false), (false, 3, true)] {
        let tokenizer = &TOKENIZERS[template];
        let known =
            check(Api::ChatCompletions, tokenizer, &chat(tools, &turns), &chat(tools, &longer)).unwrap();
        assert_eq!(known > 4 * all * 95 / 100, whole, "template {template} settles {known} of {}", 4 * all);
    }
}
