//! The state of each endpoint between snapshots. Pure: time comes in with the updates.

use std::{collections::HashMap, sync::Arc};

use warmlane_engine::models::merge;
use warmlane_picker::{BreakerRule, Health, Models, Slot, Snapshot, Time};

use super::{
    Load, Update,
    presence::{Presence, Turn},
    slots::Slots,
};
use crate::world::{Entry, Roster};

mod conduct;
mod gpu;
mod member;
mod place;
mod stall;
mod turnover;

pub(super) use conduct::Conduct;
use member::Member;

/// A list of models older than this says nothing any more: six readings were missed.
pub(super) const LIST_LIFETIME: Time = Time::from_secs(30);

/// How long an endpoint that said it is shutting down gets nothing, unless it is seen to have been restarted.
pub(super) const TERMINATION: Time = Time::from_secs(60);

/// All endpoints, and how those that fail are treated.
pub(super) struct Members {
    /// At the index of their slot.
    members: Vec<Option<Member>>,
    by_address: HashMap<Arc<str>, Slot>,
    slots: Slots,
    /// In the order in which they are wanted.
    pools: Vec<Seats>,
    rule: BreakerRule,
    slow_start: Time,
    /// A request failed somewhere since the last look.
    suspicious: bool,
}

/// Who is in a pool; one may be in several.
struct Seats {
    name: Arc<str>,
    /// In order.
    slots: Vec<Slot>,
    /// Others are in it than in its snapshot.
    fresh: bool,
}

/// What an update changed.
#[derive(Debug, PartialEq)]
pub(super) enum News {
    /// Values that only the snapshot cares for.
    Readings,
    /// The names it serves.
    Listed,
    /// It became ready.
    Up { address: Arc<str> },
    /// It became not ready, or for another reason than before.
    Down { address: Arc<str>, why: String },
    /// Its process is a new one.
    Restarted { address: Arc<str>, slot: Slot },
    /// It gets no new requests: it is shutting down.
    Terminating { address: Arc<str> },
    /// Its requests fail: it is left alone for a while.
    Resting { address: Arc<str>, why: Arc<str> },
    /// It has rested and gets a few requests.
    Trying { address: Arc<str> },
    /// It has rested, and gets none for another reason.
    Rested { address: Arc<str>, why: Arc<str> },
    /// These were answered.
    Recovered { address: Arc<str> },
    /// It holds requests and computes nothing.
    Stalled { address: Arc<str> },
    /// Its GPU fails, or works again.
    Gpu { address: Arc<str>, health: Health },
    /// Nobody tells of its GPU any more, which fails; that is believed for a while.
    GpuUntold { address: Arc<str>, held: Time },
}

// === Members ===

impl Members {
    /// Nobody.
    pub(super) fn new(rule: BreakerRule, slow_start: Time) -> Self {
        Self {
            members: Vec::new(),
            by_address: HashMap::new(),
            slots: Slots::default(),
            pools: Vec::new(),
            rule,
            slow_start,
            suspicious: false,
        }
    }

    /// Takes an update in; `None` when nothing changed or the slot is nobody's.
    pub(super) fn apply(&mut self, update: Update, now: Time) -> Option<News> {
        // In the first moments everybody is new.
        let joined = (now > self.slow_start).then_some(now);
        let member = self.members.get_mut(usize::from(update.slot().0))?.as_mut()?;
        if let Update::Load(_) | Update::Models { .. } | Update::Alive { .. } = update {
            member.heard = now;
        }
        let news = match update {
            Update::Load(load) => member.read(*load),
            Update::Models { at, list, .. } => Some(member.list(at, list)),
            Update::Alive { .. } => member.answered(),
            Update::Unreachable { why, .. } => member.presence.failed(why).map(|turn| member.turned(turn)),
            Update::Resolved { socket, local, .. } => {
                member.place.moved(socket, local).then_some(News::Readings)
            }
            Update::Seen { socket, local, .. } => member.place.seen(socket, local).then_some(News::Readings),
            Update::Terminating { .. } => member.terminates(now),
            Update::Gpu { health, .. } => member.gpu.told(health, now).then(|| member.gpu_news()),
            Update::GpuUntold { .. } => member.gpu.untold(now).then(|| member.gpu_untold()),
            Update::Drain(drain) => member.drain(drain.drained),
            Update::Failed { .. } => {
                self.suspicious = true;
                None
            }
        };
        if matches!(news, Some(News::Up { .. } | News::Restarted { .. })) {
            member.begin_anew(joined);
        }
        member.fresh |= news.is_some();
        news
    }

    /// Whether requests failed since the last look.
    pub(super) fn is_suspicious(&self) -> bool {
        self.suspicious
    }

    /// Forgets lists of models that are too old. True when there were any.
    pub(super) fn expire(&mut self, now: Time) -> bool {
        let mut any = false;
        for member in self.members.iter_mut().flatten() {
            if member.models != Models::Unknown && now.saturating_sub(member.listed) > LIST_LIFETIME {
                member.models = Models::Unknown;
                member.list = None;
                (member.fresh, any) = (true, true);
            }
        }
        any
    }

    /// The answer to a client that asks what is served; `None` while nobody has said.
    pub(super) fn model_list(&self) -> Option<String> {
        let mut lists = self.all().filter_map(|member| member.list.as_ref()).peekable();
        lists.peek().is_some().then(|| merge(lists))
    }

    /// Everybody.
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.all().map(Member::entry).collect())
    }

    /// Those of the pools whose snapshots are not as they should be any more, by the pools' places; `None` where that is everybody.
    /// A pool that nothing happened in is not made anew: a change in one of a hundred would cost as much as one in all.
    pub(super) fn fresh_snapshots(&mut self) -> Vec<(usize, Option<Snapshot>)> {
        let is_fresh = |pool: &Seats| pool.fresh || self.of(pool).any(|member| member.fresh);
        let snapshot = |pool: &Seats| {
            let is_all = pool.slots.len() == self.by_address.len();
            (!is_all).then(|| Snapshot::new(self.of(pool).map(Member::entry).collect()))
        };
        let pools = self.pools.iter().enumerate().filter(|(_, pool)| is_fresh(pool));
        let fresh = pools.map(|(at, pool)| (at, snapshot(pool))).collect();
        self.pools.iter_mut().for_each(|pool| pool.fresh = false);
        self.members.iter_mut().flatten().for_each(|member| member.fresh = false);
        fresh
    }

    fn of(&self, pool: &Seats) -> impl Iterator<Item = &Member> {
        pool.slots.iter().filter_map(|slot| self.members.get(usize::from(slot.0))?.as_ref())
    }

    /// Who has which slot.
    pub(super) fn roster(&self) -> Roster {
        let entry = |member: &Member| Entry {
            slot: member.slot,
            address: member.address.clone(),
            node: member.node.clone(),
            runtime: member.runtime,
        };
        Roster::new(self.all().map(entry).collect())
    }

    /// The slots of those that left to sweep tables of now; `is_idle`: no request is under way there.
    pub(super) fn due(&mut self, now: Time, is_idle: impl Fn(Slot) -> bool) -> Vec<Slot> {
        self.slots.due(now, is_idle)
    }

    /// Tables were swept of it.
    pub(super) fn swept(&mut self, slot: Slot) {
        self.slots.swept(slot);
    }

    fn all(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().flatten()
    }
}

#[cfg(test)]
mod tests;
