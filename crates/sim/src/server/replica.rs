//! The engine at work: drives the model in scaled time and brings each token to who waits for it.
//!
//! The model's clock is exact: a step begins where the one before ended, whenever the timer woke us, so
//! late wake-ups delay tokens and never add up.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use tokio::sync::{Notify, oneshot};

use super::{Mode, Options, Troubles, clock::Clock, kv_events::Frames, reply::Shape, stream::Live};
use crate::{
    error::Error,
    metrics::{Metrics, Sample, unix_time},
    model::{AdapterId, Engine, Outcome, Output, Prompt, Request, Step, Token, root},
};

mod sink;

use sink::{Reader, Sink};

/// One replica: engine, clock, names and those who wait.
pub(super) struct Replica {
    options: Options,
    started: f64,
    clock: Clock,
    /// Signals the driver that there may be something to schedule.
    work: Notify,
    metrics: Rc<RefCell<Metrics>>,
    state: RefCell<State>,
    random: RefCell<fastrand::Rng>,
    stopped: Cell<bool>,
    troubles: RefCell<Troubles>,
    /// The metrics page as it was when it was to go stale.
    stale: RefCell<Option<String>>,
    /// Signals that other faults are switched on.
    changed: Notify,
    /// What is published of the prefix cache, if anything is.
    frames: Option<Rc<Frames>>,
}

struct State {
    engine: Engine,
    sinks: HashMap<u64, Sink>,
    next_id: u64,
    sleep_level: Option<u8>,
}

/// A request in the engine; it is aborted when nobody holds this any more.
pub(super) struct Lease {
    replica: Rc<Replica>,
    id: u64,
}

// === Replica ===

impl Replica {
    pub(super) fn new(options: Options) -> Self {
        let mut engine = Engine::new(options.profile.clone(), options.engine.clone());
        let frames = options.kv_events.map(|events| Rc::new(Frames::new(events.format)));
        if frames.is_some() {
            engine.note_kv_events();
        }
        Self {
            started: unix_time(),
            clock: Clock::new(options.time_scale),
            work: Notify::new(),
            metrics: Rc::new(RefCell::new(Metrics::new(options.engine.max_model_len))),
            state: RefCell::new(State { engine, sinks: HashMap::new(), next_id: 0, sleep_level: None }),
            random: RefCell::new(fastrand::Rng::with_seed(options.seed)),
            stopped: Cell::new(false),
            troubles: RefCell::new(Troubles::none()),
            stale: RefCell::new(None),
            changed: Notify::new(),
            frames,
            options,
        }
    }

    /// Misbehaves from now on as told.
    pub(super) fn misbehave(&self, troubles: Troubles) {
        let (was, is) = (self.has(Mode::Asleep), troubles.has(Mode::Asleep));
        if is && !was {
            self.sleep(1, true);
        } else if was && !is {
            self.wake();
        }
        let stale = troubles.has(Mode::StaleMetrics).then(|| self.metrics_page());
        *self.stale.borrow_mut() = stale;
        *self.troubles.borrow_mut() = troubles;
        self.changed.notify_one();
    }

    /// Resolves when other faults were switched on.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Whether a fault is switched on.
    pub(super) fn has(&self, mode: Mode) -> bool {
        self.troubles.borrow().has(mode)
    }

    /// What strikes the next request.
    pub(super) fn strike(&self) -> Option<Mode> {
        self.troubles.borrow().strike(&mut self.random.borrow_mut())
    }

    /// The metrics page that went stale.
    pub(super) fn stale_page(&self) -> Option<String> {
        self.stale.borrow().clone()
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    pub(super) fn frames(&self) -> Option<Rc<Frames>> {
        self.frames.clone()
    }

    /// A prompt for this engine, which keeps what is to be published of it.
    pub(super) fn prompt(&self, tokens: &[u32], adapter: Option<&str>, salt: Option<&str>) -> Prompt {
        let block_size = self.options.engine.block_size;
        match self.frames {
            Some(_) => Prompt::with_source(tokens, block_size, adapter, salt),
            None => Prompt::new(tokens, block_size, root(adapter, salt)),
        }
    }

    pub(super) fn metrics(&self) -> Rc<RefCell<Metrics>> {
        Rc::clone(&self.metrics)
    }

    /// When the server began, in seconds since 1970.
    pub(super) fn started(&self) -> f64 {
        self.started
    }

    /// A fresh id of sixteen hex digits.
    pub(super) fn fresh_id(&self) -> String {
        format!("{:016x}", self.random.borrow_mut().u64(..))
    }

    /// Resolves a model name: the base model, or an adapter.
    pub(super) fn adapter(&self, name: &str) -> Result<Option<AdapterId>, Error> {
        if name == self.options.model {
            return Ok(None);
        }
        match self.options.adapters.iter().position(|adapter| adapter == name) {
            Some(at) => Ok(Some(AdapterId(at as u16))),
            None => Err(Error::UnknownModel { model: name.to_owned(), served: self.options.model.clone() }),
        }
    }

    /// Runs a request to its end.
    pub(super) async fn whole(self: &Rc<Self>, request: Request) -> Result<Outcome, Error> {
        let (done, outcome) = oneshot::channel();
        let _lease = self.submit(request, Reader::Whole(done))?;
        outcome.await.unwrap_or(Err(Error::Stopped))
    }

    /// Runs a request as a stream of events.
    pub(super) fn live(
        self: &Rc<Self>,
        request: Request,
        shape: Box<dyn Shape>,
    ) -> Result<(Rc<RefCell<Live>>, Lease), Error> {
        let live = Rc::new(RefCell::new(Live::new(shape, request.prompt.output_stream())));
        let lease = self.submit(request, Reader::Live(Rc::clone(&live)))?;
        Ok((live, lease))
    }

    /// Runs the engine for ever.
    pub(super) async fn drive(self: Rc<Self>) {
        let mut output = Output::default();
        let mut now = 0.0;
        loop {
            let step = self.state.borrow_mut().engine.schedule(now);
            match step {
                Some(step) => {
                    self.clock.reach(step.ends_at).await;
                    self.deliver(&step, &mut output);
                    now = step.ends_at;
                }
                None => {
                    self.work.notified().await;
                    now = self.clock.now().max(now);
                }
            }
        }
    }

    /// Sleeps at `level`; requests under way are aborted unless they are to be kept.
    pub(super) fn sleep(&self, level: u8, keep: bool) {
        let state = &mut *self.state.borrow_mut();
        state.engine.sleep();
        state.sleep_level = Some(level);
        if keep {
            return;
        }
        let now = self.clock.now();
        for (id, sink) in state.sinks.drain() {
            if let Some(outcome) = state.engine.abort(now, id) {
                sink.reader.end(None, &outcome);
            }
        }
    }

    pub(super) fn wake(&self) {
        let state = &mut *self.state.borrow_mut();
        state.engine.wake();
        state.sleep_level = None;
        self.work.notify_one();
    }

    pub(super) fn is_asleep(&self) -> bool {
        self.state.borrow().engine.is_asleep()
    }

    pub(super) fn reset_prefix_cache(&self) {
        self.state.borrow_mut().engine.reset_prefix_cache();
    }

    /// Ends every request with an error and takes no more.
    pub(super) fn terminate(&self) {
        self.stopped.set(true);
        let sinks = std::mem::take(&mut self.state.borrow_mut().sinks);
        for sink in sinks.into_values() {
            sink.reader.fail();
        }
    }

    /// The metrics page.
    pub(super) fn metrics_page(&self) -> String {
        let state = self.state.borrow();
        let (engine, options) = (&state.engine, &self.options);
        let names = |ids: &mut dyn Iterator<Item = AdapterId>| {
            ids.map(|id| self.options.adapters[usize::from(id.0)].as_str()).collect::<Vec<_>>().join(",")
        };
        let sample = Sample {
            model: &options.model,
            stats: engine.stats(),
            sleep_level: state.sleep_level,
            max_loras: if options.adapters.is_empty() { 0 } else { options.engine.max_loras },
            running_adapters: names(&mut engine.running_adapters()),
            waiting_adapters: names(&mut engine.waiting_adapters()),
            block_size: options.engine.block_size,
            blocks: engine.total_blocks(),
            kv_bytes_per_token: options.profile.kv_bytes_per_token,
            max_model_len: options.engine.max_model_len,
            prefix_caching: options.engine.prefix_caching,
            kv_overridden: options.engine.kv_tokens.is_some(),
        };
        self.metrics.borrow_mut().render(&sample)
    }

    /// Waiting requests and KV use, for the ORCA header.
    pub(super) fn load(&self) -> (u32, f64) {
        let stats = self.state.borrow().engine.stats();
        (stats.waiting, stats.kv_use)
    }

    fn submit(self: &Rc<Self>, request: Request, reader: Reader) -> Result<Lease, Error> {
        if self.stopped.get() {
            return Err(Error::Stopped);
        }
        let state = &mut *self.state.borrow_mut();
        let (id, max_tokens) = (state.next_id, request.max_tokens);
        state.engine.submit(self.clock.now(), id, request)?;
        state.next_id += 1;
        state.sinks.insert(id, Sink { max_tokens, reader });
        self.work.notify_one();
        Ok(Lease { replica: Rc::clone(self), id })
    }

    fn deliver(&self, step: &Step, output: &mut Output) {
        let state = &mut *self.state.borrow_mut();
        let metrics = &mut *self.metrics.borrow_mut();
        state.engine.complete(output);
        if let Some(frames) = &self.frames {
            frames.push(&state.engine.take_kv_events());
        }
        metrics.step(step);
        // Outcomes stand in the order of the tokens that brought them.
        let mut outcomes = output.finished.iter().peekable();
        for token in &output.tokens {
            metrics.token(token);
            match outcomes.next_if(|outcome| outcome.id == token.id) {
                Some(outcome) => state.finish(token, outcome, metrics),
                None => state.token(token),
            }
        }
    }
}

// === State ===

impl State {
    fn token(&self, token: &Token) {
        if let Some(Sink { reader: Reader::Live(live), .. }) = self.sinks.get(&token.id) {
            live.borrow_mut().token(token.index);
        }
    }

    fn finish(&mut self, token: &Token, outcome: &Outcome, metrics: &mut Metrics) {
        if let Some(sink) = self.sinks.remove(&token.id) {
            metrics.finished(outcome, sink.max_tokens);
            sink.reader.end(Some(token.index), outcome);
        }
    }
}

// === Lease ===

impl Drop for Lease {
    fn drop(&mut self) {
        let state = &mut *self.replica.state.borrow_mut();
        if state.sinks.remove(&self.id).is_some() {
            state.engine.abort(self.replica.clock.now(), self.id);
        }
    }
}
