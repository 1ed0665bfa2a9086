//! One node: how soon a router knows of a change, what that costs the agent, and how often engines are asked.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;
use tonic::transport::Endpoint;
use warmlane_api::node::{FollowRequest, node_client::NodeClient};

use super::{
    Args,
    engines::Engines,
    figures::{Figures, Node, What},
    programs::{self, Router},
};
use crate::proxy::figures::percentile;

/// Engines on a node.
const ENGINES: usize = 8;
/// How long changes are made and waited for.
const CHANGES: Duration = Duration::from_secs(15);
/// How long requests for pages are counted.
const COUNTED: Duration = Duration::from_secs(4);
/// Between two looks at the router.
const LOOK: Duration = Duration::from_millis(1);

/// A queue that was changed.
struct Change {
    at: Instant,
    /// The router has not seen it yet.
    waits: bool,
}

pub(super) async fn measure(args: &Args, figures: &mut Figures) -> anyhow::Result<()> {
    let engines = Engines::start(ENGINES).await?;
    let (agent, address) = programs::agent(&args.agent, &engines.addresses, &[])?;
    let mut router = Router::start(&args.router, &engines.addresses, &[address], &[]).await?;
    let (before, began) = (agent.cpu_seconds(), Instant::now());
    let mut took = changes(&engines, &mut router).await?;
    let share = (agent.cpu_seconds() - before) / began.elapsed().as_secs_f64();
    took.sort_unstable();
    for percent in [50, 99] {
        figures.add(What::Fresh(percent), Node, percentile(&took, percent) / 1_000.0);
    }
    figures.add(What::AgentCpu, Node, share * 100.0);
    let mut followers = JoinSet::new();
    for routers in [1, 3, 10] {
        while followers.len() + 1 < routers {
            followers.spawn_local(follow(address));
        }
        let before = engines.asked.get();
        tokio::time::sleep(COUNTED).await;
        let asked = (engines.asked.get() - before) as f64 / COUNTED.as_secs_f64() / ENGINES as f64;
        figures.add(What::Asked(routers), Node, asked);
        anyhow::ensure!(followers.try_join_next().is_none(), "a router that follows was cut off");
    }
    figures.add(What::AgentMemory, Node, agent.resident_mb());
    Ok(())
}

/// Changes queues at random moments; how long each change took to the router.
async fn changes(engines: &Engines, router: &mut Router) -> anyhow::Result<Vec<Duration>> {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut next = || Duration::from_millis(rng.u64(50..300));
    let began = Instant::now();
    let mut changes: Vec<Change> =
        (0..ENGINES).map(|_| Change { at: began + next(), waits: false }).collect();
    let mut took = Vec::new();
    while began.elapsed() < CHANGES {
        let now = Instant::now();
        for (number, change) in changes.iter_mut().enumerate().filter(|(_, change)| !change.waits) {
            if now >= change.at {
                engines.queues.borrow_mut()[number] += 1;
                (change.at, change.waits) = (now, true);
            }
        }
        let page = router.get("/debug/endpoints").await?;
        for (number, change) in changes.iter_mut().enumerate().filter(|(_, change)| change.waits) {
            let queue = page["endpoints"][number]["signals"]["queue"]["value"].as_f64();
            if queue == Some(f64::from(engines.queues.borrow()[number])) {
                took.push(change.at.elapsed());
                *change = Change { at: Instant::now() + next(), waits: false };
            }
        }
        tokio::time::sleep(LOOK).await;
    }
    anyhow::ensure!(took.len() > 100, "only {} changes reached the router", took.len());
    Ok(took)
}

/// A router as far as the agent can tell: follows until it is cut off.
async fn follow(agent: SocketAddr) {
    let Ok(endpoint) = Endpoint::from_shared(format!("http://{agent}")) else { return };
    let Ok(channel) = endpoint.connect().await else { return };
    let mut client = NodeClient::new(channel);
    let Ok(stream) = client.follow(FollowRequest { router: "bench".to_owned() }).await else { return };
    let mut stream = stream.into_inner();
    while let Ok(Some(_)) = stream.message().await {}
}
