//! The reader of one engine: what is asked when, and what becomes of each answer.

use std::{net::SocketAddr, time::Duration};

use tokio::time;
use warmlane_engine::{
    metrics::{EngineKind, Metrics, Sieve},
    models::{MAX_LIST_BYTES, ModelList},
};
use warmlane_picker::{Signals, Time, Work};

use crate::{
    Failure, Finding, Observer, Outcome, Page, Rhythm,
    line::{Line, LineError, Reply},
    list::List,
    mood::Mood,
    pace::{Pace, Seen},
    reading,
};

/// Largest metrics page read; real ones are about 60 KB.
const MAX_PAGE_BYTES: usize = 8 << 20;
/// Largest answer to `/health` read; real ones are empty.
const MAX_HEALTH_BYTES: usize = 64 << 10;
/// See the module's header.
pub struct Reader<O> {
    observer: O,
    /// `host:port` as configured.
    address: String,
    /// Which engine it is, where somebody says so.
    kind: EngineKind,
    socket: Option<SocketAddr>,
    /// Connections that failed: each goes on to the next address of the name.
    misses: usize,
    line: Line,
    pace: Pace,
    mood: Mood,
    last: Option<Signals>,
    list: List,
    /// The observer has gone.
    unheard: bool,
    rng: fastrand::Rng,
}

/// The moment before a page was asked for.
#[derive(Clone, Copy)]
struct Before {
    at: Time,
    mark: Work,
}

// === Reader ===

impl<O: Observer> Reader<O> {
    /// A reader of the engine at `address`, `host:port`.
    pub fn new(address: String, rhythm: Rhythm, observer: O) -> Self {
        Self {
            observer,
            socket: None,
            misses: 0,
            line: Line::new(&address, O::USER_AGENT, rhythm.timeout),
            pace: Pace::new(rhythm.min_interval, rhythm.max_interval, rhythm.beat),
            mood: Mood::default(),
            last: None,
            list: List::default(),
            unheard: false,
            rng: fastrand::Rng::new(),
            address,
            kind: EngineKind::Unknown,
        }
    }

    /// The same of an engine of this kind, as somebody says: its page may lie elsewhere than others'.
    #[must_use]
    pub fn of(self, kind: EngineKind) -> Self {
        Self { kind, ..self }
    }

    /// Reads until the observer has gone.
    pub async fn run(mut self) {
        loop {
            self.observer.wanted().await;
            let (seen, took) = self.read().await;
            if self.unheard {
                return;
            }
            let wait = self.pace.next(seen, took, self.observer.now(), self.rng.f64());
            time::sleep(wait).await;
        }
    }

    /// One round: how the load looked, and how long the page took.
    async fn read(&mut self) -> (Seen, Duration) {
        let Some(socket) = self.resolve().await else {
            self.unreachable(Failure::Unresolved).await;
            return (Seen::Failed, Duration::ZERO);
        };
        let before = self.before();
        let (seen, took) = match self.line.get::<Sieve>(socket, self.kind.page(), MAX_PAGE_BYTES).await {
            Ok(reply) => {
                let took = reply.took;
                (self.take_page(socket, reply, before).await, took)
            }
            Err(error) => {
                let took = self.observer.now().saturating_sub(before.at);
                self.observer.read(error.outcome(), took);
                (self.take_error(&error).await, took)
            }
        };
        if seen.answered() && self.list.is_due(self.last.as_ref(), self.observer.now()) {
            self.read_list(socket).await;
        }
        (seen, took)
    }

    fn before(&self) -> Before {
        Before { at: self.observer.now(), mark: self.observer.sent() }
    }

    async fn take_page(&mut self, socket: SocketAddr, reply: Reply<Sieve>, before: Before) -> Seen {
        let (outcome, trouble) = match reply.status {
            200 => match reply.body.scan(self.kind) {
                Ok(metrics) => {
                    self.observer.read(Outcome::Ok, reply.took);
                    self.mood.well(&self.address);
                    return self.take_metrics(socket, metrics, before).await;
                }
                Err(error) => (Outcome::Garbage, error.to_string()),
            },
            status => (Outcome::Status, format!("GET {} gave status {status}", self.kind.page())),
        };
        self.observer.read(outcome, reply.took);
        self.mood.ill(&self.address, &trouble, before.at);
        self.ask_health(socket).await
    }

    async fn take_metrics(&mut self, socket: SocketAddr, metrics: Metrics, before: Before) -> Seen {
        if self.last.is_none() {
            // An engine that comes up is ready with its models known, not a moment before.
            self.read_list(socket).await;
        }
        let progress = reading::progress(&metrics);
        let signals = reading::signals(metrics, before.at, before.mark);
        let moved = self.last.as_ref().is_none_or(|last| reading::moved(last, &signals));
        self.last = Some(signals.clone());
        self.tell(Finding::Page(Box::new(Page { signals, progress }))).await;
        if moved { Seen::Moved } else { Seen::Still }
    }

    /// The engine answers, but not with a page of use: is it there at all?
    async fn ask_health(&mut self, socket: SocketAddr) -> Seen {
        match self.line.get::<Vec<u8>>(socket, "/health", MAX_HEALTH_BYTES).await {
            Ok(reply) if reply.status == 200 => {
                self.tell(Finding::Alive).await;
                Seen::Still
            }
            Ok(reply) => {
                self.unreachable(Failure::Status(reply.status)).await;
                Seen::Failed
            }
            Err(error) => self.take_error(&error).await,
        }
    }

    async fn take_error(&mut self, error: &LineError) -> Seen {
        let (why, seen) = error.meaning();
        if matches!(error, LineError::Connect(_)) {
            // The name may have other addresses, and lead elsewhere by now.
            self.socket = None;
            self.misses += 1;
        }
        self.unreachable(why).await;
        seen
    }

    async fn read_list(&mut self, socket: SocketAddr) {
        let at = self.observer.now();
        self.list.asked = Some(at);
        let Ok(reply) = self.line.get::<Vec<u8>>(socket, "/v1/models", MAX_LIST_BYTES).await else { return };
        if reply.status != 200 {
            return;
        }
        match ModelList::parse(&reply.body) {
            Ok(list) => {
                self.list.names = list.models.iter().map(|model| model.id.clone()).collect();
                self.tell(Finding::Models { at, list }).await;
            }
            Err(error) => self.mood.ill(&self.address, &error.to_string(), at),
        }
    }

    async fn unreachable(&mut self, why: Failure) {
        self.last = None;
        self.list.asked = None;
        self.tell(Finding::Unreachable(why)).await;
    }

    /// Where to connect. Looked up once, and again after connecting failed.
    async fn resolve(&mut self) -> Option<SocketAddr> {
        if self.socket.is_none() {
            let all: Vec<SocketAddr> = match tokio::net::lookup_host(&self.address).await {
                Ok(all) => all.collect(),
                Err(_) => Vec::new(),
            };
            let found = all.get(self.misses % all.len().max(1)).copied();
            if let Some(socket) = found {
                self.tell(Finding::Resolved(socket)).await;
            }
            self.socket = found;
        }
        self.socket
    }

    async fn tell(&mut self, finding: Finding) {
        self.unheard |= !self.observer.found(finding).await;
    }
}

#[cfg(test)]
mod tests;
