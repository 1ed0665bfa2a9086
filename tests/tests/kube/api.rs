//! The fake API server's semantics, as a real client meets them.

use futures_util::StreamExt;
use kube::{
    Api, Client, Error,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use warmlane_tests::kube::{FakeApi, Resource};

use crate::objects::{key, model, pod, pool};

struct Scene {
    api: FakeApi,
    runtime: Runtime,
    client: Client,
}

impl Scene {
    fn new() -> Self {
        let api = FakeApi::start();
        let runtime = Runtime::new().expect("runtime");
        let config = kube::Config::new(api.url().parse().expect("uri"));
        let client = runtime.block_on(async { Client::try_from(config) }).expect("client");
        Self { api, runtime, client }
    }

    fn of(&self, resource: Resource) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk(resource.group, resource.version, resource.kind);
        let resource = ApiResource::from_gvk_with_plural(&kind, resource.plural);
        Api::namespaced_with(self.client.clone(), "default", &resource)
    }

    fn wait<T>(&self, future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.runtime.block_on(future)
    }

    /// Opens a watch, does something, and takes what it tells: kind and name of each event.
    fn told(&self, params: &WatchParams, from: &str, count: usize, act: impl FnOnce()) -> Vec<String> {
        let pods = self.of(Resource::PODS);
        self.runtime.block_on(async {
            let events = pods.watch(params, from).await.expect("a watch");
            act();
            let events: Vec<_> = events.take(count).collect().await;
            events
                .iter()
                .map(|event| event.as_ref().map_or_else(|error| format!("{error:?}"), said))
                .collect()
        })
    }
}

fn said(event: &WatchEvent<DynamicObject>) -> String {
    let name = |object: &DynamicObject| object.metadata.name.clone().unwrap_or_default();
    match event {
        WatchEvent::Added(object) => format!("added {}", name(object)),
        WatchEvent::Modified(object) => format!("modified {}", name(object)),
        WatchEvent::Deleted(object) => format!("deleted {}", name(object)),
        WatchEvent::Bookmark(bookmark) => match bookmark.metadata.annotations.is_empty() {
            true => "bookmark".to_owned(),
            false => "bookmark of the end".to_owned(),
        },
        WatchEvent::Error(status) => format!("error {}", status.code),
    }
}

fn code<T>(result: Result<T, Error>) -> u16 {
    match result {
        Err(Error::Api(status)) => status.code,
        Err(other) => panic!("no answer: {other}"),
        Ok(_) => 200,
    }
}

fn reason<T>(result: Result<T, Error>) -> String {
    match result {
        Err(Error::Api(status)) => status.reason,
        _ => panic!("no refusal"),
    }
}

fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).expect("an object")
}

#[test]
fn a_list_comes_in_pages_of_one_state() {
    let scene = Scene::new();
    (0..5).for_each(|at| scene.api.put(pod(&format!("pod-{at}"), "a", "10.0.0.1")));
    let pods = scene.of(Resource::PODS);
    let first = scene.wait(pods.list(&ListParams::default().limit(2))).expect("a page");
    scene.api.put(pod("pod-9", "a", "10.0.0.1"));
    scene.api.remove(&key(Resource::PODS, "pod-4"));
    let mut names: Vec<_> = first.items.iter().filter_map(|pod| pod.metadata.name.clone()).collect();
    let mut more = first.metadata.continue_.clone();
    assert_eq!(first.metadata.remaining_item_count, Some(3));
    while let Some(token) = more.filter(|token| !token.is_empty()) {
        let page =
            scene.wait(pods.list(&ListParams::default().limit(2).continue_token(&token))).expect("a page");
        assert_eq!(page.metadata.resource_version, first.metadata.resource_version);
        names.extend(page.items.iter().filter_map(|pod| pod.metadata.name.clone()));
        more = page.metadata.continue_;
    }
    assert_eq!(names, ["pod-0", "pod-1", "pod-2", "pod-3", "pod-4"]);
    let token = scene.wait(pods.list(&ListParams::default().limit(2))).expect("a page").metadata.continue_;
    scene.api.expire(true);
    let late = ListParams::default().limit(2).continue_token(&token.expect("more"));
    assert_eq!(code(scene.wait(pods.list(&late))), 410);
}

#[test]
fn selectors_choose_what_is_listed_and_watched() {
    let scene = Scene::new();
    scene.api.put(pod("a", "one", "10.0.0.1"));
    scene.api.put(pod("b", "two", "10.0.0.2"));
    let pods = scene.of(Resource::PODS);
    let names = |params: ListParams| -> Vec<String> {
        let list = scene.wait(pods.list(&params)).expect("a list");
        list.items.into_iter().filter_map(|pod| pod.metadata.name).collect()
    };
    assert_eq!(names(ListParams::default().labels("app=one")), ["a"]);
    assert_eq!(names(ListParams::default().fields("metadata.name=b")), ["b"]);
    assert_eq!(names(ListParams::default().fields("spec.nodeName=n1")), ["a", "b"]);
    let version = scene.wait(pods.list(&ListParams::default())).expect("a list").metadata.resource_version;
    let from = version.expect("a version");
    let told = scene.told(&WatchParams::default().labels("app=one"), &from, 3, || {
        let label = |app: &str| json!({"metadata": {"labels": {"app": app}}});
        scene.api.patch(&key(Resource::PODS, "b"), &label("one"));
        scene.api.put(pod("c", "two", "10.0.0.3"));
        scene.api.patch(&key(Resource::PODS, "a"), &json!({"status": {"phase": "Failed"}}));
        scene.api.patch(&key(Resource::PODS, "b"), &label("two"));
    });
    assert_eq!(told, ["added b", "modified a", "deleted b"]);
}

#[test]
fn a_watch_tells_every_kind_of_event_and_a_streaming_list_its_end() {
    let scene = Scene::new();
    scene.api.put(pod("a", "one", "10.0.0.1"));
    let told = scene.told(&WatchParams::default().initial_events(), "0", 6, || {
        scene.api.patch(&key(Resource::PODS, "a"), &json!({"status": {"phase": "Pending"}}));
        scene.api.begin_deletion(&key(Resource::PODS, "a"), 30);
        scene.api.remove(&key(Resource::PODS, "a"));
        scene.api.put(pod("b", "one", "10.0.0.2"));
    });
    let all = ["added a", "bookmark of the end", "modified a", "modified a", "deleted a", "added b"];
    assert_eq!(told, all);
    let now = scene.api.get(&key(Resource::PODS, "b")).expect("b")["metadata"]["resourceVersion"].clone();
    let told = scene.told(&WatchParams::default(), now.as_str().expect("text"), 1, || scene.api.bookmark());
    assert_eq!(told, ["bookmark"]);
}

#[test]
fn a_version_that_is_too_old_is_gone_as_status_or_as_event() {
    let scene = Scene::new();
    scene.api.put(pod("a", "one", "10.0.0.1"));
    scene.api.expire(false);
    assert_eq!(scene.told(&WatchParams::default(), "1", 1, || {}), ["error 410"]);
    scene.api.expire(true);
    let watch = async { scene.of(Resource::PODS).watch(&WatchParams::default(), "1").await.map(|_| ()) };
    assert_eq!(code(scene.wait(watch)), 410);
}

#[test]
fn a_watch_ends_properly_or_breaks() {
    let scene = Scene::new();
    assert!(scene.told(&WatchParams::default(), "1", 1, || scene.api.end_watches()).is_empty());
    assert!(scene.told(&WatchParams::default(), "1", 1, || scene.api.break_watches()).is_empty());
    assert!(scene.told(&WatchParams::default().timeout(1), "1", 2, || {}).len() <= 1, "its time is over");
}

#[test]
fn versions_grow_and_a_write_that_changes_nothing_has_none() {
    let scene = Scene::new();
    let models = scene.of(Resource::MODELS);
    let made = scene.wait(models.create(&PostParams::default(), &object(model("chat", "chat", "qwen"))));
    let made = made.expect("made");
    let version = |object: &DynamicObject| object.metadata.resource_version.clone().expect("a version");
    assert_eq!((made.metadata.generation, made.metadata.uid.is_some()), (Some(1), true));
    let patch = |patch: Value| {
        let merge = Patch::Merge(patch);
        scene.wait(models.patch("chat", &PatchParams::default(), &merge)).expect("patched")
    };
    let same = patch(json!({"spec": {"criticality": "Critical"}}));
    assert_eq!(version(&same), version(&made));
    let labelled = patch(json!({"metadata": {"labels": {"a": "b"}}}));
    assert_ne!(version(&labelled), version(&made));
    assert_eq!(labelled.metadata.generation, Some(1), "only the spec counts");
    assert_eq!(patch(json!({"spec": {"criticality": null}})).metadata.generation, Some(2));
    let again = scene.wait(models.create(&PostParams::default(), &object(model("chat", "chat", "qwen"))));
    assert_eq!(reason(again), "AlreadyExists");
    let stale = scene.wait(models.replace("chat", &PostParams::default(), &made));
    assert_eq!(reason(stale), "Conflict");
}

#[test]
fn the_status_is_written_by_its_own_path_only() {
    let scene = Scene::new();
    scene.api.put(model("chat", "chat", "qwen"));
    let models = scene.of(Resource::MODELS);
    let both = Patch::Merge(json!({"spec": {"modelName": "talk"}, "status": {"conditions": []}}));
    let params = PatchParams::default();
    let main = scene.wait(models.patch("chat", &params, &both)).expect("patched");
    assert_eq!((&main.data["spec"]["modelName"], &main.data["status"]), (&json!("talk"), &Value::Null));
    scene.api.put(model("chat", "chat", "qwen"));
    let status = scene.wait(models.patch_status("chat", &params, &both)).expect("patched");
    assert_eq!(
        (&status.data["spec"]["modelName"], &status.data["status"]["conditions"]),
        (&json!("chat"), &json!([]))
    );
}

#[test]
fn an_apply_owns_its_fields_and_meets_other_owners() {
    let scene = Scene::new();
    let models = scene.of(Resource::MODELS);
    let apply = |manager: &str, force: bool, criticality: &str| {
        let mut wanted = model("chat", "chat", "qwen");
        wanted["spec"]["criticality"] = json!(criticality);
        let params = PatchParams { force, ..PatchParams::apply(manager) };
        scene.wait(models.patch("chat", &params, &Patch::Apply(wanted)))
    };
    let made = apply("a", false, "Critical").expect("made");
    assert_eq!(made.data["spec"]["criticality"], json!("Critical"));
    apply("b", false, "Critical").expect("the same is no conflict");
    assert_eq!(reason(apply("b", false, "Standard")), "Conflict");
    assert_eq!(apply("b", true, "Standard").expect("forced").data["spec"]["criticality"], json!("Standard"));
    let status = json!({"apiVersion": "inference.networking.x-k8s.io/v1alpha2", "kind": "InferenceModel",
                        "status": {"conditions": [{"type": "Accepted", "status": "True"}]}});
    let params = PatchParams::apply("c");
    let applied = scene.wait(models.patch_status("chat", &params, &Patch::Apply(&status))).expect("applied");
    assert_eq!(applied.data["status"]["conditions"][0]["type"], json!("Accepted"));
    assert_eq!(code(scene.wait(models.patch_status("none", &params, &Patch::Apply(&status)))), 404);
}

#[test]
fn a_pod_is_deleted_gracefully_and_all_else_at_once() {
    let scene = Scene::new();
    scene.api.put(pod("a", "one", "10.0.0.1"));
    scene.api.put(pool("qwen", "qwen", 1));
    scene.wait(scene.of(Resource::PODS).delete("a", &DeleteParams::default())).expect("deleted");
    let pod = scene.api.get(&key(Resource::PODS, "a")).expect("it ends");
    assert_eq!(pod["metadata"]["deletionGracePeriodSeconds"], json!(30));
    assert!(pod["metadata"]["deletionTimestamp"].is_string());
    scene.wait(scene.of(Resource::POOLS).delete("qwen", &DeleteParams::default())).expect("deleted");
    assert!(scene.api.get(&key(Resource::POOLS, "qwen")).is_none());
    assert_eq!(code(scene.wait(scene.of(Resource::POOLS).delete("qwen", &DeleteParams::default()))), 404);
}

#[test]
fn what_is_not_there_or_not_allowed_is_answered_as_a_real_server_does() {
    let scene = Scene::new();
    scene.api.remove_crd(Resource::MODELS);
    assert_eq!(code(scene.wait(scene.of(Resource::MODELS).list(&ListParams::default()))), 404);
    scene.api.forbid("list", "pods");
    match scene.wait(scene.of(Resource::PODS).list(&ListParams::default())) {
        Err(Error::Api(status)) => {
            assert_eq!((status.code, status.reason.as_str()), (403, "Forbidden"));
            assert!(status.message.starts_with("pods is forbidden: User \""), "{}", status.message);
            assert!(status.message.ends_with("in API group \"\" in the namespace \"default\""));
        }
        other => panic!("allowed: {other:?}"),
    }
    let log = scene.api.take_log();
    assert_eq!(
        log.iter().map(|call| call.resource.as_str()).collect::<Vec<_>>(),
        ["inferencemodels", "pods"]
    );
}

#[test]
fn discovery_follows_the_resources_and_offers_no_aggregate() {
    let scene = Scene::new();
    let listed = |version: &'static str| {
        let list = scene.wait(scene.client.list_api_group_resources(version));
        list.map(|list| list.resources.into_iter().map(|resource| resource.name).collect::<Vec<_>>())
    };
    let there = listed("inference.networking.k8s.io/v1").expect("there");
    assert_eq!(there, ["inferencepools", "inferencepools/status"]);
    scene.api.remove_crd(Resource::POOLS);
    assert_eq!(code(listed("inference.networking.k8s.io/v1")), 404);
    let groups = scene.wait(scene.client.list_api_groups()).expect("groups").groups;
    assert!(groups.iter().any(|group| group.name == "llm-d.ai"));
    assert!(!groups.iter().any(|group| group.name == "inference.networking.k8s.io"));
    let core = scene.wait(scene.client.list_core_api_resources("v1")).expect("core");
    assert!(core.resources.iter().any(|resource| resource.name == "nodes" && !resource.namespaced));
    let aggregate = hyper::Request::get("/apis")
        .header("accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
    let aggregate = aggregate.body(Vec::new()).expect("a request");
    assert_eq!(code(scene.wait(scene.client.request::<Value>(aggregate))), 406);
}

#[test]
fn a_server_that_was_away_is_back_on_its_port_with_its_state() {
    let scene = Scene::new();
    scene.api.put(pod("a", "one", "10.0.0.1"));
    scene.api.go_away();
    let get = || scene.wait(async { scene.of(Resource::PODS).get("a").await });
    let is_away = |result: &Result<DynamicObject, Error>| matches!(result, Err(error) if !matches!(error, Error::Api(_)));
    warmlane_tests::eventually("it is away", || is_away(&get()));
    scene.api.patch(&key(Resource::PODS, "a"), &json!({"status": {"phase": "Failed"}}));
    scene.api.come_back();
    warmlane_tests::eventually("it is back", || get().is_ok());
    assert_eq!(get().expect("a").data["status"]["phase"], json!("Failed"));
}
