//! The whole way: objects of a cluster, agents, engines, a router that watches, and an Envoy that its hooks have configured.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use warmlane_sim::server::{Options, Running, start};
use warmlane_tests::{
    TestRouter, Wire,
    agent::TestAgent,
    envoy::{Bootstrap, Envoy},
    eventually,
    kube::{FakeApi, Key, Resource},
};

use crate::gateway::{EnvoyGateway, Made};

const LOADS: usize = 3;
const STRATEGY: &str = "inference.networking.x-k8s.io/routing-strategy";

/// Everything but the load.
struct Cluster {
    api: FakeApi,
    router: TestRouter,
    envoy: Envoy,
    /// By number; `None` is gone.
    engines: Vec<Option<Running>>,
    port: u16,
    _agent: TestAgent,
    _made: Made,
    _folder: TempDir,
}

/// Clients that ask one thing after the other.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    /// Engines that have answered since this was emptied.
    seen: Arc<Mutex<HashSet<String>>>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

/// Pods have the same port at addresses of their own.
fn address(number: usize, port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 77, 1 + u8::try_from(number).expect("few")], port))
}

fn engine(address: SocketAddr) -> Running {
    let mut options = Options::new("/model/qwen");
    options.listen = address;
    options.time_scale = 100.0;
    start(options).expect("the engine starts")
}

fn pod(number: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("qwen-{number}"), "namespace": "default", "labels": {"app": "qwen"}},
        "spec": {"nodeName": "gpu-a"},
        "status": {
            "phase": "Running", "podIP": address(number, 0).ip().to_string(),
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

fn pool(port: u16, picker: u16) -> Value {
    json!({
        "apiVersion": "inference.networking.k8s.io/v1", "kind": "InferencePool",
        "metadata": {"name": "qwen", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": "qwen"}}, "targetPorts": [{"number": port}],
            "endpointPickerRef": {"name": "picker", "port": {"number": picker}, "failureMode": "FailClose"},
        },
    })
}

fn model() -> Value {
    json!({
        "apiVersion": "inference.networking.x-k8s.io/v1alpha2", "kind": "InferenceModel",
        "metadata": {"name": "chat", "namespace": "default"},
        "spec": {
            "modelName": "chat", "criticality": "Critical", "poolRef": {"name": "qwen"},
            "targetModels": [{"name": "/model/qwen", "weight": 100}],
        },
    })
}

// === Cluster ===

impl Cluster {
    /// With a pool of so many pods.
    fn of(count: usize) -> Self {
        let first = engine(address(0, 0));
        let port = first.address().port();
        let mut engines = vec![Some(first)];
        engines.extend((1..count).map(|number| Some(engine(address(number, port)))));
        let (api, folder) = (FakeApi::start(), tempfile::tempdir().expect("a folder"));
        let agent = TestAgent::in_cluster(&api, "gpu-a");
        let kubeconfig = folder.path().join("kubeconfig");
        api.write_kubeconfig(&kubeconfig).expect("it is written");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let router = TestRouter::unready(&[], |config| {
            config.kube.pools = vec!["default/qwen".to_owned()];
            config.kube.config = kubeconfig;
            (config.listen.ext_proc, config.listen.extension) = (Some(any), Some(any));
            config.extension.domain = super::DOMAIN.to_owned();
        });
        let picker = router.listening().ext_proc.expect("a picker");
        let pool = pool(port, picker.port());
        [pool.clone(), model(), agent.slice("gpu-a")].into_iter().for_each(|object| api.put(object));
        (0..count).for_each(|number| api.put(pod(number)));
        let extension = router.listening().extension.expect("an extension server");
        let made = EnvoyGateway::connect(extension).configuration(&pool, address(0, port));
        let envoy = Bootstrap::of_resources(&made.clusters(), &made.listeners()).start();
        let cluster = Self { api, router, envoy, engines, port, _agent: agent, _made: made, _folder: folder };
        eventually("all pods are ready", || cluster.router.ready_endpoints() == count);
        let healthy = "cluster.warmlane/picker/default/qwen.membership_healthy";
        eventually("Envoy sees the picker", || cluster.envoy.stat(healthy) == 1);
        cluster
    }

    fn begin(&mut self, number: usize) {
        self.engines.push(Some(engine(address(number, self.port))));
        self.api.put(pod(number));
    }

    /// As the kubelet and the endpoint controllers do it: first nothing new, then nothing at all.
    fn end(&mut self, number: usize) {
        let key = Key::new(Resource::PODS, "default", &format!("qwen-{number}"));
        let at = address(number, self.port).to_string();
        self.api.begin_deletion(&key, 30);
        let row = |endpoint: &Value| endpoint["address"] == at.as_str();
        eventually("it gets nothing new, and ends what it has", || {
            let endpoints = self.router.endpoints();
            endpoints.iter().find(|e| row(e)).is_some_and(|e| e["ready"] == false && e["in_flight"] == 0)
        });
        self.engines[number] = None;
        assert!(self.api.remove(&key));
        eventually("it has left", || !self.router.endpoints().iter().any(row));
    }

    fn pool(&self) -> Value {
        self.router.admin().get("/debug/pools").json()["pools"][0].take()
    }

    fn load(&self) -> Load {
        let (stop, answered, seen) = (Arc::default(), Arc::default(), Arc::default());
        let load = Load { stop, answered, seen, clients: Vec::new() };
        let clients = (0..LOADS).map(|_| load.client(self.envoy.aware())).collect();
        Load { clients, ..load }
    }
}

// === Load ===

impl Load {
    fn client(&self, envoy: SocketAddr) -> JoinHandle<Vec<String>> {
        let (stop, answered, seen) = (self.stop.clone(), self.answered.clone(), self.seen.clone());
        thread::spawn(move || {
            let (mut wire, mut failed) = (Wire::connect(envoy), Vec::new());
            let body = r#"{"model":"chat","messages":[{"role":"user","content":"hi"}],"max_tokens":8}"#;
            while !stop.load(Relaxed) {
                let response = wire.post(super::PATH, body);
                if response.status != 200 {
                    failed.push(format!("{}{}", response.head, response.text()));
                    continue;
                }
                answered.fetch_add(1, Relaxed);
                let by = response.header("x-warmlane-endpoint").unwrap_or_default().to_owned();
                seen.lock().expect("no client panics").insert(by);
            }
            failed
        })
    }

    /// Waits until so many engines have answered since now, and no other.
    fn until_answered_by(&self, count: usize) {
        self.seen.lock().expect("no client panics").clear();
        let before = self.answered.load(Relaxed);
        eventually("all of them answer", || {
            self.seen.lock().expect("no client panics").len() == count
                && self.answered.load(Relaxed) > before + 100
        });
    }

    /// How many were answered; none may have failed.
    fn end(self) -> u64 {
        self.stop.store(true, Relaxed);
        let failed: Vec<String> =
            self.clients.into_iter().flat_map(|client| client.join().expect("no client panics")).collect();
        assert!(failed.is_empty(), "{} failed: {}", failed.len(), failed[0]);
        self.answered.load(Relaxed)
    }
}

#[test]
fn pods_come_and_go_under_load_and_no_request_fails() {
    let mut cluster = Cluster::of(3);
    let load = cluster.load();
    load.until_answered_by(3);
    (3..6).for_each(|number| cluster.begin(number));
    load.until_answered_by(6);
    [0, 2, 3, 5].into_iter().for_each(|number| cluster.end(number));
    load.until_answered_by(2);
    let pool = cluster.pool();
    assert_eq!((&pool["replicas"], &pool["ready"]), (&json!(2), &json!(2)), "{pool}");
    assert!(load.end() > 300);
    let told = &cluster.router.admin().get("/debug/agents").json()["agents"][0];
    assert_eq!((&told["node"], &told["connected"]), (&json!("gpu-a"), &json!(true)), "{told}");
    let left: HashSet<String> = [1, 4].map(|number| address(number, cluster.port).to_string()).into();
    eventually("the agent tells of those that are left", || {
        let told = cluster.router.admin().get("/debug/agents").json()["agents"][0]["endpoints"].take();
        serde_json::from_value::<HashSet<String>>(told).is_ok_and(|told| told == left)
    });
}

#[test]
fn a_pool_deleted_under_load_ends_what_it_has_and_serves_again_when_it_is_back() {
    let cluster = Cluster::of(2);
    let key = Key::new(Resource::POOLS, "default", "qwen");
    let pool = cluster.api.get(&key).expect("it is there");
    let body =
        |tokens: u32| format!(r#"{{"model":"chat","prompt":"hi","max_tokens":{tokens},"ignore_eos":true}}"#);
    let post = |tokens| Wire::connect(cluster.envoy.aware()).post("/v1/completions", &body(tokens));
    let long = thread::scope(|scope| {
        let long = scope.spawn(|| post(8_000));
        let under_way = || cluster.router.endpoints().iter().any(|endpoint| endpoint["in_flight"] == 1);
        eventually("a long answer is under way", under_way);
        assert!(cluster.api.remove(&key));
        eventually("new requests are refused", || {
            let response = post(1);
            response.status == 503 && response.text().contains("the pool has no endpoints")
        });
        assert!(!long.is_finished(), "it outlives its pool");
        long.join().expect("no client panics")
    });
    assert_eq!((long.status, &long.json()["usage"]["completion_tokens"]), (200, &json!(8_000)));
    cluster.api.put(pool);
    eventually("it serves again", || post(1).status == 200);
}

#[test]
fn the_next_picks_follow_the_strategy_that_the_pool_is_given() {
    let cluster = Cluster::of(2);
    let words = "a prompt that is long enough to be remembered, and is sent again ".repeat(40);
    let body = json!({"model": "chat", "max_tokens": 1, "messages": [{"role": "user", "content": words}]});
    let ask = || {
        let response = Wire::connect(cluster.envoy.aware()).post(super::PATH, &body.to_string());
        assert_eq!(response.status, 200, "{}", response.text());
    };
    let matched = || cluster.router.matched_by("history");
    ask();
    ask();
    assert_eq!((cluster.pool()["strategy"].clone(), matched()), (json!("DEFAULT"), 0.0));
    let key = Key::new(Resource::POOLS, "default", "qwen");
    let annotated = |strategy: &str| json!({"metadata": {"annotations": {STRATEGY: strategy}}});
    cluster.api.patch(&key, &annotated("PREFIX_CACHE"));
    eventually("the pool has another strategy", || cluster.pool()["strategy"] == "PREFIX_CACHE");
    ask();
    ask();
    assert!(matched() > 0.0, "what was sent is looked for");
    cluster.api.patch(&key, &annotated("BEST"));
    eventually("that one is refused", || {
        let page = cluster.router.admin().get("/debug/pools").text();
        page.contains("BEST") && page.contains("DEFAULT, PREFIX_CACHE")
    });
    assert_eq!(cluster.pool()["strategy"], "PREFIX_CACHE", "the last good one stays");
}
