//! How long a whole page of a loaded engine takes to scan.

use std::fs;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use warmlane_engine::metrics::scan;

fn pages(c: &mut Criterion) {
    let mut group = c.benchmark_group("metrics");
    for name in ["vllm-0.17-metrics-load.txt", "vllm-0.32-metrics-load-lora.txt"] {
        let path = format!("{}/../../tests/fixtures/metrics/{name}", env!("CARGO_MANIFEST_DIR"));
        let page = fs::read(&path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
        group.throughput(Throughput::Bytes(page.len() as u64));
        group.bench_function(name, |b| b.iter(|| scan(black_box(&page))));
    }
    group.finish();
}

criterion_group!(benches, pages);
criterion_main!(benches);
