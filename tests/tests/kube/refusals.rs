//! An API server that answers, but not with what was asked for: what passes by itself is no word on what there is.

use serde_json::json;
use warmlane_router::kube::Acceptance;
use warmlane_tests::kube::{FakeApi, Refusal, Resource};

use crate::{
    cluster::{Cluster, found},
    objects::{key, model, pod, pool, pool_x},
};

const POOLS_X: &str = "inferencepools.inference.networking.x-k8s.io";

fn cluster() -> FakeApi {
    let api = FakeApi::start();
    api.put(pod("a", "qwen", "10.0.0.1"));
    api
}

#[test]
fn pods_that_are_answered_by_an_error_that_passes_are_waited_for_and_told_before() {
    for refusal in [429, 408, 500, 503].map(Refusal::Code) {
        let api = cluster();
        api.put(pool("qwen", "qwen", 8000));
        api.refuse("list", "pods", refusal);
        let cluster = Cluster::late(api, &["qwen"]);
        let early = cluster.until_told("cannot watch pods in namespace default now");
        assert!(early.pools.is_empty(), "no pool without its pods: {early:?}");
        assert!(early.sources.iter().any(|state| !state.is_up));
        cluster.api.allow("list", "pods");
        cluster.until_addresses(&["10.0.0.1:8000"]);
        let well = cluster.until_well();
        assert!(well.sources.iter().all(|state| state.is_up), "{:?}", well.sources);
    }
}

#[test]
fn a_pool_that_cannot_be_read_yet_is_not_said_to_be_missing() {
    let api = cluster();
    api.put(pool("other", "other", 1));
    api.put(pod("b", "other", "10.0.0.2"));
    api.put(pool_x("qwen", "qwen", 8000));
    api.put(model("chat", "chat", "qwen"));
    api.forbid("list", POOLS_X);
    let cluster = Cluster::watching(api, &["other"]);
    let desired = cluster.until_told("InferencePool default/qwen cannot be read");
    assert!(desired.accepted.is_empty(), "another may serve it: {:?}", desired.accepted);
    cluster.api.allow("list", POOLS_X);
    cluster.until_well();
    assert!(cluster.api.remove(&key(Resource::POOLS_X, "qwen")));
    cluster.until("it is gone", |desired| {
        desired.accepted.first().is_some_and(|accepted| accepted.acceptance == Acceptance::Pending)
    });
}

#[test]
fn a_watch_that_is_answered_by_too_many_requests_leaves_what_is_known() {
    let api = cluster();
    api.put(pool("qwen", "qwen", 8000));
    let cluster = Cluster::watching(api, &["qwen"]);
    cluster.until_watched(9);
    for verb in ["list", "watch"] {
        cluster.api.refuse(verb, "pods", Refusal::Code(429));
    }
    cluster.api.end_watches();
    let desired = cluster.until_told("answered 429");
    assert_eq!(found(&desired), ["10.0.0.1:8000"]);
    ["list", "watch"].into_iter().for_each(|verb| cluster.api.allow(verb, "pods"));
    cluster.until_well();
}

#[test]
fn a_pool_whose_two_versions_differ_is_told() {
    let api = cluster();
    api.put(pool("qwen", "qwen", 8000));
    api.put(pool_x("qwen", "qwen", 9000));
    let cluster = Cluster::watching(api, &["qwen"]);
    let desired = cluster.until_told("two versions that differ");
    assert_eq!(found(&desired), ["10.0.0.1:8000"]);
    let same = json!({"spec": {"targetPortNumber": 8000}});
    cluster.api.patch(&key(Resource::POOLS_X, "qwen"), &same);
    cluster.until_well();
}

#[test]
fn a_version_that_discovery_is_not_answered_for_does_not_hide_the_others() {
    let codes = [400, 403, 406, 429, 500, 503].map(Refusal::Code);
    for refusal in codes.into_iter().chain([Refusal::Silence]) {
        let api = cluster();
        api.put(pool("qwen", "qwen", 8000));
        api.refuse("get", "/apis/llm-d.ai/v1alpha2", refusal);
        let cluster = Cluster::late(api, &["qwen"]);
        cluster.until_addresses(&["10.0.0.1:8000"]);
    }
}

/// Each is waited for half as long as a test waits for anything.
#[test]
fn versions_that_discovery_is_not_answered_for_are_waited_for_together() {
    let api = cluster();
    api.put(pool("qwen", "qwen", 8000));
    for version in
        ["inference.networking.k8s.io/v1", "inference.networking.x-k8s.io/v1alpha2", "llm-d.ai/v1alpha2"]
    {
        api.refuse("get", &format!("/apis/{version}"), Refusal::Silence);
    }
    let cluster = Cluster::late(api, &["qwen"]);
    cluster.until_addresses(&["10.0.0.1:8000"]);
}

#[test]
fn a_version_that_is_met_by_silence_is_waited_for_and_then_named() {
    let api = cluster();
    api.put(pool("qwen", "qwen", 8000));
    api.refuse("list", POOLS_X, Refusal::Silence);
    let cluster = Cluster::late(api, &["qwen"]);
    let early = cluster.until_told("cannot be reached (it fell silent)");
    assert!(early.pools.is_empty(), "it may still be told: {early:?}");
    cluster.until_addresses(&["10.0.0.1:8000"]);
    cluster.until_told(&format!("{POOLS_X} in namespace default: not read yet"));
}
