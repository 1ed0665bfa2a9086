//! What one decision costs once the prompt is hashed: chaining its blocks, the prefix lookup and the pick.
//!
//! The prompt is 32 KB (8k tokens): 512 blocks. Every endpoint was sent a part of it, each to another depth:
//! the worst case for the lookup. Prompts take turns and the index holds other ones too, so that entries
//! come from the outer caches, as in a busy router.
//!
//! Times are CPU times of the measuring thread: what else runs on the machine slows a pick by taking the caches
//! from it, but the time that others have the CPU is not the pick's.

use std::{hint::black_box, net::SocketAddr, time::Duration};

use criterion::{
    BenchmarkGroup, Criterion, criterion_group, criterion_main,
    measurement::{Measurement, ValueFormatter, WallTime},
};
use fastrand::Rng;
use rustix::time::{ClockId, clock_gettime};
use warmlane_picker::{
    Chain, Criticality, Endpoint, Live, Matches, Models, PrefixIndex, Profile, Reading, Request, Signals,
    Slot, Snapshot, Strategy, Time, Work, pick,
};

const SEED: u64 = 11;
const MODEL: &str = "/model/qwen";
/// When prompts were recorded, and when they are looked up: a second apart, so that repeats write nothing.
const SENT: Time = Time::from_secs(60);
const NOW: Time = Time::from_secs(61);
/// 32 KB in blocks of 64 bytes, at four bytes a token.
const BLOCKS: usize = 512;
/// 1 KB in blocks, what `bench proxy` sends through 256 endpoints.
const SHORT: usize = 16;
const TOKENS_PER_BLOCK: f32 = 16.0;
/// Blocks of other prompts in the index.
const OTHERS: usize = 120_000;

/// CPU time of this thread.
struct CpuTime(WallTime);

type Bench = Criterion<CpuTime>;

/// A pool under load, and prompts that its endpoints hold to differing depths.
struct World {
    snapshot: Snapshot,
    live: Vec<Live>,
    index: PrefixIndex,
    prompts: Vec<Vec<u64>>,
}

// === CpuTime ===

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    }

    fn end(&self, start: Duration) -> Duration {
        self.start() - start
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self.0.formatter()
    }
}

// === World ===

impl World {
    /// `holders` of the `endpoints` were sent a part of each of `prompts` prompts of `blocks` blocks.
    fn new(endpoints: u16, holders: usize, prompts: usize, blocks: usize) -> Self {
        let mut rng = Rng::with_seed(SEED);
        let index = PrefixIndex::new(1 << 20, usize::from(endpoints).next_multiple_of(64));
        let prompts: Vec<Vec<u64>> =
            (0..prompts).map(|_| (0..blocks).map(|_| rng.u64(..)).collect()).collect();
        let mut slots: Vec<Slot> = (0..endpoints).map(Slot).collect();
        for prompt in &prompts {
            rng.shuffle(&mut slots);
            for slot in &slots[..holders] {
                let depth = rng.usize(1..=blocks);
                index.record(&Chain::new(SEED, &prompt[..depth]), *slot, 0, SENT);
            }
        }
        let others: Vec<u64> = (0..OTHERS).map(|_| rng.u64(..)).collect();
        for other in others.chunks(BLOCKS) {
            index.record(&Chain::new(SEED, other), Slot(rng.u16(..endpoints)), 0, SENT);
        }
        let snapshot = Snapshot::new((0..endpoints).map(|slot| endpoint(slot, &mut rng)).collect());
        let live = (0..endpoints).map(|_| live(&mut rng)).collect();
        Self { snapshot, live, index, prompts }
    }
}

fn endpoint(slot: u16, rng: &mut Rng) -> (Endpoint, Models) {
    let mut reading = |most: f32| Some(Reading { value: rng.f32() * most, at: SENT });
    let signals = Signals {
        queue: reading(4.0),
        running: reading(32.0),
        kv_use: reading(0.9),
        kv_capacity_tokens: Some(if slot.is_multiple_of(2) { 95_000 } else { 380_000 }),
        awake: Some(Reading { value: true, at: SENT }),
        mark: Work { requests: 100, prefill_tokens: 100_000, kv_tokens: 150_000 },
        ..Signals::default()
    };
    let socket = SocketAddr::from(([10, 0, (slot >> 8) as u8, slot as u8], 8_000));
    let endpoint = Endpoint {
        local: slot == 0,
        signals,
        ..Endpoint::ready(Slot(slot), &format!("replica-{slot}:8000"), socket)
    };
    (endpoint, Models::Known { base: vec![MODEL.to_owned()], adapters: Vec::new() })
}

fn live(rng: &mut Rng) -> Live {
    Live {
        in_flight: rng.u32(..32),
        pending_prefill: rng.u64(..20_000),
        reserved_kv: rng.u64(..60_000),
        sent: Work { requests: 104, prefill_tokens: 108_000, kv_tokens: 160_000 },
        ..Live::default()
    }
}

fn request<'w>(world: &'w World, prefix: &'w Matches) -> Request<'w> {
    Request {
        model: Some(MODEL),
        prompt_tokens: 8_192,
        output_tokens: 256,
        criticality: Criticality::Standard,
        prefix,
        session: None,
        group: None,
        offered: None,
        live: &world.live,
    }
}

/// From hashed blocks to the decision.
fn decisions(c: &mut Bench) {
    let mut group = c.benchmark_group("pick");
    let profile = Profile::of(Strategy::PrefixCache);
    let cases = [
        ("8_endpoints", World::new(8, 8, 64, BLOCKS)),
        ("256_endpoints", World::new(256, 256, 32, BLOCKS)),
        ("256_endpoints_1_kb", World::new(256, 256, 64, SHORT)),
        ("1000_endpoints", World::new(1_000, 1_000, 16, BLOCKS)),
        ("1000_endpoints_few_warm", World::new(1_000, 4, 64, BLOCKS)),
    ];
    for (name, world) in &cases {
        let (mut chain, mut matches, mut rng) = (Chain::default(), Matches::default(), Rng::with_seed(SEED));
        let mut prompts = world.prompts.iter().cycle();
        group.bench_function(*name, |b| {
            b.iter(|| {
                chain.set(SEED, prompts.next().expect("a cycle"));
                matches.reset(TOKENS_PER_BLOCK);
                world.index.lookup(&chain, &mut matches);
                pick(&profile, &world.snapshot, &request(world, &matches), NOW, &mut rng)
            });
        });
    }
    group.finish();
}

/// The index by itself.
fn memory(c: &mut Bench) {
    let mut group = c.benchmark_group("pick");
    let cases = [
        ("lookup_512_blocks_8_endpoints", World::new(8, 8, 64, BLOCKS)),
        ("lookup_2048_blocks_8_endpoints", World::new(8, 8, 64, 2_048)),
        ("lookup_512_blocks_1000_endpoints", World::new(1_000, 1_000, 16, BLOCKS)),
        ("lookup_2048_blocks_1000_endpoints", World::new(1_000, 1_000, 8, 2_048)),
    ];
    for (name, world) in &cases {
        let chains: Vec<Chain> = world.prompts.iter().map(|prompt| Chain::new(SEED, prompt)).collect();
        let mut chains = chains.iter().cycle();
        let mut matches = Matches::default();
        group.bench_function(*name, |b| {
            b.iter(|| {
                matches.reset(TOKENS_PER_BLOCK);
                world.index.lookup(chains.next().expect("a cycle"), &mut matches);
                matches.deepest()
            });
        });
    }
    record(&mut group, &cases[0].1);
    group.finish();
}

fn record(group: &mut BenchmarkGroup<'_, CpuTime>, world: &World) {
    let mut rng = Rng::with_seed(SEED);
    let mut fresh: Vec<u64> = (0..BLOCKS).map(|_| rng.u64(..)).collect();
    let mut chain = Chain::default();
    group.bench_function("record_512_new_blocks", |b| {
        b.iter(|| {
            fresh[0] = fresh[0].wrapping_add(1);
            chain.set(SEED, black_box(&fresh));
            world.index.record(&chain, Slot(3), 0, NOW);
        });
    });
    chain.set(SEED, &fresh);
    group.bench_function("record_512_known_blocks", |b| {
        b.iter(|| world.index.record(black_box(&chain), Slot(3), BLOCKS as u32, NOW));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(CpuTime(WallTime));
    targets = decisions, memory
}
criterion_main!(benches);
