//! What looking at a token stream costs per event.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use warmlane_engine::sse::payload::{Report, kind};
use warmlane_engine::sse::{DEFAULT_LIMIT, Splitter};

/// A chunk as vLLM 0.32 sends it for one token.
const TOKEN: &str = concat!(
    r#"data: {"id":"chatcmpl-fixture-chat-stream","object":"chat.completion.chunk","created":1795418360,"#,
    r#""model":"/model/qwen","choices":[{"index":0,"delta":{"content":" under"},"logprobs":null,"#,
    r#""finish_reason":null,"token_ids":null}]}"#,
    "\n\n"
);

const EVENTS: usize = 100;

fn stream(c: &mut Criterion) {
    let stream = TOKEN.repeat(EVENTS);
    let mut group = c.benchmark_group("sse");
    group.throughput(Throughput::Elements(EVENTS as u64));
    group.bench_function("split", |b| {
        let mut splitter = Splitter::new(DEFAULT_LIMIT);
        b.iter(|| {
            splitter.push(black_box(stream.as_bytes()), |event| {
                black_box(event);
            });
        });
    });
    group.bench_function("split_and_inspect", |b| {
        let mut splitter = Splitter::new(DEFAULT_LIMIT);
        b.iter(|| {
            let mut report = Report::default();
            splitter.push(black_box(stream.as_bytes()), |event| {
                black_box(kind(event));
                report.absorb(Report::of(event.data));
            });
            report
        });
    });
    group.finish();
}

criterion_group!(benches, stream);
criterion_main!(benches);
