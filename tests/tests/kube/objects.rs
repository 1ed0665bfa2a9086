//! Objects as people write them.

use serde_json::{Value, json};
use warmlane_tests::kube::{Key, Resource};

/// A key in the namespace that all of these are in.
pub(crate) fn key(resource: Resource, name: &str) -> Key {
    Key::new(resource, "default", name)
}

/// A pod that is ready, with a label `app`.
pub(crate) fn pod(name: &str, app: &str, ip: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": app}},
        "spec": {"nodeName": "n1"},
        "status": {"phase": "Running", "podIP": ip, "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

/// A pool of version 1 over the pods with that label.
pub(crate) fn pool(name: &str, app: &str, port: u32) -> Value {
    json!({
        "apiVersion": "inference.networking.k8s.io/v1", "kind": "InferencePool",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"matchLabels": {"app": app}}, "targetPorts": [{"number": port}]},
    })
}

/// The same of version 1alpha2.
pub(crate) fn pool_x(name: &str, app: &str, port: u32) -> Value {
    json!({
        "apiVersion": "inference.networking.x-k8s.io/v1alpha2", "kind": "InferencePool",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"app": app}, "targetPortNumber": port, "extensionRef": {"name": "picker"}},
    })
}

/// A model of a pool.
pub(crate) fn model(name: &str, model: &str, pool: &str) -> Value {
    json!({
        "apiVersion": "inference.networking.x-k8s.io/v1alpha2", "kind": "InferenceModel",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"modelName": model, "criticality": "Critical", "poolRef": {"name": pool}},
    })
}

/// A slice of the agents' Service.
pub(crate) fn agents(name: &str, ips: &[&str]) -> Value {
    let endpoint = |ip: &&str| json!({"addresses": [ip], "nodeName": "n1"});
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": "warmlane-system",
                     "labels": {"kubernetes.io/service-name": "warmlane-agent"}},
        "addressType": "IPv4", "ports": [{"name": "grpc", "port": 9010}],
        "endpoints": ips.iter().map(endpoint).collect::<Vec<_>>(),
    })
}
