//! A fault in the middle of the load: what is done to a node, what the router makes of it, and whether that is right.
//!
//! [`Course`] is the pure order of events, fed with what the router's debug page says; [`Incident`] asks the router, does to
//! the node what the course asks for, and tells it as it happens; [`Findings`] holds the outcome against what is expected.
//!
//! The engine of the node goes on: it is simulated, and knows nothing of the card. So requests that run there when the
//! card fails end well here, where a real engine might lose them; what is shown is that no new one is sent there.

mod course;
mod findings;

use std::time::{Duration, Instant};

use anyhow::Context as _;
use warmlane_load::{Client, Progress};

use super::{bar::Bar, nodes::Node};
use course::{Course, Event, Seen};
pub(super) use findings::Findings;

/// How often the router is asked while it runs.
pub(super) const GLANCE: Duration = Duration::from_millis(25);
/// A page that takes longer is an error.
const PATIENCE: Duration = Duration::from_secs(2);
/// The node that fails; every workload has more nodes than this.
const NODE: usize = 2;

/// Things that can go wrong on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Fault {
    /// A GPU falls off the bus (XID 79) and is reset three seconds later
    Xid,
}

/// A fault under way.
#[derive(Debug)]
pub(super) struct Incident {
    fault: Fault,
    node: String,
    replica: String,
    router: Client,
    began: Instant,
    course: Course,
}

// === Fault ===

impl Fault {
    /// Its name in flags and files.
    fn key(self) -> &'static str {
        match self {
            Self::Xid => "xid",
        }
    }

    /// What happens, for people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Xid => "XID 79 (the GPU fell off the bus)",
        }
    }

    fn strike(self, node: &mut Node) -> anyhow::Result<()> {
        match self {
            Self::Xid => node.raise(79),
        }
    }

    fn mend(self, node: &mut Node) -> anyhow::Result<()> {
        match self {
            Self::Xid => node.reset(),
        }
    }
}

// === Incident ===

impl Incident {
    /// Prepares a fault that strikes once `due` requests have ended.
    pub(super) fn prepare(
        fault: Fault,
        due: u64,
        nodes: &[Node],
        replicas: &[std::net::SocketAddr],
        admin: std::net::SocketAddr,
    ) -> anyhow::Result<Self> {
        let (node, replica) =
            nodes.get(NODE).zip(replicas.get(NODE)).context("too few replicas to fail one")?;
        Ok(Self {
            fault,
            node: node.name().to_owned(),
            replica: replica.to_string(),
            router: Client::new(admin).with_limit(PATIENCE),
            began: Instant::now(),
            course: Course::new(due),
        })
    }

    /// Looks at the router, does what is due, tells what happened, and ends the load behind the last event.
    pub(super) async fn look(
        &mut self,
        nodes: &mut [Node],
        progress: &Progress,
        bar: &Bar,
    ) -> anyhow::Result<()> {
        let page = self.router.get("/debug/endpoints").await.context("the router's debug page")?;
        let seen = Seen::of(&page, &self.replica)
            .with_context(|| format!("the router's debug page does not tell of {}", self.replica))?;
        while let Some(event) = self.course.next(self.began.elapsed(), progress.done(), &seen) {
            let node = nodes.get_mut(NODE).context("the node is gone")?;
            match event {
                Event::Strikes => self.fault.strike(node)?,
                Event::IsMended => self.fault.mend(node)?,
                Event::Serves | Event::GivenUp(_) => progress.end(),
                Event::Left | Event::LastResort | Event::IsWell => {}
            }
            bar.say(&format!("  {:>5.1} s  {}", self.began.elapsed().as_secs_f64(), self.tell(event, &seen)));
        }
        Ok(())
    }

    fn tell(&self, event: Event, seen: &Seen) -> String {
        let Self { node, replica, course, .. } = self;
        let number = NODE + 1;
        match event {
            Event::Strikes => {
                format!("{node}: {}; replica {number} ({replica}) runs on it", self.fault.title())
            }
            Event::Left => format!(
                "replica {number} is out after {:.2} s, {} requests run there on; the router says: {}",
                course.leaving().unwrap_or_default().as_secs_f64(),
                seen.in_flight,
                seen.health
            ),
            Event::IsMended => format!("{node}: the GPU is reset; it must be well for a minute"),
            Event::LastResort => {
                format!("replica {number} is a last resort; the router says: {}", seen.health)
            }
            Event::IsWell => {
                format!("replica {number} is a candidate again; the router says: {}", seen.health)
            }
            Event::Serves => format!("replica {number} serves again; the load ends"),
            Event::GivenUp(what) => format!("given up: {what}"),
        }
    }

    /// What it came to, with the requests of the whole load.
    pub(super) fn findings(&self, requests: u64, failed: u64) -> Findings {
        Findings::new(self.fault, &self.node, &self.course, requests, failed)
    }
}
