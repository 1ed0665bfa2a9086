//! One router: what the real one knows, and the real picker.
//!
//! The ledger follows the real one: totals that only grow, and what is in flight, taken back when it ends.
//! A prompt counts as pending until its first token comes. Another router's requests are seen only through
//! the replicas' pages.

use std::net::{Ipv4Addr, SocketAddr};

use warmlane_picker::{
    Chain, Criticality, Endpoint, GroupTable, Live, Matches, Models, PinTable, PrefixIndex, Profile, Request,
    Signals, Slot, Snapshot, Time, Work, group::GroupRule, pick, plain,
};

use super::{
    load::{Ask, BLOCK_TOKENS},
    policy::{self, Policy, View},
    scenario::{Scenario, Shape},
    signals::{Rhythm, adapter_name},
};

/// Name of the base model.
const MODEL: &str = "base";
/// Output reckoned with when a request does not state it, as the real router does.
const ASSUMED_OUTPUT: u64 = 256;
/// Blocks the prefix index holds: more than five L20 can.
const INDEX_BLOCKS: usize = 200_000;

/// See the module's header.
pub(super) struct Router {
    policy: Policy,
    declared: bool,
    sides: Vec<Side>,
    /// Names of adapters.
    adapters: Vec<String>,
    snapshot: Snapshot,
    /// The snapshot is older than the readings.
    outdated: bool,
    index: PrefixIndex,
    pins: PinTable,
    groups: GroupTable,
    chain: Chain,
    matches: Matches,
    live: Vec<Live>,
    turn: usize,
    rng: fastrand::Rng,
}

/// What it knows of one replica.
struct Side {
    ready: bool,
    signals: Signals,
    rhythm: Rhythm,
    live: Live,
    /// In flight by adapter.
    adapters: Vec<u32>,
}

/// Where a request goes, and what it adds to the ledger there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) replica: usize,
    prefill_tokens: u64,
    kv_tokens: u64,
    adapter: Option<u16>,
}

// === Router ===

impl Router {
    pub(super) fn new(scenario: &Scenario, policy: Policy, seed: u64) -> Self {
        let adapters = match scenario.shape {
            Shape::Adapters { count, .. } => count,
            _ => 0,
        };
        let side = |_| Side {
            ready: true,
            signals: Signals::default(),
            rhythm: Rhythm::new(scenario.scrape),
            live: Live::default(),
            adapters: vec![0; usize::from(adapters)],
        };
        Self {
            policy,
            declared: scenario.declared,
            sides: scenario.cards.iter().map(side).collect(),
            adapters: (0..adapters).map(adapter_name).collect(),
            snapshot: Snapshot::default(),
            outdated: true,
            index: PrefixIndex::new(INDEX_BLOCKS, scenario.cards.len()),
            pins: PinTable::new(4096, Time::from_secs(1800)),
            groups: GroupTable::new(1024, GroupRule::default()),
            chain: Chain::default(),
            matches: Matches::default(),
            live: Vec::new(),
            turn: 0,
            rng: fastrand::Rng::with_seed(seed),
        }
    }

    /// Whether a replica takes requests.
    pub(super) fn set_ready(&mut self, replica: usize, ready: bool) {
        self.sides[replica].ready = ready;
        self.outdated = true;
    }

    /// What was sent to a replica so far.
    pub(super) fn mark(&self, replica: usize) -> Work {
        self.sides[replica].live.sent
    }

    /// Takes a page; gives the time until the replica is asked again.
    pub(super) fn read(&mut self, replica: usize, signals: Signals, took: f64) -> f64 {
        let side = &mut self.sides[replica];
        let wait = side.rhythm.next(&side.signals, &signals, took, self.rng.f64());
        side.signals = signals;
        self.outdated = true;
        wait
    }

    /// Chooses a replica and counts the request there. `None` when there is none.
    pub(super) fn send(&mut self, ask: &Ask, now: f64) -> Option<Sent> {
        let now = Time::from_secs_f64(now);
        if std::mem::take(&mut self.outdated) {
            self.snapshot = snapshot(&self.sides, &self.adapters);
        }
        self.live.clear();
        self.live.extend(self.sides.iter().map(|side| side.seen_for(ask.adapter)));
        let (prompt, output) = self.lengths(ask);
        self.look_up(ask);
        let replica = self.choose(ask, prompt, output, now)?;
        let matched = self.matches.tokens(Slot(replica as u16)).min(prompt);
        let sent = Sent {
            replica,
            prefill_tokens: prompt - matched,
            kv_tokens: prompt + output,
            adapter: ask.adapter,
        };
        self.remember(ask, replica, now);
        self.sides[replica].open(&sent);
        Some(sent)
    }

    fn lengths(&self, ask: &Ask) -> (u64, u64) {
        let output = if self.declared { u64::from(ask.output) } else { ASSUMED_OUTPUT };
        (u64::from(ask.prompt.tokens()), output)
    }

    fn look_up(&mut self, ask: &Ask) {
        self.matches.reset(BLOCK_TOKENS as f32);
        let blocks = if self.policy.needs_prefix() { ask.prompt.blocks() } else { &[] };
        self.chain.set(0, blocks);
        self.index.lookup(&self.chain, &mut self.matches);
    }

    fn choose(&mut self, ask: &Ask, prompt_tokens: u64, output: u64, now: Time) -> Option<usize> {
        let adapter = ask.adapter.map(|number| self.adapters[usize::from(number)].as_str());
        let (snapshot, live, matches) = (&self.snapshot, self.live.as_slice(), &self.matches);
        let rng = &mut self.rng;
        let view = View { snapshot, live, matches, prompt_tokens, adapter };
        let profile = match self.policy {
            Policy::Plain(plain_policy) => {
                self.turn += 1;
                let order = plain(plain_policy, snapshot, live, Time::ZERO, now, self.turn, rng);
                return order.first().map(|slot| usize::from(slot.0));
            }
            Policy::Upstream => return policy::upstream(&view, rng),
            Policy::CacheAware => return policy::cache_aware(&view, rng),
            Policy::Product => return policy::product(&view, rng),
            Policy::Strategy(strategy) => Profile::of(strategy),
            Policy::Weighted(profile) => profile,
        };
        let group = self.groups.observe(&self.chain, now);
        let request = Request {
            model: Some(adapter.unwrap_or(MODEL)),
            prompt_tokens,
            output_tokens: output,
            criticality: Criticality::Standard,
            prefix: matches,
            session: ask.session.and_then(|session| self.pins.get(pin_key(session), now)),
            group: group.as_ref(),
            offered: None,
            live,
        };
        let decision = pick(&profile, snapshot, &request, now, rng).ok()?;
        if let Some(group) = &group {
            self.groups.pin(group, decision.endpoint, now);
        }
        Some(usize::from(decision.endpoint.0))
    }

    fn remember(&mut self, ask: &Ask, replica: usize, now: Time) {
        let slot = Slot(replica as u16);
        if let Some(session) = ask.session {
            self.pins.pin(pin_key(session), slot, now);
        }
        self.index.record(&self.chain, slot, self.matches.depth(slot), now);
    }

    /// The first token of a request came.
    pub(super) fn prefilled(&mut self, sent: &Sent) {
        self.sides[sent.replica].live.pending_prefill -= sent.prefill_tokens;
    }

    /// A request ended.
    pub(super) fn close(&mut self, sent: &Sent) {
        let side = &mut self.sides[sent.replica];
        side.live.in_flight -= 1;
        side.live.reserved_kv -= sent.kv_tokens;
        if let Some(adapter) = sent.adapter {
            side.adapters[usize::from(adapter)] -= 1;
        }
    }
}

/// Sessions count from zero; a table's keys are hashes.
fn pin_key(session: u32) -> u64 {
    u64::from(session + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn snapshot(sides: &[Side], adapters: &[String]) -> Snapshot {
    let entry = |(at, side): (usize, &Side)| {
        let socket = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let endpoint = Endpoint {
            ready: side.ready,
            signals: side.signals.clone(),
            ..Endpoint::ready(Slot(at as u16), &at.to_string(), socket)
        };
        (endpoint, Models::Known { base: vec![MODEL.to_owned()], adapters: adapters.to_vec() })
    };
    Snapshot::new(sides.iter().enumerate().map(entry).collect())
}

// === Side ===

impl Side {
    fn seen_for(&self, adapter: Option<u16>) -> Live {
        let same_adapter = adapter.map_or(0, |adapter| self.adapters[usize::from(adapter)]);
        let adapters =
            if adapter.is_some() { self.adapters.iter().filter(|count| **count > 0).count() } else { 0 };
        Live { same_adapter, adapters: adapters as u32, ..self.live }
    }

    fn open(&mut self, sent: &Sent) {
        let live = &mut self.live;
        live.in_flight += 1;
        live.pending_prefill += sent.prefill_tokens;
        live.reserved_kv += sent.kv_tokens;
        live.sent.requests += 1;
        live.sent.prefill_tokens += sent.prefill_tokens;
        live.sent.kv_tokens += sent.kv_tokens;
        if let Some(adapter) = sent.adapter {
            self.adapters[usize::from(adapter)] += 1;
        }
    }
}

// === Policy ===

impl Policy {
    fn needs_prefix(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Strategy(strategy) => strategy.needs_prefix(),
            Self::Weighted(profile) => profile.strategy.needs_prefix(),
            Self::Upstream | Self::CacheAware | Self::Product => true,
        }
    }
}
