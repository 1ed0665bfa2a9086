//! One engine followed: subscribed to, replayed, and its blocks kept.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::{sleep, timeout};
use warmlane_engine::kv_events::{Event, decode};

use crate::{
    Fit, Sink, State, Trouble,
    order::{Order, Step},
    zmtp::{Connection, Kind},
};

/// A message: a step of an engine makes some kilobytes.
const LIMIT: usize = 8 << 20;
/// Nothing of a replay for so long: it is broken off.
const REPLAY: Duration = Duration::from_secs(5);
/// Replays in a row, each of which gets on: sockets drop frames where a reader is slow.
const REPLAYS: usize = 32;
/// Frames of one replay: ten times what engines keep.
const MOST_REPLAYED: usize = 100_000;
const SECOND_TRY: Duration = Duration::from_millis(500);
/// Wait before connecting again: doubled each time that nothing was heard.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// After so long without a frame, connections are opened anew.
const QUIET: Duration = Duration::from_secs(30);
/// A set that does not add up is asked for anew, but not more often than this: an engine that has it wrong has it wrong again.
const MEND: Duration = Duration::from_secs(60);
/// The number behind a replay's last frame.
const END: u64 = u64::MAX;

/// See the module's header.
#[derive(Debug)]
pub struct Follower<S> {
    address: String,
    replay: String,
    sink: S,
    order: Order,
    /// All blocks are known.
    whole: bool,
    /// What the log was told of that.
    settled: Option<bool>,
    /// The log was told that there are no replays.
    unreplayed: bool,
    state: State,
    mended: Option<tokio::time::Instant>,
}

impl<S: Sink> Follower<S> {
    /// Follows the engine that publishes at `host:port`, and replays at the port behind it.
    pub fn new(address: String, sink: S) -> Self {
        let replay = next_port(&address);
        Self {
            address,
            replay,
            sink,
            order: Order::default(),
            whole: false,
            settled: None,
            unreplayed: false,
            state: State::default(),
            mended: None,
        }
    }

    /// Follows for as long as it is polled.
    pub async fn run(mut self) {
        let mut wait = SHORTEST_WAIT;
        loop {
            let trouble = match self.follow(&mut wait).await {
                Ok(never) => match never {},
                Err(trouble) => trouble,
            };
            self.lose(&trouble);
            // Many agents lose their engines at one moment where an image is rolled out.
            sleep(wait.mul_f64(0.5 + fastrand::f64())).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    async fn follow(&mut self, wait: &mut Duration) -> Result<std::convert::Infallible, Trouble> {
        loop {
            let mut live = Connection::open(&self.address, Kind::Sub, LIMIT).await?;
            live.subscribe().await?;
            // What is published meanwhile waits in the connection, and comes again.
            self.catch_up().await?;
            *wait = SHORTEST_WAIT;
            // A connection whose other end is gone is as quiet as an engine that does nothing: both are opened again.
            while let Ok(message) = timeout(QUIET, live.next()).await {
                let (seq, payload) = frame(message?, 3)?;
                self.hear(seq, &payload).await?;
            }
        }
    }

    async fn hear(&mut self, seq: u64, payload: &[u8]) -> Result<(), Trouble> {
        match self.order.published(seq, payload) {
            Step::Skip => return Ok(()),
            Step::Replay => return self.catch_up().await,
            Step::Anew { .. } => {
                self.forget();
                self.take(seq, payload);
            }
            Step::Take => {
                let was_whole = self.whole;
                if self.take(seq, payload) == Fit::Behind && was_whole {
                    return self.doubt().await;
                }
            }
        }
        self.tell();
        Ok(())
    }

    /// Replays what was missed; all there is where the engine is another process.
    async fn catch_up(&mut self) -> Result<(), Trouble> {
        for _ in 0..REPLAYS {
            if self.replay().await? != Step::Replay {
                self.settle();
                return Ok(());
            }
            if self.order.is_new() {
                tracing::info!(engine = self.address, "its KV events are another process's: starting anew");
                self.forget();
            }
        }
        Err(Trouble::Endless)
    }

    async fn replay(&mut self) -> Result<Step, Trouble> {
        let Some(mut asked) = self.open_replay().await? else { return Ok(Step::Skip) };
        // Of an engine that has published nothing yet, all is known.
        self.whole |= self.order.is_new();
        let from = self.order.begin_replay();
        asked.send(&[b"", &from.to_be_bytes()]).await?;
        for _ in 0..MOST_REPLAYED {
            let Ok(message) = timeout(REPLAY, asked.next()).await else {
                return match self.order.break_replay() {
                    Step::Replay => Ok(Step::Replay),
                    _ => Err(Trouble::Slow(REPLAY)),
                };
            };
            let (seq, payload) = frame(message?, 2)?;
            if seq == END {
                return Ok(self.order.end_replay());
            }
            match self.order.replayed(seq, &payload) {
                Step::Take => drop(self.take(seq, &payload)),
                Step::Skip => {}
                Step::Replay => return Ok(Step::Replay),
                Step::Anew { whole } => {
                    self.forget();
                    self.whole = whole;
                    self.take(seq, &payload);
                }
            }
        }
        Err(Trouble::Endless)
    }

    /// `None` where the engine replays nothing: then it is followed from where it is.
    async fn open_replay(&mut self) -> Result<Option<Connection>, Trouble> {
        let refused = |trouble: &Trouble| matches!(trouble, Trouble::Broken(error) if error.kind() == std::io::ErrorKind::ConnectionRefused);
        let mut opened = Connection::open(&self.replay, Kind::Dealer, LIMIT).await;
        if opened.as_ref().is_err_and(refused) {
            // An engine that starts has one of its two sockets before the other.
            sleep(SECOND_TRY).await;
            opened = Connection::open(&self.replay, Kind::Dealer, LIMIT).await;
        }
        match opened {
            Err(trouble) if refused(&trouble) => {
                if !std::mem::replace(&mut self.unreplayed, true) {
                    tracing::warn!(
                        engine = self.address,
                        replay = self.replay,
                        "it replays no KV events: what it holds already stays unknown. Does its --kv-events-config name \
                         a replay_endpoint at this port?"
                    );
                }
                self.order.without_replay();
                self.forget();
                Ok(None)
            }
            opened => opened.map(Some),
        }
    }

    /// Takes a frame's events in.
    fn take(&mut self, seq: u64, payload: &[u8]) -> Fit {
        let batch = match decode(payload) {
            Ok(batch) => batch,
            Err(error) => {
                // What it stored or removed is lost: what was held may be gone.
                if self.whole {
                    tracing::warn!(
                        engine = self.address,
                        seq,
                        "a frame of its KV events cannot be read: {error}. Its blocks are forgotten"
                    );
                }
                self.forget();
                return Fit::Partly;
            }
        };
        let mut worst = Fit::Whole;
        for event in &batch.events {
            match self.sink.take(event) {
                // Now all is known again: nothing.
                Fit::Whole if *event == Event::Cleared => (self.whole, worst) = (true, Fit::Whole),
                Fit::Whole => {}
                fit => (self.whole, worst) = (false, fit),
            }
        }
        worst
    }

    /// Blocks came that follow from nothing known, although all was.
    async fn doubt(&mut self) -> Result<(), Trouble> {
        let now = tokio::time::Instant::now();
        if self.mended.is_some_and(|mended| now < mended + MEND) {
            self.tell();
            return Ok(());
        }
        self.mended = Some(now);
        tracing::warn!(engine = self.address, "its KV events do not add up: asking for all of them again");
        self.order.forget();
        self.forget();
        self.catch_up().await
    }

    fn forget(&mut self) {
        self.whole = false;
        self.sink.clear();
        if matches!(self.state, State::Known { .. }) {
            self.tell();
        }
    }

    fn tell(&mut self) {
        self.stands(State::Known { whole: self.whole });
    }

    /// The same after a replay, for the log too.
    fn settle(&mut self) {
        let is_news = self.settled != Some(self.whole) || matches!(self.state, State::Lost { .. });
        match self.whole {
            _ if !is_news => {}
            true => tracing::info!(engine = self.address, "all its KV blocks are known"),
            false => tracing::info!(
                engine = self.address,
                "its KV blocks are known in part: those that it stored too long ago stay unknown until it stores them again"
            ),
        }
        self.settled = Some(self.whole);
        self.tell();
    }

    fn stands(&mut self, state: State) {
        if self.state != state {
            self.sink.stands(&state);
            self.state = state;
        }
    }

    fn lose(&mut self, trouble: &Trouble) {
        let why: Arc<str> = trouble.to_string().into();
        if !matches!(&self.state, State::Lost { why: before } if *before == why) {
            tracing::warn!(engine = self.address, "its KV events cannot be followed: {why}");
        }
        self.stands(State::Lost { why });
    }
}

/// Number and payload of a message that ends with them.
fn frame(mut parts: Vec<Bytes>, least: usize) -> Result<(u64, Bytes), Trouble> {
    let count = parts.len();
    let number = |bytes: Bytes| bytes.as_ref().try_into().map(u64::from_be_bytes).ok();
    let payload = parts.pop().filter(|_| count >= least);
    let seq = parts.pop().and_then(number);
    seq.zip(payload).ok_or(Trouble::Parts(count))
}

/// Where an engine replays: the port behind the one it publishes at.
fn next_port(address: &str) -> String {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "0"));
    format!("{host}:{}", port.parse().unwrap_or(0_u16).saturating_add(1))
}

#[cfg(test)]
mod tests;
