//! Whose models are judged, and what is said while not everything can be read.

use serde_json::{Value, json};
use warmlane_kube::{Meta, reduce};

use super::*;
use crate::kube::desired::Acceptance;

fn name(name: &str) -> ObjectName {
    ObjectName::new("default", name)
}

/// Both versions of pools were listed, but for those named.
fn read_but(unread: &[Kind]) -> Objects {
    let mut objects = Objects::default();
    for kind in Kind::POOLS.into_iter().filter(|kind| !unread.contains(kind)) {
        objects.replace(kind, Some("default"), Vec::new());
    }
    objects
}

fn put(objects: &mut Objects, kind: Kind, called: &str, object: &Value) {
    objects.apply(kind, name(called), reduce(kind, object, Meta::default()));
}

fn pool(objects: &mut Objects, kind: Kind, called: &str, port: u16) {
    let spec = match kind {
        Kind::PoolV1 => {
            json!({"selector": {"matchLabels": {"app": called}}, "targetPorts": [{"number": port}]})
        }
        _ => {
            json!({"selector": {"app": called}, "targetPortNumber": port, "extensionRef": {"name": "picker"}})
        }
    };
    put(objects, kind, called, &json!({"spec": spec}));
}

fn said(objects: &Objects) -> Vec<(String, Acceptance)> {
    let judged = resolve(objects, &[name("qwen")]).accepted;
    judged.into_iter().map(|accepted| (accepted.model.name, accepted.acceptance)).collect()
}

fn accepted_by(message: &str, pool: &str) -> Value {
    json!({"spec": {"modelName": "chat", "poolRef": {"name": pool}},
           "status": {"conditions": [{"type": "Accepted", "status": "True", "reason": "Accepted", "message": message}]}})
}

#[test]
fn while_a_version_of_pools_was_not_read_none_is_taken_for_missing() {
    for unread in Kind::POOLS {
        let mut objects = read_but(&[unread]);
        let model = json!({"spec": {"modelName": "chat", "poolRef": {"name": "elsewhere"}}});
        put(&mut objects, Kind::Model, "chat", &model);
        let desired = resolve(&objects, &[name("qwen")]);
        assert!(desired.accepted.is_empty(), "{unread:?}: {:?}", desired.accepted);
        for part in
            ["InferencePool default/elsewhere cannot be read", "InferencePool default/qwen cannot be read"]
        {
            assert!(desired.troubles.iter().any(|t| t.contains(part)), "{unread:?}: {:?}", desired.troubles);
        }
        assert!(!desired.troubles.iter().any(|t| t.contains("does not exist")), "{:?}", desired.troubles);
        objects.replace(unread, Some("default"), Vec::new());
        assert_eq!(said(&objects), [("chat".to_owned(), Acceptance::Pending)]);
    }
}

#[test]
fn a_model_that_another_accepted_is_not_taken_from_it_and_ours_is() {
    let mut objects = read_but(&[]);
    put(&mut objects, Kind::Model, "theirs", &accepted_by("another picker serves it", "gone"));
    put(&mut objects, Kind::Model, "ours", &accepted_by("it is served", "gone"));
    assert_eq!(said(&objects), [("ours".to_owned(), Acceptance::Pending)]);
}

#[test]
fn a_model_that_cannot_be_read_is_judged_by_who_serves_the_pool_that_it_names() {
    let mut objects = read_but(&[]);
    pool(&mut objects, Kind::PoolX, "qwen", 1);
    pool(&mut objects, Kind::PoolX, "others", 1);
    let broken = |pool: &str| {
        json!({"spec": {"modelName": "chat", "poolRef": {"name": pool},
                        "targetModels": [{"name": "a", "weight": 9}, {"name": "b"}]}})
    };
    put(&mut objects, Kind::Model, "ours", &broken("qwen"));
    put(&mut objects, Kind::Model, "theirs", &broken("others"));
    put(&mut objects, Kind::Model, "nobodys", &json!({"spec": {"modelName": "chat"}}));
    assert_eq!(said(&objects), [("ours".to_owned(), Acceptance::Invalid)]);
    put(
        &mut objects,
        Kind::Model,
        "ours",
        &json!({"spec": {"modelName": "chat", "poolRef": {"name": "qwen"}}}),
    );
    put(&mut objects, Kind::Model, "ours", &broken("others"));
    assert_eq!(said(&objects), [], "it has gone over, and its last valid spec stays in use");
    assert_eq!(resolve(&objects, &[name("qwen")]).pools[0].models.len(), 1);
}

#[test]
fn a_pool_in_two_versions_that_differ_is_told_and_one_that_says_the_same_twice_is_not() {
    let mut objects = read_but(&[]);
    pool(&mut objects, Kind::PoolX, "qwen", 8000);
    let differs = |objects: &Objects| {
        let troubles = resolve(objects, &[name("qwen")]).troubles;
        troubles.iter().any(|trouble| trouble.contains("two versions that differ"))
    };
    assert!(!differs(&objects));
    pool(&mut objects, Kind::PoolV1, "qwen", 8000);
    assert!(!differs(&objects));
    pool(&mut objects, Kind::PoolV1, "qwen", 9000);
    assert!(differs(&objects));
}
