//! Reads one engine, one request to it at a time.
//!
//! A reader asks `/metrics` at the rhythm of `pace`, `/v1/models` every five seconds, and at once when the engine
//! comes up or works for an adapter that its list does not have, and `/health` where the metrics page is of no
//! use. What it finds goes to its [`Observer`]: a router, or the agent that reads for many of them. Readings are stamped
//! with the moment the request was sent, and with what the observer had sent to the engine by then: later than either,
//! nothing in the page is known to be.

#![forbid(unsafe_code)]

use std::{future::ready, net::SocketAddr, time::Duration};

use warmlane_engine::models::ModelList;
use warmlane_picker::{Signals, Time, Work};

mod failure;
mod line;
mod list;
mod mood;
mod pace;
mod reader;
mod reading;

pub use failure::Failure;
pub use reader::Reader;

/// When an engine is read.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// Shortest time between two readings.
    pub min_interval: Duration,
    /// Longest, when nothing moves.
    pub max_interval: Duration,
    /// A reading that takes longer is given up.
    pub timeout: Duration,
    /// Readings begin at multiples of this of the observer's clock, so that one who reads many engines is woken less often.
    pub beat: Option<Duration>,
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
