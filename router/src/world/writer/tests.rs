use std::sync::Arc;

use tokio::task::JoinSet;
use warmlane_engine::metrics::EngineKind;
use warmlane_picker::{Chain, Health, Matches, Reading, Signals, Slot, Time};

use super::*;
use crate::world::{
    Edition,
    pools::{Closed, Replica, WantedPool},
};

/// For what must happen soon: only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

struct Running {
    world: Arc<World>,
    updates: mpsc::Sender<Update>,
    _task: JoinSet<()>,
}

fn start(count: usize) -> Running {
    let config = Config::for_endpoints((0..count).map(|n| format!("10.0.0.1:{}", n + 1)).collect());
    let world = Arc::new(World::new(&config, 7));
    let (writer, updates) = Writer::new(world.clone(), &config);
    let mut task = JoinSet::new();
    task.spawn(writer.run());
    Running { world, updates, _task: task }
}

fn load(slot: u16, queue: f32, progress: f64) -> Update {
    let queue = Some(Reading { value: queue, at: Time::ZERO });
    let signals = Signals { queue, ..Signals::default() };
    Update::Load(Box::new(Load { slot: Slot(slot), signals, progress: Some(progress) }))
}

impl Running {
    async fn tell(&self, update: Update) {
        self.updates.send(update).await.expect("the writer runs");
    }

    fn queue(&self, slot: u16) -> Option<f32> {
        self.world.snapshot.load().endpoint(Slot(slot)).and_then(|e| e.signals.queue).map(|r| r.value)
    }

    /// Lets the writer run as far as it can without time going by.
    async fn settle(&self) {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_endpoints_are_there_before_anything_is_known_of_them() {
    let running = start(3);
    assert_eq!(running.world.snapshot.load().endpoints().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_burst_becomes_one_snapshot() {
    let running = start(2);
    time::advance(MIN_GAP).await;
    running.tell(load(0, 1.0, 1.0)).await;
    running.settle().await;
    assert_eq!(running.queue(0), Some(1.0), "into a quiet pool at once");
    for n in 2..=100_u16 {
        running.tell(load(n % 2, f32::from(n), f64::from(n))).await;
        running.settle().await;
    }
    assert_eq!((running.queue(0), running.queue(1)), (Some(1.0), None), "no second one within the gap");
    time::advance(MIN_GAP).await;
    running.settle().await;
    assert_eq!((running.queue(0), running.queue(1)), (Some(100.0), Some(99.0)), "then all at once");
}

#[tokio::test(start_paused = true)]
async fn updates_that_change_nothing_publish_nothing() {
    let running = start(1);
    time::advance(MIN_GAP).await;
    running.tell(Update::Alive { slot: Slot(0) }).await;
    running.settle().await;
    let before = running.world.snapshot.load_full();
    assert!(before.endpoints()[0].ready);
    time::advance(MIN_GAP).await;
    running.tell(Update::Alive { slot: Slot(0) }).await;
    running.settle().await;
    assert!(Arc::ptr_eq(&before, &running.world.snapshot.load_full()));
}

#[tokio::test]
async fn a_restarted_engine_holds_nothing_any_more() {
    let running = start(1);
    let (world, slot) = (&running.world, Slot(0));
    let chain = Chain::new(3, &(0..40).collect::<Vec<u64>>());
    let depth = || {
        let mut matches = Matches::default();
        matches.reset(16.0);
        world.index.load().lookup(&chain, &mut matches);
        matches.depth(slot)
    };
    world.index.load().record(&chain, slot, 0, Time::ZERO);
    world.pins.pin(99 << 30, slot, Time::ZERO);
    running.tell(load(0, 0.0, 50.0)).await;
    running.tell(load(0, 0.0, 60.0)).await;
    running.settle().await;
    assert_eq!(depth(), 40, "still the same process");
    running.tell(load(0, 0.0, 1.0)).await;
    // Forgetting happens on a thread of its own.
    let forgotten = async {
        while depth() > 0 || world.pins.get(99 << 30, Time::ZERO).is_some() {
            tokio::task::yield_now().await;
        }
    };
    time::timeout(PATIENCE, forgotten).await.expect("prefixes and pins are forgotten");
}

#[tokio::test]
async fn the_writer_ends_when_nobody_can_tell_it_anything() {
    let config = Config::for_endpoints(Vec::new());
    let (writer, updates) = Writer::new(Arc::new(World::new(&config, 1)), &config);
    drop(updates);
    writer.run().await;
}

fn wanted(pools: &[(&str, &[&str])]) -> Arc<Wanted> {
    let pool = |(name, replicas): &(&str, &[&str])| WantedPool {
        name: (*name).into(),
        rules: Arc::default(),
        replicas: replicas.iter().map(|address| Replica::open(address)).collect(),
    };
    Arc::new(Wanted { pools: pools.iter().map(pool).collect() })
}

/// A router without endpoints of its own, and what says who is wanted.
fn follow() -> (Running, watch::Sender<Arc<Wanted>>) {
    let config = Config::for_endpoints(Vec::new());
    let world = Arc::new(World::new(&config, 7));
    let (sender, wanted) = watch::channel(Arc::default());
    let (writer, updates) = Writer::new(world.clone(), &config);
    let mut task = JoinSet::new();
    task.spawn(writer.following(wanted).run());
    (Running { world, updates, _task: task }, sender)
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let held = async {
        while !holds() {
            time::sleep(Duration::from_millis(1)).await;
        }
    };
    time::timeout(PATIENCE, held).await.unwrap_or_else(|_| panic!("{what}"));
}

fn in_pool(world: &World, pool: &str) -> Vec<String> {
    let pool = world.pools.named(pool);
    pool.map_or_else(Vec::new, |pool| {
        pool.snapshot().endpoints().iter().map(|e| e.address.to_string()).collect()
    })
}

#[tokio::test(start_paused = true)]
async fn a_pool_in_which_nothing_changes_keeps_its_snapshot() {
    let (running, wants) = follow();
    let world = running.world.clone();
    let snapshot = |pool: &str| world.pools.named(pool).map(|pool| pool.snapshot().clone());
    let is_same = |before: &Option<Arc<Edition>>, pool: &str| {
        before.as_ref().zip(snapshot(pool)).is_some_and(|(before, now)| Arc::ptr_eq(before, &now))
    };
    wants.send_replace(wanted(&[
        ("one", &["a:1", "both:1"]),
        ("two", &["b:1"]),
        ("three", &["c:1", "both:1"]),
    ]));
    until("all are there", || in_pool(&world, "three").len() == 2).await;
    let before = ["one", "two", "three"].map(snapshot);
    let both = world.roster.borrow().all().iter().find(|e| *e.address == *"both:1").map(|e| e.slot.0);
    running.tell(load(both.expect("a slot"), 3.0, 1.0)).await;
    until("both pools hear of their replica", || {
        !is_same(&before[0], "one") && !is_same(&before[2], "three")
    })
    .await;
    assert!(is_same(&before[1], "two"), "nothing happened there");
    let before = ["one", "two"].map(snapshot);
    wants.send_replace(wanted(&[("one", &["a:1", "both:1"]), ("two", &["b:1", "d:1"]), ("three", &["c:1"])]));
    until("the second has one more", || in_pool(&world, "two").len() == 2).await;
    assert_eq!(in_pool(&world, "three"), ["c:1"]);
    assert!(is_same(&before[0], "one"), "it has the same replicas");
    wants.send_replace(wanted(&[("two", &["b:1", "d:1"]), ("one", &["a:1", "both:1"])]));
    until("their order is another", || world.pools.first().is_some_and(|pool| *pool.name == *"two")).await;
    assert_eq!((in_pool(&world, "two").len(), in_pool(&world, "one").len()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn replicas_come_and_go_with_what_is_wanted_and_each_pool_has_its_own() {
    let (running, wants) = follow();
    let world = &running.world;
    wants.send_replace(wanted(&[
        ("a", &["10.0.0.1:80", "10.0.0.2:80"]),
        ("b", &["10.0.0.3:80", "10.0.0.1:80"]),
    ]));
    until("both pools", || in_pool(world, "b").len() == 2).await;
    assert_eq!(in_pool(world, "a"), ["10.0.0.1:80", "10.0.0.2:80"]);
    assert_eq!(in_pool(world, "b"), ["10.0.0.1:80", "10.0.0.3:80"], "one is in both");
    running.tell(load(0, 3.0, 1.0)).await;
    until("a reading reaches both", || {
        let queue =
            |pool| world.pools.named(pool).and_then(|p| p.snapshot().endpoint(Slot(0))?.signals.queue);
        queue("a").is_some() && queue("b").is_some()
    })
    .await;
    let held = world.pools.named("b").expect("it is wanted");
    wants.send_replace(wanted(&[("a", &["10.0.0.2:80", "10.0.0.4:80"])]));
    until("the others are gone", || in_pool(world, "a") == ["10.0.0.2:80", "10.0.0.4:80"]).await;
    assert!(held.snapshot().endpoints().is_empty(), "who still asks the old pool gets nobody");
    assert_eq!(world.roster.borrow().slot("10.0.0.4:80"), Some(Slot(3)), "no number is given again at once");
    assert_eq!(world.roster.borrow().slot("10.0.0.1:80"), None);
}

#[tokio::test(start_paused = true)]
async fn a_number_is_given_again_without_what_was_remembered_of_who_had_it() {
    let (running, wants) = follow();
    let world = &running.world;
    wants.send_replace(wanted(&[("a", &["10.0.0.1:80", "10.0.0.2:80"])]));
    until("it joins", || in_pool(world, "a").len() == 2).await;
    let prompt = Chain::new(5, &[1, 2, 3]);
    world.index.load().record(&prompt, Slot(0), 0, Time::ZERO);
    world.pins.pin(99 << 30, Slot(0), Time::ZERO);
    wants.send_replace(wanted(&[("a", &["10.0.0.2:80"])]));
    until("it leaves", || in_pool(world, "a").len() == 1).await;
    let under_way = world.ledger.open(Slot(0), crate::ledger::Load::default());
    let pinned = || world.pins.get(99 << 30, Time::ZERO).is_some();
    time::sleep(Duration::from_secs(30)).await;
    assert!(pinned(), "a request is under way there");
    drop(under_way);
    let mut number = 3;
    until("its number is free", || !pinned()).await;
    while world.roster.borrow().slot(&format!("10.0.0.{number}:80")) != Some(Slot(0)) {
        number += 1;
        wants.send_replace(wanted(&[("a", &["10.0.0.2:80", &format!("10.0.0.{number}:80")])]));
        time::sleep(Duration::from_secs(5)).await;
        assert!(number < 20, "it is never given again");
    }
    let mut held = Matches::default();
    held.reset(1.0);
    world.index.load().lookup(&prompt, &mut held);
    assert_eq!(held.depth(Slot(0)), 0, "the new one holds nothing");
}

#[tokio::test(start_paused = true)]
async fn who_is_another_one_at_the_same_address_begins_anew() {
    let (running, wants) = follow();
    let world = &running.world;
    let pod = |identity: &str, closed| {
        let replica = Replica {
            address: "10.0.0.1:80".into(),
            identity: identity.into(),
            node: None,
            closed,
            runtime: EngineKind::Unknown,
        };
        Arc::new(Wanted {
            pools: vec![WantedPool { name: "a".into(), rules: Arc::default(), replicas: vec![replica] }],
        })
    };
    let first = || world.pools.named("a").and_then(|pool| pool.snapshot().endpoints().first().cloned());
    wants.send_replace(pod("one", None));
    until("it joins", || first().is_some()).await;
    running.tell(Update::Alive { slot: Slot(0) }).await;
    until("it answers", || first().is_some_and(|e| e.ready)).await;
    wants.send_replace(pod("one", Some(Closed::Terminating)));
    until("it gets nothing new", || first().is_some_and(|e| !e.ready)).await;
    assert_eq!(first().map(|e| e.slot), Some(Slot(0)), "but is there");
    assert!(!world.is_down(Slot(0)), "and may finish what it has");
    wants.send_replace(pod("two", None));
    until("another one", || first().is_some_and(|e| e.slot == Slot(1))).await;
    assert!(!first().expect("it is there").ready, "which has not answered yet");
    assert!(world.is_down(Slot(0)));
}

#[tokio::test(start_paused = true)]
async fn an_address_is_its_new_pods_while_the_old_one_is_on_its_way_out_in_another_pool() {
    let (running, wants) = follow();
    let world = &running.world;
    let pool = |name: &str, identity: &str, closed| {
        let replica = Replica { identity: identity.into(), closed, ..Replica::open("10.0.0.1:80") };
        WantedPool { name: name.into(), rules: Arc::default(), replicas: vec![replica] }
    };
    let old = pool("a", "old", Some(Closed::Terminating));
    wants.send_replace(Arc::new(Wanted { pools: vec![old.clone()] }));
    until("the old one is there", || in_pool(world, "a").len() == 1).await;
    wants.send_replace(Arc::new(Wanted { pools: vec![old, pool("b", "new", None)] }));
    until("the new one is there", || in_pool(world, "b").len() == 1).await;
    let new = world.roster.borrow().slot("10.0.0.1:80").expect("it is wanted");
    running.tell(Update::Alive { slot: new }).await;
    let is_ready = |name: &str| {
        let pool = world.pools.named(name).expect("it is wanted");
        pool.snapshot().endpoints().first().is_some_and(|endpoint| endpoint.ready)
    };
    until("it is open", || is_ready("b")).await;
    assert!(in_pool(world, "a").is_empty(), "the old pod is not at that address any more");
}

#[tokio::test(start_paused = true)]
async fn who_reads_engines_is_told_of_what_kind_a_pool_says_they_are() {
    let (running, wants) = follow();
    let of = |runtime| {
        let replica = Replica { runtime, ..Replica::open("10.0.0.1:80") };
        Arc::new(Wanted {
            pools: vec![WantedPool { name: "a".into(), rules: Arc::default(), replicas: vec![replica] }],
        })
    };
    let mut roster = running.world.roster.subscribe();
    for kind in [EngineKind::Unknown, EngineKind::TensorRtLlm, EngineKind::Vllm] {
        wants.send_replace(of(kind));
        time::timeout(Duration::from_secs(5), roster.changed())
            .await
            .expect("they hear of it")
            .expect("a writer");
        let entry = roster.borrow_and_update().all()[0].clone();
        assert_eq!((entry.slot, entry.runtime), (Slot(0), kind), "the same one");
    }
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_is_drained_stays_so_through_every_change_until_its_pod_leaves() {
    let (running, wants) = follow();
    let world = &running.world;
    let want = |identity: &str, closed| {
        let replica = Replica { identity: identity.into(), closed, ..Replica::open("10.0.0.1:80") };
        let pool = |name: &str| WantedPool {
            name: name.into(),
            rules: Arc::default(),
            replicas: vec![replica.clone()],
        };
        wants.send_replace(Arc::new(Wanted { pools: vec![pool("a"), pool("b")] }));
    };
    let first = |pool: &str| Some(world.pools.named(pool)?.snapshot().endpoints().first()?.clone());
    let ready = || ["a", "b"].map(|pool| first(pool).is_some_and(|endpoint| endpoint.ready));
    let drain = async |slot, drained| {
        let (asker, told) = tokio::sync::oneshot::channel();
        running.tell(Update::Drain(Drain { slot, drained, asker: Some(asker) })).await;
        told.await.expect("the writer tells")
    };
    want("one", None);
    until("it joins", || first("b").is_some()).await;
    running.tell(load(0, 1.0, 5.0)).await;
    until("it is ready", || ready() == [true; 2]).await;
    assert!(drain(Slot(0), true).await && ready() == [false; 2], "in all pools, once it is told");
    assert!(!drain(Slot(0), true).await && !drain(Slot(7), true).await, "no news");
    running.tell(load(0, 1.0, 2.0)).await;
    want("one", Some(Closed::NotReady));
    until("its probe fails", || {
        first("a").is_some_and(|e| e.health == Health::Degraded(Closed::NotReady.to_string().into()))
    })
    .await;
    want("one", None);
    until("its probe succeeds", || {
        first("a").is_some_and(|e| e.health == Health::Degraded("drained by hand".into()))
    })
    .await;
    assert_eq!(ready(), [false; 2], "its process and its probe are another matter");
    want("two", None);
    until("another pod", || first("a").is_some_and(|e| e.slot == Slot(1))).await;
    running.tell(Update::Alive { slot: Slot(1) }).await;
    until("which nobody drained", || ready() == [true; 2]).await;
    assert!(drain(Slot(1), true).await && drain(Slot(1), false).await);
    assert_eq!(ready(), [true; 2]);
}
