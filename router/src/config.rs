//! Everything that can be set, parsed once into a checked, immutable value.
//!
//! Sources, later ones winning: defaults, the TOML file, environment `WARMLANE_…`, flags. Static settings
//! only: what changes while the router runs lives in [`crate::world`].
//!
//! Every setting is one row of the table in `keys`: its name in the file, its flag, its help, how it is read
//! and written. Each source gives text for such rows; the texts are merged, read in the order of the table, and
//! checked as a whole.

use std::{net::SocketAddr, path::PathBuf, thread, time::Duration};

use warmlane_picker::{BreakerRule, PlainPolicy, Profile, RetryRule};

use crate::{
    agents::AgentTls,
    extension::{ExtensionSettings, ExtensionTls},
    tls::{Identity, TlsFiles},
};

mod check;
mod default;
mod error;
mod file;
mod flags;
mod keys;
mod lane;
mod load;
mod log;
mod models;
mod objectives;
mod origin;
pub mod reference;
mod scrape;
mod show;
mod spans;
mod tables;
mod text;
mod tokenizers;

pub use error::ConfigError;
pub use lane::{Lane, LaneMode, RemoteLane};
pub use load::{Environment, Loaded, ProcessEnvironment};
pub use log::Log;
pub use models::{ModelRule, Target, UnknownModel};
pub use objectives::Objective;
pub use origin::{Origin, Origins};
pub use scrape::Scrape;
pub use spans::Tracing;

/// The checked configuration.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// `host:port` of each replica.
    pub endpoints: Vec<String>,
    /// Pools of a cluster.
    pub kube: Kube,
    /// `host:port` of each node's agent.
    pub agents: Vec<String>,
    /// Whether and how agents are spoken to by TLS.
    pub agent_tls: AgentTls,
    /// Address of each listener.
    pub listen: Listen,
    /// Who may change what the router does while it runs.
    pub admin: Admin,
    /// The certificate of those that speak TLS.
    pub tls: TlsFiles,
    /// How the plain listener spreads requests.
    pub plain_policy: PlainPolicy,
    /// How the aware listener weighs: strategy, weights, thresholds.
    pub profile: Profile,
    /// What to do with a model name that no replica lists.
    pub unknown_model: UnknownModel,
    /// Named models: criticality and weighted targets.
    pub models: Vec<ModelRule>,
    /// Byte limits.
    pub limits: Limits,
    /// Time limits.
    pub timeouts: Timeouts,
    /// How many requests may be sent once more.
    pub retries: RetryRule,
    /// When an endpoint whose requests fail is left alone.
    pub breaker: BreakerRule,
    /// Headers and cookies that carry meaning.
    pub headers: Headers,
    /// How Envoy is answered.
    pub ext_proc: ExtProc,
    /// What the extension server puts into Envoy's configuration.
    pub extension: ExtensionSettings,
    /// Who may call it.
    pub extension_tls: ExtensionTls,
    /// What gateways may name as a request's objective.
    pub objectives: Vec<Objective>,
    /// Prefix reuse.
    pub prefix: Prefix,
    /// Tokenizers of models, to match prompts with what engines say they hold.
    pub tokenizers: Vec<TokenizerFile>,
    /// The kernel lane.
    pub lane: Lane,
    /// How often engines are read.
    pub scrape: Scrape,
    /// Data-plane threads. 0: one per core. There are none where no request comes in.
    pub workers: usize,
    /// What is written about requests and how.
    pub log: Log,
    /// Whether spans of requests are told, and to whom.
    pub tracing: Tracing,
    /// Where each setting that is not a default came from.
    pub origins: Origins,
}

/// What a cluster is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kube {
    /// `namespace/name` of each InferencePool to route to.
    pub pools: Vec<String>,
    /// The file that says how to reach the API server; empty: as a pod does. Empty.
    pub config: PathBuf,
    /// `namespace/name` of the Lease by which one router is chosen to write the status of models; empty: none is written.
    /// `warmlane-system/warmlane-router`.
    pub lease: String,
    /// `namespace/name` of the agents' Service; empty: there is none. `warmlane-system/warmlane-agent`.
    pub agents: String,
}

/// Listener addresses; `None` is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Plain HTTP: no inference awareness. 127.0.0.1:8080.
    pub plain: Option<SocketAddr>,
    /// Inference-aware HTTP. 127.0.0.1:8081.
    pub aware: Option<SocketAddr>,
    /// The same as `plain` over TLS. None.
    pub plain_tls: Option<SocketAddr>,
    /// The same as `aware` over TLS. None.
    pub aware_tls: Option<SocketAddr>,
    /// `/metrics`, `/healthz`, `/readyz`. 127.0.0.1:9090.
    pub metrics: SocketAddr,
    /// `/debug/*`. 127.0.0.1:9091.
    pub admin: SocketAddr,
    /// gRPC health. None.
    pub grpc_health: Option<SocketAddr>,
    /// Envoy's external processing: the endpoint picker. None.
    pub ext_proc: Option<SocketAddr>,
    /// Hooks for Envoy Gateway. None.
    pub extension: Option<SocketAddr>,
}

/// Who may change what the router does while it runs. Nobody may who has neither the token nor the socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admin {
    /// The admin port as a Unix socket; empty: there is none. Empty.
    pub socket: PathBuf,
    /// The file with the token; empty: there is none. Empty.
    pub token_file: PathBuf,
    /// Names by which the port may be called, besides `localhost` and addresses. None.
    pub hosts: Vec<String>,
}

/// How Envoy is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtProc {
    /// Whether it connects by TLS. Off.
    pub tls: Identity,
    /// Endpoints named after the first, for gateways that go through a list. 0.
    pub fallbacks: usize,
}

/// Byte limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest request body that is read for routing; beyond it 413. 64 MiB.
    pub body: u64,
    /// Bytes of bodies held in memory by the whole process; beyond it 503. 1 GiB.
    pub body_budget: u64,
    /// Largest request or response head. 64 KiB.
    pub head: usize,
    /// Most headers in a head. 128.
    pub headers: usize,
    /// Most client connections and HTTP/2 streams at once. 16,384.
    pub connections: usize,
    /// Most streams of one HTTP/2 connection at once. 128.
    pub streams: u32,
}

/// Time limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the end of the request to the end of its response. 1 h.
    pub request: Duration,
    /// Silence between two parts of a response that has begun. 5 min.
    pub stream_idle: Duration,
    /// Connecting to a replica. 2 s.
    pub connect: Duration,
    /// A client's request, from its first byte to its last. Head: 10 s.
    pub client_head: Duration,
    /// Silence within a request body. 30 s.
    pub client_body_idle: Duration,
    /// A request's body, from its head's end to its last byte. 10 min.
    pub client_body: Duration,
    /// Idle client connection between requests. 75 s.
    pub client_idle: Duration,
    /// Idle connection to a replica; engines close theirs after 5 s. 3 s.
    pub upstream_idle: Duration,
    /// From SIGTERM until listeners close: readiness says no, and requests are served as before. 3 s.
    pub shutdown_delay: Duration,
    /// From SIGTERM until open requests are cut. 30 s.
    pub drain: Duration,
}

/// Headers and cookies that carry meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    /// Add `x-warmlane-endpoint` to responses. True.
    pub endpoint: bool,
    /// Headers that declare a session, first match wins, lower case. `x-session-id`.
    pub session: Vec<String>,
    /// Set the cookie `warmlane-session` for clients that declare no session. False.
    pub set_session_cookie: bool,
}

/// Prefix reuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// Bytes per text block. 64.
    pub block_bytes: u32,
    /// Most bytes of the prefix index; it starts smaller and grows as it fills, up to the KV capacity that engines state.
    /// 256 MiB.
    pub index_bytes: u64,
    /// Sessions remembered. 65,536.
    pub sessions: usize,
    /// A session idle longer is forgotten. 30 min.
    pub session_lifetime: Duration,
    /// Prefix groups remembered. 1,024.
    pub groups: usize,
    /// Shortest shared prefix that makes a group, in blocks. 16.
    pub group_blocks: usize,
    /// Requests within [`Prefix::group_window`] that make a group. 8.
    pub group_requests: u16,
    /// See [`Prefix::group_requests`]. 60 s.
    pub group_window: Duration,
    /// How long a prompt that is new waits until it is known what it is in tokens. 20 ms.
    pub tokenizer_wait: Duration,
}

/// A model's tokenizer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenizerFile {
    /// The name that replicas list.
    pub model: String,
    /// A `tokenizer.json`, or the folder that has one.
    pub path: PathBuf,
}

// === Config ===

impl Config {
    /// How many data-plane threads: none where no request comes in.
    pub fn threads(&self) -> usize {
        match self.workers {
            _ if !self.listen.takes_requests() => 0,
            0 => thread::available_parallelism().map_or(1, usize::from),
            set => set,
        }
    }

    /// Whether there is anybody to route to, or may be: a server of hooks alone has nobody.
    pub fn has_replicas(&self) -> bool {
        !self.endpoints.is_empty() || !self.kube.pools.is_empty()
    }

    /// Whether there are agents, or may be.
    pub fn follows_agents(&self) -> bool {
        !self.agents.is_empty() || !self.kube.pools.is_empty() && !self.kube.agents.is_empty()
    }
}

// === Listen ===

impl Listen {
    /// Whether requests come in: clients', or a gateway's questions about them.
    pub fn takes_requests(&self) -> bool {
        let of_requests = [self.plain, self.aware, self.plain_tls, self.aware_tls, self.ext_proc];
        of_requests.iter().any(Option::is_some)
    }

    /// Whether any listener needs a certificate.
    pub fn has_tls(&self) -> bool {
        self.plain_tls.is_some() || self.aware_tls.is_some()
    }
}

#[cfg(test)]
mod tests;
