//! What it costs to remember: session pins and prefix groups, per request, per response and per look at all of them.
//!
//! The table of sessions is as large as a router's own and holds as many as it was made for; sessions take turns in no order,
//! so that entries come from the outer caches.

use std::{hint::black_box, time::Duration};

use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main, measurement::WallTime};
use fastrand::Rng;
use warmlane_picker::{Chain, GroupTable, PinTable, Saved, Slot, Time, group::GroupRule};

const SEED: u64 = 11;
const SESSIONS: usize = 65_536;
const LIFETIME: Time = Time::from_secs(1_800);
const SENT: Time = Time::from_secs(60);
const NOW: Time = Time::from_secs(61);
/// 32 KB in blocks of 64 bytes.
const BLOCKS: usize = 512;
const SAVED: Saved = Saved { responses: 1, bytes: 20_000, wakeups: 255 };

fn tables(c: &mut Criterion) {
    let mut group = c.benchmark_group("tables");
    group.measurement_time(Duration::from_secs(2));
    group.warm_up_time(Duration::from_millis(500));
    sessions(&mut group);
    groups(&mut group);
    group.finish();
}

fn sessions(group: &mut BenchmarkGroup<'_, WallTime>) {
    let mut rng = Rng::with_seed(SEED);
    let pins = PinTable::new(SESSIONS, LIFETIME);
    let mut keys: Vec<u64> = (0..SESSIONS).map(|_| rng.u64(..)).collect();
    keys.iter().for_each(|key| _ = pins.pin(*key, Slot(rng.u16(..8)), SENT));
    rng.shuffle(&mut keys);
    let mut turns = keys.iter().copied().cycle();
    let mut turn = || turns.next().expect("a cycle");
    group.bench_function("get_a_session", |b| b.iter(|| pins.get(turn(), NOW)));
    group.bench_function("pin_a_known_session", |b| b.iter(|| pins.pin(turn(), Slot(3), NOW)));
    group.bench_function("credit_a_session", |b| b.iter(|| pins.credit(turn(), SAVED)));
    group.bench_function("look_at_all_sessions", |b| {
        b.iter(|| pins.each(NOW).map(|pin| pin.saved.bytes).sum::<u64>());
    });
    group.bench_function("pin_a_new_session", |b| b.iter(|| pins.pin(rng.u64(..), Slot(3), NOW)));
    group.bench_function("credit_an_unknown_session", |b| b.iter(|| pins.credit(rng.u64(..), SAVED)));
}

fn groups(group: &mut BenchmarkGroup<'_, WallTime>) {
    let mut rng = Rng::with_seed(SEED);
    let groups = GroupTable::new(1_024, GroupRule::default());
    let blocks: Vec<u64> = (0..BLOCKS).map(|_| rng.u64(..)).collect();
    let chain = Chain::new(SEED, &blocks);
    (0..8).for_each(|_| _ = groups.observe(&chain, NOW));
    let found = groups.observe(&chain, NOW).expect("a group");
    groups.pin(&found, Slot(3), NOW);
    group.bench_function("observe_a_group", |b| b.iter(|| groups.observe(black_box(&chain), NOW)));
    group.bench_function("pin_a_known_group", |b| b.iter(|| groups.pin(black_box(&found), Slot(3), NOW)));
    group.bench_function("credit_a_group", |b| b.iter(|| groups.credit(black_box(found.id), SAVED)));
}

criterion_group!(benches, tables);
criterion_main!(benches);
