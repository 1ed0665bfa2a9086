//! Engines, an agent, a router and the Prometheus that scrapes them, under a little of every kind of load.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use warmlane_picker::{Profile, Strategy};
use warmlane_sim::server::{KvEvents, KvFormat, Options, Running, start};

use crate::{
    Behaviour, RawEngine, TestRouter, agent::TestAgent, engine, nvml::FakeNvml, prometheus::Prometheus,
};

/// What the engines serve.
pub(super) const MODEL: &str = "/model/qwen";
/// A page of an engine of another age: every name of that time is on it.
const OLD_PAGE: &[u8] = include_bytes!("../../fixtures/metrics/vllm-old-names.txt");

/// See the module's header. Everything stops when it is dropped.
pub struct Scene {
    /// Scrapes all of them.
    pub prometheus: Prometheus,
    /// Two that an agent reads, one that the router reads itself.
    pub engines: Vec<Running>,
    /// An engine of another age, whose page stands still.
    pub old: RawEngine,
    /// Picks, and has hooks.
    pub router: TestRouter,
    /// Reads two of the engines; none once it was taken away.
    pub agent: Option<TestAgent>,
    _nvml: FakeNvml,
}

// === Scene ===

impl Scene {
    /// Starts it; engines run so many times as fast as real ones.
    ///
    /// # Panics
    /// When a part does not start.
    pub fn start(time_scale: f64) -> Self {
        let engines: Vec<Running> =
            [true, true, false].into_iter().map(|events| simulated(time_scale, events)).collect();
        let addresses: Vec<SocketAddr> = engines.iter().map(Running::address).collect();
        let nvml = FakeNvml::new(1);
        let agent = TestAgent::with(&addresses[..2], |config| {
            config.nvml_lib = nvml.path();
            // Not there: the answers are counted too.
            config.kubelet_socket = nvml.path().with_file_name("kubelet.sock");
            config.kv_events = engines[..2].iter().map(|e| e.kv_events().map(|at| at.to_string())).collect();
        });
        let router = TestRouter::with(&addresses, |config| {
            config.agents = vec![agent.address().to_string()];
            config.profile = Profile::of(Strategy::PrefixCache);
            config.listen.extension = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        });
        let old = RawEngine::start(Behaviour::Answer(engine::answer("text/plain", b"x")));
        old.metrics(OLD_PAGE);
        let jobs = [
            ("engines", [addresses, vec![old.address()]].concat()),
            ("routers", vec![router.listening().metrics]),
            ("warmlane-agent", vec![agent.metrics_address()]),
        ];
        let prometheus = Prometheus::scraping(&jobs);
        Self { prometheus, engines, old, router, agent: Some(agent), _nvml: nvml }
    }

    /// Sends a little of everything for so long, over so many connections at once.
    ///
    /// # Panics
    /// When a request is not answered well.
    pub fn load(&self, time: Duration, clients: usize) {
        let (until, count) = (Instant::now() + time, AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..clients {
                scope.spawn(|| {
                    while Instant::now() < until {
                        self.send(count.fetch_add(1, Relaxed));
                    }
                });
            }
        });
    }

    fn send(&self, count: usize) {
        let prompt =
            format!("Of group {}. {}", count % 9, "All of this is said again and again. ".repeat(40));
        let body = json!({
            "model": MODEL, "prompt": format!("{prompt}{}", count % 7), "max_tokens": 24, "stream": count.is_multiple_of(2),
        });
        let headers = format!("content-type: application/json\r\nx-session-id: s{}\r\n", count % 12);
        let mut wire = if count % 4 == 3 { self.router.plain() } else { self.router.aware() };
        let answer = wire.post_with("/v1/completions", &headers, &body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

fn simulated(time_scale: f64, events: bool) -> Running {
    let mut options = Options::new(MODEL);
    options.adapters = vec!["travel-helper-v1".to_owned()];
    options.time_scale = time_scale;
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    options.kv_events = events.then_some(KvEvents { listen, format: KvFormat::Map });
    start(options).expect("an engine")
}
