//! A router that answers Envoy, over engines whose pages say what a test wants of them.

use std::net::SocketAddr;

use warmlane_router::config::Config;

use crate::{Behaviour, RawEngine, TestRouter, engine::answer, eventually, gateway::Gateway};

const IDLE: &str = include_str!("../fixtures/metrics/vllm-0.32-metrics-idle.txt");

/// What the page says of its KV cache.
const SIZE: &str = "kv_cache_size_tokens=\"2097152\"";

/// See the module's header.
pub struct TestPicker {
    /// The router.
    pub router: TestRouter,
    /// Its engines, in order.
    pub engines: Vec<RawEngine>,
}

/// What an engine's page says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Said<'a> {
    /// Requests waiting.
    pub queue: u32,
    /// Requests running.
    pub running: u32,
    /// Share of the KV cache in use.
    pub kv: f32,
    /// Adapters that running requests use.
    pub active: &'a str,
}

/// A page of vLLM's that says this.
pub fn page(said: Said<'_>) -> String {
    let line = |line: &str| {
        let name = line.split('{').next().unwrap_or_default();
        let value = match name {
            "vllm:num_requests_waiting" => said.queue.to_string(),
            "vllm:num_requests_running" => said.running.to_string(),
            "vllm:kv_cache_usage_perc" => said.kv.to_string(),
            // As many tokens as an A10 has room for beside a 7B model; the page is of a machine with twenty times that.
            "vllm:cache_config_info" => return line.replace(SIZE, "kv_cache_size_tokens=\"95000\""),
            _ => return line.to_owned(),
        };
        format!("{} {value}", line.rsplit_once(' ').map_or(line, |(series, _)| series))
    };
    let lora = format!(
        "vllm:lora_requests_info{{max_lora=\"2\",running_lora_adapters=\"{}\",waiting_lora_adapters=\"\"}} 1.7e+09",
        said.active
    );
    IDLE.lines().map(line).chain([lora]).map(|line| line + "\n").collect()
}

/// A model list with these adapters beside the base model `m`.
pub fn models(adapters: &[&str]) -> String {
    let model = |id: &str, parent: &str| {
        format!(
            r#"{{"id":"{id}","object":"model","created":1,"owned_by":"vllm","root":"{id}","parent":{parent}}}"#
        )
    };
    let adapters = adapters.iter().map(|adapter| model(adapter, "\"m\""));
    let all: Vec<String> = [model("m", "null")].into_iter().chain(adapters).collect();
    format!(r#"{{"object":"list","data":[{}]}}"#, all.join(","))
}

/// Idle engines with pages as above, and where they are.
pub fn engines(count: usize) -> (Vec<RawEngine>, Vec<SocketAddr>) {
    let engines: Vec<RawEngine> = (0..count).map(|_| engine(Said::default())).collect();
    let addresses = engines.iter().map(RawEngine::address).collect();
    (engines, addresses)
}

fn engine(said: Said<'_>) -> RawEngine {
    let engine = RawEngine::start(Behaviour::Answer(answer("application/json", b"{}")));
    engine.metrics(page(said).as_bytes());
    engine
}

// === TestPicker ===

impl TestPicker {
    /// Idle engines.
    pub fn idle(engines: usize) -> Self {
        Self::with(&vec![Said::default(); engines], |_| {})
    }

    /// Engines that say this, and other settings.
    ///
    /// # Panics
    /// When the router does not learn it.
    pub fn with(said: &[Said<'_>], change: impl FnOnce(&mut Config)) -> Self {
        Self::serving(said, &["a"], change)
    }

    /// The same with these adapters on every engine.
    ///
    /// # Panics
    /// When the router does not learn it.
    pub fn serving(said: &[Said<'_>], adapters: &[&str], change: impl FnOnce(&mut Config)) -> Self {
        let start = |said: &Said<'_>| {
            let engine = engine(*said);
            engine.models(&models(adapters));
            engine
        };
        let engines: Vec<RawEngine> = said.iter().map(start).collect();
        let addresses: Vec<SocketAddr> = engines.iter().map(RawEngine::address).collect();
        let router = TestRouter::with(&addresses, |config| {
            config.listen.ext_proc = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
            change(config);
        });
        eventually("every engine was read", || {
            let all = router.endpoints();
            let heard = |e: &serde_json::Value| !e["signals"]["kv_use"].is_null() && !e["models"].is_null();
            all.iter().all(heard)
        });
        Self { router, engines }
    }

    /// A connection to it.
    pub fn gateway(&self) -> Gateway {
        Gateway::connect(self.address())
    }

    /// Where it answers.
    ///
    /// # Panics
    /// Never: it was told to.
    pub fn address(&self) -> SocketAddr {
        self.router.listening().ext_proc.expect("an ext_proc listener")
    }

    /// An engine's address.
    pub fn endpoint(&self, number: usize) -> String {
        self.engines[number].address().to_string()
    }

    /// Requests that the router holds for open at one engine.
    pub fn in_flight(&self, number: usize) -> u64 {
        self.router.endpoints()[number]["in_flight"].as_u64().unwrap_or_default()
    }

    /// Streams that ended so.
    pub fn ended(&self, how: &str) -> f64 {
        self.router.metric(&format!("warmlane_ext_proc_streams_total{{end=\"{how}\"}}"))
    }
}
