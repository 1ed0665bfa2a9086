//! The copy of one response: bytes from the endpoint's socket to the client's, in one task and one step.

use std::{
    future::poll_fn,
    io, mem,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};
use warmlane_engine::sse::payload::begins_with_failure;
use warmlane_picker::Slot;

use super::{ride::Ride, watch::Watch};
use crate::{
    front::{Alarm, WriteHalf},
    http1::{Body, FramingError},
    ledger::InFlight,
    path::connect::Unsent,
    session,
    tail::Copied,
    upstream::Connection,
    worker::Worker,
};

/// Between two messages of a stream that may take the kernel lane, on average. Copying costs by the reading, the lane by the message:
/// an endpoint that sends faster has many messages in each reading, and is copied for less.
const PACE: Duration = Duration::from_millis(1);

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::path) enum End {
    /// All of it was passed on.
    Complete,
    /// All of it was passed on; it ends with the engine's word that it failed.
    GaveUp,
    /// The endpoint broke off.
    EndpointCut,
    /// The endpoint fell silent for longer than the idle timeout.
    Silent,
    /// The request timeout passed.
    Timeout,
    /// The client went away.
    ClientGone,
    /// Bytes that took the kernel lane did not reach the client, or others came between.
    Lost,
}

/// What a copy came to.
enum Step {
    End(End),
    /// All that was here has gone on, and the endpoint has sent no more.
    Calm,
}

/// The two sides of a response and what is between them.
pub(super) struct Flow<'r> {
    pub(super) worker: &'r Worker,
    pub(super) client: WriteHalf<'r>,
    pub(super) upstream: &'r mut Connection,
    /// What the endpoint has not taken of the request although it answers already.
    pub(super) unsent: &'r mut Unsent,
    pub(super) body: Body,
    /// Bytes the client has not taken yet, from `written` on.
    pub(super) pending: &'r mut Vec<u8>,
    pub(super) written: usize,
    /// Nothing of what the client's transport has taken waits inside it.
    pub(super) flushed: bool,
    /// An HTTP/1.0 client cannot read chunks.
    pub(super) unchunk: bool,
    pub(super) bytes: u64,
    pub(super) last_byte: Instant,
    pub(super) in_flight: &'r mut InFlight,
    /// When the first payload came. A head alone says nothing: engines send it before they compute.
    pub(super) first_byte: Option<Instant>,
    /// The response's own id is to be found in its first bytes, and remembered for this endpoint.
    pub(super) begins_session: Option<Slot>,
    /// The body is a stream of events: one of them may tell that the engine failed.
    pub(super) is_events: bool,
    /// One did.
    pub(super) gave_up: bool,
    /// Its end, where somebody will be told of it.
    pub(super) tail: Option<Copied>,
    /// The endpoint sent something behind the body's end.
    pub(super) surplus: bool,
    /// Bytes have come since the kernel lane was last offered.
    pub(super) fresh: bool,
    /// Pieces of payload that were copied, and messages that took the lane.
    pub(super) messages: u64,
}

// === End ===

impl End {
    /// Whether the client got a whole response.
    pub(in crate::path) fn is_whole(self) -> bool {
        matches!(self, Self::Complete | Self::GaveUp)
    }
}

// === Flow ===

impl Flow<'_> {
    /// Copies to the end, but for what takes the kernel lane. Wakes for bytes, for room at the client, for its going away, and for the timer.
    pub(super) async fn run(
        &mut self,
        client_gone: impl Future<Output = ()>,
        alarm: &mut Alarm,
        deadline: Instant,
        ride: &mut Option<Ride<'_>>,
    ) -> End {
        let client_gone = pin!(client_gone);
        let mut watch = Watch::new(client_gone, alarm, deadline, self);
        loop {
            let step = poll_fn(|cx| match self.pump(cx, ride.as_ref().is_some_and(Ride::is_open)) {
                Poll::Ready(step) => Poll::Ready(step),
                Poll::Pending => watch.poll(cx, self).map(Step::End),
            });
            let end = match (step.await, &mut *ride) {
                (Step::End(end), _) => Some(end),
                (Step::Calm, Some(ride)) if self.is_paced() => ride.along(self, &mut watch).await,
                (Step::Calm, _) => None,
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// Moves bytes until a side would have to wait. `rides`: calm is told of, once behind each that came.
    fn pump(&mut self, cx: &mut Context<'_>, rides: bool) -> Poll<Step> {
        self.unsent.pump(cx, self.upstream.socket());
        loop {
            if ready!(self.poll_flush(cx)).is_err() {
                return Poll::Ready(Step::End(End::ClientGone));
            }
            if self.body.is_done() {
                return Poll::Ready(Step::End(End::Complete));
            }
            let worker = self.worker;
            let mut landing = worker.landing.borrow_mut();
            let mut buffer = ReadBuf::new(&mut landing);
            match Pin::new(&mut *self.upstream).poll_read(cx, &mut buffer) {
                Poll::Pending if rides && mem::take(&mut self.fresh) => return Poll::Ready(Step::Calm),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(read) => {
                    if let Some(end) = self.pass(cx, &read, buffer.filled()) {
                        return Poll::Ready(Step::End(end));
                    }
                }
            }
        }
    }

    /// Passes on what was read from the endpoint; tells where the response ends with it, or breaks off.
    pub(super) fn pass(&mut self, cx: &mut Context<'_>, read: &io::Result<()>, bytes: &[u8]) -> Option<End> {
        match self.take(read, bytes) {
            Ok(taken) => self.forward(cx, taken).is_err().then_some(End::ClientGone),
            Err(end) => Some(end),
        }
    }

    /// The same, for when the client may be written to again.
    pub(super) fn keep(&mut self, read: &io::Result<()>, bytes: &[u8]) -> Option<End> {
        match self.take(read, bytes) {
            Ok(taken) => {
                self.pending.extend_from_slice(taken);
                None
            }
            Err(end) => Some(end),
        }
    }

    fn take<'b>(&mut self, read: &io::Result<()>, bytes: &'b [u8]) -> Result<&'b [u8], End> {
        if read.is_err() {
            return Err(End::EndpointCut);
        }
        if bytes.is_empty() {
            return Err(if self.body.closed().is_ok() { End::Complete } else { End::EndpointCut });
        }
        (self.last_byte, self.fresh) = (Instant::now(), true);
        self.account(bytes).map_err(|_| End::EndpointCut)
    }

    /// Whether the endpoint lets so much time pass between its messages that each would wake the router.
    fn is_paced(&self) -> bool {
        let gaps = u32::try_from(self.messages).unwrap_or(u32::MAX).saturating_sub(1);
        let streamed = self.first_byte.map_or(Duration::ZERO, |first| self.last_byte - first);
        gaps > 0 && streamed >= PACE.saturating_mul(gaps)
    }

    /// Follows the body through bytes from the endpoint; returns those that go on as they are.
    pub(super) fn account<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8], FramingError> {
        let mut at = 0;
        while at < bytes.len() && !self.body.is_done() {
            let step = self.body.advance(&bytes[at..])?;
            self.bytes += step.payload.len() as u64;
            self.messages += u64::from(!step.payload.is_empty());
            if self.first_byte.is_none() && !step.payload.is_empty() {
                self.begin(step.payload);
            }
            if self.is_events && begins_with_failure(step.payload) {
                self.gave_up = true;
            }
            if let Some(tail) = &mut self.tail {
                tail.push(step.payload);
            }
            if self.unchunk {
                self.pending.extend_from_slice(step.payload);
            }
            at += step.consumed;
        }
        self.surplus |= at < bytes.len();
        Ok(if self.unchunk { &[] } else { &bytes[..at] })
    }

    /// The first payload came: the prompt is computed.
    fn begin(&mut self, payload: &[u8]) {
        self.first_byte = Some(self.last_byte);
        self.in_flight.prefilled();
        if let Some(slot) = self.begins_session {
            session::remember(&self.worker.world, payload, slot);
        }
    }

    /// Writes what the client takes at once and keeps the rest. Nothing is pending when this is called, but
    /// for an HTTP/1.0 client, whose payload is already there.
    fn forward(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.flushed = false;
        let taken = match Pin::new(&mut self.client).poll_write(cx, bytes) {
            Poll::Pending => 0,
            Poll::Ready(written) => written?,
        };
        self.pending.extend_from_slice(&bytes[taken..]);
        Ok(())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.pending.len() {
            self.flushed = false;
            match ready!(Pin::new(&mut self.client).poll_write(cx, &self.pending[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.written += n,
            }
        }
        self.pending.clear();
        self.written = 0;
        if !self.flushed {
            ready!(Pin::new(&mut self.client).poll_flush(cx))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }
}
