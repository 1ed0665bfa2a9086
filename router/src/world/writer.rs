//! The one writer of the snapshot: takes updates from readers and data plane, keeps the state of each
//! endpoint, and replaces [`World::snapshot`].
//!
//! Of pools only those are published in which something has changed, beside the snapshot of all.
//!
//! A burst of updates becomes one snapshot: the next one is published no earlier than 5 ms after the last, and
//! no earlier than twenty times what the last one cost, so a large pool cannot make publishing the router's
//! main work. An update into a quiet pool is published at once. Nothing here judges load: readings pass through
//! with their age.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::{self, Instant},
};
use warmlane_picker::estimate::MOST;
pub use warmlane_scrape::Failure;

use crate::{
    config::Config,
    world::{MAX_ENDPOINTS, World, pools::Wanted},
};

mod lines;
mod members;
mod presence;
mod slots;
mod update;
mod upkeep;

use lines::Lines;
use members::{Conduct, Members, News};
pub use update::{Drain, Load, Update};
use upkeep::Upkeep;

/// Shortest time between two snapshots.
const MIN_GAP: Duration = Duration::from_millis(5);
/// Building snapshots may take one part in this many of the thread's time.
const REST: u32 = 20;
/// How often model lists are looked through for old ones, and the lane is looked at.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);
/// Updates that can wait: a few for each endpoint of a large pool. Senders wait when it is full.
const QUEUE: usize = 8_192;
/// Updates taken before the snapshot is considered again.
const BATCH: usize = 1_024;

/// See the module's header. [`Writer::run`] ends when every sender of updates is gone.
pub struct Writer {
    world: Arc<World>,
    updates: mpsc::Receiver<Update>,
    members: Members,
    /// What is to be routed to, where that changes.
    wanted: Option<watch::Receiver<Arc<Wanted>>>,
    upkeep: Upkeep,
    lines: Lines,
    /// The members differ from the snapshot.
    dirty: bool,
    began: Instant,
    /// No snapshot before this.
    not_before: Instant,
}

// === Writer ===

impl Writer {
    /// A writer over the configured endpoints. Publishes a first snapshot in which nothing is ready.
    pub fn new(world: Arc<World>, config: &Config) -> (Self, mpsc::Sender<Update>) {
        let (sender, updates) = mpsc::channel(QUEUE);
        let members = Members::new(config.breaker, config.profile.slow_start);
        let upkeep = Upkeep::new(world.clone(), &config.prefix);
        let (wanted, began) = (None, Instant::now());
        let mut writer = Self {
            world,
            updates,
            members,
            wanted,
            upkeep,
            lines: Lines::new(),
            dirty: true,
            began,
            not_before: began,
        };
        writer.want(&Wanted::of(config));
        writer.publish();
        (writer, sender)
    }

    /// The same over what is wanted from now on.
    pub fn following(mut self, wanted: watch::Receiver<Arc<Wanted>>) -> Self {
        self.wanted = Some(wanted);
        self
    }

    /// Works until every sender is gone.
    pub async fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut expiry = time::interval(EXPIRY_INTERVAL);
        loop {
            tokio::select! {
                taken = self.updates.recv_many(&mut batch, BATCH) => {
                    if taken == 0 {
                        return;
                    }
                    batch.drain(..).for_each(|update| self.take(update));
                    if self.members.is_suspicious() {
                        self.look();
                    }
                }
                wanted = changed(&mut self.wanted), if self.wanted.is_some() => match wanted {
                    Some(wanted) => self.want(&wanted),
                    // Nobody says any more what is wanted: what was wanted last is.
                    None => self.wanted = None,
                },
                () = time::sleep_until(self.not_before), if self.dirty => self.publish(),
                swept = self.upkeep.finished(), if self.upkeep.is_busy() => {
                    swept.into_iter().for_each(|slot| self.members.swept(slot));
                }
                _ = expiry.tick() => {
                    self.world.lingering.expire(self.world.now());
                    self.world.lately.turn(self.world.now());
                    self.world.lane.look();
                    self.lines.tell_rest();
                    self.look();
                    self.upkeep.look();
                    self.sweep();
                    if self.members.expire(self.world.now()) {
                        self.dirty = true;
                        self.publish_models();
                    }
                }
            }
            self.upkeep.go_on();
        }
    }

    fn take(&mut self, mut update: Update) {
        if let Update::Load(load) = &update {
            self.settle(load);
        }
        let asker = update.asker();
        let news = self.members.apply(update, self.world.now());
        let is_news = news.is_some();
        news.into_iter().for_each(|news| self.tell(&news));
        if let Some(asker) = asker {
            if is_news {
                self.publish();
            }
            // It may have gone away meanwhile.
            let _ = asker.send(is_news);
        }
    }

    /// Has who is wanted, and no others.
    fn want(&mut self, wanted: &Wanted) {
        let turnover = self.members.want(wanted, self.began.elapsed());
        self.world.pools.want(wanted);
        for address in &turnover.left {
            tracing::info!(endpoint = %address, "replica has left");
        }
        for (address, closed) in &turnover.doors {
            if let Some(why) = closed {
                tracing::info!(endpoint = %address, "replica gets no new requests: {why}");
            } else {
                tracing::info!(endpoint = %address, "replica may get requests again: its pod is ready");
            }
        }
        if turnover.refused > 0 {
            tracing::error!(
                refused = turnover.refused,
                "a router serves {MAX_ENDPOINTS} replicas at most: these get no requests; spread the pools over more routers"
            );
        }
        if turnover.renamed || !turnover.joined.is_empty() || !turnover.left.is_empty() {
            let roster = self.members.roster();
            self.upkeep.widen(roster.width());
            self.world.roster.send_replace(Arc::new(roster));
            self.publish_models();
        }
        self.dirty = true;
        if turnover.turned || !turnover.left.is_empty() {
            // At once: from now on no request may go to one that left.
            self.publish();
        }
    }

    /// Has tables forget those that have left for good.
    fn sweep(&mut self) {
        let ledger = &self.world.ledger;
        let due = self.members.due(self.began.elapsed(), |slot| ledger.account(slot).in_flight() == 0);
        for slot in due {
            self.world.agents.coverage.forget(slot);
            self.world.ledger.clear(slot);
            self.upkeep.forget(slot);
        }
    }

    /// A page that counts fewer requests than were sent says that the others have ended.
    fn settle(&self, load: &Load) {
        if let Some((waiting, running)) = load.signals.queue.zip(load.signals.running) {
            let counted = waiting.value + running.value;
            // What no engine can mean is no reading.
            if (0.0..=MOST).contains(&counted) {
                self.world.lingering.settle(load.slot, waiting.at.min(running.at), counted as usize);
            }
        }
    }

    /// Looks at how requests ended everywhere.
    fn look(&mut self) {
        let ledger = &self.world.ledger;
        let conduct = |slot| {
            let account = ledger.account(slot);
            Conduct {
                outcomes: account.outcomes(),
                in_flight: account.in_flight(),
                prefill_tokens: account.prefill_under_way(),
            }
        };
        let news = self.members.look(self.world.now(), conduct);
        news.into_iter().for_each(|news| self.tell(&news));
    }

    fn tell(&mut self, news: &News) {
        self.dirty = true;
        self.lines.tell(news);
        match news {
            News::Listed | News::Up { .. } => self.publish_models(),
            News::Restarted { slot, .. } => self.upkeep.forget(*slot),
            News::Readings
            | News::Down { .. }
            | News::Terminating { .. }
            | News::Resting { .. }
            | News::Trying { .. }
            | News::Rested { .. }
            | News::Stalled { .. }
            | News::Recovered { .. }
            | News::Gpu { .. }
            | News::GpuUntold { .. } => {}
        }
    }

    /// Only when names changed: merging costs more than the rest of an update.
    fn publish_models(&self) {
        self.world.models.store(self.members.model_list().map(Arc::new));
    }

    fn publish(&mut self) {
        let begun = Instant::now();
        let all = Arc::new(self.members.snapshot());
        self.upkeep.hold(all.kv_capacity_tokens());
        let pools = self.world.pools.all();
        for (number, snapshot) in self.members.fresh_snapshots() {
            if let Some(pool) = pools.get(number) {
                pool.publish(snapshot.map_or_else(|| all.clone(), Arc::new));
            }
        }
        drop(pools);
        self.world.publish(all);
        self.dirty = false;
        self.not_before = begun + (begun.elapsed() * REST).max(MIN_GAP);
    }
}

/// What is wanted now, once that is something else; `None`: it will not change any more.
async fn changed(wanted: &mut Option<watch::Receiver<Arc<Wanted>>>) -> Option<Arc<Wanted>> {
    let wanted = wanted.as_mut()?;
    wanted.changed().await.ok()?;
    Some(wanted.borrow_and_update().clone())
}

#[cfg(test)]
mod tests;
