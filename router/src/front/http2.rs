//! HTTP/2 connections: hyper speaks the protocol, each stream becomes one HTTP/1.1 request on the common path.
//!
//! So there is one parser that says what a request is, and one path that serves it; a stream costs a bridge more
//! (`transport/bridge.rs`). Trailers are dropped in both directions, `Expect` is not answered.
//!
//! Bounds per connection: streams by setting, each with a place under the process-wide limit of connections; header
//! lists by setting; [`CONNECTION_WINDOW`] bytes of requests that are not read yet; per stream [`SEND_BUFFER`] and
//! what a request holds everywhere. Acknowledgements of pings and settings wait for the client to read the last one.

use std::{
    cell::RefCell,
    error::Error as _,
    io::Cursor,
    pin::{Pin, pin},
    rc::Rc,
    time::Duration,
};

use h2::Reason;
use hyper::{rt::Executor, server::conn::http2, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulConnection,
};
use tokio::{
    io::{AsyncReadExt, join, split},
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{Front, Transport, note_panic};
use crate::{metrics::Listener, seldom::Seldom};

mod exchange;
mod request;
mod streams;

pub(crate) use streams::{Open, Streams};

/// What a client sends first when it knows that HTTP/2 is spoken (RFC 9113, 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of one request's body that may come before they are read on.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for all of a connection's requests together.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of one response that wait for the client's window.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams that the client resets before they are looked at; one more ends the connection.
const RESET_UNSEEN: usize = 20;
/// Streams that break the protocol; one more ends the connection.
const BROKEN: usize = 64;
/// How often a silent client is asked whether it is there, and how long it may take to answer.
pub(crate) const PING_INTERVAL: Duration = Duration::from_secs(30);
pub(crate) const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a client may take to close its side once it has been told to go and no stream is open: a request that it sent
/// before it knew must not be lost on its way.
const FAREWELL: Duration = Duration::from_secs(1);
/// The same while the process drains, for one that has not been used for longer than that: as little is on its way as on
/// an idle connection of HTTP/1.1, which is closed at once.
const BRIEF_FAREWELL: Duration = Duration::from_millis(50);
/// How often a connection is looked at, at most.
const SHORTEST_LOOK: Duration = Duration::from_millis(10);

/// A connection's tasks: up to two for each open stream. They end with it.
#[derive(Clone, Default)]
pub struct Tasks(Rc<RefCell<JoinSet<()>>>);

/// A client was told to go.
#[derive(Clone, Copy)]
struct Told {
    at: Instant,
    /// How long it may take once no stream is open.
    patience: Duration,
}

/// What becomes of a connection that is looked at.
enum Verdict {
    /// Nothing until then.
    Wait(Instant),
    /// It is told to go; open streams end.
    Leave,
    /// It is closed.
    Cut,
}

/// Serves one connection to its end. `read` is what has been read of it.
pub(super) async fn serve(front: &Rc<Front>, transport: Transport, read: Vec<u8>, listener: Listener) {
    let tasks = Tasks::default();
    drive(front, &tasks, transport, read, listener).await;
    // The connection is gone, and with it their clients: they only settle what was under way.
    tasks.finish().await;
}

async fn drive(front: &Rc<Front>, tasks: &Tasks, transport: Transport, read: Vec<u8>, listener: Listener) {
    let streams = Rc::new(Streams::new(Instant::now()));
    let service = service_fn(|request| {
        exchange::begin(front.clone(), tasks.clone(), streams.clone(), listener, request)
    });
    let (reader, writer) = split(transport);
    let io = TokioIo::new(join(Cursor::new(read).chain(reader), writer));
    keep(front, listener, pin!(builder(front, tasks).serve_connection(io, service)), &streams).await;
}

/// Connections of gateways that end by an error.
static GATEWAYS: Seldom = Seldom::new();

/// Keeps a connection until it ends, idles for too long, floods, or the process drains.
pub(crate) async fn keep<C>(front: &Front, listener: Listener, mut connection: Pin<&mut C>, streams: &Streams)
where
    C: GracefulConnection<Error = hyper::Error>,
{
    let idle = front.worker.config.timeouts.client_idle;
    let mut draining = front.worker.draining.subscribe();
    let mut drain = pin!(draining.wait_for(|draining| *draining));
    let mut look = pin!(sleep_until(Instant::now() + idle));
    let mut told_to_go = None;
    loop {
        let patience = tokio::select! {
            biased;
            ended = connection.as_mut() => return note_end(front, listener, ended),
            () = streams.flooded() => return front.worker.metrics.flooded(listener),
            _ = &mut drain, if told_to_go.is_none() => farewell(streams, Instant::now()),
            () = &mut look => {
                match judge(streams, Instant::now(), idle, told_to_go) {
                    Verdict::Cut => return,
                    Verdict::Leave => FAREWELL,
                    Verdict::Wait(until) => {
                        look.as_mut().reset(until);
                        continue;
                    }
                }
            }
        };
        told_to_go = Some(Told { at: Instant::now(), patience });
        connection.as_mut().graceful_shutdown();
        look.as_mut().reset(Instant::now() + patience);
    }
}

/// How long a client that a drain sends away may take.
fn farewell(streams: &Streams, now: Instant) -> Duration {
    if streams.quiet_since(now) + FAREWELL < now { BRIEF_FAREWELL } else { FAREWELL }
}

/// Whether the connection has been idle for too long, or unread, or told to go and done.
fn judge(streams: &Streams, now: Instant, idle: Duration, told_to_go: Option<Told>) -> Verdict {
    let stalled = streams.stalled_since();
    let until = match (stalled, told_to_go) {
        (Some(since), _) => since + idle,
        (None, Some(told)) => streams.quiet_since(now).max(told.at) + told.patience,
        (None, None) => streams.quiet_since(now) + idle,
    };
    if now >= until {
        // A client that has not read for so long is as silent as one that has not asked.
        return if stalled.is_some() || told_to_go.is_some() { Verdict::Cut } else { Verdict::Leave };
    }
    // While leaving, the last stream may end at any moment, and then the farewell begins.
    let next = if told_to_go.is_some() { until.min(now + FAREWELL) } else { until };
    Verdict::Wait(next.max(now + SHORTEST_LOOK))
}

/// The protocol's limits: see the module's header.
fn builder(front: &Front, tasks: &Tasks) -> http2::Builder<Tasks> {
    let limits = &front.worker.config.limits;
    let mut builder = http2::Builder::new(tasks.clone());
    builder
        .max_concurrent_streams(limits.streams)
        .max_header_list_size(u32::try_from(limits.head).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(RESET_UNSEEN)
        .max_local_error_reset_streams(BROKEN)
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

fn note_end(front: &Front, listener: Listener, ended: hyper::Result<()>) {
    let Err(error) = ended else { return };
    tracing::debug!(%error, "HTTP/2 connection ended by an error");
    let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    if listener == Listener::ExtProc
        && let Some(error) = cause.filter(|cause| cause.is_library())
        && let Some(not_logged) = GATEWAYS.is_due()
    {
        tracing::warn!(%error, not_logged, "a gateway's connection ended by an error: does it speak TLS, or HTTP/1.1, to a port for gRPC?");
    }
    if cause.is_some_and(|cause| cause.is_library() && cause.reason() == Some(Reason::ENHANCE_YOUR_CALM)) {
        front.worker.metrics.flooded(listener);
    }
}

// === Tasks ===

impl Tasks {
    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let mut tasks = self.0.borrow_mut();
        while let Some(ended) = tasks.try_join_next() {
            note_panic(ended);
        }
        tasks.spawn_local(task);
    }

    /// Lets them end.
    pub(crate) async fn finish(&self) {
        // One that has not run yet may begin another.
        while !self.0.borrow().is_empty() {
            let mut tasks = self.0.take();
            while let Some(ended) = tasks.join_next().await {
                note_panic(ended);
            }
        }
    }
}

impl<F: Future<Output = ()> + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        self.spawn(task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_is_brief_with_a_connection_that_nobody_has_used_for_long() {
        let start = Instant::now();
        let streams = Rc::new(Streams::new(start));
        assert_eq!(farewell(&streams, start + FAREWELL / 2), FAREWELL, "a request may be on its way");
        let late = start + 2 * FAREWELL;
        assert_eq!(farewell(&streams, late), BRIEF_FAREWELL);
        let _open = streams.open();
        assert_eq!(farewell(&streams, late), FAREWELL, "it is in use");
    }
}
