//! The status of models: what is written, by whom, and that nothing is written twice.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
};

use serde_json::{Value, json};
use tokio::{
    runtime::Builder,
    sync::{oneshot, watch},
};
use warmlane_router::kube::{self, ObjectName, Watched, Writer};
use warmlane_tests::{
    eventually,
    kube::{FakeApi, Key, Refusal, Resource},
};

use crate::objects::{key, model, pod, pool};

/// A router that watches and would write.
struct Candidate {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

// === Candidate ===

impl Candidate {
    fn start(api: &FakeApi, identity: &str) -> Self {
        Self::of(api, identity, "qwen")
    }

    /// Of this pool.
    fn of(api: &FakeApi, identity: &str, pool: &str) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let kubeconfig = folder.path().join("kubeconfig");
        api.write_kubeconfig(&kubeconfig).expect("kubeconfig");
        let (stop, stopped) = oneshot::channel();
        let lease = ObjectName::new("warmlane-system", "warmlane-router");
        let pools = vec![ObjectName::new("default", pool)];
        let writer = Writer { lease, identity: identity.to_owned(), pools: pools.clone() };
        let thread = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("runtime");
            runtime.block_on(async {
                let client = kube::connect(Some(&kubeconfig)).await.expect("client");
                let watched = Watched { pools, agents: None };
                let (sender, desired) = watch::channel(Arc::default());
                tokio::select! {
                    () = kube::watch(client.clone(), watched, sender) => {}
                    () = kube::write_status(client, writer, desired, stopped) => {}
                }
            });
            drop(folder);
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the candidate panicked");
        }
    }
}

fn cluster() -> FakeApi {
    let api = FakeApi::start();
    api.put(pool("qwen", "qwen", 8000));
    api.put(pod("a", "qwen", "10.0.0.1"));
    api.put(model("first", "chat", "qwen"));
    api
}

fn accepted(api: &FakeApi, name: &str) -> Option<Value> {
    let model = api.get(&key(Resource::MODELS, name))?;
    let conditions = model["status"]["conditions"].as_array()?;
    conditions.iter().find(|condition| condition["type"] == "Accepted").cloned()
}

fn reason_is(api: &FakeApi, name: &str, reason: &str) -> bool {
    accepted(api, name).is_some_and(|condition| condition["reason"] == reason)
}

fn holder(api: &FakeApi) -> String {
    let lease = api.get(&Key::new(Resource::LEASES, "warmlane-system", "warmlane-router"));
    lease.and_then(|lease| Some(lease["spec"]["holderIdentity"].as_str()?.to_owned())).unwrap_or_default()
}

fn patches(api: &FakeApi) -> usize {
    api.take_log().iter().filter(|call| call.verb == "patch" && call.subresource == "status").count()
}

#[test]
fn each_model_is_told_once_what_became_of_it_and_other_conditions_stay() {
    let api = cluster();
    api.patch(
        &key(Resource::MODELS, "first"),
        &json!({"status": {"conditions": [{"type": "Other", "status": "True"}]}}),
    );
    api.put(model("second", "chat", "qwen"));
    api.put(model("lost", "lost", "nowhere"));
    let _router = Candidate::start(&api, "one");
    eventually("the first is accepted", || reason_is(&api, "first", "Accepted"));
    eventually("the second is not", || reason_is(&api, "second", "ModelNameInUse"));
    eventually("the lost one waits", || reason_is(&api, "lost", "Pending"));
    let second = accepted(&api, "second").expect("a condition");
    assert_eq!((&second["status"], &second["observedGeneration"]), (&json!("False"), &json!(1)));
    assert!(second["message"].as_str().expect("text").contains("default/first"), "{second}");
    let first = api.get(&key(Resource::MODELS, "first")).expect("first");
    assert_eq!(first["status"]["conditions"].as_array().map(Vec::len), Some(2), "{first}");
    assert_eq!(patches(&api), 3);
    api.put(model("third", "third", "qwen"));
    eventually("the third is accepted", || reason_is(&api, "third", "Accepted"));
    assert_eq!(patches(&api), 1, "what stands is not written again");
}

#[test]
fn one_of_two_writes_and_the_other_follows_when_it_ends() {
    let api = cluster();
    let one = Candidate::start(&api, "one");
    eventually("the first holds the Lease", || holder(&api) == "one");
    eventually("it writes", || reason_is(&api, "first", "Accepted"));
    let _two = Candidate::start(&api, "two");
    eventually("the second watches too", || api.watches() == 16);
    api.take_log();
    api.put(model("second", "second", "qwen"));
    eventually("one writes", || reason_is(&api, "second", "Accepted"));
    assert_eq!((patches(&api), holder(&api).as_str()), (1, "one"));
    drop(one);
    assert_eq!(holder(&api), "", "it was freed");
    api.put(model("third", "third", "qwen"));
    eventually("the second follows", || holder(&api) == "two");
    eventually("and writes", || reason_is(&api, "third", "Accepted"));
    assert_eq!(patches(&api), 1);
}

#[test]
fn a_holder_that_is_silent_for_its_time_is_followed() {
    let api = cluster();
    api.put(json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "warmlane-router", "namespace": "warmlane-system"},
        // Its clock is ahead by years.
        "spec": {"holderIdentity": "dead", "leaseDurationSeconds": 2, "leaseTransitions": 7,
                 "renewTime": "2090-01-01T00:00:00.000000Z"},
    }));
    let _router = Candidate::start(&api, "one");
    eventually("all is watched", || api.watches() == 8);
    assert_eq!((holder(&api).as_str(), accepted(&api, "first")), ("dead", None));
    eventually("it is followed", || holder(&api) == "one");
    eventually("and the status is written", || reason_is(&api, "first", "Accepted"));
}

#[test]
fn a_status_that_may_not_be_written_is_tried_again() {
    let api = cluster();
    api.forbid("patch", "inferencemodels/status");
    let _router = Candidate::start(&api, "one");
    eventually("it is tried", || patches(&api) > 0);
    api.allow("patch", "inferencemodels/status");
    eventually("it is written", || reason_is(&api, "first", "Accepted"));
}

#[test]
fn a_status_that_is_refused_does_not_keep_the_others_waiting_and_is_tried_ever_more_seldom() {
    let api = cluster();
    api.put(model("aaa", "aaa", "qwen"));
    api.refuse("patch", "inferencemodels/status:aaa", Refusal::Code(422));
    let _router = Candidate::start(&api, "one");
    eventually("the other is written", || reason_is(&api, "first", "Accepted"));
    assert_eq!(patches(&api), 2, "each once");
    // News of others are no reason to try again.
    for at in 0..20 {
        api.put(model(&format!("more-{at}"), &format!("more-{at}"), "qwen"));
    }
    eventually("they are written", || (0..20).all(|at| reason_is(&api, &format!("more-{at}"), "Accepted")));
    assert!(patches(&api) <= 22, "at most twice within its pause");
    api.allow("patch", "inferencemodels/status:aaa");
    eventually("it is written", || reason_is(&api, "aaa", "Accepted"));
}

#[test]
fn two_that_disagree_do_not_write_as_fast_as_they_watch() {
    let api = cluster();
    let _router = Candidate::start(&api, "one");
    eventually("it is accepted", || reason_is(&api, "first", "Accepted"));
    api.take_log();
    let other =
        json!({"status": {"conditions": [{"type": "Accepted", "status": "False", "reason": "Other"}]}});
    for _ in 0..2 {
        api.patch(&key(Resource::MODELS, "first"), &other);
        // What comes later was seen by the router when it is written.
        api.put(model("mark", "mark", "qwen"));
        eventually("the router has seen it", || reason_is(&api, "mark", "Accepted"));
        api.remove(&key(Resource::MODELS, "mark"));
        assert!(reason_is(&api, "first", "Other"), "it was left alone for a while");
        eventually("it is accepted again", || reason_is(&api, "first", "Accepted"));
    }
}

#[test]
fn a_holder_says_on_the_lease_what_it_serves_and_leaves_what_stands_there() {
    let api = cluster();
    api.put(json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "warmlane-router", "namespace": "warmlane-system", "labels": {"app": "warmlane"}},
        "spec": {},
    }));
    let _router = Candidate::of(&api, "one", "qwen");
    eventually("it holds it", || holder(&api) == "one");
    let lease = api.get(&Key::new(Resource::LEASES, "warmlane-system", "warmlane-router")).expect("a Lease");
    assert_eq!(lease["metadata"]["annotations"]["warmlane.dev/pools"], json!("default/qwen"));
    assert_eq!(lease["metadata"]["labels"]["app"], json!("warmlane"));
}

#[test]
fn who_waits_for_the_lease_of_another_looks_less_often_than_it_is_renewed() {
    let api = cluster();
    let _one = Candidate::start(&api, "one");
    eventually("the first holds the Lease", || holder(&api) == "one");
    let _two = Candidate::start(&api, "two");
    eventually("the second watches too", || api.watches() == 16);
    api.take_log();
    let mut seen = Vec::new();
    eventually("it is renewed twice", || {
        seen.extend(api.take_log());
        seen.iter().filter(|call| call.resource == "leases" && call.verb == "update").count() == 2
    });
    let gets = seen.iter().filter(|call| call.resource == "leases" && call.verb == "get").count();
    assert!(gets <= 3, "two of the holder, and one of the other at most: {gets}");
}
