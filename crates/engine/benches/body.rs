//! Cost of reading a body: 400 KB completions and chats, and a small chat, on one core, buffers reused as a
//! connection reuses them.
//!
//! The text looks like prompts do: a line break or an escaped quote about every 80 bytes. `ids` and `cjk` are
//! the hard cases: a token-id prompt has no long run, and text outside ASCII must be checked to be UTF-8.

use std::{fmt::Write, hint::black_box};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use warmlane_engine::body::{Api, BodyReader, Limits, RequestBody};

/// What sockets deliver at a time.
const CHUNK: usize = 64 * 1024;

fn bodies(criterion: &mut Criterion) {
    let prompt = text(400_000);
    let ids = (0..70_000).map(|id| (id * 7919 % 151_936).to_string()).collect::<Vec<_>>().join(",");
    let cjk = "请把下面的行程翻译成英文，并说明每一天的交通安排。\\n".repeat(5_000);
    for (name, api, body) in [
        ("completion-400k", Api::Completions, completion(&format!("\"{prompt}\""))),
        ("chat-400k", Api::ChatCompletions, chat(40, 10_000)),
        ("chat-1k", Api::ChatCompletions, chat(4, 190)),
        ("ids-400k", Api::Completions, completion(&format!("[{ids}]"))),
        ("cjk-400k", Api::Completions, completion(&format!("\"{cjk}\""))),
    ] {
        measure(criterion, name, api, &body);
    }
}

fn measure(criterion: &mut Criterion, name: &str, api: Api, body: &str) {
    let mut group = criterion.benchmark_group("body");
    group.throughput(Throughput::Bytes(body.len() as u64));
    let mut reader = BodyReader::new(api, Limits::default());
    let mut result = RequestBody::default();
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            for chunk in black_box(body.as_bytes()).chunks(CHUNK) {
                reader.push(chunk).expect("the sample is JSON");
            }
            reader.finish_into(&mut result).expect("the sample is complete");
            black_box(&result);
        });
    });
    group.finish();
}

/// Escaped text of about `bytes` bytes in lines of 60 to 100, every third with a quoted word.
fn text(bytes: usize) -> String {
    let words = [
        "the", "museum", "opens", "at", "nine", "and", "tickets", "for", "river", "boats", "sell", "quickly",
    ];
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut out = String::with_capacity(bytes + 128);
    while out.len() < bytes {
        let end = out.len() + 60 + (random % 40) as usize;
        while out.len() < end {
            random = random.rotate_left(13).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5bd1;
            out.push_str(words[(random >> 32) as usize % words.len()]);
            out.push(' ');
        }
        out.push_str(if random.is_multiple_of(3) { "\\\"so they say\\\"\\n" } else { "\\n" });
    }
    out
}

fn completion(prompt: &str) -> String {
    format!(r#"{{"model":"/model/qwen","prompt":{prompt},"max_tokens":128,"temperature":0.7,"stream":true}}"#)
}

fn chat(messages: usize, bytes: usize) -> String {
    let mut body = r#"{"model": "travel-helper-v1", "stream": true, "messages": ["#.to_owned();
    for turn in 0..messages {
        let role = ["system", "user", "assistant"][turn.min(1 + turn % 2)];
        let comma = if turn == 0 { "" } else { ", " };
        write!(body, r#"{comma}{{"role": "{role}", "content": "{}"}}"#, text(bytes))
            .expect("a String takes all");
    }
    body + r#"], "max_completion_tokens": 256, "temperature": 0.7}"#
}

criterion_group!(benches, bodies);
criterion_main!(benches);
