use serde_json::{Value, json};
use warmlane_kube::{Meta, ObjectName, reduce};

use super::*;

fn put(objects: &mut Objects, kind: Kind, namespace: &str, name: &str, object: &Value) {
    objects.apply(kind, ObjectName::new(namespace, name), reduce(kind, object, Meta::default()));
}

fn pool(objects: &mut Objects, namespace: &str, app: &str, ports: &[u16]) {
    let ports: Vec<Value> = ports.iter().map(|port| json!({"number": port})).collect();
    let spec = json!({"spec": {"selector": {"matchLabels": {"app": app}}, "targetPorts": ports,
        "endpointPickerRef": {"name": "picker", "port": {"number": 9002}}}});
    put(objects, Kind::PoolV1, namespace, app, &spec);
}

fn pod(objects: &mut Objects, namespace: &str, name: &str, app: &str, change: &Value) {
    let mut pod = json!({
        "metadata": {"uid": format!("uid-{name}"), "labels": {"app": app}},
        "status": {"podIP": "10.0.0.1", "phase": "Running"},
    });
    for part in ["metadata", "status"] {
        for (key, value) in change[part].as_object().into_iter().flatten() {
            pod[part][key.as_str()] = value.clone();
        }
    }
    put(objects, Kind::Pod, namespace, name, &pod);
}

fn ip(ip: &str) -> Value {
    json!({"status": {"podIP": ip}})
}

/// Each engine as `address pod uid events`.
fn found(objects: &Objects) -> Vec<String> {
    let text = |named: &Named| {
        let pod = named.pod.as_ref().map(ToString::to_string).unwrap_or_default();
        let events = named.kv_events.as_deref().unwrap_or("none");
        format!("{} {pod} {} {events}", named.address, named.uid)
    };
    resolve(objects).engines.iter().map(text).collect()
}

#[test]
fn engines_are_the_ports_of_pods_that_a_pool_of_their_namespace_selects() {
    let mut objects = Objects::default();
    pool(&mut objects, "llm", "qwen", &[8000, 8001]);
    let annotated = json!({
        "metadata": {"annotations": {"warmlane.dev/kv-events": "none,5557"}}, "status": {"podIP": "fd00::1"},
    });
    pod(&mut objects, "llm", "a", "qwen", &annotated);
    pod(&mut objects, "llm", "b", "llama", &ip("10.0.0.2"));
    pod(&mut objects, "other", "c", "qwen", &ip("10.0.0.3"));
    assert_eq!(
        found(&objects),
        ["[fd00::1]:8000 llm/a uid-a none", "[fd00::1]:8001 llm/a uid-a [fd00::1]:5557"]
    );
    pool(&mut objects, "other", "qwen", &[8000]);
    assert_eq!(found(&objects).len(), 3);
    assert!(resolve(&objects).troubles.is_empty());
}

#[test]
fn pods_that_ended_or_have_no_address_are_none_and_those_that_end_still_are() {
    let mut objects = Objects::default();
    pool(&mut objects, "llm", "qwen", &[8000]);
    pod(&mut objects, "llm", "a", "qwen", &json!({"status": {"podIP": "10.0.0.1", "phase": "Failed"}}));
    pod(&mut objects, "llm", "b", "qwen", &ip(""));
    let deleted =
        json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"podIP": "10.0.0.3"}});
    pod(&mut objects, "llm", "c", "qwen", &deleted);
    assert_eq!(found(&objects), ["10.0.0.3:8000 llm/c uid-c none"]);
}

#[test]
fn an_address_is_that_of_the_pod_that_can_serve_whichever_pool_selects_it() {
    let mut objects = Objects::default();
    pool(&mut objects, "llm", "first", &[8000]);
    pool(&mut objects, "llm", "then", &[8000]);
    pod(
        &mut objects,
        "llm",
        "a",
        "first",
        &json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
    );
    pod(&mut objects, "llm", "b", "then", &json!({}));
    assert_eq!(found(&objects), ["10.0.0.1:8000 llm/b uid-b none"]);
}

#[test]
fn an_annotation_that_is_wrong_is_told_and_counts_as_none() {
    let mut objects = Objects::default();
    pool(&mut objects, "llm", "qwen", &[8000]);
    pod(
        &mut objects,
        "llm",
        "a",
        "qwen",
        &json!({"metadata": {"annotations": {"warmlane.dev/kv-events": "5557,5558"}}}),
    );
    assert_eq!(found(&objects), ["10.0.0.1:8000 llm/a uid-a none"]);
    let troubles = resolve(&objects).troubles;
    assert!(
        troubles.len() == 1 && troubles[0].contains("Pod llm/a: annotation warmlane.dev/kv-events"),
        "{troubles:?}"
    );
}

#[test]
fn which_engine_it_is_is_what_its_pool_says() {
    let mut objects = Objects::default();
    pool(&mut objects, "llm", "qwen", &[8000]);
    pod(&mut objects, "llm", "a", "qwen", &ip("10.0.0.1"));
    let kind = |objects: &Objects| resolve(objects).engines[0].runtime;
    assert_eq!(kind(&objects), EngineKind::Unknown);
    let said = json!({
        "metadata": {"annotations": {"inference.networking.x-k8s.io/model-server-runtime": "trtllm"}},
        "spec": {"selector": {"matchLabels": {"app": "qwen"}}, "targetPorts": [{"number": 8000}]},
    });
    put(&mut objects, Kind::PoolV1, "llm", "qwen", &said);
    assert_eq!(kind(&objects), EngineKind::TensorRtLlm);
}
