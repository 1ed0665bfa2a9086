//! Overlays and what they take in or leave out: nodes, room, priority, and the shared routers.

use serde_json::Value;

use super::rendered::{NOT_SHARED, SETS, all, containers, list, pod, title};

/// Both DaemonSets of an overlay go to the nodes of its card and to no others; the demo's agent to every node.
#[test]
fn overlays_choose_nodes_by_their_cards() {
    let (a10, l20) = ("NVIDIA-A10", "NVIDIA-L20");
    let overlays: [(&str, &[&str]); 3] =
        [("overlays/ack-a10", &[a10]), ("overlays/ack-gn8is", &[l20]), ("overlays/ack-mixed", &[a10, l20])];
    for (set, cards) in overlays {
        let sets: Vec<&Value> = SETS[set].iter().filter(|object| object["kind"] == "DaemonSet").collect();
        assert_eq!(sets.len(), 2, "{set}");
        for object in sets {
            let affinity = &object["spec"]["template"]["spec"]["affinity"]["nodeAffinity"];
            let terms =
                list(&affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]);
            assert_eq!(terms.len(), cards.len(), "{set}: {}: any one of several is enough", title(object));
            for (term, card) in terms.iter().zip(cards) {
                let wanted = serde_json::json!({
                    "key": "aliyun.accelerator/nvidia_name", "operator": "In", "values": [card]
                });
                let expressions = list(&term["matchExpressions"]);
                assert!(expressions.contains(&wanted), "{set}: {}", title(object));
                // An L20 may be a virtual node's, where no DaemonSet's pod runs.
                let no_virtual = serde_json::json!({
                    "key": "type", "operator": "NotIn", "values": ["virtual-kubelet"]
                });
                assert_eq!(expressions.contains(&no_virtual), *card == l20, "{set}: {}", title(object));
            }
        }
    }
    let demo = SETS["overlays/cpu-demo"].iter().filter(|object| object["kind"] == "DaemonSet");
    let demo: Vec<&Value> = demo.map(|object| &object["spec"]["template"]["spec"]).collect();
    assert_eq!(demo.len(), 1);
    assert!(demo[0].get("affinity").is_none() && demo[0].get("volumes").is_none());
}

/// Below this is what people may define; above stand the system's own, without which a node is none.
const SYSTEM_NODE_CRITICAL: u64 = 2_000_001_000;

/// Whatever runs once on each node comes before what waits for it; nothing of ours pushes others away.
#[test]
fn daemon_sets_have_a_priority_below_the_systems_own() {
    let class = SETS["base"].iter().find(|object| object["kind"] == "PriorityClass").expect("a class");
    let value = class["value"].as_u64().expect("a value");
    // The API server takes no more than a billion from anybody but itself.
    assert!(value > 0 && value <= 1_000_000_000 && value < SYSTEM_NODE_CRITICAL, "{value}");
    assert_eq!(class["globalDefault"], false);
    assert_eq!(class["preemptionPolicy"], "Never", "no engine goes for it");
    let mut seen = 0;
    for (set, object) in all() {
        let Some(pod) = pod(object) else { continue };
        let wanted = (object["kind"] == "DaemonSet").then_some(&class["metadata"]["name"]);
        assert_eq!(pod["spec"].get("priorityClassName"), wanted, "{set}: {}", title(object));
        seen += usize::from(wanted.is_some());
    }
    assert!(seen >= 6, "{seen}");
}

/// Thousandths of a core that all pods of a workload ask for; a DaemonSet has one here.
fn asked(object: &Value) -> u64 {
    let Some(pod) = pod(object) else { return 0 };
    let of = |container: &Value| {
        let text = container["resources"]["requests"]["cpu"].as_str().expect("a request");
        text.strip_suffix('m').and_then(|count| count.parse().ok()).unwrap_or(1000)
    };
    let each: u64 = containers(pod).into_iter().map(of).sum();
    each * object["spec"]["replicas"].as_u64().unwrap_or(1)
}

#[test]
fn the_demo_finds_room_on_a_small_machine() {
    let all: u64 = SETS["overlays/cpu-demo"].iter().map(asked).sum();
    assert!(all > 0 && all < 500, "{all}m");
    let base: u64 = SETS["base"].iter().map(asked).sum();
    assert!(base >= 2000, "{base}m: the shared routers ask for a core each");
}

#[test]
fn the_shared_routers_can_be_left_out_and_nothing_else_goes() {
    let with: Vec<String> = SETS["overlays/ack-a10"].iter().map(title).collect();
    let without: Vec<String> = SETS[NOT_SHARED].iter().map(title).collect();
    assert!(without.iter().all(|object| with.contains(object)));
    let mut gone: Vec<&str> =
        with.iter().filter(|object| !without.contains(object)).map(String::as_str).collect();
    gone.sort_unstable();
    let shared = ["Deployment", "NetworkPolicy", "PodDisruptionBudget", "Service"];
    let shared = shared.map(|kind| format!("{kind} warmlane-system/warmlane-router"));
    let mut wanted: Vec<&str> = shared.iter().map(String::as_str).collect();
    wanted.insert(3, "Service warmlane-system/warmlane-picker");
    assert_eq!(gone, wanted);
}

#[test]
fn demo_routers_stand_beside_their_pool_and_nowhere_else() {
    let routers = SETS["overlays/cpu-demo"].iter().filter(|object| {
        let of_router = |container: &&Value| {
            container["image"].as_str().is_some_and(|image| image.starts_with("warmlane-router:"))
        };
        pod(object).is_some_and(|pod| containers(pod).iter().any(of_router))
    });
    let namespaces: Vec<&Value> = routers.map(|object| &object["metadata"]["namespace"]).collect();
    assert_eq!(namespaces, ["llm"]);
}

/// Whatever else differed would be measured too.
#[test]
fn both_ways_of_the_load_test_differ_in_their_port_alone() {
    let job = |way: &str, port: &str| {
        let mut objects = SETS[format!("examples/qwen/bench/{way}").as_str()].clone();
        let job = objects.iter_mut().find(|object| object["kind"] == "Job").expect("a job");
        assert_eq!(job["metadata"]["name"], format!("qwen-bench-{way}"));
        let env = &mut job["spec"]["template"]["spec"]["containers"][0]["env"];
        let at = list(env).iter().position(|variable| variable["name"] == "PORT").expect("a port");
        assert_eq!(env[at]["value"].take(), port);
        serde_json::to_string(&objects).expect("text").replace(&format!("-{way}"), "")
    };
    assert_eq!(job("plain", "8080"), job("aware", "8081"));
}

/// A bare cluster, and one with another gateway, take the example; and its gateway where nobody has Envoy Gateway's own kinds.
#[test]
fn only_the_folders_of_gateways_need_what_gateways_bring() {
    const STANDARD: &str = "gateway.networking.k8s.io/v1";
    const ENVOY: &str = "gateway.envoyproxy.io/v1alpha1";
    let needs = |set: &str, version: &str| SETS[set].iter().any(|object| object["apiVersion"] == version);
    for set in SETS.keys() {
        let gateways = set.starts_with("examples/qwen/") && set.contains("gateway");
        assert_eq!(needs(set, STANDARD), gateways, "{set}");
        assert_eq!(needs(set, ENVOY), set == "examples/qwen/envoy-gateway", "{set}");
    }
    let of =
        |set: &str, kind: &str| SETS[set].iter().find(|object| object["kind"] == kind).expect("one").clone();
    let class = &of("examples/qwen/envoy-gateway", "GatewayClass")["metadata"]["name"];
    assert_eq!(*class, of("examples/qwen/v1-gateway", "Gateway")["spec"]["gatewayClassName"]);
}
