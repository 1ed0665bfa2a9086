//! What the router makes of a cluster in which all is well, as it changes.

use serde_json::json;
use warmlane_picker::Strategy;
use warmlane_router::kube::ReplicaState;
use warmlane_tests::kube::{FakeApi, Resource};

use crate::{
    cluster::Cluster,
    objects::{agents, key, model, pod, pool, pool_x},
};

/// With all resources: eight in the pools' namespace, and the agents.
const WATCHES: usize = 9;

#[test]
fn pods_come_become_ready_end_and_go() {
    let api = FakeApi::start();
    api.put(pool("qwen", "qwen", 8000));
    api.put(pod("a", "qwen", "10.0.0.1"));
    let cluster = Cluster::watching(api, &["qwen"]);
    cluster.until_addresses(&["10.0.0.1:8000"]);
    let mut unready = pod("b", "qwen", "10.0.0.2");
    unready["status"]["conditions"] = json!([]);
    cluster.api.put(unready);
    let desired = cluster.until_addresses(&["10.0.0.1:8000", "10.0.0.2:8000"]);
    assert_eq!(desired.pools[0].replicas[1].state, ReplicaState::NotReady);
    let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    cluster.api.patch(&key(Resource::PODS, "b"), &ready);
    let state = |at: usize, state| {
        move |desired: &warmlane_router::kube::Desired| {
            desired.pools[0].replicas.get(at).is_some_and(|replica| replica.state == state)
        }
    };
    cluster.until("b is ready", state(1, ReplicaState::Ready));
    cluster.api.begin_deletion(&key(Resource::PODS, "a"), 30);
    cluster.until("a ends", state(0, ReplicaState::Terminating));
    assert!(cluster.api.remove(&key(Resource::PODS, "a")));
    cluster.until_addresses(&["10.0.0.2:8000"]);
}

#[test]
fn a_pod_that_loses_its_label_is_out_and_a_pool_that_changes_its_selector_has_others() {
    let api = FakeApi::start();
    api.put(pool("qwen", "qwen", 8000));
    api.put(pod("a", "qwen", "10.0.0.1"));
    api.put(pod("b", "qwen", "10.0.0.2"));
    api.put(pod("c", "llama", "10.0.0.3"));
    let cluster = Cluster::watching(api, &["qwen"]);
    cluster.until_addresses(&["10.0.0.1:8000", "10.0.0.2:8000"]);
    cluster.api.patch(&key(Resource::PODS, "a"), &json!({"metadata": {"labels": {"app": "other"}}}));
    cluster.until_addresses(&["10.0.0.2:8000"]);
    cluster.api.put(pool("qwen", "llama", 9000));
    cluster.until_addresses(&["10.0.0.3:9000"]);
}

#[test]
fn models_strategy_and_agents_follow_their_objects() {
    let api = FakeApi::start();
    api.put(pool_x("qwen", "qwen", 8000));
    api.put(pod("a", "qwen", "10.0.0.1"));
    api.put(model("chat", "chat", "qwen"));
    api.put(agents("slice", &["10.1.0.1", "10.1.0.2"]));
    let cluster = Cluster::watching(api, &["qwen"]);
    let desired = cluster.until_well();
    assert_eq!(desired.pools[0].models[0].name, "chat");
    assert_eq!(
        desired.agents.iter().map(|a| a.address.as_str()).collect::<Vec<_>>(),
        ["10.1.0.1:9010", "10.1.0.2:9010"]
    );
    let chooses = |strategy: &str| json!({"metadata": {"annotations": {"inference.networking.x-k8s.io/routing-strategy": strategy}}});
    let pool = key(Resource::POOLS_X, "qwen");
    cluster.api.patch(&pool, &chooses("PREFIX_CACHE"));
    cluster.until("the strategy", |desired| desired.pools[0].strategy == Some(Strategy::PrefixCache));
    cluster.api.patch(&pool, &chooses("FASTEST"));
    let desired = cluster.until_told("DEFAULT, PREFIX_CACHE");
    assert_eq!(desired.pools[0].strategy, Some(Strategy::PrefixCache), "the last good one stays");
    cluster.api.patch(&pool, &chooses("DEFAULT"));
    cluster.until("the strategy", |desired| desired.pools[0].strategy == Some(Strategy::Default));
    cluster.until_well();
}

#[test]
fn objectives_and_rewrites_of_both_groups_are_read() {
    let api = FakeApi::start();
    api.put(pool("qwen", "qwen", 8000));
    api.put(pod("a", "qwen", "10.0.0.1"));
    let groups = ["inference.networking.x-k8s.io", "llm-d.ai"];
    for (at, group) in groups.into_iter().enumerate() {
        api.put(json!({
            "apiVersion": format!("{group}/v1alpha2"), "kind": "InferenceObjective",
            "metadata": {"name": format!("level-{at}"), "namespace": "default"},
            "spec": {"poolRef": {"name": "qwen"}, "priority": at},
        }));
        api.put(json!({
            "apiVersion": format!("{group}/v1alpha2"), "kind": "InferenceModelRewrite",
            "metadata": {"name": format!("rewrite-{at}"), "namespace": "default"},
            "spec": {"poolRef": {"name": "qwen"}, "rules": [
                {"matches": [{"model": {"value": format!("model-{at}")}}], "targets": [{"modelRewrite": "base"}]}]},
        }));
    }
    let cluster = Cluster::watching(api, &["qwen"]);
    let pool = cluster.until_well().pools[0].clone();
    assert_eq!(pool.objectives.iter().map(|o| o.priority).collect::<Vec<_>>(), [0, 1]);
    let models: Vec<_> = pool.rewrites.iter().filter_map(|rewrite| rewrite.model.as_deref()).collect();
    assert_eq!(models, ["model-0", "model-1"]);
}

#[test]
fn one_watch_per_resource_and_namespace_is_opened_and_nothing_is_written() {
    let api = FakeApi::start();
    api.put(pool("one", "one", 1));
    api.put(pool("two", "two", 2));
    let cluster = Cluster::watching(api, &["one", "two"]);
    cluster.until_watched(WATCHES);
    cluster.api.put(pod("a", "one", "10.0.0.1"));
    cluster.until_addresses(&["10.0.0.1:1"]);
    let log = cluster.api.take_log();
    let watched: Vec<_> = log.iter().filter(|call| call.verb == "watch").collect();
    assert!(watched.len() <= WATCHES, "{watched:?}");
    assert!(log.iter().all(|call| matches!(call.verb, "list" | "watch")), "{log:?}");
}

#[test]
fn ten_thousand_pods_are_read_in_pages_and_one_more_is_seen() {
    let api = FakeApi::start();
    api.put(pool("qwen", "qwen", 8000));
    for at in 0..10_000_u32 {
        api.put(pod(
            &format!("pod-{at:05}"),
            "qwen",
            &format!("10.{}.{}.{}", at >> 16, at >> 8 & 255, at & 255),
        ));
    }
    let cluster = Cluster::watching(api, &["qwen"]);
    let all = |count: usize| {
        move |desired: &warmlane_router::kube::Desired| {
            desired.pools.first().is_some_and(|pool| pool.replicas.len() == count)
        }
    };
    cluster.until("all pods", all(10_000));
    cluster.api.put(pod("one-more", "qwen", "10.9.9.9"));
    cluster.until("one more", all(10_001));
}
