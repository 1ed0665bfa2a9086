//! One engine followed: subscribed to, replayed, and its blocks kept.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::{sleep, timeout};
use warmlane_engine::kv_events::{Event, MAX_PAYLOAD, decode};

use crate::{
    Trouble,
    order::{Order, Step},
    zmtp::{Connection, Kind},
};

/// A message: the payload, its number, its topic, and a little.
const LIMIT: usize = MAX_PAYLOAD + 4096;
/// Nothing of a replay for so long: it is given up.
const REPLAY: Duration = Duration::from_secs(10);
/// Wait before connecting again: doubled each time that nothing was heard.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// After so long without a frame, the last one is asked for again: a connection whose other end is gone says nothing either.
const QUIET: Duration = Duration::from_secs(30);
/// A set that does not add up is asked for anew, but not more often than this: an engine that has it wrong has it wrong again.
const MEND: Duration = Duration::from_secs(60);
/// The number behind a replay's last frame.
const END: u64 = u64::MAX;

/// Who keeps the blocks. Called by one task, in order.
pub trait Sink: Send + Sync + 'static {
    /// Takes an event in; false where its blocks do not follow from what is known.
    fn take(&self, event: &Event) -> bool;

    /// Forgets everything.
    fn clear(&self);

    /// How it stands with the engine.
    fn stands(&self, state: &State);
}

/// How it stands with an engine's events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing has been heard.
    #[default]
    Unheard,
    /// Its blocks are known.
    Known {
        /// All of them: those of its first frames, too.
        whole: bool,
    },
    /// It is not followed for the moment; what is known grows old.
    Lost {
        /// Why.
        why: Arc<str>,
    },
}

/// See the module's header.
#[derive(Debug)]
pub struct Follower<S> {
    address: String,
    replay: String,
    sink: S,
    order: Order,
    whole: bool,
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
        let mut live = Connection::open(&self.address, Kind::Sub, LIMIT).await?;
        live.subscribe().await?;
        // What is published meanwhile waits in the connection, and comes again.
        self.catch_up().await?;
        *wait = SHORTEST_WAIT;
        loop {
            let Ok(message) = timeout(QUIET, live.next()).await else {
                self.catch_up().await?;
                continue;
            };
            let (seq, payload) = frame(message?, 3)?;
            match self.order.published(seq, &payload) {
                Step::Take if !self.take(seq, &payload) && self.whole => self.doubt(),
                Step::Take | Step::Skip => {}
                Step::Anew { .. } | Step::Replay => {
                    tracing::debug!(
                        engine = self.address,
                        seq,
                        "KV events were missed: asking for them again"
                    );
                    self.catch_up().await?;
                }
            }
        }
    }

    /// Replays what was missed; all there is where the engine is another process.
    async fn catch_up(&mut self) -> Result<(), Trouble> {
        while self.replay().await? == Step::Replay {
            tracing::info!(engine = self.address, "its KV events are another process's: starting anew");
            self.sink.clear();
        }
        self.stands(State::Known { whole: self.whole });
        Ok(())
    }

    async fn replay(&mut self) -> Result<Step, Trouble> {
        let mut asked = Connection::open(&self.replay, Kind::Dealer, LIMIT).await?;
        // Of an engine that has published nothing yet, all is known.
        self.whole |= self.order.is_new();
        let from = self.order.begin_replay();
        asked.send(&[b"", &from.to_be_bytes()]).await?;
        loop {
            let message = timeout(REPLAY, asked.next()).await.map_err(|_| Trouble::Slow(REPLAY))??;
            let (seq, payload) = frame(message, 2)?;
            if seq == END {
                return Ok(self.order.end_replay());
            }
            match self.order.replayed(seq, &payload) {
                Step::Take => self.whole &= self.take(seq, &payload),
                Step::Skip => {}
                Step::Replay => return Ok(Step::Replay),
                Step::Anew { whole } => {
                    self.sink.clear();
                    self.whole = self.take(seq, &payload) && whole;
                }
            }
        }
    }

    /// Takes a frame's events in; false where they do not follow from what is known.
    fn take(&mut self, seq: u64, payload: &[u8]) -> bool {
        match decode(payload) {
            Ok(batch) => {
                let mut fits = true;
                batch.events.iter().for_each(|event| fits &= self.sink.take(event));
                fits
            }
            Err(error) => {
                // What it stored or removed is lost: what was held may be gone.
                if std::mem::take(&mut self.whole) {
                    tracing::warn!(
                        engine = self.address,
                        seq,
                        "a frame of its KV events cannot be read: {error}. Its blocks are forgotten"
                    );
                }
                self.sink.clear();
                false
            }
        }
    }

    /// Blocks came that follow from nothing known, although all was.
    fn doubt(&mut self) {
        let now = tokio::time::Instant::now();
        if self.mended.is_some_and(|mended| now < mended + MEND) {
            self.whole = false;
            return self.stands(State::Known { whole: false });
        }
        self.mended = Some(now);
        tracing::warn!(engine = self.address, "its KV events do not add up: asking for all of them again");
        self.order.forget();
    }

    fn stands(&mut self, state: State) {
        if self.state == state {
            return;
        }
        match &state {
            State::Unheard => {}
            State::Known { whole: true } => {
                tracing::info!(engine = self.address, "all its KV blocks are known");
            }
            State::Known { whole: false } => tracing::info!(
                engine = self.address,
                "its KV blocks are known in part: older ones become known as prompts come again"
            ),
            State::Lost { why } => {
                tracing::warn!(engine = self.address, "its KV events cannot be followed: {why}");
            }
        }
        self.sink.stands(&state);
        self.state = state;
    }

    fn lose(&mut self, trouble: &Trouble) {
        self.stands(State::Lost { why: trouble.to_string().into() });
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
