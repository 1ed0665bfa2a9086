//! What ends a response whatever its endpoint sends: its client's going away, and time.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::Instant;

use super::flow::{End, Flow};
use crate::front::Alarm;

/// Silence after which a stream ends if its endpoint is down for the router's own readings too: engines that are
/// terminated may leave their streams open without another byte.
pub(crate) const STUCK: Duration = Duration::from_secs(15);

/// See the module's header.
pub(super) struct Watch<'a, F> {
    client_gone: Pin<&'a mut F>,
    timer: Timer<'a>,
}

/// When a response has waited for too long.
struct Timer<'a> {
    alarm: &'a mut Alarm,
    /// When to look next.
    at: Instant,
    deadline: Instant,
    idle: Duration,
}

// === Watch ===

impl<'a, F: Future<Output = ()>> Watch<'a, F> {
    pub(super) fn new(
        client_gone: Pin<&'a mut F>,
        alarm: &'a mut Alarm,
        deadline: Instant,
        flow: &Flow<'_>,
    ) -> Self {
        let idle = flow.worker.config.timeouts.stream_idle;
        let at = deadline.min(flow.last_byte + idle.min(STUCK));
        Self { client_gone, timer: Timer { alarm, at, deadline, idle } }
    }

    /// Whether the client has gone, or the response has waited for too long.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, flow: &Flow<'_>) -> Poll<End> {
        self.poll_client(cx).map_or_else(|| self.poll_timer(cx, flow), Poll::Ready)
    }

    /// Whether the client has gone. Not to be asked again once it has.
    pub(super) fn poll_client(&mut self, cx: &mut Context<'_>) -> Option<End> {
        self.client_gone.as_mut().poll(cx).is_ready().then_some(End::ClientGone)
    }

    /// Whether the response has waited for too long.
    pub(super) fn poll_timer(&mut self, cx: &mut Context<'_>, flow: &Flow<'_>) -> Poll<End> {
        self.timer.poll(cx, flow)
    }
}

// === Timer ===

impl Timer<'_> {
    /// It is moved when it fires, not with each byte: moving it costs more than a byte does.
    fn poll(&mut self, cx: &mut Context<'_>, flow: &Flow<'_>) -> Poll<End> {
        let Self { alarm, at, deadline, idle } = self;
        loop {
            ready!(alarm.poll_at(cx, *at));
            let now = Instant::now();
            if now >= *deadline {
                return Poll::Ready(End::Timeout);
            }
            // Neither a client that does not read nor a prompt being computed is silence in a stream.
            let waits_for_endpoint = flow.pending.is_empty() && flow.flushed && flow.first_byte.is_some();
            let silent = if waits_for_endpoint { now - flow.last_byte } else { Duration::ZERO };
            let stuck = || silent >= STUCK && flow.worker.world.is_down(flow.in_flight.slot());
            if waits_for_endpoint && (silent >= *idle || stuck()) {
                return Poll::Ready(End::Silent);
            }
            *at = (*deadline).min(now + idle.saturating_sub(silent).min(STUCK));
        }
    }
}
