//! A response on the kernel lane: ordered while nothing is there to copy, and taken back with the first bytes that the
//! kernel leaves to the router.
//!
//! Between the two the router writes nothing to the client, whatever happens: what it wrote would land in the middle
//! of what the kernel sends.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    time::{Instant, sleep},
};

use warmlane_picker::Saved;

use super::{
    flow::{End, Flow},
    watch::Watch,
};
use crate::{
    front::Client,
    http1::{Body, Version},
    kernel::{self, Armed, HandOver, Progress, Refusal, Settled, Standing},
    lane::{Lane, Part},
    path::pick::Plan,
    worker::Worker,
    world::World,
};

/// Answers of fewer tokens are copied: from here on the lane costs less, ordering and taking back included, on new connections as on
/// kept ones (`bench lane`, part `short`).
const WORTH: u64 = 8;

/// Both ends of a response that may take the lane.
pub(super) struct Ride<'r> {
    lane: &'r Lane,
    client: &'r mut Part<kernel::Client>,
    upstream: Part<kernel::Upstream>,
    rode: Rode,
}

/// What the lane carried of a response.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::path) struct Rode {
    /// Bytes of payload, messages, and the rest.
    pub progress: Progress,
    /// Why the last order was not given.
    pub refusal: Option<Refusal>,
}

/// Whether a request's response may take the lane, as far as the request tells.
pub(in crate::path) fn may_ride(worker: &Worker, client: &Client, plan: &Plan) -> bool {
    worker.world.lane.takes(plan.is_pinned())
        && client.stream.socket().is_some()
        && client.head.version() == Version::Http11
        && client.asked().is_none_or(|body| body.stream && body.max_tokens.is_none_or(|most| most >= WORTH))
}

/// Puts what the lane carried on the account of the session and the group that the request belongs to.
pub(super) fn credit(world: &World, plan: &Plan, rode: &Rode) {
    let Progress { data, messages, .. } = rode.progress;
    let saved = Saved { responses: 1, bytes: data, wakeups: messages };
    if !rode.has_ridden() {
        return;
    }
    if plan.incoming.session != 0 {
        world.pins.credit(plan.incoming.session, saved);
    }
    if let Some(group) = &plan.group {
        world.groups.credit(group.id, saved);
    }
}

// === Ride ===

impl<'r> Ride<'r> {
    pub(super) fn new(
        lane: &'r Lane,
        client: &'r mut Part<kernel::Client>,
        upstream: Part<kernel::Upstream>,
    ) -> Self {
        Self { lane, client, upstream, rode: Rode::default() }
    }

    /// Whether it may be tried again: nothing that lasts speaks against it.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.rode.refusal, None | Some(Refusal::Behind | Refusal::Framing))
    }

    /// Gives the connection its part back.
    pub(super) fn end(self) -> (Part<kernel::Upstream>, Rode) {
        (self.upstream, self.rode)
    }

    /// Goes along until bytes are here that were copied, or the response has ended.
    pub(super) async fn along<F>(&mut self, flow: &mut Flow<'_>, watch: &mut Watch<'_, F>) -> Option<End>
    where
        F: Future<Output = ()>,
    {
        let Self { lane, client, upstream, rode } = self;
        let armed = match arm(lane, client, upstream, flow) {
            Ok(armed) => armed,
            Err(refusal) => {
                rode.refusal = Some(refusal);
                return None;
            }
        };
        let end = match wait(&armed, flow, watch).await {
            end @ (None | Some(End::Complete | End::EndpointCut)) => {
                settle(&armed, flow, watch).await.or(end)
            }
            end => end,
        };
        let progress = armed.progress();
        let standing = armed.standing();
        drop(armed);
        if let Standing::HandedOver(end) = standing {
            make_room(lane, upstream, rode, &end);
        }
        flow.bytes += progress.data;
        flow.messages += progress.messages;
        rode.add(progress);
        end
    }
}

/// Where there was none, the rest is copied as by a router without a lane: a client that is behind needs no speed.
fn make_room(lane: &Lane, upstream: &mut Part<kernel::Upstream>, rode: &mut Rode, end: &HandOver) {
    if end.is_short() {
        lane.pause();
    }
    if end.is_full() {
        rode.refusal = upstream.leave();
    }
}

fn arm<'p>(
    lane: &Lane,
    client: &'p mut Part<kernel::Client>,
    upstream: &'p mut Part<kernel::Upstream>,
    flow: &mut Flow<'_>,
) -> Result<Armed<'p>, Refusal> {
    let framing = flow.body.to_kernel().filter(|_| flow.unsent.is_sent()).ok_or(Refusal::Framing)?;
    let read = flow.upstream.read();
    let client_side = flow.client.socket().ok_or(Refusal::Socket)?;
    // First, so that clients of pods on other nodes stay out of the map.
    let upstream = lane.upstream(upstream, flow.upstream.socket())?;
    upstream.arm(lane.client(client, client_side)?, client_side, read, framing)
}

/// Waits for what the kernel leaves, and keeps it. Bytes may also be here because the order came too late.
async fn wait<F>(armed: &Armed<'_>, flow: &mut Flow<'_>, watch: &mut Watch<'_, F>) -> Option<End>
where
    F: Future<Output = ()>,
{
    let mut seen = 0;
    poll_fn(|cx| {
        // First: an engine whose sending fails because the client has gone closes its connection, and must not be taken for one
        // that broke off. By copy it would be the router's writing that fails.
        if let Some(end) = watch.poll_client(cx) {
            return Poll::Ready(Some(end));
        }
        let worker = flow.worker;
        let mut landing = worker.landing.borrow_mut();
        let mut buffer = ReadBuf::new(&mut landing);
        if let Poll::Ready(read) = Pin::new(&mut *flow.upstream).poll_read(cx, &mut buffer) {
            let bytes = buffer.filled();
            // What the kernel carried was not seen: what came before it is not what the response ends with.
            if let Some(tail) = flow.tail.as_mut().filter(|_| armed.progress().data > 0) {
                tail.forget();
            }
            return Poll::Ready(match take_back(flow, armed, !bytes.is_empty()) {
                Ok(()) => flow.keep(&read, bytes),
                Err(end) => Some(end),
            });
        }
        drop(landing);
        let carried = armed.progress().bytes;
        if carried != seen {
            // When they came is not known: silence counts from when they were seen, which the timer does in time.
            (seen, flow.last_byte) = (carried, Instant::now());
        }
        watch.poll_timer(cx, flow).map(Some)
    })
    .await
}

/// Until the client's socket has all that was redirected to it: what is written earlier would overtake it, and closing would cut it
/// off. At once, but for pods on other nodes.
async fn settle<F>(armed: &Armed<'_>, flow: &Flow<'_>, watch: &mut Watch<'_, F>) -> Option<End>
where
    F: Future<Output = ()>,
{
    let mut pause = Duration::ZERO;
    loop {
        match flow.client.socket().map_or(Settled::Never, |client_side| armed.settled(client_side)) {
            Settled::Yes => return None,
            Settled::Never => return Some(End::Lost),
            Settled::NotYet => {}
        }
        tokio::select! {
            end = poll_fn(|cx| watch.poll(cx, flow)) => return Some(end),
            () = sleep(pause) => pause = Settled::LOOK_AGAIN,
        }
    }
}

/// Goes on from where the kernel stopped.
fn take_back(flow: &mut Flow<'_>, armed: &Armed<'_>, bytes_are_here: bool) -> Result<(), End> {
    let framing = match armed.standing() {
        Standing::Waiting => return Ok(()),
        // The endpoint broke off: the body as it was ordered is not complete, as it was not when it was ordered.
        Standing::Riding(_) if !bytes_are_here => return Ok(()),
        // They went past the programs, which redirect nothing behind them.
        Standing::Riding(_) => armed.framing(),
        Standing::HandedOver(end) if end.is_lossy() => return Err(End::Lost),
        Standing::HandedOver(end) => end.framing,
    };
    flow.body = Body::of_kernel(&framing).ok_or(End::Lost)?;
    Ok(())
}

// === Rode ===

impl Rode {
    /// Whether the connection to the pod has left the lane, for whatever comes on it.
    pub(super) fn has_left(&self) -> bool {
        self.refusal == Some(Refusal::Left)
    }

    /// Whether anything took the lane.
    pub(in crate::path) fn has_ridden(&self) -> bool {
        self.progress.bytes > 0
    }

    fn add(&mut self, more: Progress) {
        let Progress { bytes, chunks, data, messages } = more;
        let all = &mut self.progress;
        *all = Progress {
            bytes: all.bytes + bytes,
            chunks: all.chunks + chunks,
            data: all.data + data,
            messages: all.messages + messages,
        };
    }
}
