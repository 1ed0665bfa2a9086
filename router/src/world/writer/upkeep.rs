//! Work on the large tables, off the writer's thread: growing the prefix index, forgetting a slot.
//!
//! The index grows as it fills, up to what the engines' caches hold together and within its limit: what a thousand idle engines
//! could hold would be hundreds of megabytes for nothing.
//!
//! One job at a time, since both replace or walk the same table. While the index grows, what workers add to
//! the old one is lost: a hint less, never a wrong answer.

use std::sync::Arc;

use tokio::task::{self, JoinHandle};
use warmlane_picker::{PrefixIndex, Slot};

use crate::{config::Prefix, world::World};

/// So full the index grows: it has room for what comes while that is noticed and done.
const FULL: f64 = 0.5;
/// An index with fewer blocks is none.
const FEWEST: usize = 1_024;
/// How much at a time: from the first size to the largest in a few steps.
const GROWTH: usize = 4;

/// Bytes of prompt text that make a token, about: as English text and code come out with today's tokenizers.
const BYTES_PER_TOKEN: u64 = 4;

pub(super) struct Upkeep {
    world: Arc<World>,
    block_bytes: u64,
    limit: usize,
    /// Blocks that the engines' caches hold together.
    wanted: usize,
    /// Slots that there must be room for.
    width: usize,
    /// The index fills.
    full: bool,
    forgotten: Vec<Slot>,
    /// Those that the job under way forgets.
    sweeping: Vec<Slot>,
    /// Those of a job that failed, until the next look: tried again at once it would fail at once.
    failed: Vec<Slot>,
    job: Option<JoinHandle<()>>,
}

// === Upkeep ===

impl Upkeep {
    pub(super) fn new(world: Arc<World>, prefix: &Prefix) -> Self {
        let limit = usize::try_from(prefix.index_bytes).unwrap_or(usize::MAX);
        let block_bytes = u64::from(prefix.block_bytes.max(1));
        Self {
            world,
            block_bytes,
            limit,
            wanted: 0,
            width: 0,
            full: false,
            forgotten: Vec::new(),
            sweeping: Vec::new(),
            failed: Vec::new(),
            job: None,
        }
    }

    /// Engines hold this many tokens: more than their text is not worth remembering.
    pub(super) fn hold(&mut self, tokens: u64) {
        let blocks = tokens.saturating_mul(BYTES_PER_TOKEN) / self.block_bytes;
        self.wanted = usize::try_from(blocks).unwrap_or(usize::MAX);
    }

    /// Asks for an index of so many slots.
    pub(super) fn widen(&mut self, width: usize) {
        self.width = self.width.max(width);
    }

    /// Looks whether the index fills, and takes up what failed.
    pub(super) fn look(&mut self) {
        // The one that is being replaced says nothing of the one to come.
        self.full = self.job.is_none() && self.world.index.load().filled() > FULL;
        self.forgotten.append(&mut self.failed);
    }

    /// Asks for everything remembered about a slot to be dropped.
    pub(super) fn forget(&mut self, slot: Slot) {
        self.forgotten.push(slot);
    }

    pub(super) fn is_busy(&self) -> bool {
        self.job.is_some()
    }

    /// Resolves when the job under way is done, with the slots that were forgotten; at once when there is none.
    pub(super) async fn finished(&mut self) -> Vec<Slot> {
        let Some(job) = &mut self.job else { return Vec::new() };
        let ended = job.await;
        self.job = None;
        if ended.is_ok() {
            return std::mem::take(&mut self.sweeping);
        }
        tracing::error!("work on the prefix tables failed; they stay as they are, and it is tried again");
        self.failed.append(&mut self.sweeping);
        Vec::new()
    }

    /// Starts the next job, if there is one and none is under way.
    pub(super) fn go_on(&mut self) {
        if self.job.is_some() {
            return;
        }
        let size = self.growth();
        if size.is_none() && self.forgotten.is_empty() {
            return;
        }
        // Until the next look at the one that it grows to.
        self.full = false;
        self.sweeping = std::mem::take(&mut self.forgotten);
        let (world, slots) = (self.world.clone(), self.sweeping.clone());
        self.job = Some(task::spawn(async move {
            world.blocks.forget_all(&slots).await;
            let work = task::spawn_blocking(move || work(&world, &slots, size));
            if let Err(error) = work.await
                && let Ok(panic) = error.try_into_panic()
            {
                std::panic::resume_unwind(panic);
            }
        }));
    }

    /// The blocks and slots to grow to, where that is more than the index has.
    fn growth(&self) -> Option<(usize, usize)> {
        let index = self.world.index.load();
        // Twice as many each time: a pool that grows by one pod after the other has it made anew a few times.
        let is_wide = self.width <= index.endpoints();
        let width = if is_wide { index.endpoints() } else { self.width.next_power_of_two() };
        let wanted = if self.full { self.wanted.min(index.capacity() * GROWTH) } else { 0 };
        let blocks = blocks_within(self.limit, index.capacity(), wanted, width);
        (blocks > index.capacity() || !is_wide).then_some((blocks, width))
    }
}

fn work(world: &World, slots: &[Slot], size: Option<(usize, usize)>) {
    let index = world.index.load_full();
    for slot in slots {
        index.forget(*slot);
        world.lately.forget(*slot);
        world.pins.forget(*slot);
        world.groups.forget(*slot);
    }
    if let Some((blocks, width)) = size {
        let grown = index.resized(blocks, width);
        tracing::info!(
            blocks = grown.capacity(),
            replicas = grown.endpoints(),
            bytes = grown.bytes(),
            "prefix index grew: it filled, or there are more replicas"
        );
        world.index.store(Arc::new(grown));
        world.lately.widen(width);
    }
}

/// `wanted` blocks where an index of so many, and of `width` slots, is within `bytes`; else as many as are: `now` doubled as often as
/// fits. Fewer than `now` only where so many slots leave no room for them.
fn blocks_within(bytes: usize, now: usize, wanted: usize, width: usize) -> usize {
    let fits = |blocks: usize| PrefixIndex::bytes_for(blocks, width) <= bytes;
    if wanted > now && fits(wanted) {
        return wanted;
    }
    let mut blocks = now;
    while blocks > FEWEST && !fits(blocks) {
        blocks /= 2;
    }
    while 2 * blocks <= wanted && fits(2 * blocks) {
        blocks *= 2;
    }
    blocks
}

#[cfg(test)]
mod tests {
    use warmlane_picker::Time;

    use super::*;
    use crate::config::Config;

    fn world_and_upkeep(index_bytes: u64) -> (Arc<World>, Upkeep) {
        let mut config = Config::for_endpoints(Vec::new());
        config.prefix.index_bytes = index_bytes;
        let world = Arc::new(World::new(&config, 1));
        (world.clone(), Upkeep::new(world, &config.prefix))
    }

    async fn settle(upkeep: &mut Upkeep) {
        upkeep.go_on();
        while upkeep.is_busy() {
            upkeep.finished().await;
            upkeep.go_on();
        }
    }

    /// Three quarters of what it has room for.
    fn fill(world: &World) {
        let (index, mut rng) = (world.index.load(), fastrand::Rng::with_seed(1));
        (0..index.capacity() * 3 / 4).for_each(|_| index.hold(rng.u64(..), Slot(0), Time::ZERO));
    }

    async fn grown(world: &World, upkeep: &mut Upkeep) -> usize {
        upkeep.look();
        settle(upkeep).await;
        world.index.load().capacity()
    }

    #[tokio::test]
    async fn the_index_grows_as_it_fills_to_what_the_engines_can_hold() {
        let (world, mut upkeep) = world_and_upkeep(256 << 20);
        let first = world.index.load().capacity();
        upkeep.hold(first as u64 * 6 * 64 / BYTES_PER_TOKEN);
        assert_eq!(grown(&world, &mut upkeep).await, first, "it is empty");
        fill(&world);
        let second = grown(&world, &mut upkeep).await;
        assert!(second >= first * GROWTH, "{first} to {second}");
        assert_eq!(grown(&world, &mut upkeep).await, second, "there is room again");
        fill(&world);
        let third = grown(&world, &mut upkeep).await;
        assert!(third >= first * 6, "{first} to {third}");
        fill(&world);
        assert_eq!(grown(&world, &mut upkeep).await, third, "engines hold no more");
    }

    #[tokio::test]
    async fn a_look_while_it_grows_does_not_have_it_grow_again() {
        let (world, mut upkeep) = world_and_upkeep(256 << 20);
        let first = world.index.load().capacity();
        upkeep.hold(u64::MAX);
        fill(&world);
        upkeep.look();
        upkeep.go_on();
        upkeep.look();
        settle(&mut upkeep).await;
        assert!(world.index.load().capacity() < first * GROWTH * 2, "once");
    }

    #[tokio::test]
    async fn more_replicas_than_a_full_index_has_room_for_take_their_room_from_it() {
        let limit = 8 << 20;
        let (world, mut upkeep) = world_and_upkeep(limit);
        upkeep.hold(u64::MAX);
        for _ in 0..4 {
            fill(&world);
            grown(&world, &mut upkeep).await;
        }
        upkeep.widen(1_000);
        settle(&mut upkeep).await;
        let index = world.index.load();
        assert!(index.endpoints() >= 1_000 && index.bytes() <= limit as usize, "{} bytes", index.bytes());
    }

    #[tokio::test]
    async fn slots_of_a_job_that_failed_stay_to_be_forgotten() {
        let (_, mut upkeep) = world_and_upkeep(8 << 20);
        upkeep.forget(Slot(3));
        upkeep.go_on();
        // As the job would end that it stands for.
        upkeep.job = Some(task::spawn(async { std::panic::resume_unwind(Box::new("broken")) }));
        assert_eq!(upkeep.finished().await, [], "nobody may have the number yet");
        upkeep.go_on();
        assert!(!upkeep.is_busy(), "not at once");
        upkeep.look();
        upkeep.go_on();
        assert_eq!(upkeep.finished().await, [Slot(3)]);
    }

    #[tokio::test]
    async fn the_index_never_grows_over_its_limit_however_many_replicas_there_are() {
        for (replicas, limit) in [(1, 8 << 20), (1_000, 8 << 20)] {
            let (world, mut upkeep) = world_and_upkeep(limit);
            upkeep.hold(u64::MAX);
            upkeep.widen(replicas);
            settle(&mut upkeep).await;
            let before = world.index.load().bytes();
            for _ in 0..4 {
                fill(&world);
                grown(&world, &mut upkeep).await;
            }
            let bytes = world.index.load().bytes();
            assert!(before < bytes && bytes <= limit as usize, "{replicas} replicas: {before} to {bytes}");
        }
    }
}
