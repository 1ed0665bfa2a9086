//! Reads one engine, one request to it at a time.
//!
//! A reader asks `/metrics` at the rhythm of `pace`, `/v1/models` every five seconds, and at once when the engine
//! comes up or works for an adapter that its list does not have, and `/health` where the metrics page is of no
//! use. What it finds goes to its [`Observer`]: a router, or the agent that reads for many of them. Readings are stamped
//! with the moment the request was sent, and with what the observer had sent to the engine by then: later than either,
//! nothing in the page is known to be.

#![forbid(unsafe_code)]

use std::{future::ready, net::SocketAddr, time::Duration};

use tokio::time;
use warmlane_engine::{
    metrics::{self, Metrics},
    models::{MAX_LIST_BYTES, ModelList},
};
use warmlane_picker::{Signals, Time, Work};

mod failure;
mod line;
mod mood;
mod pace;
mod reading;

pub use failure::Failure;
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

/// When an engine is read.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// Shortest time between two readings.
    pub min_interval: Duration,
    /// Longest, when nothing moves.
    pub max_interval: Duration,
    /// A reading that takes longer is given up.
    pub timeout: Duration,
}

/// Whom a reader reads for.
pub trait Observer: Send + Sync + 'static {
    /// Its name and version, as engines log it.
    const USER_AGENT: &'static str;

    /// The observer's clock.
    fn now(&self) -> Time;

    /// What it has sent to the engine so far.
    fn sent(&self) -> Work;

    /// Resolves when a reading is wanted: others may read this engine too.
    fn wanted(&self) -> impl Future<Output = ()> + Send {
        ready(())
    }

    /// A reading of `/metrics` ended like this.
    fn read(&self, outcome: Outcome, took: Duration);

    /// Takes what was found; false when it takes nothing any more.
    fn found(&self, finding: Finding) -> impl Future<Output = bool> + Send;
}

/// What a reader found.
#[derive(Debug)]
pub enum Finding {
    /// The engine's name led to this address.
    Resolved(SocketAddr),
    /// Its metrics page was read.
    Page(Box<Page>),
    /// Its list of models was read.
    Models {
        /// When the request for the list was sent.
        at: Time,
        /// The list.
        list: ModelList,
    },
    /// It answered, but said nothing of its load.
    Alive,
    /// It could not be talked to.
    Unreachable(Failure),
}

/// What a metrics page said.
#[derive(Clone, Debug)]
pub struct Page {
    /// The engine's load.
    pub signals: Signals,
    /// A count that only grows while the engine's process lives: a smaller one means that it was restarted.
    pub progress: Option<f64>,
}

/// How a reading of the metrics page ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// A page of an engine.
    Ok,
    /// No connection.
    Connect,
    /// No answer in time.
    Timeout,
    /// Closed before the end of the page.
    Closed,
    /// A status other than 200.
    Status,
    /// The page is larger than any engine's.
    TooLarge,
    /// Not the page of an engine we know.
    Garbage,
}

/// The reader of one engine.
pub struct Reader<O> {
    observer: O,
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
    /// The observer has gone.
    unheard: bool,
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

// === Outcome ===

impl Outcome {
    /// All of them.
    pub const ALL: &'static [Self] =
        &[Self::Ok, Self::Connect, Self::Timeout, Self::Closed, Self::Status, Self::TooLarge, Self::Garbage];

    /// As metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::Status => "status",
            Self::TooLarge => "too_large",
            Self::Garbage => "garbage",
        }
    }
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
            pace: Pace::new(rhythm.min_interval, rhythm.max_interval),
            mood: Mood::default(),
            last: None,
            list: List::default(),
            unheard: false,
            rng: fastrand::Rng::new(),
            address,
        }
    }

    /// Reads until the observer has gone.
    pub async fn run(mut self) {
        loop {
            self.observer.wanted().await;
            let (seen, took) = self.read().await;
            if self.unheard {
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

    async fn take_page(&mut self, socket: SocketAddr, reply: &Reply, before: Before) -> Seen {
        let (outcome, trouble) = match reply.status {
            200 => match metrics::scan(&reply.body) {
                Ok(metrics) => {
                    self.observer.read(Outcome::Ok, reply.took);
                    self.mood.well(&self.address);
                    return self.take_metrics(socket, metrics, before).await;
                }
                Err(error) => (Outcome::Garbage, error.to_string()),
            },
            status => (Outcome::Status, format!("GET /metrics gave status {status}")),
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
        match self.line.get(socket, "/health", MAX_HEALTH_BYTES).await {
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
        let Ok(reply) = self.line.get(socket, "/v1/models", MAX_LIST_BYTES).await else { return };
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

#[cfg(test)]
mod tests;
