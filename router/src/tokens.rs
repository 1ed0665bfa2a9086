//! What prompts are in tokens, which is how engines tell of them.
//!
//! Making tokens of a prompt takes longer than everything else that the router does with it, so it happens on a thread of
//! its own, once for each new stretch of text, and is remembered: of a conversation that goes on, or of prompts that begin
//! alike, the known part is looked up. A model has a tokenizer of ours; for one that has none an engine is asked. A prompt
//! whose greater part is new waits for ours, at most `prefix.tokenizer_wait`, and for an engine never; whatever is not known
//! when it is picked for goes by own history.
//!
//! Bounds: 64 prompts for either wait, and 32 MiB of them and one more for each worker; others go by own history. What is
//! remembered has a bound of its own (`known`).

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
        mpsc::{SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use tokio::sync::watch;
use warmlane_engine::body::{Api, RequestBody};
use warmlane_picker::{Chain, Time};
use warmlane_tokens::{MOST_BODY, Tokenizer};

use crate::metrics::TokenMetrics;

mod engine;
mod job;
mod known;

use engine::Engines;
use job::{Job, Maker};
use known::Known;
pub use known::{Found, Prompt};

/// Prompts that wait.
const QUEUE: usize = 64;
/// Bytes of their bodies.
const QUEUE_BYTES: usize = 32 << 20;
/// Text that is worth it, in blocks: a few blocks of tokens.
const WORTH: usize = 4;
/// ... and this share of the prompt: a conversation is made tokens of again when it has grown by so much.
const SHARE: usize = 8;

/// See the module's header.
pub struct Tokens {
    known: Arc<Known>,
    tokenizers: Vec<(String, Arc<Tokenizer>)>,
    stopped: Arc<AtomicBool>,
    /// By the last link of their text: who waits for what.
    pending: Arc<Mutex<HashMap<u64, watch::Receiver<()>>>>,
    waiting_bytes: Arc<AtomicUsize>,
    metrics: Arc<TokenMetrics>,
    /// `None` where no tokens are made, and while it is dropped.
    queues: Option<Queues>,
    threads: Vec<JoinHandle<()>>,
}

/// Prompts that wait: for our own tokenizers, and for engines.
struct Queues {
    near: SyncSender<Job>,
    far: SyncSender<Job>,
}

/// A prompt that might be asked for.
pub struct Asked<'a> {
    /// Its shape.
    pub api: Api,
    /// What its body said.
    pub body: &'a RequestBody,
    /// The model it really goes to.
    pub model: &'a str,
    /// The adapter, if that is one.
    pub adapter: Option<&'a str>,
    /// Its text.
    pub chain: &'a Chain,
    /// Tokens in a block.
    pub block_size: u32,
    /// Finds an engine that serves the model.
    pub engine: &'a dyn Fn() -> Option<SocketAddr>,
    /// The picker's clock.
    pub now: Time,
}

/// What is known of a prompt, and what comes.
pub enum Answer {
    /// No more will be known soon.
    Settled,
    /// More is on its way. Where most is new, it may be worth waiting.
    Coming {
        /// Ends when it is there.
        done: watch::Receiver<()>,
        /// The greater part is not known yet, and will be in a moment.
        is_new: bool,
    },
}

// === Tokens ===

impl Tokens {
    /// Where none are made.
    pub fn none() -> Self {
        Self::with(Known::new(false), Vec::new())
    }

    /// With a tokenizer for each of these models; prompts that are tokens already need none.
    pub fn new(tokenizers: Vec<(String, Tokenizer)>) -> Self {
        let mut tokens = Self::with(Known::new(true), tokenizers);
        let started = tokens.start("tokens", None).and_then(|near| {
            let far = tokens.start("tokens-engine", Some(Engines::new()?))?;
            Ok(Queues { near, far })
        });
        match started {
            Ok(queues) => tokens.queues = Some(queues),
            Err(error) => tracing::error!(%error, "no thread to make tokens of prompts: own history only"),
        }
        tokens
    }

    /// A thread that makes tokens, and what it takes them from.
    fn start(&mut self, name: &str, mut engines: Option<Engines>) -> io::Result<SyncSender<Job>> {
        let (queue, jobs) = sync_channel::<Job>(QUEUE);
        let (known, metrics, stopped) = (self.known.clone(), self.metrics.clone(), self.stopped.clone());
        let work = move || {
            let jobs = jobs.iter().take_while(|_| !stopped.load(Relaxed));
            jobs.for_each(|job| {
                // What is remembered is written whole, or not at all.
                let run = AssertUnwindSafe(|| job.run(engines.as_mut(), &known, &metrics));
                if catch_unwind(run).is_err() {
                    tracing::error!("making tokens of a prompt failed: it goes by own history, others go on");
                    metrics.failed("panic");
                }
            });
        };
        self.threads.push(thread::Builder::new().name(name.to_owned()).spawn(work)?);
        Ok(queue)
    }

    fn with(known: Known, tokenizers: Vec<(String, Tokenizer)>) -> Self {
        let shared = |(model, tokenizer)| (model, Arc::new(tokenizer));
        Self {
            known: Arc::new(known),
            tokenizers: tokenizers.into_iter().map(shared).collect(),
            stopped: Arc::default(),
            pending: Arc::default(),
            waiting_bytes: Arc::default(),
            metrics: Arc::default(),
            queues: None,
            threads: Vec::new(),
        }
    }

    /// What was counted.
    pub fn metrics(&self) -> &TokenMetrics {
        &self.metrics
    }

    /// Prompts that are remembered.
    pub fn known(&self) -> u64 {
        self.known.count()
    }

    /// What is known of a prompt in blocks of this size.
    pub fn find(&self, chain: &Chain, block_size: u32) -> Option<Found> {
        self.known.find(chain.links(), block_size)
    }

    /// Sees to it that tokens are made of a prompt where that is worth it; `content` is its body.
    pub fn ask(&self, asked: &Asked<'_>, content: impl FnOnce() -> Vec<u8>) -> Answer {
        let links = asked.chain.links();
        let Some(last) = links.last().copied() else { return Answer::Settled };
        let all = Chain::depth(links.len());
        let known = self.find(asked.chain, asked.block_size).map_or(0, |found| Chain::depth(found.links));
        let missing = all - known;
        if missing < WORTH || missing * SHARE < all {
            return Answer::Settled;
        }
        let Some(maker) = self.maker(asked) else { return Answer::Settled };
        let is_new = missing * 2 > all && maker.is_near();
        let pending = self.pending().get(&last).cloned();
        match pending.or_else(|| self.submit(asked, maker, last, content)) {
            Some(done) => Answer::Coming { done, is_new },
            None => Answer::Settled,
        }
    }

    fn submit(
        &self,
        asked: &Asked<'_>,
        maker: Maker,
        last: u64,
        content: impl FnOnce() -> Vec<u8>,
    ) -> Option<watch::Receiver<()>> {
        let queues = self.queues.as_ref()?;
        if self.waiting_bytes.load(Relaxed) > QUEUE_BYTES {
            self.metrics.crowded();
            return None;
        }
        let (done, comes) = watch::channel(());
        let place = job::Place::taken(&self.pending, &self.waiting_bytes, last, comes.clone());
        let job = Job {
            api: asked.api,
            body: content(),
            links: asked.chain.links().into(),
            maker,
            adapter: asked.adapter.map(str::to_owned),
            salt: asked.body.cache_salt.clone(),
            block_size: asked.block_size,
            block_bytes: asked.body.prompt.block_bytes,
            now: asked.now,
            place,
            _done: done,
        };
        job.place.holds(job.body.len());
        let queue = if job.maker.is_near() { &queues.near } else { &queues.far };
        if queue.try_send(job).is_err() {
            self.metrics.crowded();
            return None;
        }
        Some(comes)
    }

    /// `None` for what has no tokens here: a copy of its body, and a wait, would be for nothing.
    fn maker(&self, asked: &Asked<'_>) -> Option<Maker> {
        if asked.body.prompt.bytes > MOST_BODY as u64 {
            return None;
        }
        match asked.api {
            Api::Completions | Api::ChatCompletions => {}
            Api::Responses | Api::Messages | Api::Embeddings | Api::Score | Api::Rerank => return None,
        }
        if asked.body.prompt.token_ids > 0 {
            return Some(Maker::Given);
        }
        let ours = self.tokenizer(asked.model, asked.adapter.is_some()).map(Maker::Local);
        ours.or_else(|| Some(Maker::Engine((asked.engine)()?, asked.model.to_owned())))
    }

    /// The one under the model's name. An adapter has its base model's: the only one, where there is one.
    fn tokenizer(&self, model: &str, is_adapter: bool) -> Option<Arc<Tokenizer>> {
        let named = self.tokenizers.iter().find(|(name, _)| name == model);
        let only = self.tokenizers.first().filter(|_| is_adapter && self.tokenizers.len() == 1);
        named.or(only).map(|(_, tokenizer)| tokenizer.clone())
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<u64, watch::Receiver<()>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Tokens {
    fn drop(&mut self) {
        self.stopped.store(true, Relaxed);
        self.queues = None;
        for thread in self.threads.drain(..) {
            // One that has panicked left nothing to save.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
