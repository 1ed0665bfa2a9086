//! The engine as an HTTP server: one listener, one single-threaded runtime, one simulated engine.
//!
//! `start` runs it on a thread of its own (tests, benches), `serve` in the caller's runtime (the
//! binary). Engine time is wall time multiplied by the time scale.

mod ask;
mod clock;
mod connection;
mod conversation;
mod kv_events;
mod pooling;
mod refusal;
mod replica;
mod reply;
mod route;
mod spoil;
mod stream;
mod text;
mod trouble;

use std::{
    future::Future,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    thread::{self, JoinHandle},
    time::Duration,
};

pub use self::{
    kv_events::{KvEvents, KvFormat},
    trouble::{Mode, Troubles},
};

use tokio::{
    sync::{mpsc, oneshot},
    task::LocalSet,
};

use self::{kv_events::Ports, replica::Replica};
use crate::{
    error::Error,
    model::{self, Profile},
};

/// Settings of a simulated engine with its HTTP server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Name of the base model.
    pub model: String,
    /// Names of the LoRA adapters; without any, LoRA is off.
    pub adapters: Vec<String>,
    /// The card.
    pub profile: Profile,
    /// Limits of the scheduler.
    pub engine: model::Options,
    /// Engine seconds per wall second.
    pub time_scale: f64,
    /// Seeds response ids and the length of answers that are not told to ignore end-of-sequence.
    pub seed: u64,
    /// How long (on the wall) an idle connection stays open; 5 s as uvicorn has it.
    pub keep_alive: Duration,
    /// How it misbehaves.
    pub troubles: Troubles,
    /// Where and how KV events are published, if they are.
    pub kv_events: Option<KvEvents>,
}

/// Where a server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// HTTP.
    pub http: SocketAddr,
    /// KV events; replays are on the next port.
    pub kv_events: Option<SocketAddr>,
}

/// How a server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// As vLLM 0.32 on SIGTERM: nobody new is let in, requests under way end with an error.
    Terminate,
    /// As a crash: every connection is dropped in the middle.
    Kill,
}

/// A server on a thread of its own; dropping it terminates it.
#[derive(Debug)]
pub struct Running {
    addresses: Addresses,
    stop: Option<oneshot::Sender<Stop>>,
    troubles: mpsc::UnboundedSender<Troubles>,
    thread: Option<JoinHandle<()>>,
}

/// What a server was told to listen on, bound.
struct Listeners {
    http: TcpListener,
    kv_events: Option<Ports>,
    addresses: Addresses,
}

// === Options ===

impl Options {
    /// Settings of a replica of the load test: an A10 in real time on a free port of this machine.
    pub fn new(model: &str) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            model: model.to_owned(),
            adapters: Vec::new(),
            profile: Profile::A10,
            engine: model::Options::default(),
            time_scale: 1.0,
            seed: 0,
            keep_alive: Duration::from_secs(5),
            troubles: Troubles::none(),
            kv_events: None,
        }
    }

    fn check(&self) -> Result<(), Error> {
        let refuse = |setting, reason: &str| Err(Error::Setting { setting, reason: reason.to_owned() });
        let engine = &self.engine;
        if !(self.time_scale.is_finite() && self.time_scale > 0.0) {
            return refuse("time-scale", "must be a number above 0");
        }
        if engine.block_size == 0 || engine.max_num_seqs == 0 || engine.max_num_batched_tokens == 0 {
            return refuse("block-size, max-num-seqs, max-num-batched-tokens", "must be 1 or more");
        }
        if !(0.0..=1.0).contains(&self.troubles.share) {
            return refuse("fault-share", "must be 0 to 1");
        }
        if !self.adapters.is_empty() && engine.max_loras == 0 {
            return refuse("max-loras", "must be 1 or more where there are adapters");
        }
        if self.kv_events.is_some() && !engine.prefix_caching {
            return refuse("kv-events", "there are none without a prefix cache: turn it on, or these off");
        }
        let tokens =
            engine.kv_tokens.unwrap_or(self.profile.kv_tokens) / engine.block_size * engine.block_size;
        if engine.max_model_len == 0 || tokens < engine.max_model_len {
            let reason = format!(
                "one sequence of {} tokens does not fit into {tokens} tokens of KV cache: lower max-model-len or raise kv-tokens",
                engine.max_model_len
            );
            return Err(Error::Setting { setting: "max-model-len", reason });
        }
        Ok(())
    }
}

// === Running ===

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.addresses.http
    }

    /// Where it publishes KV events, if it does; replays are on the next port.
    pub fn kv_events(&self) -> Option<SocketAddr> {
        self.addresses.kv_events
    }

    /// Makes it misbehave from now on, in these ways instead of others.
    pub fn trouble(&self, troubles: Troubles) {
        // A server that has ended misbehaves no more.
        let _ = self.troubles.send(troubles);
    }

    /// Stops it and waits until its thread is gone.
    pub fn stop(mut self, how: Stop) {
        self.end(how);
    }

    fn end(&mut self, how: Stop) {
        if let Some(stop) = self.stop.take() {
            // The thread may be gone already: then there is nothing to stop.
            let _ = stop.send(how);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end(Stop::Terminate);
    }
}

// === Listeners ===

impl Listeners {
    fn bind(options: &Options) -> Result<Self, Error> {
        let (http, address) = listen(options.listen)?;
        let kv_events = options.kv_events.map(|events| Ports::bind(events.listen)).transpose()?;
        let addresses = Addresses { http: address, kv_events: kv_events.as_ref().map(|ports| ports.address) };
        Ok(Self { http, kv_events, addresses })
    }
}

/// Starts a server on a thread of its own; it listens when this returns.
///
/// # Errors
/// Settings that make no sense, or an address that cannot be listened on.
pub fn start(options: Options) -> Result<Running, Error> {
    options.check()?;
    let listeners = Listeners::bind(&options)?;
    let addresses = listeners.addresses;
    let (stop, stopped) = oneshot::channel();
    let (troubles, orders) = mpsc::unbounded_channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Start)?;
    let run = move || {
        let stopped = async move { stopped.await.unwrap_or(Stop::Terminate) };
        let served = run(listeners, options, stopped, Some(orders));
        if let Err(error) = runtime.block_on(served) {
            eprintln!("warmlane-sim: {error}");
        }
    };
    let thread = thread::Builder::new().name("warmlane-sim".to_owned()).spawn(run).map_err(Error::Start)?;
    Ok(Running { addresses, stop: Some(stop), troubles, thread: Some(thread) })
}

/// Serves in the caller's runtime, which must be single-threaded, until `stop` resolves; `listening`
/// learns the addresses first.
///
/// # Errors
/// Settings that make no sense, or an address that cannot be listened on.
pub async fn serve(
    options: Options,
    listening: impl FnOnce(Addresses),
    stop: impl Future<Output = Stop>,
) -> Result<(), Error> {
    options.check()?;
    let listeners = Listeners::bind(&options)?;
    listening(listeners.addresses);
    run(listeners, options, stop, None).await
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let bind = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bind().map_err(|source| Error::Listen { address, source })
}

async fn run(
    listeners: Listeners,
    options: Options,
    stop: impl Future<Output = Stop>,
    orders: Option<mpsc::UnboundedReceiver<Troubles>>,
) -> Result<(), Error> {
    let listener = tokio::net::TcpListener::from_std(listeners.http).map_err(Error::Start)?;
    let replica = Rc::new(Replica::new(options));
    replica.misbehave(replica.options().troubles.clone());
    let serve = async {
        // The sockets live as long as the server does.
        let _kv_events = match (listeners.kv_events, replica.frames()) {
            (Some(ports), Some(frames)) => Some(ports.open(frames).await?),
            _ => None,
        };
        connection::accept(listener, replica, stop, orders).await;
        Ok(())
    };
    LocalSet::new().run_until(serve).await
}
