//! An agent that finds its node's engines in the cluster: fake API server, engines, and who follows it.

use std::{collections::BTreeSet, net::SocketAddr};

use serde_json::{Value, json};
use warmlane_sim::server::{KvEvents, KvFormat, Options, Running, start};
use warmlane_tests::{
    RawEngine, TestRouter, Wire,
    agent::TestAgent,
    eventually,
    follower::TestFollower,
    kube::{FakeApi, Key, Resource},
    picker::engines,
};

#[path = "agent_kube/routers.rs"]
mod routers;

const NODE: &str = "gpu-a";
const EVENTS: &str = "warmlane.dev/kv-events";

/// A pool of version 1 of the namespace `llm` over pods with its name as their label `app`.
fn pool(name: &str, ports: &[u16]) -> Value {
    let ports: Vec<Value> = ports.iter().map(|port| json!({"number": port})).collect();
    json!({
        "apiVersion": "inference.networking.k8s.io/v1", "kind": "InferencePool",
        "metadata": {"name": name, "namespace": "llm"},
        "spec": {"selector": {"matchLabels": {"app": name}}, "targetPorts": ports},
    })
}

/// A pod of a pool, at this machine's address.
fn pod(name: &str, pool: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "llm", "labels": {"app": pool}},
        "spec": {"nodeName": node},
        "status": {"phase": "Running", "podIP": "127.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

fn annotated(mut pod: Value, events: &str) -> Value {
    pod["metadata"]["annotations"] = json!({ EVENTS: events });
    pod
}

fn key(pod: &str) -> Key {
    Key::new(Resource::PODS, "llm", pod)
}

fn readiness(agent: &TestAgent) -> (u16, String) {
    let response = Wire::connect(agent.metrics_address()).get("/readyz");
    (response.status, response.text())
}

fn until_ready(agent: &TestAgent) {
    eventually("it is ready", || readiness(agent).0 == 200);
}

/// Engines, each in a pool of its own, with an agent and who follows it; pods are still to come.
fn scene(count: usize) -> (FakeApi, TestAgent, TestFollower, Vec<RawEngine>, Vec<SocketAddr>) {
    let (api, (engines, addresses)) = (FakeApi::start(), engines(count));
    for (number, address) in addresses.iter().enumerate() {
        api.put(pool(&format!("pool-{number}"), &[address.port()]));
    }
    let agent = TestAgent::in_cluster(&api, NODE);
    until_ready(&agent);
    let follower = TestFollower::of(agent.address());
    (api, agent, follower, engines, addresses)
}

/// What is shown of an engine.
fn shown(agent: &TestAgent, gauge: &str, engine: SocketAddr) -> Option<f64> {
    let page = Wire::connect(agent.metrics_address()).get("/metrics").text();
    let series = format!("warmlane_agent_endpoint_{gauge}{{endpoint=\"{engine}\"}} ");
    page.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok())
}

#[test]
fn an_engine_is_read_from_when_its_pod_comes_until_it_is_gone() {
    let (api, agent, follower, engines, addresses) = scene(2);
    assert_eq!(agent.metric("warmlane_agent_engines{"), 0.0, "a node without engines is one too");
    api.put(pod("a", "pool-0", NODE));
    api.put(pod("b", "pool-1", "gpu-b"));
    follower.until_engines(&addresses[..1]);
    eventually("it is read", || shown(&agent, "up", addresses[0]) == Some(1.0));
    assert_eq!((agent.metric("warmlane_agent_engines{"), engines[1].connections()), (1.0, 0));
    api.begin_deletion(&key("a"), 30);
    api.put(pod("c", "pool-1", NODE));
    follower.until_engines(&addresses);
    eventually("it is read", || shown(&agent, "up", addresses[1]) == Some(1.0));
    assert!(engines[0].connections() > 0, "an engine that ends is read until it has ended");
    assert!(api.remove(&key("a")));
    follower.until_engines(&addresses[1..]);
    eventually("nobody reads it any more", || engines[0].connections() == 0);
    assert_eq!(shown(&agent, "up", addresses[0]), None, "and nothing is shown of it");
    // The name is a StatefulSet's: the next pod of that name may be elsewhere.
    assert!(api.remove(&key("c")));
    api.put(pod("c", "pool-1", "gpu-b"));
    follower.until_engines(&[]);
    eventually("nobody reads it here", || engines[1].connections() == 0);
}

#[test]
fn pools_of_both_versions_and_of_every_namespace_have_engines() {
    let (api, agent, follower, _engines, addresses) = scene(1);
    let (more, others) = engines(2);
    api.put(pod("a", "pool-0", NODE));
    api.put(json!({
        "apiVersion": "inference.networking.x-k8s.io/v1alpha2", "kind": "InferencePool",
        "metadata": {"name": "old", "namespace": "other"},
        "spec": {"selector": {"app": "old"}, "targetPortNumber": others[0].port(), "extensionRef": {"name": "picker"}},
    }));
    let mut elsewhere = pod("a", "old", NODE);
    elsewhere["metadata"]["namespace"] = "other".into();
    api.put(elsewhere);
    follower.until_engines(&[addresses[0], others[0]]);
    api.put(pool("pool-0", &[addresses[0].port(), others[1].port()]));
    follower.until_engines(&[addresses[0], others[0], others[1]]);
    assert!(api.remove(&Key::new(Resource::POOLS_X, "other", "old")));
    follower.until_engines(&[addresses[0], others[1]]);
    eventually("nobody reads it any more", || more[0].connections() == 0);
    until_ready(&agent);
}

/// What it asks is what the ClusterRole of its manifest allows.
#[test]
fn it_lists_and_watches_pods_and_pools_and_asks_for_nothing_else() {
    let (api, agent, follower, _engines, addresses) = scene(1);
    api.put(pod("a", "pool-0", NODE));
    follower.until_engines(&addresses);
    eventually("all is watched", || api.watches() == 3);
    drop(agent);
    let asked = api.take_log().into_iter().map(|asked| {
        assert_eq!(
            (asked.namespace.as_str(), asked.subresource.as_str()),
            ("", ""),
            "in all namespaces: {asked:?}"
        );
        (asked.verb, asked.group, asked.resource)
    });
    let asked: BTreeSet<(&str, String, String)> = asked.collect();
    let allowed = [
        ("", "pods"),
        ("inference.networking.k8s.io", "inferencepools"),
        ("inference.networking.x-k8s.io", "inferencepools"),
    ];
    let allowed = allowed.into_iter().flat_map(|(group, resource)| {
        ["list", "watch"].map(|verb| (verb, group.to_owned(), resource.to_owned()))
    });
    assert_eq!(asked, allowed.collect());
}

#[test]
fn an_address_that_a_flag_names_is_what_the_flag_says() {
    let (api, (engines, addresses)) = (FakeApi::start(), engines(2));
    api.put(pool("pool-0", &[addresses[0].port(), addresses[1].port()]));
    api.put(pod("a", "pool-0", NODE));
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = folder.path().join("kubeconfig");
    api.write_kubeconfig(&kubeconfig).expect("it is written");
    let agent = TestAgent::with(&addresses[..1], |config| {
        config.node = NODE.to_owned();
        (config.kube, config.kubeconfig) = (true, Some(kubeconfig));
    });
    let follower = TestFollower::of(agent.address());
    follower.until_engines(&addresses);
    assert_eq!(agent.metric("warmlane_agent_engines{"), 2.0);
    assert!(api.remove(&key("a")));
    follower.until_engines(&addresses[..1]);
    eventually("the flag's is read still", || engines[1].connections() == 0 && engines[0].connections() > 0);
}

#[test]
fn an_agent_reads_64_engines_and_says_how_many_it_leaves_out() {
    let (api, _engine) = (FakeApi::start(), engines(1));
    api.put(pool("many", &[1]));
    for number in 0..66 {
        let mut pod = pod(&format!("p{number:02}"), "many", NODE);
        pod["status"]["podIP"] = format!("127.0.79.{}", number + 1).into();
        api.put(pod);
    }
    let agent = TestAgent::in_cluster(&api, NODE);
    eventually("64 are read", || agent.metric("warmlane_agent_engines{") == 64.0);
    assert_eq!(agent.metric("warmlane_agent_engines_left_out{"), 2.0);
    let follower = TestFollower::of(agent.address());
    eventually("all are told of", || follower.engines().len() == 64);
    assert!(api.remove(&key("p00")));
    eventually("another has its place", || agent.metric("warmlane_agent_engines_left_out{") == 1.0);
    eventually("and is told of", || {
        let engines = follower.engines();
        engines.len() == 64 && !engines.contains(&"127.0.79.1:1".to_owned())
    });
}

#[test]
fn an_api_server_that_is_away_takes_no_engine() {
    let (api, agent, follower, _engines, addresses) = scene(2);
    api.put(pod("a", "pool-0", NODE));
    api.put(pod("b", "pool-1", NODE));
    follower.until_engines(&addresses);
    api.go_away();
    eventually("it is known that it is away", || agent.metric("warmlane_agent_kube_troubles{") > 0.0);
    assert!(api.remove(&key("b")));
    until_ready(&agent);
    assert_eq!(follower.engines().len(), 2);
    api.come_back();
    follower.until_engines(&addresses[..1]);
    eventually("nothing is wrong", || agent.metric("warmlane_agent_kube_troubles{") == 0.0);
}

#[test]
fn without_an_api_server_it_waits_and_says_so() {
    let (api, (_engines, addresses)) = (FakeApi::start(), engines(1));
    api.put(pool("pool-0", &[addresses[0].port()]));
    api.put(pod("a", "pool-0", NODE));
    api.go_away();
    let agent = TestAgent::in_cluster(&api, NODE);
    let (status, why) = readiness(&agent);
    assert!(status == 503 && why.contains("has not answered"), "{status} {why}");
    assert_eq!(Wire::connect(agent.metrics_address()).get("/healthz").status, 200);
    api.come_back();
    until_ready(&agent);
    TestFollower::of(agent.address()).until_engines(&addresses);
}

#[test]
fn a_cluster_without_pools_has_no_engines_until_it_has_pools() {
    let (api, (_engines, addresses)) = (FakeApi::bare(), engines(1));
    api.put(pod("a", "pool-0", NODE));
    let agent = TestAgent::in_cluster(&api, NODE);
    until_ready(&agent);
    assert_eq!(agent.metric("warmlane_agent_kube_troubles{"), 1.0, "are the CRDs installed?");
    api.add_crd(Resource::POOLS);
    api.put(pool("pool-0", &[addresses[0].port()]));
    TestFollower::of(agent.address()).until_engines(&addresses);
    eventually("nothing is wrong", || agent.metric("warmlane_agent_kube_troubles{") == 0.0);
}

#[test]
fn what_is_forbidden_is_named_with_the_rule_that_is_missing() {
    for (resource, rule) in [
        ("pods", r#"apiGroups [""], resources ["pods"], verbs ["list", "watch"]"#),
        ("inferencepools", r#"apiGroups ["inference.networking.k8s.io"], resources ["inferencepools"]"#),
    ] {
        let (api, (_engines, addresses)) = (FakeApi::start(), engines(1));
        api.put(pool("pool-0", &[addresses[0].port()]));
        api.put(pod("a", "pool-0", NODE));
        api.forbid("list", resource);
        let agent = TestAgent::in_cluster(&api, NODE);
        eventually("it says what is missing", || {
            let (status, why) = readiness(&agent);
            status == 503 && why.contains("a ClusterRole needs a rule") && why.contains(rule)
        });
        assert_eq!(Wire::connect(agent.metrics_address()).get("/healthz").status, 200, "it lives");
        api.allow("list", resource);
        until_ready(&agent);
        TestFollower::of(agent.address()).until_engines(&addresses);
    }
}

#[test]
fn an_engine_is_read_as_the_one_that_its_pool_says_it_is() {
    let (api, agent, _follower, engines, addresses) = scene(1);
    engines[0].metrics(b"vllm:num_requests_waiting 3\nsglang:num_queue_reqs 5\n");
    api.put(pod("a", "pool-0", NODE));
    eventually("the first on its page", || shown(&agent, "queue", addresses[0]) == Some(3.0));
    let mut said = pool("pool-0", &[addresses[0].port()]);
    said["metadata"]["annotations"] = json!({"inference.networking.x-k8s.io/model-server-runtime": "sglang"});
    api.put(said);
    eventually("the one that is said", || shown(&agent, "queue", addresses[0]) == Some(5.0));
    assert_eq!(agent.metric("warmlane_agent_engines{"), 1.0);
}

/// An engine that publishes, and the port where it does.
fn publishing() -> (Running, SocketAddr, u16) {
    let mut options = Options::new("m");
    options.kv_events =
        Some(KvEvents { listen: SocketAddr::from(([127, 0, 0, 1], 0)), format: KvFormat::Map });
    options.time_scale = 100.0;
    let engine = start(options).expect("the engine starts");
    let (address, events) = (engine.address(), engine.kv_events().expect("it publishes").port());
    (engine, address, events)
}

fn compute(engine: SocketAddr) {
    let body = json!({"model": "m", "prompt": "words that fill some blocks of a cache ".repeat(12), "max_tokens": 1});
    assert_eq!(Wire::connect(engine).post("/v1/completions", &body.to_string()).status, 200);
}

#[test]
fn kv_events_are_followed_where_the_pods_annotation_says_and_as_long_as_it_is_that_pod() {
    let (api, (_engine, address, events)) = (FakeApi::start(), publishing());
    let name = address.to_string();
    compute(address);
    api.put(pool("qwen", &[address.port()]));
    api.put(annotated(pod("a", "qwen", NODE), "tcp://*:5557"));
    let agent = TestAgent::in_cluster(&api, NODE);
    let follower = TestFollower::of(agent.address());
    follower.until_engines(&[address]);
    assert_eq!(agent.metric("warmlane_agent_kube_troubles{"), 1.0, "what stands there is no port");
    assert_eq!(shown(&agent, "kv_blocks", address), None);
    until_ready(&agent);
    api.put(annotated(pod("a", "qwen", NODE), &events.to_string()));
    follower.until("what it holds is known", &name, |held| held.whole && held.blocks.len() > 3);
    assert_eq!(agent.metric("warmlane_agent_kube_troubles{"), 0.0);
    // Another pod, though at the same address.
    assert!(api.remove(&key("a")));
    api.put(annotated(pod("b", "qwen", NODE), &events.to_string()));
    follower.until("it is told anew", &name, |held| held.resets > 1 && held.whole && held.blocks.len() > 3);
    // And one that says nothing.
    assert!(api.remove(&key("b")));
    api.put(pod("c", "qwen", NODE));
    follower.until("what the last one held is nobody's", &name, |held| !held.whole && held.blocks.is_empty());
    eventually("its events are followed no more", || shown(&agent, "kv_blocks", address).is_none());
    follower.until_engines(&[address]);
}
