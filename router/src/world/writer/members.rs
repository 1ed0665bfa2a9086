//! The state of each endpoint between snapshots. Pure: time comes in with the updates.

use std::{collections::HashMap, sync::Arc};

use warmlane_engine::models::{ModelList, merge};
use warmlane_picker::{Breaker, BreakerRule, Endpoint, Health, Models, Signals, Slot, Snapshot, Time};

use super::{
    Load, Update,
    presence::{Presence, Turn},
    slots::Slots,
};
use crate::world::{
    Entry, Roster,
    pools::{Closed, Replica},
};

mod conduct;
mod gpu;
mod place;
mod stall;
mod turnover;

pub(super) use conduct::Conduct;
use gpu::Gpu;
use place::Place;
use stall::Stall;

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
    /// Who is in each pool, in the order in which pools are wanted and by slot; one may be in several.
    pools: Vec<Vec<Slot>>,
    rule: BreakerRule,
    slow_start: Time,
    /// A request failed somewhere since the last look.
    suspicious: bool,
}

struct Member {
    slot: Slot,
    address: Arc<str>,
    /// As in [`crate::world::pools::Replica`].
    identity: Arc<str>,
    /// As in [`crate::world::pools::Replica`].
    node: Option<Arc<str>>,
    /// Why the cluster keeps requests from it.
    closed: Option<Closed>,
    /// The first pool that it is in.
    pool: usize,
    place: Place,
    presence: Presence,
    /// When it last answered.
    heard: Time,
    /// When it said that it is shutting down.
    terminating: Option<Time>,
    /// `None` until the next look: its process is a new one.
    breaker: Option<Breaker>,
    /// Why its breaker is open, for people.
    resting: Option<Arc<str>>,
    /// As in [`Endpoint::joined`].
    joined: Option<Time>,
    signals: Signals,
    models: Models,
    /// The list itself, for the merged answer to clients.
    list: Option<ModelList>,
    /// When the list of models was asked for.
    listed: Time,
    /// Tokens it counted; `None` while it has not said.
    progress: Option<f64>,
    stall: Stall,
    stalled: bool,
    gpu: Gpu,
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
            Update::Failed { .. } => {
                self.suspicious = true;
                None
            }
        };
        if matches!(news, Some(News::Up { .. } | News::Restarted { .. })) {
            member.begin_anew(joined);
        }
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
                any = true;
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

    /// Those of one pool; `None` where that is everybody.
    pub(super) fn snapshot_of(&self, pool: usize) -> Option<Snapshot> {
        let slots = self.pools.get(pool).map(Vec::as_slice).unwrap_or_default();
        let entry = |slot: &Slot| self.members.get(usize::from(slot.0))?.as_ref().map(Member::entry);
        (slots.len() < self.by_address.len()).then(|| Snapshot::new(slots.iter().filter_map(entry).collect()))
    }

    /// Who has which slot.
    pub(super) fn roster(&self) -> Roster {
        let entry = |member: &Member| Entry {
            slot: member.slot,
            address: member.address.clone(),
            node: member.node.clone(),
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

// === Member ===

impl Member {
    fn new(slot: Slot, replica: &Replica, pool: usize) -> Self {
        Self {
            slot,
            address: replica.address.clone(),
            identity: replica.identity.clone(),
            node: replica.node.clone(),
            closed: replica.closed,
            pool,
            place: Place::new(&replica.address),
            presence: Presence::default(),
            heard: Time::ZERO,
            terminating: None,
            breaker: None,
            resting: None,
            joined: None,
            signals: Signals::default(),
            models: Models::Unknown,
            list: None,
            listed: Time::ZERO,
            progress: None,
            stall: Stall::default(),
            stalled: false,
            gpu: Gpu::default(),
        }
    }

    fn read(&mut self, load: Load) -> Option<News> {
        // When an agent takes over from the router's own reader, or the other way round, a page may come behind a newer one:
        // it says nothing new, and its count, which is lower, is no sign of a restart.
        let moments = load.signals.last_heard().zip(self.signals.last_heard());
        if moments.is_some_and(|(of_this, of_last)| of_this < of_last) {
            return self.answered();
        }
        let restarted = load.progress.zip(self.progress).is_some_and(|(now, before)| now < before);
        if restarted {
            self.signals = Signals::default();
        }
        self.progress = load.progress.or(self.progress);
        let (old, new) = (std::mem::take(&mut self.signals), load.signals);
        self.signals = Signals {
            queue: new.queue.or(old.queue),
            running: new.running.or(old.running),
            kv_use: new.kv_use.or(old.kv_use),
            kv_capacity_tokens: new.kv_capacity_tokens.or(old.kv_capacity_tokens),
            lora: new.lora.or(old.lora),
            awake: new.awake.or(old.awake),
            mark: new.mark,
        };
        let up = self.answered();
        if restarted {
            return Some(News::Restarted { address: self.address.clone(), slot: self.slot });
        }
        up.or(Some(News::Readings))
    }

    fn list(&mut self, at: Time, list: ModelList) -> News {
        let names = |adapters: bool| {
            let chosen = list.models.iter().filter(|model| model.is_adapter() == adapters);
            chosen.map(|model| model.id.clone()).collect()
        };
        let models = Models::Known { base: names(false), adapters: names(true) };
        let same = models == self.models;
        (self.models, self.listed) = (models, at);
        if let Some(up) = self.answered() {
            self.list = Some(list);
            return up;
        }
        if same {
            return News::Readings;
        }
        self.list = Some(list);
        News::Listed
    }

    fn answered(&mut self) -> Option<News> {
        self.presence.answered().map(|turn| self.turned(turn))
    }

    fn terminates(&mut self, now: Time) -> Option<News> {
        let first = self.terminating.replace(now).is_none();
        first.then(|| News::Terminating { address: self.address.clone() })
    }

    fn gpu_news(&self) -> News {
        News::Gpu { address: self.address.clone(), health: self.gpu.health().clone() }
    }

    fn gpu_untold(&self) -> News {
        News::GpuUntold { address: self.address.clone(), held: gpu::HELD }
    }

    /// It is another process, or as good as one.
    fn begin_anew(&mut self, joined: Option<Time>) {
        (self.terminating, self.breaker, self.resting) = (None, None, None);
        self.joined = joined;
    }

    fn turned(&self, turn: Turn) -> News {
        let address = self.address.clone();
        match turn {
            Turn::Up => News::Up { address },
            Turn::Down => News::Down { address, why: self.presence.trouble().unwrap_or_default() },
        }
    }

    fn entry(&self) -> (Endpoint, Models) {
        let endpoint = Endpoint {
            slot: self.slot,
            address: self.address.clone(),
            socket: self.place.socket,
            ready: self.presence.is_ready()
                && self.terminating.is_none()
                && !self.stalled
                && self.closed.is_none(),
            health: self.health(),
            stuck: self.stuck(),
            local: self.place.is_local(),
            joined: self.joined,
            signals: self.signals.clone(),
        };
        (endpoint, self.models.clone())
    }
}

#[cfg(test)]
mod tests;
