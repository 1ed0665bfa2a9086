//! Admit: how important the request is, which model it really goes to, and whether it may go on.

use std::sync::Arc;

use warmlane_engine::body::RequestBody;
use warmlane_picker::{self as picker, Admission, Criticality, GroupTable, NoEndpoint};

use super::{
    Trace,
    pick::{Asking, Question},
    read::Incoming,
};
use crate::{
    chooser::Chooser,
    config::Target,
    decisions::Refused,
    error::Fault,
    metrics::Listener,
    world::{Pool, World},
};

/// Output tokens reckoned with when the client states no limit.
const ASSUMED_OUTPUT_TOKENS: u64 = 256;

/// Most output tokens reckoned with: a limit is no promise, and no one client's word may fill a replica's account.
const MOST_OUTPUT_TOKENS: u64 = 32_768;

/// A request that may go on.
pub(crate) struct Admitted {
    /// As it was read.
    pub incoming: Incoming,
    /// Whom it may go to.
    pub pool: Arc<Pool>,
    /// Its importance.
    pub criticality: Criticality,
    /// Another model name to send instead.
    pub rewrite: Option<String>,
    /// Prompt length.
    pub prompt_tokens: u64,
    /// Output length to reckon with.
    pub output_tokens: u64,
}

/// Lets a request pass, or sheds it.
pub(super) fn admit(
    chooser: &Chooser,
    asked: Option<&RequestBody>,
    incoming: Incoming,
    trace: &mut Trace,
) -> Result<Admitted, Fault> {
    let admitted = judge(chooser, asked, incoming, trace.listener)?;
    if admitted.criticality == Criticality::Sheddable {
        shed_if_saturated(chooser, asked, &admitted, trace)?;
    }
    Ok(admitted)
}

/// What a request is and whose, before it is asked whether there is room for it.
pub(crate) fn judge(
    chooser: &Chooser,
    asked: Option<&RequestBody>,
    mut incoming: Incoming,
    listener: Listener,
) -> Result<Admitted, Fault> {
    let pool = pool(&chooser.world, asked, &incoming, listener)?;
    let rules = pool.rules().clone();
    let rule = asked.and_then(|body| rules.model(&body.model));
    let (prompt_tokens, output_tokens) = match asked {
        Some(body) => (
            body.prompt.estimated_tokens(),
            body.max_tokens.unwrap_or(ASSUMED_OUTPUT_TOKENS).min(MOST_OUTPUT_TOKENS),
        ),
        None => (0, 0),
    };
    let hints = &mut incoming.hints;
    let (hinted, model) =
        (hints.objective.as_deref().and_then(|name| rules.objective(name)), hints.model.take());
    let targets = asked.map(|body| rules.targets(&body.model)).unwrap_or_default();
    Ok(Admitted {
        incoming,
        pool,
        criticality: hinted.or(rule.map(|rule| rule.criticality)).unwrap_or_default(),
        // The pool's own rules stand above what a gateway asks for.
        rewrite: draw(targets, &mut chooser.rng.borrow_mut()).or(model),
        prompt_tokens,
        output_tokens,
    })
}

fn shed_if_saturated(
    chooser: &Chooser,
    asked: Option<&RequestBody>,
    admitted: &Admitted,
    trace: &mut Trace,
) -> Result<(), Fault> {
    let snapshot = admitted.pool.snapshot().clone();
    let scratch = &mut *chooser.scratch.borrow_mut();
    let asking = Asking { chooser, asked, admitted, snapshot: &snapshot };
    let now = chooser.world.now();
    let question = Question::new(&asking, scratch);
    let profile = &admitted.pool.rules().profile;
    match picker::admit(profile, &snapshot, &question.request(scratch), now) {
        Admission::Pass => Ok(()),
        Admission::Shed { retry_after } => {
            if let Some(ring) = &chooser.ring {
                snapshot.mark_used();
                let question = question.with_prompt(&asking, scratch, now, GroupTable::find);
                let seed = chooser.rng.borrow().get_seed();
                let ticket = asking.keep(ring, &question, scratch, Err(Refused::Shed), trace, (now, seed));
                trace.decision = Some(ticket);
            }
            Err(Fault::Shed { retry_after })
        }
    }
}

/// The pool that a gateway asks for, or that serves the model. Where a request names no model, and on the plain listener, the
/// first one.
fn pool(
    world: &World,
    asked: Option<&RequestBody>,
    incoming: &Incoming,
    listener: Listener,
) -> Result<Arc<Pool>, Fault> {
    let pools = &world.pools;
    let pool = match (incoming.hints.pool.as_deref(), asked.filter(|_| listener != Listener::Plain)) {
        (Some(name), _) => pools.named(name),
        (None, Some(body)) => pools.serving(&body.model),
        (None, None) => pools.first(),
    };
    pool.ok_or_else(|| {
        let asked_for = incoming.hints.pool.as_ref();
        let example = asked_for.map_or_else(String::new, |name| format!(" (this router has no pool {name})"));
        Fault::NoEndpoint { cause: NoEndpoint::EmptyPool, example }
    })
}

/// One target by weight.
fn draw(targets: &[Target], rng: &mut fastrand::Rng) -> Option<String> {
    let sum: u64 = targets.iter().map(|target| u64::from(target.weight)).sum();
    if sum == 0 {
        return None;
    }
    let mut at = rng.u64(..sum);
    let chosen = targets.iter().find(|target| match at.checked_sub(u64::from(target.weight)) {
        None => true,
        Some(rest) => {
            at = rest;
            false
        }
    });
    chosen.map(|target| target.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_drawn_by_weight() {
        let target = |name: &str, weight| Target { name: name.to_owned(), weight };
        let targets = [target("a", 1), target("b", 3)];
        let mut rng = fastrand::Rng::with_seed(1);
        let b = (0..4_000).filter(|_| draw(&targets, &mut rng).as_deref() == Some("b")).count();
        assert!((2_900..3_100).contains(&b), "{b} of 4000");
        assert_eq!(draw(&[], &mut rng), None);
    }
}
