//! What all threads share: the snapshot, the tables that remember, the ledger.
//!
//! One writer ([`writer`]) replaces the snapshot; everybody else reads it. The tables are lock-free hints.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;
use warmlane_picker::{
    GroupTable, Health, PinTable, PrefixIndex, Slot, Snapshot, Stuck, Time, chain, group::GroupRule,
};
use warmlane_tokens::Tokenizer;

use crate::{
    agents::Agents,
    blocks::Blocks,
    budget::Budget,
    config::Config,
    decisions::Decisions,
    lane::Lane,
    lately::Lately,
    ledger::{Ledger, Lingering},
    tokens::Tokens,
};

mod editions;
pub mod pools;
mod roster;
pub mod writer;

pub use editions::Edition;
pub use pools::{Pool, Pools};
pub use roster::{Entry, Roster};

/// Most endpoints a router serves; one more is refused with an error.
pub const MAX_ENDPOINTS: usize = 16_384;

/// Blocks the prefix index starts with: five replicas of 95k KV tokens, at 4 bytes a token and 64 a block. It grows as
/// it fills; a smaller one is faster, since more of it stays in the caches.
const FIRST_INDEX_BLOCKS: usize = 29_700;

/// See the module's header.
pub struct World {
    /// The state of all endpoints, whatever pools they are in.
    pub snapshot: ArcSwap<Snapshot>,
    /// Who is picked from for which request.
    pub pools: Pools,
    /// Which endpoint has which slot; who waits for a change of it is woken then.
    pub roster: watch::Sender<Arc<Roster>>,
    /// Whether there is anybody to route to, or may be: a server of hooks alone has nobody, and is ready without.
    pub has_replicas: bool,
    /// A snapshot had a ready replica.
    served: AtomicBool,
    /// The merged answer to `GET /v1/models`; `None` until a replica has said what it serves.
    pub models: ArcSwapOption<String>,
    /// Who reads engines for this router.
    pub agents: Agents,
    /// The kernel lane.
    pub lane: Lane,
    /// What this router has under way.
    pub ledger: Arc<Ledger>,
    /// Those of it whose end nobody tells.
    pub lingering: Lingering,
    /// Allowance for request bodies.
    pub budget: Arc<Budget>,
    /// Own history of prompt prefixes. Replaced by a larger one as it fills, and for more slots.
    pub index: ArcSwap<PrefixIndex>,
    /// Of it, what was sent lately.
    pub lately: Lately,
    /// What engines say they hold.
    pub blocks: Blocks,
    /// What prompts are in tokens.
    pub tokens: Tokens,
    /// What was decided lately.
    pub decisions: Decisions,
    /// Session pins.
    pub pins: PinTable,
    /// Prefix groups and their pins.
    pub groups: GroupTable,
    /// This process's random number: seeds every hash that outsiders could aim at.
    pub key: u64,
    epoch: Instant,
}

// === World ===

impl World {
    /// An empty world.
    pub fn new(config: &Config, key: u64) -> Self {
        let prefix = &config.prefix;
        let rule = GroupRule {
            min_blocks: prefix.group_blocks,
            min_requests: prefix.group_requests,
            window: prefix.group_window,
        };
        Self {
            snapshot: ArcSwap::default(),
            pools: Pools::default(),
            roster: watch::Sender::default(),
            has_replicas: config.has_replicas(),
            served: AtomicBool::new(false),
            models: ArcSwapOption::empty(),
            agents: Agents::default(),
            lane: Lane::off(),
            ledger: Arc::new(Ledger::new(MAX_ENDPOINTS)),
            lingering: Lingering::default(),
            budget: Budget::new(config.limits.body_budget),
            index: ArcSwap::from_pointee(PrefixIndex::new(FIRST_INDEX_BLOCKS, config.endpoints.len())),
            lately: Lately::new(config.endpoints.len(), config.follows_agents()),
            blocks: Blocks::new(config.endpoints.len(), prefix.index_bytes),
            tokens: Tokens::none(),
            decisions: Decisions::new(config.log.decisions, config.threads()),
            pins: PinTable::new(prefix.sessions, prefix.session_lifetime),
            groups: GroupTable::new(prefix.groups, rule),
            key,
            epoch: Instant::now(),
        }
    }

    /// The same with these models' tokenizers.
    pub fn with(mut self, tokenizers: Vec<(String, Tokenizer)>) -> Self {
        self.tokens = Tokens::new(tokenizers);
        self
    }

    /// The same with this lane.
    pub fn on(mut self, lane: Lane) -> Self {
        self.lane = lane;
        self
    }

    /// Time since the router started: the picker's clock. Monotonic.
    pub fn now(&self) -> Time {
        self.epoch.elapsed()
    }

    /// A moment by the same clock.
    pub fn time(&self, at: Instant) -> Time {
        at.saturating_duration_since(self.epoch)
    }

    /// Replaces the snapshot.
    fn publish(&self, snapshot: Arc<Snapshot>) {
        if snapshot.endpoints().iter().any(|endpoint| endpoint.ready) {
            self.served.store(true, Relaxed);
        }
        self.snapshot.store(snapshot);
    }

    /// Whether a replica has been ready since the router started.
    pub fn has_served(&self) -> bool {
        self.served.load(Relaxed)
    }

    /// Whether an endpoint failed the router's readings or left the pool. One that is shutting down has not: it may well
    /// finish what it has.
    pub fn is_down(&self, slot: Slot) -> bool {
        let snapshot = self.snapshot.load();
        snapshot.endpoint(slot).is_none_or(|endpoint| matches!(endpoint.health, Health::Failed(_)))
    }

    /// Whether requests that an endpoint holds will come to nothing, as far as the router's readings say.
    pub fn stuck(&self, slot: Slot) -> Option<Stuck> {
        self.snapshot.load().endpoint(slot)?.stuck
    }

    /// Hash of an outside key (session, adapter) that nobody outside can aim.
    pub fn hash(&self, key: &[u8]) -> u64 {
        chain::key(self.key, key)
    }
}
