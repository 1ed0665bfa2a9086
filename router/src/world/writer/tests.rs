use std::sync::Arc;

use tokio::task::JoinSet;
use warmlane_picker::{Chain, Matches, Reading};

use super::*;

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
