//! Reads the engines: one owned task per engine ([`Reader`]), whose findings go to the one writer.

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::sleep,
};
use warmlane_picker::{Slot, Time, Work};
use warmlane_scrape::{Finding, Observer, Outcome, Page, Reader, Rhythm};

use crate::{
    config::Config,
    metrics::ScrapeMetrics,
    world::{
        Entry, World,
        writer::{Load, Update},
    },
};

mod turns;

use turns::Turns;

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

/// Whom the reader of one endpoint reads for.
struct Endpoint {
    shared: Scraping,
    slot: Slot,
    turns: Arc<Turns>,
    /// Something was found.
    is_known: AtomicBool,
}

/// Reads every endpoint of the roster, from when it joins until it leaves, for as long as it is polled.
pub async fn run(shared: Scraping) {
    let scrape = shared.config.scrape;
    let rhythm = Rhythm {
        min_interval: scrape.min_interval,
        max_interval: scrape.max_interval,
        timeout: scrape.timeout,
        // Hundreds of pages at one moment would be in the way of requests.
        beat: None,
    };
    let turns = Arc::new(Turns::new(scrape.rate));
    let mut roster = shared.world.roster.subscribe();
    let (mut tasks, mut readers) = (JoinSet::new(), HashMap::<Entry, AbortHandle>::new());
    loop {
        let now = roster.borrow_and_update().clone();
        let wanted: HashSet<&Entry> = now.all().iter().collect();
        readers.retain(|endpoint, reader| {
            let stays = wanted.contains(endpoint);
            if !stays {
                reader.abort();
            }
            stays
        });
        turns.among(now.all().len(), shared.config.profile.stale / 2);
        for entry in now.all() {
            readers.entry(entry.clone()).or_insert_with(|| {
                let endpoint = Endpoint {
                    shared: shared.clone(),
                    slot: entry.slot,
                    turns: turns.clone(),
                    is_known: AtomicBool::new(false),
                };
                let reader = Reader::new(entry.address.to_string(), rhythm, endpoint);
                tasks.spawn(reader.of(entry.runtime).run())
            });
        }
        while tasks.try_join_next().is_some() {}
        if roster.changed().await.is_err() {
            return;
        }
    }
}

/// Whether an address is this machine's own: the way to it then begins there. Nothing is sent.
pub(crate) fn is_local(ip: IpAddr) -> bool {
    let any: SocketAddr = if ip.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let from =
        UdpSocket::bind(any).and_then(|socket| socket.connect((ip, 9)).and_then(|()| socket.local_addr()));
    from.is_ok_and(|from| from.ip() == ip)
}

// === Endpoint ===

impl Observer for Endpoint {
    const USER_AGENT: &'static str = concat!("warmlane-router/", env!("CARGO_PKG_VERSION"));

    fn now(&self) -> Time {
        self.shared.world.now()
    }

    fn sent(&self) -> Work {
        self.shared.world.ledger.account(self.slot).sent()
    }

    /// An engine is read once, however many want to know: not here while an agent does. And in its turn.
    async fn wanted(&self) {
        self.shared.world.agents.coverage.uncovered(self.slot).await;
        let wait = self.turns.take(self.now());
        if self.is_known.load(Relaxed) && !wait.is_zero() {
            sleep(wait).await;
        }
    }

    fn read(&self, outcome: Outcome, took: Duration) {
        self.shared.metrics.done(outcome, took);
    }

    async fn found(&self, finding: Finding) -> bool {
        self.is_known.store(true, Relaxed);
        let slot = self.slot;
        let update = match finding {
            Finding::Resolved(socket) => Update::Resolved { slot, socket, local: is_local(socket.ip()) },
            Finding::Page(page) => {
                let Page { signals, progress } = *page;
                Update::Load(Box::new(Load { slot, signals, progress }))
            }
            Finding::Models { at, list } => Update::Models { slot, at, list },
            Finding::Alive => Update::Alive { slot },
            Finding::Unreachable(why) => Update::Unreachable { slot, why },
        };
        // A writer that is gone means that the router stops.
        self.shared.updates.send(update).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_of_this_machine_is_local() {
        assert!(is_local(IpAddr::from([127, 0, 0, 1])));
        // Reserved for documentation (RFC 5737).
        assert!(!is_local(IpAddr::from([192, 0, 2, 1])));
    }
}
