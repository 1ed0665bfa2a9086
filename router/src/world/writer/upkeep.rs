//! Work on the large tables, off the writer's thread: growing the prefix index, forgetting a slot.
//!
//! One job at a time, since both replace or walk the same table. While the index grows, what workers add to
//! the old one is lost: a hint less, never a wrong answer.

use std::sync::Arc;

use tokio::task::{self, JoinHandle};
use warmlane_picker::{PrefixIndex, Slot};

use crate::{config::Prefix, world::World};

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
    forgotten: Vec<Slot>,
    /// Those that the job under way forgets.
    sweeping: Vec<Slot>,
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
            forgotten: Vec::new(),
            sweeping: Vec::new(),
            job: None,
        }
    }

    /// Asks for an index that can hold this many tokens.
    pub(super) fn hold(&mut self, tokens: u64) {
        let blocks = tokens.saturating_mul(BYTES_PER_TOKEN) / self.block_bytes;
        self.wanted = usize::try_from(blocks).unwrap_or(usize::MAX);
    }

    /// Asks for an index of so many slots.
    pub(super) fn widen(&mut self, width: usize) {
        self.width = self.width.max(width);
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
        if let Some(job) = &mut self.job {
            if job.await.is_err() {
                tracing::error!("work on the prefix tables failed; they stay as they are");
            }
            self.job = None;
        }
        std::mem::take(&mut self.sweeping)
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
        let blocks = self.wanted.min(blocks_within(self.limit, &index)).max(index.capacity());
        // Twice as many each time: a pool that grows by one pod after the other has it made anew a few times.
        let is_wide = self.width <= index.endpoints();
        let width = if is_wide { index.endpoints() } else { self.width.next_power_of_two() };
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
            "prefix index grew with the engines and their KV caches"
        );
        world.index.store(Arc::new(grown));
        world.lately.widen(width);
    }
}

/// Blocks of the largest index that is certain to stay within `bytes`: this one, doubled as often as fits. An
/// index of twice the blocks has at most twice the bytes.
fn blocks_within(bytes: usize, index: &PrefixIndex) -> usize {
    match bytes / index.bytes().max(1) {
        0 => 0,
        times => index.capacity() << times.ilog2(),
    }
}

#[cfg(test)]
mod tests {
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

    #[tokio::test]
    async fn the_index_grows_to_what_the_engines_can_hold() {
        let (world, mut upkeep) = world_and_upkeep(256 << 20);
        let before = world.index.load().capacity() as u64;
        let tokens = |blocks: u64| blocks * 64 / BYTES_PER_TOKEN;
        upkeep.hold(tokens(before));
        settle(&mut upkeep).await;
        assert_eq!(world.index.load().capacity() as u64, before, "that much fits already");
        upkeep.hold(tokens(before * 3));
        settle(&mut upkeep).await;
        assert!(world.index.load().capacity() as u64 >= before * 3);
    }

    #[tokio::test]
    async fn the_index_never_grows_over_its_limit() {
        let (world, mut upkeep) = world_and_upkeep(32 << 20);
        let before = world.index.load().bytes();
        upkeep.hold(u64::MAX);
        settle(&mut upkeep).await;
        let bytes = world.index.load().bytes();
        assert!(before < bytes && bytes <= 32 << 20, "{before} to {bytes}");
    }
}
