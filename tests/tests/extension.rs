//! A real Envoy runs what the hooks make of what Envoy Gateway sends: pools are routed by the picker, and nothing else is.

use std::{fs, net::SocketAddr};

use serde_json::{Value, json};
use warmlane_router::config::Config;
use warmlane_tests::{
    Behaviour, RawEngine, Response, Wire,
    engine::answer,
    envoy::{Bootstrap, Envoy},
    eventually,
    picker::{Said, TestPicker},
};

#[path = "extension/alone.rs"]
mod alone;
#[path = "extension/cluster.rs"]
mod cluster;
#[path = "extension/gateway.rs"]
mod gateway;
#[path = "extension/protocol.rs"]
mod protocol;
#[path = "extension/secured.rs"]
mod secured;

use gateway::{EnvoyGateway, Made};

const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
const PATH: &str = "/v1/chat/completions";
/// Its Services are on this machine: names that end in it are loopback to every resolver.
const DOMAIN: &str = "localhost";

/// Two engines, of which the second is far better, a picker that is the extension server too, and an Envoy before them.
struct Scene {
    picker: Option<TestPicker>,
    engines: Vec<RawEngine>,
    envoy: Envoy,
    _made: Made,
}

fn picker(change: impl FnOnce(&mut Config)) -> TestPicker {
    let picker = TestPicker::with(&[Said { queue: 30, ..Said::default() }, Said::default()], |config| {
        config.listen.extension = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        config.extension.domain = DOMAIN.to_owned();
        change(config);
    });
    for (number, engine) in picker.engines.iter().enumerate() {
        let names = format!("{{\"engine\":{number}}}");
        engine.behave(Behaviour::Answer(answer("application/json", names.as_bytes())));
    }
    picker
}

/// Version 1 of a pool of these engines.
fn pool(picker: &TestPicker, failure: &str) -> Value {
    let ports: Vec<Value> =
        picker.engines.iter().map(|engine| json!({"number": engine.address().port()})).collect();
    json!({
        "apiVersion": "inference.networking.k8s.io/v1", "kind": "InferencePool",
        "metadata": {"name": "qwen", "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": "qwen"}}, "targetPorts": ports,
            "endpointPickerRef": {
                "name": "picker", "port": {"number": picker.address().port()}, "failureMode": failure,
            },
        },
    })
}

/// With a Service of its replicas, so that Envoy knows them.
fn known(mut pool: Value) -> Value {
    pool["metadata"]["annotations"] = json!({"warmlane.dev/replicas-service": "qwen-pods"});
    pool
}

// === Scene ===

impl Scene {
    fn of(pool: impl FnOnce(&TestPicker) -> Value) -> Self {
        let picker = picker(|_| {});
        let pool = pool(&picker);
        Self::with(picker, &pool)
    }

    fn with(picker: TestPicker, pool: &Value) -> Self {
        let scene = Self::unchecked(picker, pool);
        scene.wait_for_picker(true);
        scene
    }

    /// Before Envoy has seen the picker.
    fn unchecked(mut picker: TestPicker, pool: &Value) -> Self {
        let extension = picker.router.listening().extension.expect("an extension server");
        let service = picker.engines[0].address();
        let made = EnvoyGateway::connect(extension).configuration(pool, service);
        let envoy = Bootstrap::of_resources(&made.clusters(), &made.listeners()).start();
        let engines = std::mem::take(&mut picker.engines);
        Self { picker: Some(picker), engines, envoy, _made: made }
    }

    fn wait_for_picker(&self, up: bool) {
        let healthy = "cluster.warmlane/picker/default/qwen.membership_healthy";
        let checked = "cluster.warmlane/picker/default/qwen.health_check.attempt";
        eventually("Envoy sees the picker as it is", || {
            self.envoy.stat(checked) > 0 && self.envoy.stat(healthy) == u64::from(up)
        });
    }

    fn lose_picker(&mut self) {
        self.picker = None;
        self.wait_for_picker(false);
    }

    fn post(&self, path: &str, headers: &str) -> Response {
        Wire::connect(self.envoy.aware()).post_with(path, headers, CHAT)
    }

    fn chat(&self) -> Response {
        self.post(PATH, "")
    }

    fn asked(&self) -> f64 {
        let picker = self.picker.as_ref().expect("a picker");
        picker.router.metric("warmlane_ext_proc_streams_total")
    }
}

/// Which engine gave this answer.
fn by(response: &Response) -> u64 {
    assert_eq!(response.status, 200, "{}{}", response.head, response.text());
    response.json()["engine"].as_u64().expect("an engine's answer")
}

fn v1alpha2(picker: &TestPicker) -> Value {
    json!({
        "apiVersion": "inference.networking.x-k8s.io/v1alpha2", "kind": "InferencePool",
        "metadata": {"name": "qwen", "namespace": "default"},
        "spec": {
            "selector": {"app": "qwen"}, "targetPortNumber": picker.engines[1].address().port(),
            "extensionRef": {
                "name": "picker", "portNumber": picker.address().port(), "failureMode": "FailClose",
            },
        },
    })
}

#[test]
fn the_picked_replica_of_a_pool_gets_its_requests() {
    let kinds: [&dyn Fn(&TestPicker) -> Value; 3] =
        [&|picker| pool(picker, "FailClose"), &v1alpha2, &|picker| known(pool(picker, "FailOpen"))];
    for kind in kinds {
        let scene = Scene::of(kind);
        for _ in 0..6 {
            assert_eq!(by(&scene.chat()), 1);
        }
        let seen = scene.engines[1].seen().pop().expect("a request");
        assert!(String::from_utf8_lossy(&seen.body).contains("\"hi\""), "its body too");
        eventually("the picker has answered for each", || scene.asked() >= 6.0);
    }
}

#[test]
fn routes_without_a_pool_never_ask_the_picker() {
    let mut scene = Scene::of(|picker| pool(picker, "FailClose"));
    assert_eq!(by(&scene.post("/plain/chat", "")), 0);
    let plain = Wire::connect(scene.envoy.plain()).post(PATH, CHAT);
    assert_eq!(by(&plain), 0, "another listener");
    assert_eq!(by(&scene.chat()), 1);
    eventually("the one to the pool", || scene.asked() == 1.0);
    scene.lose_picker();
    assert_eq!(by(&scene.post("/plain/chat", "")), 0, "they need none");
}

#[test]
fn of_two_weighted_backends_only_the_pools_requests_ask() {
    let scene = Scene::of(|picker| pool(picker, "FailClose"));
    let given: Vec<u64> = (0..40).map(|_| by(&scene.post("/both/chat", ""))).collect();
    let picked = given.iter().filter(|engine| **engine == 1).count();
    assert!((1..40).contains(&picked), "half and half: {given:?}");
    let picked = f64::from(u32::try_from(picked).expect("few"));
    eventually("the pool's share asked", || scene.asked() == picked);
}

#[test]
fn a_pool_that_fails_closed_is_refused_without_a_picker() {
    let mut scene = Scene::of(|picker| known(pool(picker, "FailClose")));
    assert_eq!(by(&scene.chat()), 1);
    scene.lose_picker();
    assert_eq!(scene.chat().status, 503);
}

#[test]
fn a_pool_that_fails_open_goes_on_where_envoy_knows_its_replicas() {
    let mut scene = Scene::of(|picker| known(pool(picker, "FailOpen")));
    assert_eq!(by(&scene.chat()), 1);
    scene.lose_picker();
    let given: Vec<u64> = (0..4).map(|_| by(&scene.chat())).collect();
    assert_eq!(given.iter().sum::<u64>(), 2, "round robin: {given:?}");
}

#[test]
fn no_client_says_where_its_request_goes() {
    let mut scene = Scene::of(|picker| pool(picker, "FailOpen"));
    let steer = format!("x-gateway-destination-endpoint: {}\r\n", scene.engines[0].address());
    assert_eq!(by(&scene.post(PATH, &steer)), 1);
    scene.lose_picker();
    let before = scene.engines[0].seen().len();
    let response = scene.post(PATH, &steer);
    assert_eq!(response.status, 503, "Envoy knows no replica: {}", response.head);
    assert_eq!(scene.engines[0].seen().len(), before);
}

#[test]
fn a_pool_that_is_wrong_is_refused_by_its_field() {
    let picker = picker(|_| {});
    let mut wrong = pool(&picker, "FailOpen");
    wrong["spec"]["targetPorts"][1]["number"] = json!(0);
    let gateway = EnvoyGateway::connect(picker.router.listening().extension.expect("a server"));
    let refused = gateway.cluster(&wrong).expect_err("refused");
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    let why = refused.message();
    assert!(why.starts_with("InferencePool default/qwen: spec.targetPorts[1].number: "), "{why}");
}

#[test]
fn what_envoy_is_given_is_in_files_that_it_can_read() {
    let picker = picker(|_| {});
    let gateway = EnvoyGateway::connect(picker.router.listening().extension.expect("a server"));
    let made = gateway.configuration(&pool(&picker, "FailOpen"), picker.engines[0].address());
    assert!(fs::metadata(made.clusters()).expect("a file").len() > 0);
}
