//! Behaviour of the engine model: examples first, then properties over random traffic.

use proptest::prelude::*;

use super::*;

mod told;

/// A driver with a clock of its own: submits what it is told and runs steps to the end.
struct Bench {
    engine: Engine,
    now: f64,
    output: Output,
    finished: Vec<Outcome>,
    tokens: Vec<Token>,
}

impl Bench {
    fn new(options: Options) -> Self {
        Self::with(Profile::A10, options)
    }

    fn with(profile: Profile, options: Options) -> Self {
        let (finished, tokens) = (Vec::new(), Vec::new());
        Self { engine: Engine::new(profile, options), now: 0.0, output: Output::default(), finished, tokens }
    }

    fn submit(&mut self, id: u64, request: Request) {
        self.engine.submit(self.now, id, request).unwrap();
    }

    fn step(&mut self) -> Option<Step> {
        let before = self.engine.stats().totals.preemptions;
        let step = self.engine.schedule(self.now)?;
        let stats = self.engine.stats();
        let preempted = stats.totals.preemptions - before;
        assert!(
            u64::from(stats.waiting) >= preempted,
            "a preempted request is not admitted in the same step"
        );
        assert!(step.ends_at > self.now, "a step takes time");
        self.now = step.ends_at;
        self.engine.complete(&mut self.output);
        self.tokens.extend(&self.output.tokens);
        self.finished.extend(&self.output.finished);
        self.engine.blocks.check();
        Some(step)
    }

    fn run(&mut self) {
        for _ in 0..1_000_000 {
            if self.step().is_none() {
                return;
            }
        }
        panic!("no end after a million steps");
    }

    fn outcome(&self, id: u64) -> Outcome {
        *self.finished.iter().find(|outcome| outcome.id == id).unwrap()
    }
}

/// A prompt of `shared` tokens common to all with the same `group`, then `own` tokens.
fn prompt(group: u64, shared: u32, own_stream: u64, own: u32) -> Prompt {
    prompt_under(root(None, None), group, shared, own_stream, own)
}

fn prompt_under(root: u64, group: u64, shared: u32, own_stream: u64, own: u32) -> Prompt {
    let mut ids = Vec::new();
    tokens::extend_filler(&mut ids, group, shared);
    tokens::extend_filler(&mut ids, own_stream, own);
    Prompt::new(&ids, 16, root)
}

fn request(prompt: Prompt, max_tokens: u32) -> Request {
    Request { prompt, max_tokens, stop_after: None, adapter: None }
}

fn kv(tokens: u32) -> Options {
    Options { kv_tokens: Some(tokens), ..Options::default() }
}

#[test]
fn an_empty_a10_decodes_a_token_in_about_25_ms_and_an_l20_in_about_18() {
    for (profile, expected) in [(Profile::A10, 0.025), (Profile::L20, 0.018)] {
        let mut bench = Bench::with(profile, Options::default());
        bench.submit(1, request(prompt(1, 16, 2, 0), 3));
        bench.run();
        let gap = bench.tokens[1].gap;
        assert!((gap - expected).abs() < 0.001, "{gap}");
    }
}

#[test]
fn prefill_computes_about_4000_tokens_per_second_in_chunks_of_the_budget() {
    let mut bench = Bench::new(Options::default());
    bench.submit(1, request(prompt(1, 8000, 2, 0), 1));
    let first = bench.step().unwrap();
    assert_eq!((first.sequences, first.tokens), (1, 2048));
    assert!(bench.tokens.is_empty(), "a chunk that is not the last puts out nothing");
    bench.run();
    let outcome = bench.outcome(1);
    assert!((1.9..2.1).contains(&outcome.first_token.unwrap()), "{outcome:?}");
    assert_eq!((outcome.output_tokens, outcome.finish), (1, Finish::Length));
}

#[test]
fn running_requests_are_served_before_waiting_ones_and_those_in_order() {
    let options = Options { max_num_seqs: 2, ..Options::default() };
    let mut bench = Bench::new(options);
    for id in 0..4 {
        bench.submit(id, request(prompt(id, 32, id, 0), 5));
    }
    bench.step();
    assert_eq!((bench.engine.stats().running, bench.engine.stats().waiting), (2, 2));
    bench.run();
    let order: Vec<u64> = bench.finished.iter().map(|outcome| outcome.id).collect();
    assert_eq!(order, [0, 1, 2, 3]);
    assert!(bench.outcome(2).scheduled.unwrap() >= bench.outcome(1).ended);
}

#[test]
fn a_repeated_prompt_hits_all_but_the_block_of_its_last_token() {
    let mut bench = Bench::new(Options::default());
    for (id, tokens, hit) in [(1, 160, 0), (2, 160, 144), (3, 170, 160)] {
        bench.submit(id, request(prompt(7, 160, 9, tokens - 160), 4));
        bench.run();
        assert_eq!(bench.outcome(id).cached_tokens, hit);
    }
    let totals = bench.engine.stats().totals;
    assert_eq!((totals.prefix_queries, totals.prefix_hits), (490, 304));
}

#[test]
fn a_later_request_of_the_same_step_hits_the_prefix_of_an_earlier_one() {
    let mut bench = Bench::new(Options::default());
    bench.submit(1, request(prompt(7, 160, 1, 20), 2));
    bench.submit(2, request(prompt(7, 160, 2, 20), 2));
    bench.run();
    assert_eq!((bench.outcome(1).cached_tokens, bench.outcome(2).cached_tokens), (0, 160));
}

#[test]
fn adapter_and_salt_separate_prefixes() {
    let mut bench = Bench::new(Options::default());
    let roots = [root(None, None), root(Some("a"), None), root(None, Some("a")), root(Some("a"), Some("b"))];
    for (id, root) in roots.into_iter().enumerate() {
        bench.submit(id as u64, request(prompt_under(root, 7, 160, 9, 0), 2));
        bench.run();
        assert_eq!(bench.outcome(id as u64).cached_tokens, 0);
    }
}

#[test]
fn the_next_turn_of_a_conversation_hits_the_answer_before() {
    let mut bench = Bench::new(Options::default());
    let mut ids = Vec::new();
    tokens::extend_filler(&mut ids, 1, 100);
    let first = Prompt::new(&ids, 16, root(None, None));
    bench.submit(1, request(first.clone(), 100));
    bench.run();
    tokens::extend_filler(&mut ids, first.output_stream(), 100);
    tokens::extend_filler(&mut ids, 2, 50);
    bench.submit(2, request(Prompt::new(&ids, 16, root(None, None)), 1));
    bench.run();
    // 199 tokens of the first turn were computed (the last one was only put out): 12 full blocks.
    assert_eq!(bench.outcome(2).cached_tokens, 192);
}

#[test]
fn eviction_takes_the_least_recently_used_prefix() {
    let mut bench = Bench::new(kv(30 * 16));
    for group in [1, 2] {
        bench.submit(group, request(prompt(group, 160, group, 0), 1));
        bench.run();
    }
    bench.submit(3, request(prompt(1, 160, 1, 0), 1));
    bench.run();
    // Needs 20 of the 30 blocks: 10 never used, then those of group 2, which was used before group 1.
    bench.submit(4, request(prompt(4, 320, 4, 0), 1));
    bench.run();
    assert!(bench.engine.cached_tokens(&prompt(1, 160, 1, 0)) >= 144);
    assert_eq!(bench.engine.cached_tokens(&prompt(2, 160, 2, 0)), 0);
}

#[test]
fn without_prefix_caching_nothing_is_found() {
    let mut bench = Bench::new(Options { prefix_caching: false, ..Options::default() });
    for id in 0..2 {
        bench.submit(id, request(prompt(7, 160, 9, 0), 20));
        bench.run();
        assert_eq!(bench.outcome(id).cached_tokens, 0);
    }
    assert_eq!(bench.engine.stats().totals.prefix_queries, 0);
}

#[test]
fn lack_of_blocks_preempts_the_last_admitted_and_everyone_ends() {
    let mut bench = Bench::new(kv(40 * 16));
    for id in 0..4 {
        bench.submit(id, request(prompt(id, 150, id, 0), 300));
    }
    bench.run();
    let totals = bench.engine.stats().totals;
    assert!(totals.preemptions > 0);
    assert_eq!(bench.outcome(0).preemptions, 0, "the first admitted is never the victim");
    assert!(bench.finished.iter().all(|outcome| outcome.output_tokens == 300));
    assert_eq!(bench.tokens.len(), 1200, "no token comes twice");
    assert_eq!(totals.prefix_queries, 600, "a preempted request is not counted again");
}

#[test]
fn a_preempted_request_computes_prompt_and_output_again() {
    let mut bench = Bench::new(Options { prefix_caching: false, ..kv(40 * 16) });
    for id in 0..2 {
        bench.submit(id, request(prompt(id, 160, id, 0), 300));
    }
    // Both decode until the blocks are gone, at 320 tokens each; then one waits for the other's end.
    let mut computed = Vec::new();
    while let Some(step) = bench.step() {
        computed.push(step.tokens);
    }
    assert_eq!(bench.engine.stats().totals.preemptions, 1);
    assert_eq!(computed[0], 320, "two prompts");
    assert_eq!(computed.iter().filter(|&&tokens| tokens > 300).copied().collect::<Vec<_>>(), [320, 321]);
}

#[test]
fn a_request_that_could_never_run_is_refused() {
    let mut engine = Engine::new(Profile::A10, kv(20 * 16));
    let submit =
        |engine: &mut Engine, id, len, max| engine.submit(0.0, id, request(prompt(1, len, 2, 0), max));
    assert!(matches!(submit(&mut engine, 1, 300, 21), Err(Error::TooLarge { needed: 21, blocks: 20, .. })));
    assert!(matches!(submit(&mut engine, 1, 8000, 193), Err(Error::TooLong { tokens: 8193, .. })));
    assert!(matches!(submit(&mut engine, 1, 0, 1), Err(Error::EmptyPrompt { .. })));
    assert!(submit(&mut engine, 1, 300, 20).is_ok());
    assert!(matches!(submit(&mut engine, 1, 10, 1), Err(Error::Duplicate { id: 1 })));
    let other = Request { prompt: Prompt::new(&[1; 64], 32, 0), ..request(prompt(1, 1, 1, 0), 1) };
    assert!(matches!(engine.submit(0.0, 2, other), Err(Error::BlockSize { prompt: 32, engine: 16, .. })));
}

#[test]
fn an_adapter_beyond_the_slots_waits_and_does_not_hold_up_others() {
    let mut bench = Bench::new(Options { max_loras: 1, ..Options::default() });
    let with = |adapter, stream| Request { adapter, ..request(prompt(stream, 64, stream, 0), 10) };
    bench.submit(1, with(Some(AdapterId(0)), 1));
    bench.submit(2, with(Some(AdapterId(1)), 2));
    bench.submit(3, with(None, 3));
    bench.step();
    let stats = bench.engine.stats();
    assert_eq!((stats.running, stats.waiting, stats.deferred), (2, 1, 1));
    assert_eq!(bench.engine.running_adapters().collect::<Vec<_>>(), [AdapterId(0)]);
    assert_eq!(bench.engine.waiting_adapters().collect::<Vec<_>>(), [AdapterId(1)]);
    bench.run();
    assert!(bench.outcome(2).scheduled.unwrap() >= bench.outcome(1).ended);
    assert_eq!(bench.engine.running_adapters().count() + bench.engine.waiting_adapters().count(), 0);
}

#[test]
fn a_cold_adapter_costs_a_load_and_a_warm_one_nothing() {
    let mut bench = Bench::new(Options { max_loras: 1, ..Options::default() });
    let mut ttft = |id: u64, adapter| {
        let prompt = prompt(id, 64, id, 0);
        bench.submit(id, Request { adapter: Some(AdapterId(adapter)), ..request(prompt, 1) });
        bench.run();
        let outcome = bench.outcome(id);
        outcome.first_token.unwrap() - outcome.arrived
    };
    let (cold, warm, other, swapped) = (ttft(1, 0), ttft(2, 0), ttft(3, 1), ttft(4, 0));
    let times = LoadTimes::default();
    assert!((cold - warm - times.disk).abs() < 1e-9 && (other - warm - times.disk).abs() < 1e-9);
    assert!((swapped - warm - times.host).abs() < 1e-9, "it was still in host memory");
}

#[test]
fn a_sleeping_engine_reports_no_load_and_goes_on_when_woken() {
    let mut bench = Bench::new(Options::default());
    bench.submit(1, request(prompt(1, 64, 1, 0), 10));
    bench.step();
    bench.engine.sleep();
    bench.submit(2, request(prompt(2, 64, 1, 0), 10));
    assert_eq!(bench.step(), None);
    let stats = bench.engine.stats();
    assert_eq!((stats.running, stats.waiting, stats.kv_use), (0, 0, 0.0));
    bench.engine.wake();
    bench.run();
    assert_eq!(bench.finished.len(), 2);
}

#[test]
fn the_model_ends_an_answer_before_the_limit_where_told() {
    let mut bench = Bench::new(Options::default());
    for (id, stop, expected) in [(1, 3, (3, Finish::Stop)), (2, 30, (10, Finish::Length))] {
        bench.submit(id, Request { stop_after: Some(stop), ..request(prompt(id, 64, 1, 0), 10) });
        bench.run();
        assert_eq!((bench.outcome(id).output_tokens, bench.outcome(id).finish), expected);
    }
}

#[test]
fn a_request_that_comes_while_the_driver_is_late_counts_from_the_end_of_the_step() {
    let mut bench = Bench::new(Options::default());
    bench.submit(1, request(prompt(1, 64, 1, 0), 10));
    let step = bench.engine.schedule(0.0).unwrap();
    bench.engine.submit(step.ends_at + 5.0, 2, request(prompt(2, 64, 1, 0), 10)).unwrap();
    bench.engine.complete(&mut bench.output);
    bench.now = step.ends_at;
    bench.run();
    assert_eq!(bench.outcome(2).arrived, step.ends_at);
    assert!(bench.tokens.iter().all(|token| token.gap > 0.0));
}

#[test]
fn an_abort_in_the_middle_of_a_step_takes_its_tokens_and_blocks_away() {
    let mut bench = Bench::new(Options::default());
    bench.submit(1, request(prompt(1, 64, 1, 0), 10));
    bench.submit(2, request(prompt(2, 64, 1, 0), 10));
    bench.step();
    let step = bench.engine.schedule(bench.now).unwrap();
    assert_eq!(bench.engine.abort(bench.now, 1).unwrap().finish, Finish::Abort);
    assert!(bench.engine.abort(bench.now, 1).is_none());
    bench.now = step.ends_at;
    bench.engine.complete(&mut bench.output);
    assert!(bench.output.tokens.iter().all(|token| token.id == 2));
    bench.run();
    assert_eq!(bench.engine.stats().kv_use, 0.0);
}

#[derive(Debug, Clone)]
enum Event {
    Submit { group: u64, shared: u32, own: u32, max: u32, stop: Option<u32>, adapter: Option<u16> },
    Abort(u64),
    Steps(u8),
}

fn event() -> impl Strategy<Value = Event> {
    let submit =
        (0..3u64, 0..120u32, 1..90u32, 1..120u32, prop::option::of(1..60u32), prop::option::of(0..4u16))
            .prop_map(|(group, shared, own, max, stop, adapter)| Event::Submit {
                group,
                shared,
                own,
                max,
                stop,
                adapter,
            });
    prop_oneof![4 => submit, 1 => (0..60u64).prop_map(Event::Abort), 4 => (1..20u8).prop_map(Event::Steps)]
}

fn play(events: &[Event], options: &Options) -> Bench {
    let mut bench = Bench::new(options.clone());
    for (id, event) in events.iter().enumerate() {
        match *event {
            Event::Submit { group, shared, own, max, stop, adapter } => {
                let name = adapter.map(|adapter| format!("lora-{adapter}"));
                let prompt = prompt_under(root(name.as_deref(), None), group, shared, id as u64 + 10, own);
                let adapter = adapter.map(AdapterId);
                bench.submit(id as u64, Request { prompt, max_tokens: max, stop_after: stop, adapter });
            }
            Event::Abort(id) => {
                bench.engine.abort(bench.now, id);
            }
            Event::Steps(count) => {
                for _ in 0..count {
                    bench.step();
                    let stats = bench.engine.stats();
                    assert!(stats.running <= options.max_num_seqs);
                    assert!(bench.engine.running_adapters().count() <= options.max_loras as usize);
                }
            }
        }
    }
    bench.run();
    bench
}

proptest! {
    #[test]
    fn any_traffic_ends_gives_every_block_back_and_repeats_exactly(
        events in prop::collection::vec(event(), 1..60),
        blocks in 21..80u32,
        seats in 1..8u32,
        budget in 16..200u32,
        prefix_caching: bool,
    ) {
        let options = Options {
            max_num_seqs: seats,
            max_num_batched_tokens: budget,
            prefix_caching,
            ..kv(blocks * 16)
        };
        let bench = play(&events, &options);
        let stats = bench.engine.stats();
        prop_assert_eq!((stats.running, stats.waiting, stats.kv_use), (0, 0, 0.0));
        prop_assert_eq!(bench.engine.blocks.free(), blocks);
        prop_assert_eq!(bench.engine.running_adapters().count() + bench.engine.waiting_adapters().count(), 0);
        prop_assert!(bench.engine.slots.is_empty());
        for outcome in &bench.finished {
            let tokens: Vec<u32> =
                bench.tokens.iter().filter(|t| t.id == outcome.id).map(|t| t.index).collect();
            prop_assert_eq!(tokens, (0..outcome.output_tokens).collect::<Vec<_>>());
            prop_assert!(outcome.cached_tokens < outcome.prompt_tokens);
            let times = [Some(outcome.arrived), outcome.scheduled, outcome.first_token, Some(outcome.ended)];
            prop_assert!(times.is_sorted() && times.iter().all(Option::is_some));
        }
        let again = play(&events, &options);
        prop_assert_eq!(again.finished, bench.finished);
        prop_assert_eq!(again.tokens, bench.tokens);
    }

    #[test]
    fn tokens_decode_to_the_text_and_a_prefix_is_a_prefix(text in "[a-z é€🦀\n]{0,60}", more in "[a-z \n]{0,20}") {
        let short = tokens::encode(&text);
        let long = tokens::encode(&format!("{text}{more}"));
        prop_assert_eq!(tokens::decode(&short), text);
        let sure = short.len().saturating_sub(1);
        prop_assert_eq!(&short[..sure], &long[..sure]);
    }

    #[test]
    fn output_appended_to_a_prompt_gives_the_same_tokens(text in "[a-z ]{1,40}", stream: u64, count in 1..20u32) {
        let mut ids = tokens::encode(&text);
        tokens::extend_filler(&mut ids, stream, count);
        prop_assert_eq!(tokens::encode(&tokens::decode(&ids)), ids);
    }
}
