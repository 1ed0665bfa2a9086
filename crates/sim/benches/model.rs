//! How fast the engine model runs: a judge of policies plays millions of tokens.

use std::{hint::black_box, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use warmlane_sim::model::{Engine, Options, Output, Profile, Prompt, Request, root, tokens};

const PROMPTS: u64 = 100;
const INPUT: u32 = 1550;
const OUTPUT: u32 = 1800;

/// The load test's lengths on one A10, forty requests at a time: more than its KV cache holds.
fn play(prompts: &[Prompt]) -> u64 {
    let mut engine = Engine::new(Profile::A10, Options::default());
    let mut output = Output::default();
    let mut now = 0.0;
    let mut next = prompts.iter().zip(0..);
    let mut submit = |engine: &mut Engine, now: f64| {
        if let Some((prompt, id)) = next.next() {
            let request =
                Request { prompt: prompt.clone(), max_tokens: OUTPUT, stop_after: None, adapter: None };
            assert!(engine.submit(now, id, request).is_ok(), "the prompt fits");
        }
    };
    for _ in 0..40 {
        submit(&mut engine, now);
    }
    while let Some(step) = engine.schedule(now) {
        now = step.ends_at;
        engine.complete(&mut output);
        for _ in &output.finished {
            submit(&mut engine, now);
        }
    }
    engine.stats().totals.output_tokens
}

fn model(criterion: &mut Criterion) {
    let prompts: Vec<Prompt> = (0..PROMPTS)
        .map(|stream| {
            let mut ids = Vec::new();
            tokens::extend_filler(&mut ids, stream, INPUT);
            Prompt::new(&ids, 16, root(None, None))
        })
        .collect();
    let mut group = criterion.benchmark_group("engine model");
    group.throughput(Throughput::Elements(PROMPTS * u64::from(OUTPUT)));
    group.sample_size(10).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(200));
    group.bench_function("load test on one A10", |bench| bench.iter(|| black_box(play(&prompts))));
    group.finish();
}

criterion_group!(benches, model);
criterion_main!(benches);
