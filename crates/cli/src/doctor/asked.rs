//! What router and agent say of themselves, and which of the agents that the router has lost can be reached from here.

use std::time::Duration;

use tokio::{net::TcpStream, time::timeout};
use warmlane_api::admin::{Agents, Lane, Node, Pools, Router, path};

use crate::{client::Client, error::CliError};

/// For a connection to an agent.
const PATIENCE: Duration = Duration::from_secs(1);
/// Lost agents that are tried: each may take its time.
const MOST_TRIES: usize = 8;

/// See the module's header.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) router: Result<Said, CliError>,
    pub(crate) agent: Result<Node, CliError>,
    /// Of the agents that the router has lost, by address: whether one can connect from here.
    pub(crate) reached: Vec<(String, bool)>,
}

/// What a router says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Said {
    pub(crate) about: Router,
    pub(crate) agents: Agents,
    pub(crate) lane: Lane,
    pub(crate) pools: Pools,
    /// This clock less the router's, in whole seconds.
    pub(crate) ahead_seconds: Option<i64>,
}

// === Asked ===

impl Asked {
    /// Asks both, but for one of which it is known that it does not answer.
    pub(crate) async fn ask(
        router: Result<&mut Client, CliError>,
        agent: Result<&mut Client, CliError>,
    ) -> Self {
        let router = match router {
            Ok(router) => Said::ask(router).await,
            Err(error) => Err(error),
        };
        let agent = match agent {
            Ok(agent) => agent.page(path::NODE).await,
            Err(error) => Err(error),
        };
        let lost = router.iter().flat_map(|said| &said.agents.agents).filter(|agent| !agent.connected);
        let mut reached = Vec::new();
        for address in lost.map(|agent| agent.address.clone()).take(MOST_TRIES) {
            let connects = matches!(timeout(PATIENCE, TcpStream::connect(&address)).await, Ok(Ok(_)));
            reached.push((address, connects));
        }
        Self { router, agent, reached }
    }
}

// === Said ===

impl Said {
    async fn ask(router: &mut Client) -> Result<Self, CliError> {
        let (about, agents) = (router.page(path::ROUTER).await?, router.page(path::AGENTS).await?);
        let (lane, pools) = (router.page(path::LANE).await?, router.page(path::POOLS).await?);
        Ok(Self { about, agents, lane, pools, ahead_seconds: router.ahead_seconds() })
    }
}
