//! One endpoint between snapshots.

use std::sync::Arc;

use warmlane_engine::{metrics::EngineKind, models::ModelList};
use warmlane_picker::{Breaker, Endpoint, Models, Signals, Slot, Time};

use super::{Load, News, Presence, Turn, gpu, gpu::Gpu, place::Place, stall::Stall};
use crate::world::pools::{Closed, Replica};

/// See the module's header.
pub(super) struct Member {
    pub(super) slot: Slot,
    pub(super) address: Arc<str>,
    /// As in [`crate::world::pools::Replica`].
    pub(super) identity: Arc<str>,
    /// As in [`crate::world::pools::Replica`].
    pub(super) node: Option<Arc<str>>,
    /// As in [`crate::world::pools::Replica`].
    pub(super) runtime: EngineKind,
    /// Why the cluster keeps requests from it.
    pub(super) closed: Option<Closed>,
    /// Somebody keeps requests from it.
    pub(super) drained: bool,
    /// The first pool that it is in.
    pub(super) pool: usize,
    pub(super) place: Place,
    pub(super) presence: Presence,
    /// When it last answered.
    pub(super) heard: Time,
    /// When it said that it is shutting down.
    pub(super) terminating: Option<Time>,
    /// `None` until the next look: its process is a new one.
    pub(super) breaker: Option<Breaker>,
    /// Why its breaker is open, for people.
    pub(super) resting: Option<Arc<str>>,
    /// As in [`Endpoint::joined`].
    pub(super) joined: Option<Time>,
    pub(super) signals: Signals,
    pub(super) models: Models,
    /// The list itself, for the merged answer to clients.
    pub(super) list: Option<ModelList>,
    /// When the list of models was asked for.
    pub(super) listed: Time,
    /// Tokens it counted; `None` while it has not said.
    pub(super) progress: Option<f64>,
    pub(super) stall: Stall,
    pub(super) stalled: bool,
    pub(super) gpu: Gpu,
    /// Something of it is not yet in its pools' snapshots.
    pub(super) fresh: bool,
}

// === Member ===

impl Member {
    pub(super) fn new(slot: Slot, replica: &Replica, pool: usize) -> Self {
        Self {
            slot,
            address: replica.address.clone(),
            identity: replica.identity.clone(),
            node: replica.node.clone(),
            runtime: replica.runtime,
            closed: replica.closed,
            drained: false,
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
            fresh: true,
        }
    }

    pub(super) fn read(&mut self, load: Load) -> Option<News> {
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

    pub(super) fn list(&mut self, at: Time, list: ModelList) -> News {
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

    pub(super) fn answered(&mut self) -> Option<News> {
        self.presence.answered().map(|turn| self.turned(turn))
    }

    pub(super) fn terminates(&mut self, now: Time) -> Option<News> {
        let first = self.terminating.replace(now).is_none();
        first.then(|| News::Terminating { address: self.address.clone() })
    }

    /// Who wants it logs it, with who that is.
    pub(super) fn drain(&mut self, drained: bool) -> Option<News> {
        let was = std::mem::replace(&mut self.drained, drained);
        (was != drained).then_some(News::Readings)
    }

    pub(super) fn gpu_news(&self) -> News {
        News::Gpu { address: self.address.clone(), health: self.gpu.health().clone() }
    }

    pub(super) fn gpu_untold(&self) -> News {
        News::GpuUntold { address: self.address.clone(), held: gpu::HELD }
    }

    /// It is another process, or as good as one.
    pub(super) fn begin_anew(&mut self, joined: Option<Time>) {
        (self.terminating, self.breaker, self.resting) = (None, None, None);
        self.joined = joined;
    }

    pub(super) fn turned(&self, turn: Turn) -> News {
        let address = self.address.clone();
        match turn {
            Turn::Up => News::Up { address },
            Turn::Down => News::Down { address, why: self.presence.trouble().unwrap_or_default() },
        }
    }

    pub(super) fn entry(&self) -> (Endpoint, Models) {
        let endpoint = Endpoint {
            slot: self.slot,
            address: self.address.clone(),
            socket: self.place.socket,
            ready: self.presence.is_ready()
                && self.terminating.is_none()
                && !self.stalled
                && self.closed.is_none()
                && !self.drained,
            health: self.health(),
            stuck: self.stuck(),
            local: self.place.is_local(),
            joined: self.joined,
            signals: self.signals.clone(),
        };
        (endpoint, self.models.clone())
    }
}
