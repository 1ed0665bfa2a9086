//! Connect: an endpoint that answers. Until the first byte of an answer's body is here nothing has been passed on,
//! and a failure goes to the next fallback.
//!
//! What costs no engine any work (a refused connection) is tried elsewhere at once. Anything else is repeated only
//! where repeating is harmless (see [`is_repeatable`]) and the retry budget allows it; else the client gets what
//! there is. A kept connection that turns out to be dead says nothing about its endpoint: the request is then sent
//! to the same endpoint once more, on a new connection.

use tokio::time::Instant;
use warmlane_picker::Slot;

use super::{
    Trace, api_of,
    pick::{self, Destination, Plan},
    relay::may_ride,
};
use crate::{
    error::{Fault, UpstreamFault},
    front::Client,
    http1::Method,
    ledger::{InFlight, Outcome},
    metrics::RetryReason,
    upstream::Connection,
    worker::Worker,
    world::writer::{Failure, Update},
};

mod answer;
mod attempt;
mod outgoing;

use attempt::{Attempt, Span, attempt};
pub(super) use outgoing::Unsent;

/// An endpoint that has begun to answer.
pub(super) struct Answered {
    /// Which one.
    pub destination: Destination,
    /// The connection to it.
    pub connection: Connection,
    /// Its share of the endpoint's account.
    pub in_flight: InFlight,
    /// What it has not taken of the request yet.
    pub unsent: Unsent,
    /// When the request must be over.
    pub deadline: Instant,
    /// How the endpoint was chosen.
    pub plan: Plan,
    /// Endpoints tried.
    pub tried: usize,
    /// The response may take the kernel lane, as far as the request tells.
    pub may_ride: bool,
}

/// Finds an endpoint that answers.
pub(super) async fn connect(
    worker: &Worker,
    client: &mut Client,
    mut plan: Plan,
    trace: &Trace,
    now: std::time::Instant,
) -> Result<Answered, Fault> {
    worker.retries.borrow_mut().earn();
    let limit = worker.config.timeouts.request;
    let mut now = Instant::from_std(now);
    let deadline = now + limit;
    let (repeatable, may_ride) = (is_repeatable(client), may_ride(worker, client, &plan));
    let name = outgoing::write_head(worker, client, &plan, trace);
    let mut destination = plan.first.clone();
    let mut fallbacks = std::mem::take(&mut plan.fallbacks).into_iter();
    let mut tried = 1;
    loop {
        let mut in_flight = worker.world.ledger.open(destination.slot, plan.share(&destination));
        let movable = repeatable && fallbacks.len() > 0;
        let span = Span { now, deadline, movable, may_ride };
        let reached = match attempt(worker, client, &destination, name.as_deref(), span).await {
            Ok(reached) => Ok(reached),
            Err(Attempt::Failed(cause)) => Err(cause),
            Err(Attempt::ClientGone) => return Err(Fault::ClientGone),
            Err(Attempt::Timeout) => {
                in_flight.end(Outcome::Bad);
                return Err(Fault::Timeout(limit));
            }
        };
        let trouble = reached.is_ok().then(|| answer::trouble(&client.answer, &client.answer_head)).flatten();
        if let Some(cause) = reached.as_ref().err().or(trouble.as_ref()) {
            note(worker, &destination, &mut in_flight, cause);
            if let Some(next) = elsewhere(worker, client, &plan, &mut fallbacks, repeatable, cause) {
                (destination, now, tried) = (next, Instant::now(), tried + 1);
                client.answer.clear();
                continue;
            }
        }
        let (connection, unsent) = reached.map_err(|cause| given_up(&destination, tried, cause))?;
        client.drop_body(worker);
        if unsent.is_sent() {
            plan.incoming.held.release();
        }
        return Ok(Answered { destination, connection, in_flight, unsent, deadline, plan, tried, may_ride });
    }
}

/// Where the request goes instead, if it may: to the next fallback that is still there.
fn elsewhere(
    worker: &Worker,
    client: &Client,
    plan: &Plan,
    fallbacks: &mut std::vec::IntoIter<Slot>,
    repeatable: bool,
    cause: &UpstreamFault,
) -> Option<Destination> {
    // Looked at before the budget is: nothing is spent on a request that has nowhere to go.
    let slot = fallbacks.find(|slot| plan.pool.snapshot().position(*slot).is_some())?;
    let reason = may_repeat(worker, repeatable, cause)?;
    let next = pick::moved(worker, client.asked(), plan, slot)?;
    worker.metrics.retry(reason);
    Some(next)
}

/// Whether sending the request to a second engine, after a first one may have worked on it, can do no harm:
/// inference changes nothing, and neither do the methods that promise so.
fn is_repeatable(client: &Client) -> bool {
    let path = client.head.path(&client.request);
    match client.head.method() {
        Method::Get | Method::Head | Method::Options => true,
        Method::Post => api_of(path).is_some(),
        Method::Put | Method::Patch | Method::Delete | Method::Trace | Method::Other => false,
    }
}

/// Under which reason another endpoint gets the request; `None`: it does not.
fn may_repeat(worker: &Worker, repeatable: bool, cause: &UpstreamFault) -> Option<RetryReason> {
    let reason = cause.retry()?;
    if cause.is_free() {
        return Some(reason);
    }
    if !repeatable {
        return None;
    }
    let granted = worker.retries.borrow_mut().spend(worker.world.now());
    if !granted {
        worker.metrics.retry_refused();
    }
    granted.then_some(reason)
}

fn given_up(destination: &Destination, tried: usize, cause: UpstreamFault) -> Fault {
    let endpoint = destination.address.clone();
    match cause {
        UpstreamFault::Malformed(error) => Fault::Malformed { endpoint, error },
        cause => Fault::Upstream { endpoint, tried, cause },
    }
}

/// Counts a failure on the endpoint's account, and tells the writer what it should know before the next reading.
fn note(worker: &Worker, destination: &Destination, in_flight: &mut InFlight, cause: &UpstreamFault) {
    tracing::debug!(endpoint = %destination.address, %cause, "attempt failed");
    let slot = destination.slot;
    let update = match cause {
        UpstreamFault::Connect(error) => match Failure::from(error) {
            // Out of descriptors or ports: the router's own trouble, not the endpoint's.
            Failure::Broken => return,
            why => Update::Unreachable { slot, why },
        },
        UpstreamFault::ConnectTimeout => Update::Unreachable { slot, why: Failure::TimedOut },
        UpstreamFault::Terminating => Update::Terminating { slot },
        // Busy, or known to be down already.
        UpstreamFault::Busy | UpstreamFault::Abandoned => return,
        UpstreamFault::Broken(_)
        | UpstreamFault::Closed
        | UpstreamFault::BadGateway
        | UpstreamFault::ErrorEvent
        | UpstreamFault::Malformed(_) => Update::Failed { slot },
    };
    in_flight.end(Outcome::Bad);
    // A full channel means that the writer hears of it from others.
    let _ = worker.updates.try_send(update);
}
