//! Pick: the endpoint and where to go if it fails. The only place where the router asks the picker.

use std::{net::SocketAddr, sync::Arc};

use warmlane_engine::body::RequestBody;
use warmlane_picker::{
    self as picker, Chain, Decision, Group, Matches, NoEndpoint, Slot, Snapshot, Source, Time,
};

use super::{admit::Admitted, read::Incoming};
use crate::{
    config::UnknownModel, error::Fault, holders::Holders, ledger::Load, metrics::Listener, worker::Worker,
    world::Pool,
};

/// Where a request goes.
pub struct Plan {
    /// As it was read.
    pub incoming: Incoming,
    /// Whom it may go to.
    pub pool: Arc<Pool>,
    /// Another model name to send instead.
    pub rewrite: Option<String>,
    /// The endpoint to try first.
    pub first: Destination,
    /// Where to go if it fails, best first.
    pub fallbacks: Vec<Slot>,
    /// How the first was chosen; `None` on the plain listener.
    pub decision: Option<Decision>,
    /// The prefix group it belongs to.
    pub group: Option<Group>,
    /// What it costs an endpoint that holds nothing of its prompt.
    pub load: Load,
}

/// One endpoint to try.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Its slot.
    pub slot: Slot,
    /// Its name.
    pub address: Arc<str>,
    /// Where to connect.
    pub socket: SocketAddr,
    /// Prompt tokens it is believed to hold.
    pub matched_tokens: u64,
    /// Where that is known from.
    pub source: Option<Source>,
}

/// Chooses as the listener does.
pub(super) fn pick(
    worker: &Worker,
    asked: Option<&RequestBody>,
    admitted: Admitted,
    now: Time,
) -> Result<Plan, Fault> {
    let snapshot = admitted.pool.snapshot().clone();
    match admitted.listener {
        Listener::Plain => plain(worker, &snapshot, admitted, now),
        Listener::Aware | Listener::ExtProc => aware(worker, asked, &snapshot, admitted, now),
    }
}

fn plain(worker: &Worker, snapshot: &Snapshot, admitted: Admitted, now: Time) -> Result<Plan, Fault> {
    let scratch = &mut *worker.scratch.borrow_mut();
    worker.world.ledger.read(snapshot, 0, &mut scratch.live);
    let turn = worker.turn.get();
    worker.turn.set(turn.wrapping_add(1));
    let policy = worker.config.plain_policy;
    let profile = admitted.pool.rules().profile;
    let rng = &mut worker.rng.borrow_mut();
    let mut order =
        picker::plain(policy, snapshot, &scratch.live, profile.slow_start, now, turn, rng).into_iter();
    let Some(first) = order.next().and_then(|slot| destination(snapshot, slot, None)) else {
        let endpoints = snapshot.endpoints().len();
        let none = NoEndpoint::AllDown { down: endpoints, asleep: 0, failed: 0 };
        return Err(fault(if endpoints == 0 { NoEndpoint::EmptyPool } else { none }, snapshot));
    };
    Ok(Plan {
        incoming: admitted.incoming,
        pool: admitted.pool,
        rewrite: None,
        first,
        fallbacks: order.take(profile.fallbacks).collect(),
        decision: None,
        group: None,
        load: Load::default(),
    })
}

fn aware(
    worker: &Worker,
    asked: Option<&RequestBody>,
    snapshot: &Snapshot,
    admitted: Admitted,
    now: Time,
) -> Result<Plan, Fault> {
    let (world, profile) = (&worker.world, &admitted.pool.rules().profile);
    let scratch = &mut *worker.scratch.borrow_mut();
    let model = asked.map(|body| admitted.rewrite.as_deref().unwrap_or(&body.model));
    let adapter = model.and_then(|model| adapter(snapshot, model));
    let adapter_hash = adapter.map_or(0, |name| world.hash(name.as_bytes()));
    world.ledger.read(snapshot, adapter_hash, &mut scratch.live);
    let prompt = asked.zip(model).filter(|_| profile.strategy.needs_prefix());
    find(worker, prompt, adapter, &mut scratch.holders);
    let group = world.groups.observe(scratch.holders.chain(), now);
    let offered = admitted.incoming.hints.offered.as_ref().map(|offered| offered.positions(snapshot));
    let request = picker::Request {
        model: model
            .filter(|_| worker.config.unknown_model == UnknownModel::NotFound || serves(snapshot, model)),
        prompt_tokens: admitted.prompt_tokens,
        output_tokens: admitted.output_tokens,
        criticality: admitted.criticality,
        prefix: scratch.holders.matches(),
        session: session(worker, admitted.incoming.session, now),
        group: group.as_ref(),
        offered: offered.as_ref(),
        live: &scratch.live,
    };
    let mut decision = picker::pick(profile, snapshot, &request, now, &mut worker.rng.borrow_mut())
        .map_err(|none| fault(none, snapshot))?;
    worker.metrics.picked(&decision, admitted.prompt_tokens);
    let first = destination(snapshot, decision.endpoint, Some(scratch.holders.matches()));
    let first = first.ok_or_else(|| fault(NoEndpoint::EmptyPool, snapshot))?;
    let fallbacks = std::mem::take(&mut decision.fallbacks);
    let load = Load {
        prefill_tokens: admitted.prompt_tokens,
        kv_tokens: admitted.prompt_tokens + admitted.output_tokens,
        streamed: asked.is_some_and(|body| body.stream),
        adapter: adapter_hash,
    };
    let Admitted { incoming, pool, rewrite, .. } = admitted;
    let plan = Plan { incoming, pool, rewrite, first, fallbacks, decision: Some(decision), group, load };
    if asked.is_some() {
        remember(worker, &plan, plan.first.slot, &scratch.holders, now);
    }
    Ok(plan)
}

/// Finds who holds the prompt.
fn find(worker: &Worker, asked: Option<(&RequestBody, &str)>, adapter: Option<&str>, holders: &mut Holders) {
    match asked {
        Some((body, model)) => holders.find(&worker.world, seed(worker, body, model, adapter), &body.prompt),
        None => holders.nobody(),
    }
}

/// Where the prompt's chain starts.
pub(super) fn seed(worker: &Worker, body: &RequestBody, model: &str, adapter: Option<&str>) -> u64 {
    Chain::seed(worker.world.key, model, adapter, body.cache_salt.as_deref())
}

/// The name, if it is an adapter's.
pub(super) fn adapter<'m>(snapshot: &Snapshot, model: &'m str) -> Option<&'m str> {
    Some(model).filter(|model| snapshot.serving(model).is_some_and(|serving| serving.adapter))
}

fn session(worker: &Worker, key: u64, now: Time) -> Option<Slot> {
    if key == 0 { None } else { worker.world.pins.get(key, now) }
}

fn serves(snapshot: &Snapshot, model: Option<&str>) -> bool {
    model.is_some_and(|model| snapshot.serving(model).is_some())
}

// === Plan ===

impl Plan {
    /// Whether it belongs to a pinned session or prefix group.
    pub fn is_pinned(&self) -> bool {
        self.incoming.session != 0 || self.group.is_some()
    }

    /// What the request costs an endpoint, which may hold a part of its prompt.
    pub fn share(&self, destination: &Destination) -> Load {
        let prefill_tokens = self.load.prefill_tokens.saturating_sub(destination.matched_tokens);
        Load { prefill_tokens, ..self.load }
    }
}

fn destination(snapshot: &Snapshot, slot: Slot, matches: Option<&Matches>) -> Option<Destination> {
    let endpoint = snapshot.endpoint(slot)?;
    Some(Destination {
        slot,
        address: endpoint.address.clone(),
        socket: endpoint.socket,
        matched_tokens: matches.map_or(0, |matches| matches.tokens(slot)),
        source: matches.and_then(|matches| matches.source(slot)),
    })
}

fn fault(none: NoEndpoint, snapshot: &Snapshot) -> Fault {
    match none {
        NoEndpoint::UnknownModel { model } => {
            Fault::UnknownModel { model, served: snapshot.model_names().join(", ") }
        }
        cause => Fault::NoEndpoint { cause, example: example(snapshot) },
    }
}

/// What is wrong with one of the replicas: usually it is the same with all.
fn example(snapshot: &Snapshot) -> String {
    let first = snapshot.endpoints().iter().find_map(|e| e.health.reason().map(|why| (&e.address, why)));
    first.map_or_else(String::new, |(address, why)| format!(" ({address}: {why})"))
}

/// Remembers where the request goes: for its session, its group and its prefix. Called when it is sent, not
/// when it ends, so that the next of a burst already follows.
fn remember(worker: &Worker, plan: &Plan, to: Slot, holders: &Holders, now: Time) {
    let world = &worker.world;
    if plan.incoming.session != 0 {
        world.pins.pin(plan.incoming.session, to, now);
    }
    if let Some(group) = &plan.group {
        world.groups.pin(group, to, now);
    }
    holders.remember(world, to, now);
}

/// The request goes to a fallback instead: finds that out and remembers it. `None` if the endpoint is gone.
pub fn moved(worker: &Worker, asked: Option<&RequestBody>, plan: &Plan, to: Slot) -> Option<Destination> {
    let snapshot = plan.pool.snapshot();
    let Some(body) = asked.filter(|_| plan.decision.is_some()) else {
        return destination(&snapshot, to, None);
    };
    let holders = &mut worker.scratch.borrow_mut().holders;
    let model = plan.rewrite.as_deref().unwrap_or(&body.model);
    let needs_prefix = plan.pool.rules().profile.strategy.needs_prefix();
    find(worker, needs_prefix.then_some((body, model)), adapter(&snapshot, model), holders);
    let moved = destination(&snapshot, to, Some(holders.matches()))?;
    remember(worker, plan, to, holders, worker.world.now());
    Some(moved)
}
