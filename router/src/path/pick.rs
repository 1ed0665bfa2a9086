//! Pick: the endpoint and where to go if it fails. The only place where the router asks the picker.

use std::{net::SocketAddr, sync::Arc};

use warmlane_engine::body::RequestBody;
use warmlane_picker::{
    self as picker, Decision, Group, GroupTable, Matches, NoEndpoint, Slot, Snapshot, Source, Strategy, Time,
};
use warmlane_replay::sentence;

use super::{Trace, admit::Admitted, read::Incoming};
use crate::{
    decisions::Refused,
    error::Fault,
    holders::Holders,
    ledger::Load,
    metrics::{Listener, Running},
    worker::Worker,
    world::{Edition, Pool},
};

mod question;

pub(crate) use question::{Asking, Question, adapter, seed};

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

/// Why a request goes where it does, in short.
#[derive(Clone, Debug)]
pub struct Reasons {
    /// The strategy that weighed.
    pub strategy: Strategy,
    /// In one sentence.
    pub why: String,
    /// Where it would have gone next, best first, separated by commas.
    pub fallbacks: String,
    /// The model that it was sent on for, where that is another one.
    pub rewrite: Option<String>,
}

/// Chooses as the listener does.
pub(super) fn pick(
    worker: &Worker,
    asked: Option<&RequestBody>,
    admitted: Admitted,
    trace: &mut Trace,
    now: Time,
) -> Result<Plan, Fault> {
    let snapshot = admitted.pool.snapshot().clone();
    match trace.listener {
        Listener::Plain => plain(worker, &snapshot, admitted, now),
        Listener::Aware | Listener::ExtProc => aware(worker, asked, &snapshot, admitted, trace, now),
    }
}

fn plain(worker: &Worker, snapshot: &Snapshot, admitted: Admitted, now: Time) -> Result<Plan, Fault> {
    let scratch = &mut *worker.chooser.scratch.borrow_mut();
    worker.world.ledger.read(snapshot, 0, &mut scratch.live);
    let turn = worker.turn.get();
    worker.turn.set(turn.wrapping_add(1));
    let policy = worker.config.plain_policy;
    let profile = admitted.pool.rules().profile;
    let rng = &mut worker.chooser.rng.borrow_mut();
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
    snapshot: &Edition,
    admitted: Admitted,
    trace: &mut Trace,
    now: Time,
) -> Result<Plan, Fault> {
    let chooser = &worker.chooser;
    if chooser.ring.is_some() {
        // At once: an edition that nobody has used goes soon.
        snapshot.mark_used();
    }
    let scratch = &mut *chooser.scratch.borrow_mut();
    let asking = Asking { chooser, asked, admitted: &admitted, snapshot };
    trace.model = asked.map(|body| count_model(worker, &asking, body));
    let question = Question::new(&asking, scratch).with_prompt(&asking, scratch, now, GroupTable::observe);
    let seed = chooser.rng.borrow().get_seed();
    let (picked, why) = ask(worker, &asking, &question.request(scratch), now, trace.is_told(worker));
    let first = match &picked {
        Ok(decision) => destination(snapshot, decision.endpoint, Some(scratch.holders.matches())),
        Err(_) => None,
    };
    if let Some(ring) = &chooser.ring {
        let chosen = match (&picked, &first) {
            (Ok(decision), Some(first)) => Ok((decision, &*first.address)),
            (Err(none), _) => Err(Refused::NoEndpoint(none.clone())),
            (Ok(_), None) => Err(Refused::NoEndpoint(NoEndpoint::EmptyPool)),
        };
        trace.decision = Some(asking.keep(ring, &question, scratch, chosen, trace, (now, seed)));
    }
    let mut decision = picked.map_err(|none| {
        worker.metrics.unpicked();
        fault(none, snapshot)
    })?;
    worker.metrics.picked(&decision, admitted.prompt_tokens);
    trace.reasons = why.map(|why| Reasons::new(&decision, snapshot, why, admitted.rewrite.clone()));
    let first = first.ok_or_else(|| fault(NoEndpoint::EmptyPool, snapshot))?;
    let fallbacks = std::mem::take(&mut decision.fallbacks);
    let load = Load {
        prefill_tokens: admitted.prompt_tokens,
        kv_tokens: admitted.prompt_tokens + admitted.output_tokens,
        streamed: asked.is_some_and(|body| body.stream),
        adapter: question.adapter,
    };
    let group = question.group;
    let Admitted { incoming, pool, rewrite, .. } = admitted;
    let plan = Plan { incoming, pool, rewrite, first, fallbacks, decision: Some(decision), group, load };
    if asked.is_some() {
        remember(worker, &plan, plan.first.slot, &scratch.holders, now);
    }
    Ok(plan)
}

/// Asks the picker. Why it answers so is found out for those only of which it will be told.
fn ask(
    worker: &Worker,
    asking: &Asking<'_>,
    request: &picker::Request<'_>,
    now: Time,
    is_told: bool,
) -> (Result<Decision, NoEndpoint>, Option<String>) {
    let (profile, snapshot) = (&asking.admitted.pool.rules().profile, asking.snapshot);
    let rng = &mut worker.chooser.rng.borrow_mut();
    if !is_told {
        return (picker::pick(profile, snapshot, request, now, rng), None);
    }
    let (picked, weighed) = picker::pick::explain(profile, snapshot, request, now, rng);
    let why = picked.as_ref().ok().map(|decision| sentence(profile, snapshot, decision, &weighed));
    (picked, why)
}

/// Names that nobody serves and no rule has make no labels.
fn count_model(worker: &Worker, asking: &Asking<'_>, body: &RequestBody) -> Running {
    let target = asking.model().unwrap_or(&body.model);
    let rules = asking.admitted.pool.rules();
    let is_known = asking.snapshot.serving(&body.model).is_some() || rules.model(&body.model).is_some();
    let named = is_known.then_some((body.model.as_str(), target));
    worker.models.borrow_mut().begin(&worker.metrics.by_model, named, asking.admitted.incoming.bytes)
}

// === Reasons ===

impl Reasons {
    fn new(decision: &Decision, snapshot: &Snapshot, why: String, rewrite: Option<String>) -> Self {
        let address = |slot: &Slot| snapshot.endpoint(*slot).map(|endpoint| &*endpoint.address);
        let fallbacks: Vec<&str> = decision.fallbacks.iter().filter_map(address).collect();
        Self { strategy: decision.strategy, why, fallbacks: fallbacks.join(","), rewrite }
    }
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
    let holders = &mut worker.chooser.scratch.borrow_mut().holders;
    let model = plan.rewrite.as_deref().unwrap_or(&body.model);
    let needs_prefix = plan.pool.rules().profile.strategy.needs_prefix();
    question::find(&worker.world, needs_prefix.then_some((body, model)), adapter(&snapshot, model), holders);
    let moved = destination(&snapshot, to, Some(holders.matches()))?;
    remember(worker, plan, to, holders, worker.world.now());
    Some(moved)
}
