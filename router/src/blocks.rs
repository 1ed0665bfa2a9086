//! What engines say they hold in their KV caches, as their agents pass it on: from the hash of a block to the replicas
//! that hold it.
//!
//! Every pick reads it without a lock. Followers of agents write, one at a time: what is added while the table moves to a
//! larger one would be lost, and what is lost here does not come back by itself. Each replica's blocks are held to the
//! digest that its agent sends along; where they differ, the agent is asked for everything again.
//!
//! Memory: a table like that of own history and within the same limit (`prefix.index_bytes`), which grows with what is
//! told. Where that is not enough, what was told longest ago goes first, and of all replicas a part is known from then on.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use arc_swap::{ArcSwap, Guard};
use tokio::{
    sync::{Mutex, MutexGuard},
    task::{spawn_blocking, yield_now},
};
use warmlane_api::node as told;
use warmlane_engine::kv_events::Digest;
use warmlane_picker::{Chain, Matches, PrefixIndex, Slot, Time};

use crate::world::MAX_ENDPOINTS;

mod tellers;

pub use tellers::Tellers;
use tellers::Word;

/// Blocks that there is room for at first.
const FIRST: usize = 1_024;
/// Blocks taken in before others have their turn: a tenth of a millisecond's work.
const PIECE: usize = 1_024;

/// See the module's header.
pub struct Blocks {
    index: ArcSwap<PrefixIndex>,
    tellers: ArcSwap<Tellers>,
    /// What each replica's engine holds: for people.
    counts: Box<[AtomicU64]>,
    /// What each has said; whoever holds it may write.
    words: Mutex<Vec<Word>>,
    limit: usize,
}

/// The blocks of a replica are not those that its agent counts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it counts {told} blocks of {engine} and {held} were told")]
pub struct Diverged {
    /// Its address.
    pub engine: String,
    /// Blocks by the agent's count.
    pub told: u64,
    /// Blocks by the router's.
    pub held: u64,
}

// === Blocks ===

impl Blocks {
    /// Of so many replicas at first, none of which has said anything; within so many bytes.
    pub fn new(replicas: usize, limit: u64) -> Self {
        Self {
            index: ArcSwap::from_pointee(PrefixIndex::new(FIRST, replicas)),
            tellers: ArcSwap::default(),
            counts: (0..MAX_ENDPOINTS).map(|_| AtomicU64::new(0)).collect(),
            words: Mutex::new(vec![Word::default(); replicas]),
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
        }
    }

    /// Who tells of its blocks.
    pub fn tellers(&self) -> Guard<Arc<Tellers>> {
        self.tellers.load()
    }

    /// Finds how many blocks of a prompt each replica holds; `held` must be reset.
    pub fn find(&self, prompt: &Chain, held: &mut Matches) {
        self.index.load().lookup(prompt, held);
    }

    /// Blocks that a replica's engine holds.
    pub fn count(&self, slot: Slot) -> u64 {
        self.counts.get(usize::from(slot.0)).map_or(0, |count| count.load(Relaxed))
    }

    /// Bytes of the table.
    pub fn bytes(&self) -> usize {
        self.index.load().bytes()
    }

    /// Takes in what an agent tells of one replica.
    pub(crate) async fn take(&self, slot: Slot, news: told::Blocks, now: Time) -> Result<(), Diverged> {
        let at = usize::from(slot.0);
        if at >= MAX_ENDPOINTS {
            return Ok(());
        }
        let mut words = self.words.lock().await;
        self.widen(&mut words, at + 1).await;
        let word = words[at];
        let mut digest = word.digest;
        if news.reset {
            self.forget(slot, digest.count).await;
            digest = Digest::default();
        }
        self.make_room(&words, news.added.len()).await;
        apply(&self.index.load_full(), slot, &news, &mut digest, now).await;
        let lost = word.lost && !news.reset;
        words[at] = Word { digest, block_size: news.block_size, whole: news.whole, tells: true, lost };
        self.counts[at].store(digest.count, Relaxed);
        let loses = held(&words) > self.index.load().capacity() as u64 && words.iter().any(|word| !word.lost);
        if loses {
            words.iter_mut().for_each(|word| word.lost = true);
            tracing::warn!(
                bytes = self.bytes(),
                "engines hold more than the table of it has room for (prefix.index_bytes): of each a part is known"
            );
        }
        if digest == (Digest { count: news.count, sum: news.sum }) {
            if loses || !word.speaks_like(&words[at]) {
                self.announce(&words);
            }
            return Ok(());
        }
        words[at].tells = false;
        self.announce(&words);
        Err(Diverged { engine: news.address, told: news.count, held: digest.count })
    }

    /// Forgets all that these replicas hold: they are gone.
    pub(crate) async fn forget_all(&self, slots: &[Slot]) {
        let mut words = self.words.lock().await;
        for slot in slots {
            let Some(word) = words.get_mut(usize::from(slot.0)) else { continue };
            let count = std::mem::take(word).digest.count;
            self.counts[usize::from(slot.0)].store(0, Relaxed);
            self.forget(*slot, count).await;
        }
        self.announce(&words);
    }

    /// Nobody tells of these replicas any more. What they said stays until they are told of again, and is not believed.
    pub(crate) async fn leave(&self, slots: &[Slot]) {
        let mut words = self.words.lock().await;
        for slot in slots {
            if let Some(word) = words.get_mut(usize::from(slot.0)) {
                word.tells = false;
            }
        }
        self.announce(&words);
    }

    fn announce(&self, words: &[Word]) {
        let tellers = Tellers::of(words);
        if tellers != **self.tellers.load() {
            self.tellers.store(Arc::new(tellers));
        }
    }

    /// Walks the table, on a thread for that.
    async fn forget(&self, slot: Slot, count: u64) {
        if count > 0 {
            let index = self.index.load_full();
            work(move || index.forget(slot)).await;
        }
    }

    /// Has room for so many replicas.
    async fn widen(&self, words: &mut MutexGuard<'_, Vec<Word>>, replicas: usize) {
        if words.len() < replicas {
            words.resize(replicas, Word::default());
        }
        let index = self.index.load_full();
        if index.endpoints() < replicas
            && let Some(wider) =
                work(move || index.resized(index.capacity(), replicas.next_power_of_two())).await
        {
            self.index.store(Arc::new(wider));
        }
    }

    async fn make_room(&self, words: &MutexGuard<'_, Vec<Word>>, more: usize) {
        let index = self.index.load_full();
        let wanted = held(words).saturating_add(more as u64);
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        let mut blocks = index.capacity();
        // Of twice the blocks it has twice the bytes at most.
        while blocks < wanted && index.bytes().saturating_mul(2 * blocks / index.capacity()) <= self.limit {
            blocks *= 2;
        }
        if blocks > index.capacity()
            && let Some(grown) = work(move || index.grown(blocks)).await
        {
            tracing::info!(
                blocks = grown.capacity(),
                bytes = grown.bytes(),
                "the table of what engines hold grew with what they tell"
            );
            self.index.store(Arc::new(grown));
        }
    }
}

/// Changes what a replica holds, and lets others have their turn now and then.
async fn apply(index: &PrefixIndex, slot: Slot, news: &told::Blocks, digest: &mut Digest, now: Time) {
    for piece in news.removed.chunks(PIECE) {
        piece.iter().for_each(|block| {
            index.release(*block, slot);
            digest.remove(*block);
        });
        yield_now().await;
    }
    for piece in news.added.chunks(PIECE) {
        piece.iter().for_each(|block| {
            index.hold(*block, slot, now);
            digest.add(*block);
        });
        yield_now().await;
    }
}

/// Blocks that all hold together, were none held twice.
fn held(words: &[Word]) -> u64 {
    words.iter().fold(0, |sum, word| sum.saturating_add(word.digest.count))
}

/// Does what takes long on a thread for that. `None` where it failed, or the process ends.
async fn work<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let done = spawn_blocking(work).await;
    done.inspect_err(|error| {
        if error.is_panic() {
            tracing::error!("work on the table of what engines hold failed; it stays as it is");
        }
    })
    .ok()
}

#[cfg(test)]
mod tests;
