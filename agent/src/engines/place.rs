//! Whom the reader of one engine reads for: the node, the counters and the log.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use warmlane_picker::{Time, Work};
use warmlane_scrape::{Finding, Observer, Outcome};

use crate::{
    metrics::Metrics,
    node::{Engine, EngineId, Node},
    pace::Pace,
};

/// Lines in ten seconds of an engine that comes and goes.
const LINES: u32 = 4;

/// See the module's header.
pub(super) struct Place {
    node: Arc<Node>,
    metrics: Arc<Metrics>,
    id: EngineId,
    address: Arc<str>,
    told: Mutex<Told>,
}

/// What the log was told of an engine.
struct Told {
    reached: Option<bool>,
    pace: Pace,
}

// === Place ===

impl Place {
    pub(super) fn new(node: Arc<Node>, metrics: Arc<Metrics>, engine: &Engine) -> Self {
        let told = Mutex::new(Told { reached: None, pace: Pace::of(LINES) });
        Self { node, metrics, id: engine.id, address: engine.named.address.clone(), told }
    }
}

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
        self.node.found(self.id, finding);
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
