//! What the tokens of a prompt cost: completions of 1, 8 and 128 KB, and a chat of 8 KB in sixteen messages.
//!
//! The tokenizer is the one of the tests: its words are cut as Qwen's are, but its vocabulary is a few hundred tokens, so
//! that words fall into more of them than with a real model. `WARMLANE_TOKENIZER` names another to measure.

use std::env;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use warmlane_engine::body::Api;
use warmlane_tokens::Tokenizer;

const BLOCK: u32 = 64;
/// Words of a prompt, in an order that does not repeat soon.
const WORDS: [&str; 16] = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps,",
    "over",
    "lazy",
    "dogs",
    "and",
    "whatever",
    "else",
    "lies;",
    "2048",
    "times",
    "around.\\n",
    "Sunday",
];

fn text(bytes: usize) -> String {
    let mut text = String::new();
    let mut state = 7_usize;
    while text.len() < bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(WORDS[(state >> 40) % WORDS.len()]);
        text.push(' ');
    }
    text
}

fn prompts(criterion: &mut Criterion) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let path = env::var_os("WARMLANE_TOKENIZER").map_or(fixtures, PathBuf::from);
    let tokenizer = Tokenizer::load(&path).expect("a tokenizer");
    let mut group = criterion.benchmark_group("prompt");
    for kilobytes in [1, 8, 128] {
        let body = format!(r#"{{"model":"m","prompt":"{}"}}"#, text(kilobytes * 1024));
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(format!("completion-{kilobytes}k"), |bencher| {
            bencher.iter(|| tokenizer.prompt(Api::Completions, black_box(body.as_bytes()), BLOCK));
        });
    }
    let said = |index: usize| {
        format!(r#"{{"role":"{}","content":"{}"}}"#, ["user", "assistant"][index % 2], text(512))
    };
    let messages: Vec<String> = (0..16).map(said).collect();
    let body = format!(r#"{{"model":"m","messages":[{}]}}"#, messages.join(","));
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("chat-8k", |bencher| {
        bencher.iter(|| tokenizer.prompt(Api::ChatCompletions, black_box(body.as_bytes()), BLOCK));
    });
    group.bench_function("load", |bencher| bencher.iter(|| Tokenizer::load(&path)));
    group.finish();
}

criterion_group!(benches, prompts);
criterion_main!(benches);
