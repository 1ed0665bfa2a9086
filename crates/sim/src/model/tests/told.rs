//! What the engine tells of its prefix cache.

use super::*;

/// A prompt that can be told.
fn told(ids: &[u32], adapter: Option<&str>, salt: Option<&str>) -> Prompt {
    Prompt::with_source(ids, 16, adapter, salt)
}

fn filler(group: u64, count: u32) -> Vec<u32> {
    let mut ids = Vec::new();
    tokens::extend_filler(&mut ids, group, count);
    ids
}

/// The stored runs among the events, and the hashes of the removed blocks.
fn changes(engine: &mut Engine) -> (Vec<Stored>, Vec<u64>) {
    let (mut stored, mut removed) = (Vec::new(), Vec::new());
    let noted = engine.take_kv_events();
    assert!(!noted.lost);
    for event in noted.events {
        match event {
            KvEvent::Stored(run) => stored.push(run),
            KvEvent::Removed(hash) => removed.push(hash),
            KvEvent::Cleared => panic!("nothing was cleared"),
        }
    }
    (stored, removed)
}

#[test]
fn a_prompt_is_one_run_and_its_answer_fills_further_blocks() {
    let mut bench = Bench::new(kv(8192));
    bench.engine.note_kv_events();
    let ids = filler(1, 40);
    let prompt = told(&ids, Some("a"), Some("s"));
    let stream = prompt.output_stream();
    bench.submit(1, request(prompt.clone(), 30));
    bench.run();
    let (stored, removed) = changes(&mut bench.engine);
    assert!(removed.is_empty());
    assert_eq!((stored.len(), stored[0].hashes.as_slice()), (3, prompt.blocks()));
    assert_eq!((stored[0].parent, stored[0].tokens.as_slice()), (None, &ids[..32]));
    assert_eq!((stored[0].adapter.as_deref(), stored[0].salt.as_deref()), (Some("a"), Some("s")));
    assert_eq!((stored[1].parent, stored[1].salt.as_deref()), (Some(prompt.blocks()[1]), None));
    assert_eq!(stored[2].parent, Some(stored[1].hashes[0]));
    let said: Vec<u32> = (0..24).map(|at| tokens::filler(stream, at)).collect();
    let told: Vec<u32> = stored[1..].iter().flat_map(|run| run.tokens.clone()).collect();
    assert_eq!(told, [&ids[32..], &said].concat());
    bench.submit(2, request(prompt, 1));
    bench.run();
    assert_eq!(changes(&mut bench.engine), (Vec::new(), Vec::new()));
}

#[test]
fn an_evicted_block_is_told_and_a_reset_forgets_what_came_before() {
    let mut bench = Bench::new(Options { max_model_len: 64, ..kv(64) });
    bench.engine.note_kv_events();
    bench.submit(1, request(told(&filler(1, 48), None, None), 1));
    bench.run();
    let first = changes(&mut bench.engine).0;
    bench.submit(2, request(told(&filler(2, 48), None, None), 1));
    bench.run();
    let (_, removed) = changes(&mut bench.engine);
    assert_eq!(removed, [first[0].hashes[2], first[0].hashes[1]], "the end of a prompt goes first");
    bench.submit(3, request(told(&filler(3, 48), None, None), 1));
    bench.run();
    bench.engine.reset_prefix_cache();
    assert_eq!(bench.engine.take_kv_events().events, [KvEvent::Cleared]);
}

#[test]
fn a_request_that_outlives_a_reset_caches_no_block_without_a_parent() {
    let mut bench = Bench::new(kv(8192));
    bench.engine.note_kv_events();
    bench.submit(1, request(told(&filler(1, 40), None, None), 40));
    bench.step();
    bench.engine.reset_prefix_cache();
    bench.run();
    assert_eq!(bench.engine.take_kv_events().events, [KvEvent::Cleared]);
}
