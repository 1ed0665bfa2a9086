//! Engines publish KV events where their pods say so, and agents, and nobody else, may come there.

use serde_json::{Value, json};

use super::rendered::{SETS, containers, list, pod, title};

const ANNOTATION: &str = "warmlane.dev/kv-events";
const FLAG: &str = "--kv-events-config=";

/// What an engine is told of its events.
fn config(container: &Value) -> Option<Value> {
    let words = list(&container["args"]).iter().filter_map(Value::as_str);
    let text = words.filter_map(|word| word.strip_prefix(FLAG)).next()?;
    Some(serde_json::from_str(text).expect("JSON"))
}

#[test]
fn engines_publish_where_their_annotation_says_and_replay_at_the_port_behind() {
    let mut seen = 0;
    for (set, objects) in SETS.iter() {
        for object in objects {
            let Some(pod) = pod(object).filter(|_| object["kind"] == "Deployment") else { continue };
            let place = format!("{set}: {}", title(object));
            let annotation = object["spec"]["template"]["metadata"]["annotations"][ANNOTATION].as_str();
            let config = containers(pod).into_iter().find_map(config);
            assert_eq!(annotation.is_some(), config.is_some(), "{place}: one without the other");
            let Some((annotation, config)) = annotation.zip(config) else { continue };
            let port: u64 = annotation.parse().expect("one port: the pool has one target port");
            let at = |port: u64| json!(format!("tcp://*:{port}"));
            assert_eq!(
                config,
                json!({
                    "enable_kv_cache_events": true, "publisher": "zmq",
                    "endpoint": at(port), "replay_endpoint": at(port + 1),
                }),
                "{place}"
            );
            let ports = containers(pod).into_iter().flat_map(|container| list(&container["ports"]));
            let ports: Vec<u64> = ports.filter_map(|port| port["containerPort"].as_u64()).collect();
            assert!(ports.contains(&port) && ports.contains(&(port + 1)), "{place}: {ports:?}");
            seen += 1;
        }
    }
    assert!(seen >= 3, "{seen}");
}

/// They carry the tokens of prompts.
#[test]
fn agents_and_nobody_else_may_come_to_where_events_are() {
    let mut seen = 0;
    for (set, objects) in SETS.iter() {
        for policy in objects.iter().filter(|object| object["kind"] == "NetworkPolicy") {
            for rule in list(&policy["spec"]["ingress"]) {
                let is_of_events = |port: &Value| {
                    port["port"].as_str().is_some_and(|name| name.starts_with("kv-"))
                        || port["port"].as_u64().is_some_and(|port| port == 5557 || port == 5558)
                };
                if !list(&rule["ports"]).iter().any(is_of_events) {
                    continue;
                }
                let agents = json!([{
                    "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "warmlane-system" } },
                    "podSelector": { "matchLabels": { "app.kubernetes.io/name": "warmlane-agent" } },
                }]);
                assert_eq!(rule["from"], agents, "{set}: {}", title(policy));
                assert_eq!(list(&rule["ports"]).len(), 2, "{set}: {}", title(policy));
                seen += 1;
            }
        }
    }
    assert!(seen >= 3, "{seen}");
}
