//! One prompt of which tokens are made.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use tokio::sync::watch;
use warmlane_engine::{body::Api, kv_events};
use warmlane_picker::{Chain, Time};
use warmlane_tokens::{Tokenizer, Tokens, Unresolved, given};

use super::{
    engine::{self, Engines},
    known::Known,
};
use crate::metrics::TokenMetrics;

/// See the module's header.
pub(super) struct Job {
    pub(super) api: Api,
    pub(super) body: Vec<u8>,
    /// Of its text.
    pub(super) links: Box<[u64]>,
    pub(super) maker: Maker,
    pub(super) adapter: Option<String>,
    pub(super) salt: Option<String>,
    /// Tokens in a block.
    pub(super) block_size: u32,
    /// Bytes of text in a block.
    pub(super) block_bytes: u32,
    pub(super) now: Time,
    pub(super) place: Place,
    /// Dropped last, after the place: who waits finds what was remembered.
    pub(super) _done: watch::Sender<()>,
}

/// Who makes tokens of a prompt.
pub(super) enum Maker {
    /// Nobody: it is tokens already.
    Given,
    /// A tokenizer of our own.
    Local(Arc<Tokenizer>),
    /// An engine, for a model that it serves.
    Engine(SocketAddr, String),
}

/// A place among those that wait, given back when dropped.
pub(super) struct Place {
    pending: Arc<Mutex<Pending>>,
    bytes: Arc<AtomicUsize>,
    last: u64,
    held: AtomicUsize,
}

type Pending = HashMap<u64, watch::Receiver<()>>;

// === Maker ===

impl Maker {
    /// Whether it works at once, without asking anybody.
    pub(super) fn is_near(&self) -> bool {
        match self {
            Self::Given | Self::Local(_) => true,
            Self::Engine(..) => false,
        }
    }
}

// === Job ===

impl Job {
    /// Makes tokens of the prompt and remembers them.
    pub(super) fn run(self, engines: Option<&mut Engines>, known: &Known, metrics: &TokenMetrics) {
        let begun = Instant::now();
        match self.make(engines, known) {
            Ok(()) => metrics.made(begun.elapsed()),
            Err((why, reason)) => {
                tracing::debug!("tokens of a prompt are not known: {why}");
                metrics.failed(reason);
            }
        }
    }

    fn make(&self, engines: Option<&mut Engines>, known: &Known) -> Result<(), (String, &'static str)> {
        let told = |why: Unresolved| (why.to_string(), why.reason());
        let tokens = match &self.maker {
            Maker::Given => given(&self.body, self.block_bytes).map_err(told)?,
            Maker::Local(tokenizer) => {
                tokenizer.prompt(self.api, &self.body, self.block_bytes).map_err(told)?
            }
            Maker::Engine(at, model) => {
                let Some(engines) = engines else { return Ok(()) };
                let ids = engines
                    .tokens(*at, model, self.api, &self.body)
                    .map_err(|why| (why.to_string(), why.reason()))?;
                let all = Chain::depth(self.links.len());
                self.remember(&ids, |text| engine::settled(ids.len(), text, all), known);
                return Ok(());
            }
        };
        self.remember(&tokens.ids, |text| self.settled(&tokens, text), known);
        Ok(())
    }

    /// How many tokens so many blocks of text settle. By all of them all are but for the last block's worth of text, which
    /// is not known, unless something is in the request that is not in its text.
    fn settled(&self, tokens: &Tokens, text: usize) -> usize {
        let settled = tokens.blocks.partition_point(|needed| *needed as usize <= text);
        let is_all = text >= Chain::depth(self.links.len());
        if is_all && settled > 0 {
            settled.max(tokens.ids.len().saturating_sub(self.block_bytes as usize))
        } else {
            settled
        }
    }

    /// `settled` says how many tokens so many blocks of text settle.
    fn remember(&self, ids: &[u32], settled: impl Fn(usize) -> usize, known: &Known) {
        let size = self.block_size as usize;
        let root = kv_events::root(self.adapter.as_deref(), self.salt.as_deref());
        let blocks = kv_events::chained(root, ids, size);
        let settled = |links| settled(Chain::depth(links)) / size;
        known.remember(&self.links, &blocks, self.block_size, settled, self.now);
    }
}

// === Place ===

impl Place {
    /// Takes one for the text that ends with this link.
    pub(super) fn taken(
        pending: &Arc<Mutex<Pending>>,
        bytes: &Arc<AtomicUsize>,
        last: u64,
        done: watch::Receiver<()>,
    ) -> Self {
        pending.lock().unwrap_or_else(PoisonError::into_inner).insert(last, done);
        Self { pending: pending.clone(), bytes: bytes.clone(), last, held: AtomicUsize::new(0) }
    }

    /// So many bytes wait with it.
    pub(super) fn holds(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Relaxed);
        self.held.store(bytes, Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.bytes.fetch_sub(self.held.load(Relaxed), Relaxed);
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.last);
    }
}
