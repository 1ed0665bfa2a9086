//! Resolving by example: each rule, and what is said where the objects contradict each other.

use serde_json::{Value, json};
use warmlane_engine::metrics::EngineKind;
use warmlane_kube::{Meta, Replica, ReplicaState, reduce};
use warmlane_picker::{Criticality, Strategy};

use super::*;
use crate::kube::desired::{Acceptance, Accepted};

fn name(name: &str) -> ObjectName {
    ObjectName::new("default", name)
}

/// Everything was listed, and there was nothing.
fn read() -> Objects {
    let mut objects = Objects::default();
    Kind::ALL.into_iter().for_each(|kind| {
        objects.replace(kind, Some("default"), Vec::new());
    });
    objects
}

fn put(objects: &mut Objects, kind: Kind, called: &str, created: i64, object: &Value) {
    objects.apply(kind, name(called), reduce(kind, object, Meta { created, generation: 1 }));
}

fn pool(objects: &mut Objects, called: &str, app: &str, port: u16) {
    let spec = json!({"spec": {"selector": {"app": app}, "targetPortNumber": port,
                               "extensionRef": {"name": "picker"}}});
    put(objects, Kind::PoolX, called, 0, &spec);
}

fn pod(objects: &mut Objects, called: &str, app: &str, status: &Value) {
    let pod = json!({"metadata": {"labels": {"app": app, "tier": "gpu"}}, "spec": {"nodeName": "n1"}, "status": status});
    put(objects, Kind::Pod, called, 0, &pod);
}

fn ready(ip: &str) -> Value {
    json!({"podIP": ip, "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})
}

fn model(objects: &mut Objects, called: &str, created: i64, spec: Value) {
    put(objects, Kind::Model, called, created, &Value::from_iter([("spec", spec)]));
}

fn of(objects: &Objects, pools: &[&str]) -> Desired {
    let names: Vec<_> = pools.iter().map(|pool| name(pool)).collect();
    resolve(objects, &names)
}

fn addresses(replicas: &[Replica]) -> Vec<&str> {
    replicas.iter().map(|replica| replica.address.as_str()).collect()
}

fn said(desired: &Desired) -> Vec<(&str, Acceptance)> {
    desired
        .accepted
        .iter()
        .map(|Accepted { model, acceptance, .. }| (model.name.as_str(), *acceptance))
        .collect()
}

#[test]
fn a_pool_has_the_pods_with_its_labels_in_its_namespace() {
    let mut objects = read();
    pool(&mut objects, "qwen", "qwen", 8000);
    pod(&mut objects, "a", "qwen", &ready("10.0.0.1"));
    pod(&mut objects, "b", "llama", &ready("10.0.0.2"));
    let elsewhere = json!({"metadata": {"labels": {"app": "qwen"}}, "status": ready("10.0.0.3")});
    let elsewhere = reduce(Kind::Pod, &elsewhere, Meta::default());
    objects.apply(Kind::Pod, ObjectName::new("other", "c"), elsewhere);
    let desired = of(&objects, &["qwen"]);
    let replica = Replica {
        address: "10.0.0.1:8000".into(),
        pod: "a".into(),
        uid: String::new(),
        node: "n1".into(),
        state: ReplicaState::Ready,
        kv_events: None,
    };
    assert_eq!(desired.pools[0].replicas, [replica]);
    assert!(desired.pools[0].found && desired.troubles.is_empty(), "{:?}", desired.troubles);
    assert_eq!(desired.pools[0].picker.as_ref().map(|picker| picker.port), Some(9002));
}

#[test]
fn several_ports_are_several_replicas_and_ipv6_is_written_in_brackets() {
    let mut objects = read();
    let spec = json!({"spec": {"selector": {"matchLabels": {"app": "qwen"}},
                               "targetPorts": [{"number": 8001}, {"number": 8000}]}});
    put(&mut objects, Kind::PoolV1, "qwen", 0, &spec);
    pod(&mut objects, "a", "qwen", &ready("fd00::1"));
    let desired = of(&objects, &["qwen"]);
    assert_eq!(addresses(&desired.pools[0].replicas), ["[fd00::1]:8001", "[fd00::1]:8000"]);
}

#[test]
fn a_pod_is_what_its_state_allows() {
    let mut objects = read();
    pool(&mut objects, "qwen", "qwen", 1);
    pod(&mut objects, "a", "qwen", &json!({"podIP": "10.0.0.1", "phase": "Running"}));
    pod(&mut objects, "b", "qwen", &json!({"phase": "Pending"}));
    pod(&mut objects, "c", "qwen", &json!({"podIP": "10.0.0.3", "phase": "Succeeded"}));
    pod(&mut objects, "d", "qwen", &json!({"podIP": "10.0.0.4", "phase": "Failed"}));
    let ending = json!({"metadata": {"labels": {"app": "qwen"}, "deletionTimestamp": "2026-01-01T00:00:00Z"},
                        "status": ready("10.0.0.5")});
    put(&mut objects, Kind::Pod, "e", 0, &ending);
    let desired = of(&objects, &["qwen"]);
    let states: Vec<_> = desired.pools[0].replicas.iter().map(|r| (r.pod.as_str(), r.state)).collect();
    assert_eq!(states, [("a", ReplicaState::NotReady), ("e", ReplicaState::Terminating)]);
}

#[test]
fn an_address_that_passed_to_another_pod_is_there_once_as_the_one_that_serves() {
    let mut objects = read();
    pool(&mut objects, "qwen", "qwen", 1);
    pod(&mut objects, "a", "qwen", &json!({"podIP": "10.0.0.1"}));
    pod(&mut objects, "b", "qwen", &ready("10.0.0.1"));
    let replicas = &of(&objects, &["qwen"]).pools[0].replicas;
    assert_eq!((replicas.len(), replicas[0].pod.as_str()), (1, "b"));
}

#[test]
fn a_pool_that_selects_nothing_or_does_not_exist_is_empty_and_told() {
    let mut objects = read();
    pool(&mut objects, "qwen", "qwen", 1);
    let desired = of(&objects, &["qwen", "lost"]);
    assert_eq!(desired.pools.iter().map(|pool| pool.found).collect::<Vec<_>>(), [false, true]);
    assert!(desired.pools.iter().all(|pool| pool.replicas.is_empty()));
    assert!(desired.troubles[0].contains("default/lost does not exist"), "{:?}", desired.troubles);
    assert!(desired.troubles[1].contains("app=qwen"), "{:?}", desired.troubles);
}

#[test]
fn a_pool_that_was_never_valid_is_told_and_one_that_was_goes_on() {
    let mut objects = read();
    let wrong = json!({"spec": {"selector": {"app": "qwen"}, "targetPortNumber": 70_000}});
    put(&mut objects, Kind::PoolX, "qwen", 0, &wrong);
    let desired = of(&objects, &["qwen"]);
    assert!(!desired.pools[0].found);
    assert!(desired.troubles.iter().any(|t| t.contains("spec.targetPortNumber: 70000")), "{desired:?}");
    pool(&mut objects, "qwen", "qwen", 8000);
    pod(&mut objects, "a", "qwen", &ready("10.0.0.1"));
    put(&mut objects, Kind::PoolX, "qwen", 0, &wrong);
    let desired = of(&objects, &["qwen"]);
    assert_eq!(addresses(&desired.pools[0].replicas), ["10.0.0.1:8000"]);
    assert!(desired.troubles.iter().any(|t| t.contains("the last valid one stays")), "{desired:?}");
}

#[test]
fn version_1_of_a_pool_wins() {
    let mut objects = read();
    pool(&mut objects, "qwen", "qwen", 8000);
    let spec =
        json!({"spec": {"selector": {"matchLabels": {"app": "qwen"}}, "targetPorts": [{"number": 9000}]}});
    put(&mut objects, Kind::PoolV1, "qwen", 0, &spec);
    pod(&mut objects, "a", "qwen", &ready("10.0.0.1"));
    assert_eq!(addresses(&of(&objects, &["qwen"]).pools[0].replicas), ["10.0.0.1:9000"]);
    objects.delete(Kind::PoolV1, &name("qwen"));
    assert_eq!(addresses(&of(&objects, &["qwen"]).pools[0].replicas), ["10.0.0.1:8000"]);
}

#[test]
fn a_pod_that_two_pools_claim_serves_both_and_is_named() {
    let mut objects = read();
    pool(&mut objects, "one", "qwen", 1);
    pool(&mut objects, "two", "qwen", 2);
    for (pod_name, ip) in [("a", "10.0.0.1"), ("b", "10.0.0.2"), ("c", "10.0.0.3"), ("d", "10.0.0.4")] {
        pod(&mut objects, pod_name, "qwen", &ready(ip));
    }
    let desired = of(&objects, &["one", "two"]);
    assert_eq!(desired.pools.iter().map(|pool| pool.replicas.len()).collect::<Vec<_>>(), [4, 4]);
    let [claim] = &desired.troubles[..] else { panic!("{:?}", desired.troubles) };
    assert!(claim.contains("default/one and default/two"), "{claim}");
    assert!(claim.contains("default/a, default/b, default/c and 1 more"), "{claim}");
}

#[test]
fn annotations_choose_and_an_unknown_value_leaves_the_last_one() {
    let mut objects = read();
    let with = |strategy: &str| {
        json!({"metadata": {"annotations": {
                   "inference.networking.x-k8s.io/routing-strategy": strategy,
                   "inference.networking.x-k8s.io/model-server-runtime": "vllm"}},
               "spec": {"selector": {"app": "qwen"}, "targetPortNumber": 1}})
    };
    pod(&mut objects, "a", "qwen", &ready("10.0.0.1"));
    put(&mut objects, Kind::PoolX, "qwen", 0, &with("PREFIX_CACHE"));
    let desired = of(&objects, &["qwen"]);
    assert_eq!(desired.pools[0].strategy, Some(Strategy::PrefixCache));
    assert_eq!(desired.pools[0].runtime, EngineKind::Vllm);
    put(&mut objects, Kind::PoolX, "qwen", 0, &with("prefix"));
    let desired = of(&objects, &["qwen"]);
    assert_eq!(desired.pools[0].strategy, Some(Strategy::PrefixCache));
    let [why] = &desired.troubles[..] else { panic!("{:?}", desired.troubles) };
    assert!(why.contains("DEFAULT, PREFIX_CACHE") && why.contains("the last valid one stays"), "{why}");
    put(&mut objects, Kind::PoolX, "qwen", 0, &with("DEFAULT"));
    assert_eq!(of(&objects, &["qwen"]).pools[0].strategy, Some(Strategy::Default));
}

#[test]
fn of_models_with_one_name_the_oldest_is_served_and_the_others_are_told() {
    let mut objects = read();
    pool(&mut objects, "qwen", "qwen", 1);
    pod(&mut objects, "a", "qwen", &ready("10.0.0.1"));
    let spec = |criticality: &str| json!({"modelName": "chat", "criticality": criticality, "poolRef": {"name": "qwen"}});
    model(&mut objects, "young", 20, spec("Sheddable"));
    model(&mut objects, "old", 10, spec("Critical"));
    model(&mut objects, "also", 20, spec("Standard"));
    let desired = of(&objects, &["qwen"]);
    let [rule] = &desired.pools[0].models[..] else { panic!("{desired:?}") };
    assert_eq!((rule.name.as_str(), rule.criticality), ("chat", Criticality::Critical));
    let in_use = Acceptance::NameInUse;
    assert_eq!(said(&desired), [("also", in_use), ("old", Acceptance::Accepted), ("young", in_use)]);
    assert!(desired.accepted[2].message.contains("default/old"), "{:?}", desired.accepted[2]);
    objects.delete(Kind::Model, &name("old"));
    let heir = of(&objects, &["qwen"]);
    assert_eq!(said(&heir), [("also", Acceptance::Accepted), ("young", in_use)], "then by name");
}

#[test]
fn one_name_may_be_served_by_several_pools() {
    let mut objects = read();
    for called in ["one", "two"] {
        pool(&mut objects, called, called, 1);
        model(&mut objects, called, 0, json!({"modelName": "chat", "poolRef": {"name": called}}));
    }
    let desired = of(&objects, &["one", "two"]);
    assert_eq!(said(&desired), [("one", Acceptance::Accepted), ("two", Acceptance::Accepted)]);
}

#[test]
fn a_model_without_its_pool_waits_and_one_of_another_router_is_not_ours_to_judge() {
    let mut objects = read();
    pool(&mut objects, "others", "others", 1);
    model(&mut objects, "lost", 0, json!({"modelName": "a", "poolRef": {"name": "gone"}}));
    model(&mut objects, "theirs", 0, json!({"modelName": "b", "poolRef": {"name": "others"}}));
    let desired = of(&objects, &["qwen"]);
    assert_eq!(said(&desired), [("lost", Acceptance::Pending)]);
    assert!(desired.accepted[0].message.contains("default/gone"), "{:?}", desired.accepted);
}

#[test]
fn a_model_whose_weights_are_not_all_given_is_refused() {
    let mut objects = read();
    pool(&mut objects, "qwen", "qwen", 1);
    let spec = |second: Value| {
        json!({"modelName": "chat", "poolRef": {"name": "qwen"},
               "targetModels": [{"name": "a", "weight": 9}, second]})
    };
    model(&mut objects, "chat", 0, spec(json!({"name": "b"})));
    let desired = of(&objects, &["qwen"]);
    assert_eq!((said(&desired), desired.pools[0].models.len()), (vec![("chat", Acceptance::Invalid)], 0));
    assert!(desired.accepted[0].message.contains("spec.targetModels[1]"), "{:?}", desired.accepted);
    model(&mut objects, "chat", 0, spec(json!({"name": "b", "weight": 1})));
    model(&mut objects, "chat", 0, spec(json!({"name": "c"})));
    let desired = of(&objects, &["qwen"]);
    assert_eq!(said(&desired), [("chat", Acceptance::Invalid)]);
    let rule = &desired.pools[0].models[0];
    assert_eq!(rule.targets[1], config::Target { name: "b".into(), weight: 1 }, "the last valid one");
}

#[test]
fn an_objective_of_either_group_counts_and_the_older_of_one_name() {
    let mut objects = read();
    let objective = |priority: i32| json!({"spec": {"poolRef": {"name": "qwen"}, "priority": priority}});
    put(&mut objects, Kind::ObjectiveX, "batch", 2, &objective(-1));
    put(&mut objects, Kind::ObjectiveLlmD, "batch", 1, &objective(-2));
    put(&mut objects, Kind::ObjectiveLlmD, "alarm", 3, &objective(9));
    let objectives = of(&objects, &["qwen"]).pools.remove(0).objectives;
    let got: Vec<_> = objectives.iter().map(|o| (o.name.as_str(), o.priority)).collect();
    assert_eq!(got, [("alarm", 9), ("batch", -2)]);
}

#[test]
fn rewrites_count_exact_names_first_then_the_oldest_then_in_order() {
    let mut objects = read();
    let rule = |model: Option<&str>, to: &str| match model {
        Some(model) => json!({"matches": [{"model": {"value": model}}], "targets": [{"modelRewrite": to}]}),
        None => json!({"targets": [{"modelRewrite": to}]}),
    };
    let rewrite = |rules: Vec<Value>| json!({"spec": {"poolRef": {"name": "qwen"}, "rules": rules}});
    put(
        &mut objects,
        Kind::RewriteX,
        "young",
        2,
        &rewrite(vec![
            rule(Some("chat"), "late"),
            rule(Some("talk"), "talk-1"),
            rule(Some("talk"), "talk-2"),
        ]),
    );
    put(
        &mut objects,
        Kind::RewriteLlmD,
        "old",
        1,
        &rewrite(vec![rule(None, "any"), rule(Some("chat"), "early"), rule(None, "never")]),
    );
    let rewrites = of(&objects, &["qwen"]).pools.remove(0).rewrites;
    let got: Vec<_> = rewrites.iter().map(|r| (r.model.as_deref(), r.targets[0].name.as_str())).collect();
    assert_eq!(got, [(Some("chat"), "early"), (Some("talk"), "talk-1"), (None, "any")]);
}

#[test]
fn an_agent_that_two_slices_name_is_there_once() {
    let mut objects = read();
    let slice = |ip: &str| {
        json!({"ports": [{"port": 9010}],
               "endpoints": [{"addresses": [ip], "nodeName": "n1", "targetRef": {"name": "agent-a"}}]})
    };
    put(&mut objects, Kind::Agents, "v4", 0, &slice("10.0.0.1"));
    put(&mut objects, Kind::Agents, "v6", 0, &slice("fd00::1"));
    let agent = Agent { address: "10.0.0.1:9010".into(), node: "n1".into() };
    assert_eq!(of(&objects, &[]).agents, [agent]);
}
