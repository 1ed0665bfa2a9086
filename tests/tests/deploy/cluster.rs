//! The cluster that the manifests are for: the pool that they name, with a model and one engine.

use std::net::SocketAddr;

use serde_json::{Value, json};
use warmlane_sim::server::{Options, Running, start};
use warmlane_tests::kube::{FakeApi, Key, Resource};

use super::rendered::SETS;

/// What the engine serves.
pub(super) const MODEL: &str = "/model/qwen";

/// Its API server, and the engine of its pod.
pub(super) struct Cluster {
    pub(super) api: FakeApi,
    pub(super) engine: Running,
}

/// `NAMESPACE/NAME` of the pools that routers are to serve, as the manifests have it.
pub(super) fn pools() -> &'static str {
    let is_it = |object: &&Value| {
        object["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("warmlane-pools"))
    };
    let map = SETS["overlays/ack-a10"].iter().find(is_it).expect("a map of pools");
    map["data"]["pools"].as_str().expect("pools")
}

// === Cluster ===

impl Cluster {
    pub(super) fn new() -> Self {
        let mut options = Options::new(MODEL);
        options.time_scale = 100.0;
        let engine = start(options).expect("the engine starts");
        let cluster = Self { api: FakeApi::start(), engine };
        cluster.add("qwen-0", cluster.engine.address());
        let (namespace, name) = pools().split_once('/').expect("one pool");
        cluster.api.put(json!({
            "apiVersion": "inference.networking.k8s.io/v1", "kind": "InferencePool",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "selector": {"matchLabels": {"app": name}},
                "targetPorts": [{"number": cluster.engine.address().port()}],
                "endpointPickerRef": {"name": "warmlane-router", "port": {"number": 9002}},
            },
        }));
        cluster.api.put(model("chat"));
        cluster
    }

    /// Adds a pod.
    pub(super) fn add(&self, pod: &str, address: SocketAddr) {
        let (namespace, name) = pools().split_once('/').expect("one pool");
        self.api.put(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": pod, "namespace": namespace, "labels": {"app": name}},
            "spec": {"nodeName": "node"},
            "status": {"phase": "Running", "podIP": address.ip().to_string(),
                       "conditions": [{"type": "Ready", "status": "True"}]},
        }));
    }

    /// What the status of a model says of it.
    pub(super) fn accepted(&self, model: &str) -> Option<String> {
        let (namespace, _) = pools().split_once('/')?;
        let model = self.api.get(&Key::new(Resource::MODELS, namespace, model))?;
        Some(model["status"]["conditions"][0]["reason"].as_str()?.to_owned())
    }
}

/// A model of that pool.
pub(super) fn model(name: &str) -> Value {
    let (namespace, pool) = pools().split_once('/').expect("one pool");
    json!({
        "apiVersion": "inference.networking.x-k8s.io/v1alpha2", "kind": "InferenceModel",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"modelName": name, "criticality": "Critical", "poolRef": {"name": pool},
                 "targetModels": [{"name": MODEL, "weight": 100}]},
    })
}
