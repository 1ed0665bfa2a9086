//! Blocks per second: payloads of 0.32's form decoded and taken into the set, on one core.

use std::{fs, hint::black_box};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::Value;
use warmlane_engine::kv_events::{Blocks, Event, Stored, decode};

/// Blocks of one prompt in the synthetic run.
const BLOCKS: u64 = 1000;

fn ingest(criterion: &mut Criterion) {
    let payloads = recorded();
    let stored = payloads.iter().filter_map(|payload| decode(payload).ok()).flat_map(|batch| batch.events);
    let blocks: usize =
        stored.map(|event| if let Event::Stored(s) = event { s.hashes.len() } else { 0 }).sum();
    let mut group = criterion.benchmark_group("kv_events");
    group.throughput(Throughput::Elements(blocks as u64));
    group.bench_function("recorded", |bencher| {
        bencher.iter(|| {
            let mut set = Blocks::default();
            for payload in black_box(&payloads) {
                let batch = decode(payload).expect("a real frame");
                batch.events.iter().for_each(|event| drop(set.apply(event)));
            }
            set.digest()
        });
    });
    group.throughput(Throughput::Elements(BLOCKS));
    let event = Event::Stored(Box::new(Stored {
        hashes: (0..BLOCKS).collect(),
        tokens: (0..BLOCKS as u32 * 16).collect(),
        block_size: 16,
        ..Stored::default()
    }));
    group.bench_function("set", |bencher| {
        bencher.iter_batched_ref(Blocks::default, |set| set.apply(black_box(&event)), BatchSize::SmallInput);
    });
    group.finish();
}

fn recorded() -> Vec<Vec<u8>> {
    let path = format!("{}/../../tests/fixtures/kv/vllm-kv-events.jsonl", env!("CARGO_MANIFEST_DIR"));
    let lines = fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
    lines
        .lines()
        .map(|line| {
            let frame: Value = serde_json::from_str(line).expect("a line is JSON");
            let hex = frame["payload_hex"].as_str().expect("hex");
            (0..hex.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex"))
                .collect()
        })
        .collect()
}

criterion_group!(benches, ingest);
criterion_main!(benches);
