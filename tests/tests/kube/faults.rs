//! Objects that are wrong, and resources that are not there or not allowed: the rest goes on, and somebody is told.

use serde_json::json;
use warmlane_router::kube::Acceptance;
use warmlane_tests::kube::{FakeApi, Resource};

use crate::{
    cluster::{Cluster, found},
    objects::{key, model, pod, pool, pool_x},
};

fn acceptances(desired: &warmlane_router::kube::Desired) -> Vec<(&str, Acceptance)> {
    desired.accepted.iter().map(|accepted| (accepted.model.name.as_str(), accepted.acceptance)).collect()
}

#[test]
fn a_pool_that_selects_nothing_or_is_deleted_is_empty_and_told() {
    let api = FakeApi::start();
    api.put(pool("qwen", "qwen", 8000));
    let cluster = Cluster::watching(api, &["qwen"]);
    cluster.until_told("default/qwen selects no pod");
    cluster.api.put(pod("a", "qwen", "10.0.0.1"));
    cluster.until_addresses(&["10.0.0.1:8000"]);
    cluster.until_well();
    assert!(cluster.api.remove(&key(Resource::POOLS, "qwen")));
    let desired = cluster.until_told("default/qwen does not exist");
    assert!(!desired.pools[0].found && found(&desired).is_empty());
    cluster.api.put(pool("qwen", "qwen", 8000));
    cluster.until_addresses(&["10.0.0.1:8000"]);
}

#[test]
fn a_pod_that_two_pools_claim_serves_both_and_is_told() {
    let api = FakeApi::start();
    api.put(pool("one", "qwen", 1));
    api.put(pool("two", "qwen", 2));
    api.put(pod("a", "qwen", "10.0.0.1"));
    let cluster = Cluster::watching(api, &["one", "two"]);
    let desired = cluster.until_told("default/one and default/two claim");
    assert_eq!(found(&desired), ["10.0.0.1:1", "10.0.0.1:2"]);
}

#[test]
fn a_port_out_of_range_is_refused_and_the_last_good_one_stays() {
    let api = FakeApi::start();
    api.put(pool("qwen", "qwen", 8000));
    api.put(pod("a", "qwen", "10.0.0.1"));
    let cluster = Cluster::watching(api, &["qwen"]);
    cluster.until_addresses(&["10.0.0.1:8000"]);
    cluster.api.put(pool("qwen", "qwen", 70_000));
    let desired = cluster.until_told("spec.targetPorts[0].number: 70000");
    assert_eq!(found(&desired), ["10.0.0.1:8000"]);
    cluster.api.put(pool("qwen", "qwen", 9000));
    cluster.until_addresses(&["10.0.0.1:9000"]);
}

#[test]
fn models_without_a_pool_twice_there_or_with_some_weights_are_judged() {
    let api = FakeApi::start();
    api.put(pool("qwen", "qwen", 8000));
    api.put(pod("a", "qwen", "10.0.0.1"));
    api.put(model("first", "chat", "qwen"));
    api.put(model("second", "chat", "qwen"));
    api.put(model("lost", "lost", "nowhere"));
    let mut weights = model("weights", "weights", "qwen");
    weights["spec"]["targetModels"] = json!([{"name": "a", "weight": 1}, {"name": "b"}]);
    api.put(weights);
    let cluster = Cluster::watching(api, &["qwen"]);
    let verdicts = [
        ("first", Acceptance::Accepted),
        ("lost", Acceptance::Pending),
        ("second", Acceptance::NameInUse),
        ("weights", Acceptance::Invalid),
    ];
    let desired = cluster.until("the models are judged", |desired| acceptances(desired) == verdicts);
    assert_eq!(desired.pools[0].models.len(), 1);
    cluster.api.remove(&key(Resource::MODELS, "first"));
    cluster.until("the heir", |desired| acceptances(desired).contains(&("second", Acceptance::Accepted)));
}

#[test]
fn a_resource_that_appears_is_watched_and_one_that_is_removed_is_forgotten() {
    let api = FakeApi::bare();
    api.put(pod("a", "qwen", "10.0.0.1"));
    let cluster = Cluster::watching(api, &["qwen"]);
    cluster.until_told("no InferencePool in any version");
    cluster.api.add_crd(Resource::POOLS_X);
    cluster.api.put(pool_x("qwen", "qwen", 8000));
    cluster.api.add_crd(Resource::MODELS);
    cluster.until_addresses(&["10.0.0.1:8000"]);
    cluster.api.put(model("chat", "chat", "qwen"));
    cluster.until("the model", |desired| desired.pools[0].models.len() == 1);
    cluster.api.remove_crd(Resource::MODELS);
    cluster.until("without the model", |desired| desired.pools[0].models.is_empty());
    assert_eq!(found(&cluster.now()), ["10.0.0.1:8000"], "the rest goes on");
    cluster.api.remove_crd(Resource::POOLS_X);
    cluster.until_told("no InferencePool in any version");
}

#[test]
fn what_is_forbidden_is_told_with_its_rule_and_tried_again_while_the_rest_works() {
    let api = FakeApi::start();
    api.put(pool("qwen", "qwen", 8000));
    api.put(pod("a", "qwen", "10.0.0.1"));
    api.put(model("chat", "chat", "qwen"));
    api.forbid("list", "inferencemodels");
    let cluster = Cluster::watching(api, &["qwen"]);
    let desired = cluster.until_told(r#"resources ["inferencemodels"]"#);
    assert_eq!(found(&desired), ["10.0.0.1:8000"]);
    assert!(desired.pools[0].models.is_empty());
    cluster.api.allow("list", "inferencemodels");
    cluster.until("the model", |desired| desired.pools[0].models.len() == 1);
    cluster.until_well();
}

#[test]
fn a_watch_that_is_forbidden_later_leaves_what_is_known() {
    let api = FakeApi::start();
    api.put(pool("qwen", "qwen", 8000));
    api.put(pod("a", "qwen", "10.0.0.1"));
    let cluster = Cluster::watching(api, &["qwen"]);
    cluster.until_addresses(&["10.0.0.1:8000"]);
    cluster.until_watched(9);
    cluster.api.forbid("list", "pods");
    cluster.api.forbid("watch", "pods");
    cluster.api.end_watches();
    let desired = cluster.until_told("not allowed to watch pods");
    assert_eq!(found(&desired), ["10.0.0.1:8000"]);
}
