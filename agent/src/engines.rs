//! The engines of this node, read by one owned task each, however many routers follow.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;
use warmlane_picker::{Time, Work};
use warmlane_scrape::{Finding, Observer, Outcome, Reader, Rhythm};

use crate::{config::EngineFlag, metrics::Metrics, node::Node};

/// Whom the reader of one engine reads for.
struct Place {
    node: Arc<Node>,
    metrics: Arc<Metrics>,
    at: usize,
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
        let place = Place { node: node.clone(), metrics: metrics.clone(), at };
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
        self.node.found(self.at, finding);
        true
    }
}
