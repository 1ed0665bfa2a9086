//! One endpoint's turn: a kept or new connection, the request sent in as few writes as possible, and the beginning of
//! the answer read at the same time.

use std::{pin::pin, time::Duration};

use tokio::time::Instant;

use super::{
    answer::receive,
    outgoing::{Outgoing, Unsent},
};
use crate::{
    error::UpstreamFault,
    front::{Client, client_gone},
    http1::{HeadLimits, RequestFacts, ResponseHead},
    path::pick::Destination,
    upstream::{self, Connection},
    worker::Worker,
};

/// How often a request that waits for its answer looks whether the endpoint is still there. An engine that hangs
/// closes nothing; only that it is no longer read successfully tells.
const GLANCE: Duration = Duration::from_secs(1);

/// Why one attempt ended without an answer.
pub(super) enum Attempt {
    Failed(UpstreamFault),
    ClientGone,
    Timeout,
}

/// When an attempt begins, and when it must end.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) now: Instant,
    pub(super) deadline: Instant,
    /// The request may leave an endpoint that turns out to be down while it waits.
    pub(super) movable: bool,
    /// Its response may take the kernel lane.
    pub(super) may_ride: bool,
}

/// Sends the request to one endpoint and reads the beginning of its answer.
pub(super) async fn attempt(
    worker: &Worker,
    client: &mut Client,
    destination: &Destination,
    name: Option<&[u8]>,
    Span { now, deadline, movable, may_ride }: Span,
) -> Result<(Connection, Unsent), Attempt> {
    let Client { stream: client_stream, alarm, request, ahead, head, body, answer, answer_head, out, .. } =
        client;
    let outgoing = Outgoing::new(out, &request[head.head_len()..], &body.model_span, name);
    let facts = RequestFacts::of(head);
    let (mut from_client, _) = client_stream.split();
    let exchange = async {
        let (slot, peer) = (destination.slot, destination.socket);
        let kept = worker.pool.borrow_mut().take(slot, peer, may_ride, now);
        if let Some(mut connection) = kept {
            match converse(&mut connection, &outgoing, answer, answer_head, &worker.head_limits, facts).await
            {
                Err(UpstreamFault::Broken(_) | UpstreamFault::Closed) if answer.is_empty() => {}
                outcome => return outcome.map(|unsent| (connection, unsent)),
            }
        }
        let side = may_ride.then(|| worker.pool.borrow().side(slot, peer, now));
        let (limit, lane) = (worker.config.timeouts.connect, &worker.world.lane);
        let mut connection = upstream::dial(peer, limit, lane, side).await?;
        let unsent =
            converse(&mut connection, &outgoing, answer, answer_head, &worker.head_limits, facts).await?;
        Ok((connection, unsent))
    };
    let mut exchange = pin!(exchange);
    let mut gone = pin!(client_gone(&mut from_client, ahead));
    let mut glance = deadline.min(now + GLANCE);
    loop {
        tokio::select! {
            biased;
            outcome = &mut exchange => return outcome.map_err(Attempt::Failed),
            () = &mut gone => return Err(Attempt::ClientGone),
            () = alarm.at(glance) => {
                let now = Instant::now();
                if now >= deadline {
                    return Err(Attempt::Timeout);
                }
                if movable && worker.world.is_down(destination.slot) && worker.can_retry() {
                    return Err(Attempt::Failed(UpstreamFault::Abandoned));
                }
                glance = deadline.min(now + GLANCE);
            }
        }
    }
}

/// Writes the request and reads the answer's beginning at the same time: an endpoint may refuse a body before it
/// has read it.
async fn converse(
    connection: &mut Connection,
    outgoing: &Outgoing<'_>,
    answer: &mut Vec<u8>,
    head: &mut ResponseHead,
    limits: &HeadLimits,
    facts: RequestFacts,
) -> Result<Unsent, UpstreamFault> {
    let (mut reader, mut writer) = connection.split();
    let mut sending = pin!(outgoing.send(&mut writer));
    let mut receiving = pin!(receive(&mut reader, answer, head, limits, facts));
    let mut sent = None;
    loop {
        tokio::select! {
            biased;
            outcome = &mut sending, if sent.is_none() => sent = Some(outcome),
            received = &mut receiving => {
                received.map_err(|fault| match (&sent, fault) {
                    // What broke the connection first is the better reason.
                    (Some(Err(error)), UpstreamFault::Closed) => UpstreamFault::Broken(error.kind().into()),
                    (_, fault) => fault,
                })?;
                return Ok(match sent {
                    Some(Ok(())) => Unsent::default(),
                    Some(Err(_)) => Unsent::broken(),
                    None => Unsent::new(outgoing.rest()),
                });
            }
        }
    }
}
