//! Where gateways find pickers, and the replicas while there is none: Services in the pool's namespace that show each pod by itself.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    flags::halves,
    rendered::{SETS, all, containers, list, pod, title},
    wiring::{pods, selects, word},
};

/// What Envoy is asked to check, and the kubelet: suite `health` holds what it says, in the clear.
const PICKER: &str = "envoy.service.ext_proc.v3.ExternalProcessor";
/// How pools say by which Service Envoy knows their pods.
const REPLICAS: &str = "warmlane.dev/replicas-service";

/// Pools of whole sets, with all objects of the set.
fn pools() -> Vec<(&'static str, &'static Vec<Value>, &'static Value)> {
    let whole = SETS.iter().filter(|(_, objects)| objects.iter().any(|o| o["kind"] == "Deployment"));
    let each = whole.flat_map(|(set, objects)| {
        let pools = objects.iter().filter(|object| object["kind"] == "InferencePool");
        pools.map(move |pool| (set.as_str(), objects, pool))
    });
    let each: Vec<_> = each.collect();
    assert!(each.len() >= 4, "{}", each.len());
    each
}

/// A Service of this name in the pool's namespace.
fn service<'o>(objects: &'o [Value], pool: &Value, name: &Value) -> Option<&'o Value> {
    let is_it = |object: &&Value| {
        object["kind"] == "Service"
            && object["metadata"]["name"] == *name
            && object["metadata"]["namespace"] == pool["metadata"]["namespace"]
    };
    objects.iter().find(is_it)
}

/// Each of its pods is seen, and only those that are ready.
fn shows_ready_pods(service: &Value) -> bool {
    service["spec"]["clusterIP"] == "None" && service["spec"].get("publishNotReadyAddresses").is_none()
}

#[test]
fn pools_name_routers_of_their_namespace_one_by_one() {
    for (set, objects, pool) in pools() {
        let spec = &pool["spec"];
        let (name, port) = match spec.get("endpointPickerRef") {
            Some(picker) => (&picker["name"], &picker["port"]["number"]),
            None => (&spec["extensionRef"]["name"], &spec["extensionRef"]["portNumber"]),
        };
        let service = service(objects, pool, name).unwrap_or_else(|| panic!("{set}: no Service {name}"));
        assert!(shows_ready_pods(service), "{set}: {}", title(service));
        let at = list(&service["spec"]["ports"]).iter().find(|at| at["port"] == *port).expect("that port");
        let of = |pod: &&super::wiring::Pod<'_>| {
            pod.namespace == word(&service["metadata"]["namespace"])
                && selects(&service["spec"]["selector"], &pod.labels)
        };
        let all = pods(objects);
        let routers: Vec<_> = all.iter().filter(of).collect();
        assert_eq!(routers.len(), 1, "{set}: {}", title(service));
        let named = routers[0].ports.iter().find(|(name, _)| at["targetPort"] == *name).expect("its port");
        assert_eq!(named, &("grpc-ext-proc", 9002), "{set}");
    }
}

/// Behind a cluster IP a gateway knows one host, and takes the end of one router for the end of all.
#[test]
fn no_service_hides_pickers_behind_one_address_and_none_leads_out_by_name() {
    let mut seen = BTreeSet::new();
    for (set, service) in all().filter(|(_, object)| object["kind"] == "Service") {
        assert!(service["spec"].get("externalName").is_none(), "{set}: {}", title(service));
        let of = |at: &Value| at["targetPort"] == "grpc-ext-proc" || at["targetPort"] == "grpc-health";
        if list(&service["spec"]["ports"]).iter().any(of) {
            assert!(shows_ready_pods(service), "{set}: {}", title(service));
            seen.insert(title(service));
        }
    }
    let wanted = ["llm", "warmlane-system"].map(|namespace| format!("Service {namespace}/warmlane-picker"));
    assert_eq!(seen, BTreeSet::from(wanted));
}

/// Without it Envoy has nowhere to go while no picker answers, and what fails open fails.
#[test]
fn pools_that_fail_open_name_their_replicas_for_envoy() {
    for (set, objects, pool) in pools() {
        let spec = &pool["spec"];
        let picker = spec.get("endpointPickerRef").unwrap_or(&spec["extensionRef"]);
        assert_eq!(picker["failureMode"], "FailOpen", "{set}");
        let name = &pool["metadata"]["annotations"][REPLICAS];
        let service = service(objects, pool, name).unwrap_or_else(|| panic!("{set}: no Service {name}"));
        assert!(shows_ready_pods(service), "{set}: {}", title(service));
        let selector = spec["selector"].get("matchLabels").unwrap_or(&spec["selector"]);
        assert_eq!(service["spec"]["selector"], *selector, "{set}");
        let port = spec.get("targetPortNumber").unwrap_or(&spec["targetPorts"][0]["number"]);
        assert_eq!(list(&service["spec"]["ports"])[0]["port"], *port, "{set}");
    }
}

/// `/readyz` would take every router out of its Services while no replica is ready: nobody would be left to say so.
#[test]
fn routers_stay_in_their_services_while_no_replica_is_ready() {
    let mut seen = BTreeSet::new();
    for (set, object) in all() {
        for container in pod(object).map(containers).unwrap_or_default() {
            let mut flags = list(&container["args"]).iter().filter_map(Value::as_str).map(halves);
            let Some((_, at)) = flags.find(|(flag, _)| *flag == "--grpc-health") else { continue };
            let port: u64 = at.and_then(|at| at.strip_prefix("0.0.0.0:")?.parse().ok()).expect("a port");
            let probe = &container["readinessProbe"];
            assert_eq!(probe["grpc"], json!({ "port": port, "service": PICKER }), "{set}: {}", title(object));
            assert!(probe.get("httpGet").is_none(), "{set}: {}", title(object));
            seen.insert(title(object));
        }
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
}

/// Gateways whose Envoys run in the pool's namespace are let in, and so are clients of it.
#[test]
fn namespaces_with_a_pool_may_have_gateways_and_clients() {
    for (set, objects, pool) in pools() {
        let name = &pool["metadata"]["namespace"];
        let is_it = |object: &&Value| object["kind"] == "Namespace" && object["metadata"]["name"] == *name;
        let namespace = objects.iter().find(is_it).unwrap_or_else(|| panic!("{set}: no namespace {name}"));
        for label in ["warmlane.dev/gateways", "warmlane.dev/clients"] {
            assert_eq!(namespace["metadata"]["labels"][label], "true", "{set}: {label}");
        }
    }
}

/// One writes a model's status: routers of one namespace choose it among themselves, by a Lease that their Role is for.
#[test]
fn routers_beside_a_pool_choose_their_writer_in_its_namespace() {
    let objects = &SETS["examples/qwen/router"];
    let deployment = objects.iter().find(|o| o["kind"] == "Deployment").expect("routers");
    let container = containers(pod(deployment).expect("a pod"))[0];
    let lease = list(&container["args"]).iter().filter_map(Value::as_str).map(halves);
    let lease = lease.filter(|(flag, _)| *flag == "--kube-lease").find_map(|(_, lease)| lease);
    let (namespace, name) = lease.and_then(|lease| lease.split_once('/')).expect("a Lease");
    assert_eq!(deployment["metadata"]["namespace"], namespace);
    let role = objects
        .iter()
        .find(|object| object["kind"] == "Role" && object["metadata"]["namespace"] == namespace);
    let rules = list(&role.expect("a Role there")["rules"]);
    assert!(rules.iter().all(|rule| rule["resources"] == json!(["leases"])), "{rules:?}");
    assert!(rules.iter().any(|rule| rule["resourceNames"] == json!([name])), "{rules:?}");
}
