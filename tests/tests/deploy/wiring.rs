//! What objects say of each other holds: selectors find pods, Services and policies name ports, bindings name roles, and every
//! container gives up what it does not need.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::rendered::{EVERYTHING, SETS, all, containers, list, pod, title};

/// The pods of a set: namespace, labels and ports by name and number.
pub(super) struct Pod<'o> {
    pub(super) namespace: &'o str,
    pub(super) labels: BTreeMap<&'o str, &'o str>,
    pub(super) ports: Vec<(&'o str, u64)>,
}

pub(super) fn pods<'o>(objects: &'o [Value]) -> Vec<Pod<'o>> {
    let made = objects.iter().filter_map(|object| Some((object, pod(object)?)));
    let of = |(object, pod): (&'o Value, &'o Value)| {
        let ports = containers(pod).into_iter().flat_map(|container| list(&container["ports"]));
        let ports = ports.map(|port| (word(&port["name"]), port["containerPort"].as_u64().expect("a port")));
        let namespace = word(&object["metadata"]["namespace"]);
        Pod { namespace, labels: labels(&pod["metadata"]["labels"]), ports: ports.collect() }
    };
    made.map(of).collect()
}

pub(super) fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no word: {value}"))
}

pub(super) fn labels(value: &Value) -> BTreeMap<&str, &str> {
    let pairs = value.as_object().into_iter().flatten();
    pairs.map(|(key, value)| (key.as_str(), word(value))).collect()
}

/// Whether labels are those that a selector wants: a map of pairs, or `matchLabels` and `matchExpressions` with In.
pub(super) fn selects(selector: &Value, pod: &BTreeMap<&str, &str>) -> bool {
    let plain = selector.get("matchLabels").is_none() && selector.get("matchExpressions").is_none();
    let pairs = labels(if plain { selector } else { &selector["matchLabels"] });
    let expressions = list(&selector["matchExpressions"]).iter().all(|expression| {
        assert_eq!(expression["operator"], "In");
        let values = list(&expression["values"]);
        pod.get(word(&expression["key"])).is_some_and(|has| values.iter().any(|value| value == *has))
    });
    pairs.iter().all(|(key, value)| pod.get(key) == Some(value)) && expressions
}

pub(super) fn port_of(pod: &Pod<'_>, port: &Value) -> bool {
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
        let pods = pods(objects);
        // Services are apart from all pods only in folders that are parts of others.
        for service in objects.iter().filter(|object| object["kind"] == "Service" && !pods.is_empty()) {
            let selector = &service["spec"]["selector"];
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

/// The example and its gateway are applied one after the other, so they are looked at together.
#[test]
fn routes_lead_from_a_listener_to_what_there_is() {
    let mut seen = 0;
    for version in ["v1", "v1alpha2"] {
        let sets = ["", "-gateway"].map(|part| format!("examples/qwen/{version}{part}"));
        let objects: Vec<&Value> = sets.iter().flat_map(|set| &SETS[set.as_str()]).collect();
        let there = |kind: &Value, name: &Value, group: &str| {
            let of = |object: &&&Value| {
                word(&object["apiVersion"]).split_once('/').map_or("", |(group, _)| group) == group
            };
            let named = |object: &&&Value| object["kind"] == *kind && object["metadata"]["name"] == *name;
            objects.iter().filter(of).find(named).copied()
        };
        for route in objects.iter().filter(|object| object["kind"] == "HTTPRoute") {
            for parent in list(&route["spec"]["parentRefs"]) {
                let gateway = there(&"Gateway".into(), &parent["name"], "gateway.networking.k8s.io")
                    .expect("a gateway");
                let mut listeners = list(&gateway["spec"]["listeners"]).iter();
                assert!(
                    listeners.any(|at| at["name"] == parent["sectionName"]),
                    "{version}: {}",
                    title(route)
                );
            }
            for backend in list(&route["spec"]["rules"]).iter().flat_map(|rule| list(&rule["backendRefs"])) {
                let group = backend["group"].as_str().unwrap_or_default();
                let found = there(&backend["kind"], &backend["name"], group);
                assert!(found.is_some(), "{version}: {} leads nowhere: {backend}", title(route));
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 4);
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
    let (installed, mut seen) = (pods(&SETS["base"]), 0);
    for (set, objects) in SETS.iter() {
        let pods = pods(objects);
        for policy in objects.iter().filter(|object| object["kind"] == "NetworkPolicy") {
            let spec = &policy["spec"];
            let namespace = word(&policy["metadata"]["namespace"]);
            let is_its =
                |pod: &&Pod<'_>| pod.namespace == namespace && selects(&spec["podSelector"], &pod.labels);
            // What the base has may get a policy more from elsewhere.
            let chosen: Vec<_> = match pods.iter().filter(is_its).collect::<Vec<_>>() {
                none if none.is_empty() => installed.iter().filter(is_its).collect(),
                some => some,
            };
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
            let namespace = &object["metadata"]["namespace"];
            let part = &object["metadata"]["labels"]["app.kubernetes.io/part-of"];
            let ours = namespace == "warmlane-system" || part == "warmlane";
            let Some(pod) = pod(object).filter(|_| ours) else { continue };
            let labels = labels(&pod["metadata"]["labels"]);
            let covered = |kind: &str, selector: &str| {
                objects.iter().any(|o| {
                    o["kind"] == kind
                        && o["metadata"]["namespace"] == *namespace
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

/// A DaemonSet has no number of replicas that could be asked for, so whoever evicts its pods by such a budget is refused.
#[test]
fn budgets_are_of_deployments_alone() {
    let mut seen = 0;
    for (set, objects) in SETS.iter() {
        for budget in objects.iter().filter(|object| object["kind"] == "PodDisruptionBudget") {
            let chosen: Vec<&Value> = objects
                .iter()
                .filter(|object| object["metadata"]["namespace"] == budget["metadata"]["namespace"])
                .filter(|object| {
                    let labels = pod(object).map(|pod| labels(&pod["metadata"]["labels"]));
                    labels.is_some_and(|labels| selects(&budget["spec"]["selector"], &labels))
                })
                .collect();
            assert!(chosen.len() == 1 && chosen[0]["kind"] == "Deployment", "{set}: {}", title(budget));
            seen += 1;
        }
    }
    assert!(seen >= 3, "{seen}");
}

/// In a cluster with the Prometheus operator, an overlay with all components, and the example with its monitors.
#[test]
fn monitors_find_pods_and_their_port() {
    let sets = [EVERYTHING, "examples/qwen/v1", "examples/qwen/monitoring"];
    let objects: Vec<Value> = sets.iter().flat_map(|set| SETS[*set].clone()).collect();
    let (pods, mut found) = (pods(&objects), BTreeSet::new());
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
    // Engines serve metrics on the port that requests come to.
    let has_metrics = |pod: &Pod<'_>| {
        let is_engine = pod.labels.get("app.kubernetes.io/component") == Some(&"engine");
        is_engine || pod.ports.iter().any(|(name, _)| *name == "metrics")
    };
    let with_metrics = pods.iter().filter(|pod| has_metrics(pod)).count();
    assert_eq!(found.len(), with_metrics, "each pod with metrics is found");
    assert!(with_metrics >= 6, "{with_metrics}");
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
