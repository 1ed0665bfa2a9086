//! The engines of this node, read by one owned task each, however many routers follow.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::task::JoinSet;
use warmlane_picker::{Time, Work};
use warmlane_scrape::{Finding, Observer, Outcome, Reader, Rhythm};

use crate::{config::EngineFlag, metrics::Metrics, node::Node, pace::Pace};

/// Lines in ten seconds of an engine that comes and goes.
const LINES: u32 = 4;

/// Whom the reader of one engine reads for.
struct Place {
    node: Arc<Node>,
    metrics: Arc<Metrics>,
    at: usize,
    address: String,
    told: Mutex<Told>,
}

/// What the log was told of an engine.
struct Told {
    reached: Option<bool>,
    pace: Pace,
}

/// Starts a reader per engine on `tasks`; they stop when it is dropped.
pub(crate) fn spawn(
    node: &Arc<Node>,
    metrics: &Arc<Metrics>,
    engines: &[EngineFlag],
    rhythm: Rhythm,
    tasks: &mut JoinSet<()>,
) {
    for (at, engine) in engines.iter().enumerate() {
        let told = Mutex::new(Told { reached: None, pace: Pace::of(LINES) });
        let address = engine.address.clone();
        let place = Place { node: node.clone(), metrics: metrics.clone(), at, address, told };
        tasks.spawn(Reader::new(engine.address.clone(), rhythm, place).run());
    }
}

// === Place ===

impl Observer for Place {
    const USER_AGENT: &'static str = concat!("warmlane-agent/", env!("CARGO_PKG_VERSION"));

    fn now(&self) -> Time {
        self.node.now()
    }

    /// An agent sends no requests: each router knows what it has sent by then.
    fn sent(&self) -> Work {
        Work::default()
    }

    fn read(&self, outcome: Outcome, took: Duration) {
        self.metrics.scraped(outcome, took);
    }

    async fn found(&self, finding: Finding) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).note(&self.address, &finding);
        self.node.found(self.at, finding);
        true
    }
}

// === Told ===

impl Told {
    /// Says when the engine is reached and when it is not, and no more often.
    fn note(&mut self, engine: &str, finding: &Finding) {
        let reached = match finding {
            Finding::Page(_) | Finding::Alive => true,
            Finding::Unreachable(_) => false,
            Finding::Resolved(_) | Finding::Models { .. } => return,
        };
        if self.reached == Some(reached) {
            return;
        }
        // Untold, it is looked at again with the next reading.
        let Some(not_logged) = self.pace.turn() else { return };
        self.reached = Some(reached);
        if let Finding::Unreachable(why) = finding {
            tracing::warn!(engine, not_logged, "this engine is not reached: {why}");
        } else {
            tracing::info!(engine, not_logged, "this engine is reached");
        }
    }
}
