//! Reads the engines: one owned task per engine, one request to it at a time.
//!
//! A task asks `/metrics` at the rhythm of `pace`, `/v1/models` every five seconds, and at once when the engine
//! comes up or works for an adapter that its list does not have, and `/health` where the metrics page is of no
//! use. What it learns goes to the one writer. Readings are stamped with the moment the request was sent, and
//! with what the router had sent to the engine by then: later than either, nothing in the page is known to be.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::mpsc, task::JoinSet, time};
use warmlane_engine::{
    metrics::{self, Metrics},
    models::{MAX_LIST_BYTES, ModelList},
};
use warmlane_picker::{Signals, Slot, Time, Work};

use crate::{
    config::Config,
    metrics::{ScrapeMetrics, ScrapeOutcome},
    world::{
        World,
        writer::{Failure, Load, Update},
    },
};

mod line;
mod mood;
mod pace;
mod reading;

use line::{Line, LineError, Reply};
use mood::Mood;
use pace::{Pace, Seen};

/// Largest metrics page read; real ones are about 60 KB.
const MAX_PAGE_BYTES: usize = 8 << 20;
/// Largest answer to `/health` read; real ones are empty.
const MAX_HEALTH_BYTES: usize = 64 << 10;
/// A list of models is read again after this long ...
const LIST_INTERVAL: Duration = Duration::from_secs(5);
/// ... or after this long, when the engine works for an adapter that the list does not have.
const NEW_ADAPTER_INTERVAL: Duration = Duration::from_secs(1);

/// What readers share.
#[derive(Clone)]
pub struct Scraping {
    /// For its clock and the ledger.
    pub world: Arc<World>,
    /// Intervals and limits.
    pub config: Arc<Config>,
    /// Counters.
    pub metrics: Arc<ScrapeMetrics>,
    /// The writer.
    pub updates: mpsc::Sender<Update>,
}

/// The reader of one engine.
struct Reader {
    shared: Scraping,
    slot: Slot,
    /// `host:port` as configured.
    address: String,
    socket: Option<SocketAddr>,
    /// Connections that failed: each goes on to the next address of the name.
    misses: usize,
    line: Line,
    pace: Pace,
    mood: Mood,
    last: Option<Signals>,
    list: List,
    rng: fastrand::Rng,
}

/// What is known of the engine's list of models.
#[derive(Default)]
struct List {
    names: Vec<String>,
    asked: Option<Time>,
}

/// The moment before a page was asked for.
#[derive(Clone, Copy)]
struct Before {
    at: Time,
    mark: Work,
}

/// Starts a reader per configured endpoint on `tasks`; they stop when it is dropped.
pub fn spawn(shared: &Scraping, tasks: &mut JoinSet<()>) {
    for (slot, address) in (0..).map(Slot).zip(&shared.config.endpoints) {
        tasks.spawn(Reader::new(shared.clone(), slot, address.clone()).run());
    }
}

// === Reader ===

impl Reader {
    fn new(shared: Scraping, slot: Slot, address: String) -> Self {
        let scrape = shared.config.scrape;
        Self {
            slot,
            socket: None,
            misses: 0,
            line: Line::new(&address, scrape.timeout),
            pace: Pace::new(scrape.min_interval, scrape.max_interval),
            mood: Mood::default(),
            last: None,
            list: List::default(),
            rng: fastrand::Rng::new(),
            address,
            shared,
        }
    }

    async fn run(mut self) {
        loop {
            let (seen, took) = self.read().await;
            if self.shared.updates.is_closed() {
                return;
            }
            let wait = self.pace.next(seen, took, self.rng.f64());
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
        let (seen, took) = match self.line.get(socket, "/metrics", MAX_PAGE_BYTES).await {
            Ok(reply) => (self.take_page(socket, &reply, before).await, reply.took),
            Err(error) => {
                let took = self.shared.world.now().saturating_sub(before.at);
                self.shared.metrics.done(error.outcome(), took);
                (self.take_error(&error).await, took)
            }
        };
        if seen.answered() && self.list.is_due(self.last.as_ref(), self.shared.world.now()) {
            self.read_list(socket).await;
        }
        (seen, took)
    }

    fn before(&self) -> Before {
        let account = self.shared.world.ledger.account(self.slot);
        Before { at: self.shared.world.now(), mark: account.sent() }
    }

    async fn take_page(&mut self, socket: SocketAddr, reply: &Reply, before: Before) -> Seen {
        let (outcome, trouble) = match reply.status {
            200 => match metrics::scan(&reply.body) {
                Ok(metrics) => {
                    self.shared.metrics.done(ScrapeOutcome::Ok, reply.took);
                    self.mood.well(&self.address);
                    return self.take_metrics(socket, metrics, before).await;
                }
                Err(error) => (ScrapeOutcome::Garbage, error.to_string()),
            },
            status => (ScrapeOutcome::Status, format!("GET /metrics gave status {status}")),
        };
        self.shared.metrics.done(outcome, reply.took);
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
        self.send(Update::Load(Box::new(Load { slot: self.slot, signals, progress }))).await;
        if moved { Seen::Moved } else { Seen::Still }
    }

    /// The engine answers, but not with a page of use: is it there at all?
    async fn ask_health(&mut self, socket: SocketAddr) -> Seen {
        match self.line.get(socket, "/health", MAX_HEALTH_BYTES).await {
            Ok(reply) if reply.status == 200 => {
                self.send(Update::Alive { slot: self.slot }).await;
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
        let at = self.shared.world.now();
        self.list.asked = Some(at);
        let Ok(reply) = self.line.get(socket, "/v1/models", MAX_LIST_BYTES).await else { return };
        if reply.status != 200 {
            return;
        }
        match ModelList::parse(&reply.body) {
            Ok(list) => {
                self.list.names = list.models.iter().map(|model| model.id.clone()).collect();
                self.send(Update::Models { slot: self.slot, at, list }).await;
            }
            Err(error) => self.mood.ill(&self.address, &error.to_string(), at),
        }
    }

    async fn unreachable(&mut self, why: Failure) {
        self.last = None;
        self.list.asked = None;
        self.send(Update::Unreachable { slot: self.slot, why }).await;
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
                let local = is_local(socket.ip());
                self.send(Update::Resolved { slot: self.slot, socket, local }).await;
            }
            self.socket = found;
        }
        self.socket
    }

    async fn send(&self, update: Update) {
        // A writer that is gone means that the router stops; `run` sees that itself.
        let _ = self.shared.updates.send(update).await;
    }
}

// === List ===

impl List {
    fn is_due(&self, signals: Option<&Signals>, now: Time) -> bool {
        let Some(asked) = self.asked else { return true };
        let interval = if self.lacks_adapter_of(signals) { NEW_ADAPTER_INTERVAL } else { LIST_INTERVAL };
        now.saturating_sub(asked) >= interval
    }

    fn lacks_adapter_of(&self, signals: Option<&Signals>) -> bool {
        let lora = signals.and_then(|signals| signals.lora.as_ref()).map(|reading| &reading.value);
        lora.is_some_and(|lora| {
            lora.active.iter().chain(&lora.waiting).any(|name| !self.names.contains(name))
        })
    }
}

/// Whether an address is this machine's own: the way to it then begins there. Nothing is sent.
fn is_local(ip: IpAddr) -> bool {
    let any: SocketAddr = if ip.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let from =
        UdpSocket::bind(any).and_then(|socket| socket.connect((ip, 9)).and_then(|()| socket.local_addr()));
    from.is_ok_and(|from| from.ip() == ip)
}

#[cfg(test)]
mod tests;
