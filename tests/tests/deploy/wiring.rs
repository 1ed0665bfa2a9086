//! What objects say of each other holds: selectors find pods, Services and policies name ports, bindings name roles, and every
//! container gives up what it does not need.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::rendered::{SETS, all, containers, list, pod, title};

/// The pods of a set: namespace, labels and ports by name and number.
struct Pod<'o> {
    namespace: &'o str,
    labels: BTreeMap<&'o str, &'o str>,
    ports: Vec<(&'o str, u64)>,
}

fn pods<'o>(objects: &'o [Value]) -> Vec<Pod<'o>> {
    let made = objects.iter().filter_map(|object| Some((object, pod(object)?)));
    let of = |(object, pod): (&'o Value, &'o Value)| {
        let ports = containers(pod).into_iter().flat_map(|container| list(&container["ports"]));
        let ports = ports.map(|port| (word(&port["name"]), port["containerPort"].as_u64().expect("a port")));
        let namespace = word(&object["metadata"]["namespace"]);
        Pod { namespace, labels: labels(&pod["metadata"]["labels"]), ports: ports.collect() }
    };
    made.map(of).collect()
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no word: {value}"))
}

fn labels(value: &Value) -> BTreeMap<&str, &str> {
    let pairs = value.as_object().into_iter().flatten();
    pairs.map(|(key, value)| (key.as_str(), word(value))).collect()
}

/// Whether labels are those that a selector wants: a map of pairs, or `matchLabels` and `matchExpressions` with In.
fn selects(selector: &Value, pod: &BTreeMap<&str, &str>) -> bool {
    let plain = selector.get("matchLabels").is_none() && selector.get("matchExpressions").is_none();
    let pairs = labels(if plain { selector } else { &selector["matchLabels"] });
    let expressions = list(&selector["matchExpressions"]).iter().all(|expression| {
        assert_eq!(expression["operator"], "In");
        let values = list(&expression["values"]);
        pod.get(word(&expression["key"])).is_some_and(|has| values.iter().any(|value| value == *has))
    });
    pairs.iter().all(|(key, value)| pod.get(key) == Some(value)) && expressions
}

fn port_of(pod: &Pod<'_>, port: &Value) -> bool {
    pod.ports.iter().any(|(name, number)| port == *name || port.as_u64() == Some(*number))
}

#[test]
fn workloads_select_their_own_pods_and_no_others() {
    for (set, objects) in SETS.iter() {
        for object in objects {
            let Some(pod) = pod(object).filter(|_| object["kind"] != "Job") else { continue };
            let selector = &object["spec"]["selector"];
            assert!(selects(selector, &labels(&pod["metadata"]["labels"])), "{set}: {}", title(object));
            let namespace = word(&object["metadata"]["namespace"]);
            let found = pods(objects);
            let found = found.iter().filter(|p| p.namespace == namespace && selects(selector, &p.labels));
            assert_eq!(found.count(), 1, "{set}: {} selects others' pods", title(object));
        }
    }
}

#[test]
fn services_lead_to_ports_that_pods_have() {
    let mut seen = 0;
    for (set, objects) in SETS.iter() {
        // The example's Services are apart from its pods only in folders that are parts of others.
        let pods = pods(objects);
        for service in objects.iter().filter(|object| object["kind"] == "Service") {
            let selector = &service["spec"]["selector"];
            if service["spec"]["type"] == "ExternalName" {
                assert!(selector.is_null(), "{set}: {}", title(service));
                continue;
            }
            let namespace = word(&service["metadata"]["namespace"]);
            let chosen: Vec<_> =
                pods.iter().filter(|p| p.namespace == namespace && selects(selector, &p.labels)).collect();
            assert_eq!(chosen.len(), 1, "{set}: {}", title(service));
            for port in list(&service["spec"]["ports"]) {
                assert!(port_of(chosen[0], &port["targetPort"]), "{set}: {}: {port}", title(service));
                seen += 1;
            }
        }
    }
    assert!(seen > 10, "{seen}");
}

/// A word that Kubernetes does not know would be taken for none: the schemas have no list of them.
#[test]
fn only_the_node_local_service_stays_on_the_node() {
    let mut local = BTreeSet::new();
    for (set, service) in all().filter(|(_, object)| object["kind"] == "Service") {
        match service["spec"].get("internalTrafficPolicy") {
            Some(policy) => {
                assert_eq!(policy, "Local", "{set}: {}", title(service));
                local.insert(word(&service["metadata"]["name"]));
            }
            None => assert_ne!(service["metadata"]["name"], "warmlane-router-node", "{set}"),
        }
    }
    assert_eq!(local, BTreeSet::from(["warmlane-router-node"]));
}

/// Names that lead elsewhere in the cluster lead to a Service that is there, with that port.
#[test]
fn references_from_pools_and_routes_lead_to_services() {
    let installed = &SETS["base"];
    let mut seen = 0;
    for (set, objects) in SETS.iter() {
        let named =
            |name: &str| objects.iter().find(|o| o["kind"] == "Service" && o["metadata"]["name"] == name);
        for pool in objects.iter().filter(|object| object["kind"] == "InferencePool") {
            let spec = &pool["spec"];
            let (name, port) = match spec.get("endpointPickerRef") {
                Some(picker) => (&picker["name"], &picker["port"]["number"]),
                None => (&spec["extensionRef"]["name"], &spec["extensionRef"]["portNumber"]),
            };
            let service = named(word(name)).unwrap_or_else(|| panic!("{set}: no Service {name}"));
            assert!(list(&service["spec"]["ports"]).iter().any(|p| p["port"] == *port), "{set}: {port}");
            let outside = word(&service["spec"]["externalName"]);
            let router = installed.iter().find(|object| {
                let (name, namespace) = (&object["metadata"]["name"], &object["metadata"]["namespace"]);
                object["kind"] == "Service"
                    && outside.strip_suffix(".svc.cluster.local")
                        == Some(&format!(
                            "{}.{}",
                            name.as_str().unwrap_or(""),
                            namespace.as_str().unwrap_or("")
                        ))
            });
            let router = router.unwrap_or_else(|| panic!("{set}: {outside} is no Service of the base"));
            assert!(list(&router["spec"]["ports"]).iter().any(|p| p["port"] == *port), "{set}: {port}");
            seen += 1;
        }
        for route in objects.iter().filter(|object| object["kind"] == "HTTPRoute") {
            for backend in list(&route["spec"]["rules"]).iter().flat_map(|rule| list(&rule["backendRefs"])) {
                let whole = objects.iter().any(|object| object["kind"] == "Deployment");
                let group = backend["group"].as_str().unwrap_or_default();
                let there = objects.iter().any(|object| {
                    let version = word(&object["apiVersion"]);
                    let of = version.split_once('/').map_or("", |(group, _)| group);
                    object["kind"] == backend["kind"]
                        && object["metadata"]["name"] == backend["name"]
                        && of == group
                });
                assert!(there || !whole, "{set}: {} leads nowhere: {backend}", title(route));
            }
        }
    }
    assert!(seen >= 3, "{seen}");
}

/// A pool selects the engines' pods, and its port is theirs.
#[test]
fn pools_select_engines() {
    let mut seen = 0;
    for (set, objects) in SETS.iter() {
        let pods = pods(objects);
        for pool in objects.iter().filter(|object| object["kind"] == "InferencePool") {
            if !objects.iter().any(|object| object["kind"] == "Deployment") {
                continue;
            }
            let spec = &pool["spec"];
            let port = spec.get("targetPortNumber").unwrap_or(&spec["targetPorts"][0]["number"]);
            let found: Vec<_> = pods.iter().filter(|pod| selects(&spec["selector"], &pod.labels)).collect();
            assert!(found.len() == 1 && port_of(found[0], port), "{set}: {}", title(pool));
            seen += 1;
        }
    }
    assert!(seen >= 3, "{seen}");
}

#[test]
fn network_policies_are_of_pods_and_ports_that_there_are() {
    let mut seen = 0;
    for (set, objects) in SETS.iter() {
        let pods = pods(objects);
        for policy in objects.iter().filter(|object| object["kind"] == "NetworkPolicy") {
            let spec = &policy["spec"];
            let namespace = word(&policy["metadata"]["namespace"]);
            let chosen: Vec<_> = pods
                .iter()
                .filter(|pod| pod.namespace == namespace && selects(&spec["podSelector"], &pod.labels))
                .collect();
            assert_eq!(chosen.len(), 1, "{set}: {}", title(policy));
            assert_eq!(spec["policyTypes"], serde_json::json!(["Ingress"]), "{set}");
            for rule in list(&spec["ingress"]) {
                assert!(!list(&rule["from"]).is_empty(), "{set}: {} lets anybody in", title(policy));
                assert!(!list(&rule["ports"]).is_empty(), "{set}: {} opens every port", title(policy));
                for port in list(&rule["ports"]) {
                    assert!(port_of(chosen[0], &port["port"]), "{set}: {}: {port}", title(policy));
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn each_pod_of_ours_has_a_policy_and_each_server_a_budget() {
    for (set, objects) in SETS.iter() {
        for object in objects {
            let ours = object["metadata"]["namespace"] == "warmlane-system";
            let Some(pod) = pod(object).filter(|_| ours) else { continue };
            let labels = labels(&pod["metadata"]["labels"]);
            let covered = |kind: &str, selector: &str| {
                objects.iter().any(|o| {
                    o["kind"] == kind
                        && o["metadata"]["namespace"] == "warmlane-system"
                        && selects(&o["spec"][selector], &labels)
                })
            };
            assert!(covered("NetworkPolicy", "podSelector"), "{set}: {}", title(object));
            if object["kind"] == "Deployment" {
                assert!(covered("PodDisruptionBudget", "selector"), "{set}: {}", title(object));
            }
        }
    }
}

#[test]
fn monitors_find_pods_and_their_port() {
    let objects = &SETS["overlays/ack-a10 and every component"];
    let (pods, mut found) = (pods(objects), BTreeSet::new());
    for monitor in objects.iter().filter(|object| object["kind"] == "PodMonitor") {
        let spec = &monitor["spec"];
        let namespaces = list(&spec["namespaceSelector"]["matchNames"]);
        for (at, pod) in pods.iter().enumerate() {
            let in_it = namespaces.iter().any(|name| name == pod.namespace);
            if in_it && selects(&spec["selector"], &pod.labels) {
                for endpoint in list(&spec["podMetricsEndpoints"]) {
                    assert!(port_of(pod, &endpoint["port"]), "{}: {endpoint}", title(monitor));
                    found.insert(at);
                }
            }
        }
    }
    let with_metrics = pods.iter().filter(|pod| pod.ports.iter().any(|(name, _)| *name == "metrics")).count();
    assert_eq!(found.len(), with_metrics, "each pod with metrics is found");
    assert!(with_metrics >= 4, "{with_metrics}");
}

#[test]
fn labels_are_those_that_tools_know() {
    for (set, object) in all() {
        let labels = labels(&object["metadata"]["labels"]);
        assert!(labels.contains_key("app.kubernetes.io/name"), "{set}: {}", title(object));
        // Objects of ours say so; examples are the reader's own.
        if object["metadata"]["namespace"] == "warmlane-system" && set == "base" {
            assert_eq!(
                labels.get("app.kubernetes.io/part-of"),
                Some(&"warmlane"),
                "{set}: {}",
                title(object)
            );
        }
    }
}

/// Both DaemonSets of an overlay go to the nodes of its card and to no others; the demo's agent to every node.
#[test]
fn overlays_choose_nodes_by_their_cards() {
    for (set, card) in [("overlays/ack-a10", "NVIDIA-A10"), ("overlays/ack-gn8is", "NVIDIA-L20")] {
        let sets: Vec<&Value> = SETS[set].iter().filter(|object| object["kind"] == "DaemonSet").collect();
        assert_eq!(sets.len(), 2, "{set}");
        for object in sets {
            let affinity = &object["spec"]["template"]["spec"]["affinity"]["nodeAffinity"];
            let terms =
                list(&affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]);
            assert_eq!(terms.len(), 1, "{set}: {}: any one of several is enough", title(object));
            let wanted = serde_json::json!({
                "key": "aliyun.accelerator/nvidia_name", "operator": "In", "values": [card]
            });
            assert!(list(&terms[0]["matchExpressions"]).contains(&wanted), "{set}: {}", title(object));
        }
    }
    let demo = SETS["overlays/cpu-demo"].iter().filter(|object| object["kind"] == "DaemonSet");
    let demo: Vec<&Value> = demo.map(|object| &object["spec"]["template"]["spec"]).collect();
    assert_eq!(demo.len(), 1);
    assert!(demo[0].get("affinity").is_none() && demo[0].get("volumes").is_none());
}
