//! One agent's stream: dialled, held to its heartbeat, and dialled again.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};
use warmlane_api::node as told;
use warmlane_picker::{Health, Slot};

use super::{Following, Known, Marks, dial::dial, order::Order, places::Places};
use crate::{
    blocks::Diverged,
    seldom::Seldom,
    world::{Entry, Roster, writer::Update},
};

mod gone;
mod lost;
mod news;
mod shown;

pub(super) use lost::Lost;

/// Everything that an agent knows must come within this time.
const FIRST: Duration = Duration::from_secs(5);
/// Heartbeats that may be missing.
const MISSES: u32 = 3;
/// What an agent may call its heartbeat.
const HEARTBEAT: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(10);
/// Times in a row that blocks which do not add up are asked for again.
const MOST_DIVERGED: u32 = 3;
/// Wait before dialling again: doubled each time that nothing was heard.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Engines that an agent may tell of, each counted again in the update that tells of it. A node has a few dozen.
const MOST_TOLD: usize = 8_192;

/// Lines in ten seconds of one agent that is lost again and again, each time by something else.
const MOST_LINES: u64 = 3;

/// See the module's header.
pub(super) struct Follower {
    following: Following,
    /// Its own, among all that were ever followed.
    number: usize,
    agent: Known,
    /// See [`Post::node`].
    node: Option<String>,
    marks: Arc<Marks>,
    places: Places,
    /// Whom it tells of, and the slot that each had when it did so first in this stream.
    tells_of: HashMap<String, Option<Slot>>,
    /// What it said of endpoints that it speaks for.
    spoken_for: HashMap<Slot, Said>,
    /// How often in a row what it told of an engine's blocks did not add up.
    diverged: HashMap<Slot, u32>,
    /// That it was lost.
    complaint: Seldom,
    rng: fastrand::Rng,
}

/// Whom it follows.
pub(super) struct Post {
    /// The agent's number, among all that were ever followed.
    pub(super) number: usize,
    /// What is known of it.
    pub(super) agent: Known,
    /// The node whose endpoints it may speak for; `None`: that is not known.
    pub(super) node: Option<String>,
}

#[derive(Default)]
struct Said {
    /// Of its GPUs.
    health: Health,
    /// Its last list of models was none, which the log has told.
    lists_badly: bool,
}

// === Follower ===

impl Follower {
    /// Of an agent.
    pub(super) fn new(following: Following, post: Post, marks: Arc<Marks>) -> Self {
        let Post { number, agent, node } = post;
        Self {
            following,
            number,
            agent,
            node,
            marks,
            places: Places::default(),
            tells_of: HashMap::new(),
            spoken_for: HashMap::new(),
            diverged: HashMap::new(),
            complaint: Seldom::of(MOST_LINES),
            rng: fastrand::Rng::new(),
        }
    }

    /// Follows until nobody listens, or until it is stopped: then the agent is let go as one that is gone.
    pub(super) async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut wait = SHORTEST_WAIT;
        while !self.following.updates.is_closed() {
            let (before, began) = (self.updates(), Instant::now());
            let lost = tokio::select! {
                lost = self.follow() => lost,
                _ = &mut stopped => return self.lose(&Lost::Unwanted).await,
            };
            let heard = self.updates() > before;
            // Whom it tells of is all that has changed: it goes on speaking for the others meanwhile.
            if !matches!(lost, Lost::Moved) {
                self.lose(&lost).await;
            }
            // What went wrong soon after its beginning may well go wrong again, and so may what does not add up; and asking for
            // everything is dear.
            let is_well = heard && began.elapsed() > LONGEST_WAIT && !matches!(lost, Lost::Diverged(_));
            let is_well = is_well || matches!(lost, Lost::Moved);
            wait = if is_well { SHORTEST_WAIT } else { (wait * 2).min(LONGEST_WAIT) };
            // Many routers lose a node's agent at one moment: they must not come back at one.
            let pause = sleep(wait.mul_f64(0.5 + self.rng.f64()));
            tokio::select! {
                () = pause => {}
                _ = &mut stopped => return self.lose(&Lost::Unwanted).await,
            }
        }
    }

    fn updates(&self) -> u64 {
        self.agent.lock().updates
    }

    async fn follow(&mut self) -> Lost {
        let mut roster = self.following.world.roster.subscribe();
        let now = roster.borrow_and_update().clone();
        self.forget_gone(&now);
        let address = self.agent.lock().address.clone();
        let mut stream = match dial(&address, self.following.credentials.as_deref()).await {
            Ok(stream) => stream,
            Err(lost) => return lost,
        };
        let (mut order, mut patience, mut heard) = (Order::default(), FIRST, Instant::now());
        loop {
            let update = tokio::select! {
                update = stream.next(patience.saturating_sub(heard.elapsed())) => update,
                _ = roster.changed() => {
                    let roster = roster.borrow_and_update().clone();
                    self.forget_gone(&roster);
                    if self.has_moved(&roster) {
                        return Lost::Moved;
                    }
                    continue;
                }
            };
            let update = match update {
                Ok(update) => update,
                Err(lost) => return lost,
            };
            heard = Instant::now();
            if let Err(broken) = order.next(&update) {
                return broken.into();
            }
            let heartbeat = Duration::from_millis(update.heartbeat_ms.into());
            patience = heartbeat.clamp(*HEARTBEAT.start(), *HEARTBEAT.end()) * MISSES;
            if self.is_too_much(&update) {
                return Lost::Crowded(MOST_TOLD);
            }
            if let Err(diverged) = self.take(update).await {
                return diverged.into();
            }
            // Counted once all of it is believed: who sees it counted may rely on it.
            self.agent.lock().updates += 1;
        }
    }

    /// Remembers nothing of endpoints that left: others get their numbers.
    fn forget_gone(&mut self, roster: &Roster) {
        self.spoken_for.retain(|slot, _| roster.has(*slot));
        self.diverged.retain(|slot, _| roster.has(*slot));
        self.places.keep(|slot| roster.has(slot));
    }

    /// Whether somebody that it tells of has joined, or is another one by now: what was said of it is told only once.
    fn has_moved(&self, roster: &Roster) -> bool {
        self.tells_of.iter().any(|(address, slot)| roster.slot(address).is_some_and(|now| *slot != Some(now)))
    }

    fn is_too_much(&self, update: &told::Update) -> bool {
        let before = if update.full { 0 } else { self.tells_of.len() };
        before + update.endpoints.len() > MOST_TOLD
    }

    async fn take(&mut self, update: told::Update) -> Result<(), Diverged> {
        self.leave_gone(&update).await;
        self.note(&update);
        let claimed = |endpoint: told::Endpoint| Some((self.claimed(&endpoint.address)?, endpoint));
        let endpoints: Vec<_> = update.endpoints.into_iter().filter_map(claimed).collect();
        self.locate(&endpoints).await;
        for (slot, endpoint) in endpoints {
            self.merge(slot, endpoint).await;
        }
        let world = self.following.world.clone();
        for blocks in update.blocks {
            if let Some(slot) = self.claimed(&blocks.address) {
                let taken = world.blocks.take(slot, blocks, world.now()).await;
                self.judge(slot, taken)?;
            }
        }
        Ok(())
    }

    /// What does not add up is asked for again by following anew, which is dear: so not without end. One whose blocks never add up
    /// is followed for the rest, and its blocks are not believed.
    fn judge(&mut self, slot: Slot, taken: Result<(), Diverged>) -> Result<(), Diverged> {
        let Err(diverged) = taken else {
            self.diverged.remove(&slot);
            return Ok(());
        };
        let times = self.diverged.entry(slot).or_default();
        *times += 1;
        if *times < MOST_DIVERGED {
            return Err(diverged);
        }
        if *times == MOST_DIVERGED {
            tracing::warn!(
                agent = self.agent.lock().address,
                "{diverged}, {times} times in a row: these blocks are not believed any more"
            );
        }
        Ok(())
    }

    /// The slot of an endpoint, where this agent may speak for it.
    fn claimed(&self, address: &str) -> Option<Slot> {
        let slot = self.on_its_node(self.following.world.roster.borrow().at(address)?)?;
        self.following.world.agents.coverage.claim(self.number, slot).then_some(slot)
    }

    /// The slot of an endpoint that is on the agent's node, as far as both are known.
    fn on_its_node(&self, endpoint: &Entry) -> Option<Slot> {
        let nodes = self.node.as_deref().zip(endpoint.node.as_deref());
        nodes.is_none_or(|(of_agent, of_endpoint)| of_agent == of_endpoint).then_some(endpoint.slot)
    }

    /// The stream is gone: its endpoints are read by the router itself from now on.
    async fn lose(&mut self, lost: &Lost) {
        {
            let mut agent = self.agent.lock();
            let trouble = lost.to_string();
            let is_news = agent.connected || agent.trouble.as_deref() != Some(&trouble);
            if let Some(not_logged) = is_news.then(|| self.complaint.is_due()).flatten() {
                tracing::warn!(
                    not_logged,
                    agent = agent.address,
                    node = agent.node,
                    "an agent is away, and its replicas are read by the router itself: {lost}"
                );
            }
            agent.losses += u64::from(agent.connected);
            (agent.connected, agent.trouble) = (false, Some(trouble));
        }
        let mut slots = self.following.world.agents.coverage.of(self.number);
        slots.extend(self.spoken_for.keys());
        self.take_back(&slots).await;
        self.places.doubt_all();
        self.following.world.agents.coverage.release(self.number);
    }

    async fn send(&self, update: Update) {
        // A writer that is gone means that the router stops; `run` sees that itself.
        let _ = self.following.updates.send(update).await;
    }
}

#[cfg(test)]
mod tests;
