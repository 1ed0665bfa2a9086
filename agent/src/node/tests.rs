use warmlane_engine::{metrics::EngineKind, models::ModelList};
use warmlane_picker::{Reading, Signals};
use warmlane_scrape::{Failure, Page};

use super::*;
use crate::{
    gpu::{Sample, Verdict},
    kubelet::Pod,
};

fn named(address: &str, pod: &str, uid: &str) -> Named {
    Named {
        address: address.into(),
        pod: pod.parse().ok(),
        uid: uid.into(),
        kv_events: None,
        runtime: EngineKind::Unknown,
    }
}

fn node(engines: usize) -> Node {
    let address = |n| format!("127.0.0.1:{}", 8_000 + n);
    let engines: Vec<Named> = (0..engines).map(|n| named(&address(n), "", "")).collect();
    Node::new("node-a", &engines)
}

/// The engine of this number.
fn id(node: &Node, number: usize) -> EngineId {
    node.engines()[number].id
}

fn page(queue: f32) -> Finding {
    let queue = Some(Reading { value: queue, at: Time::ZERO });
    Finding::Page(Box::new(Page { signals: Signals { queue, ..Signals::default() }, progress: None }))
}

fn queue(engine: &Engine) -> Option<f32> {
    match &engine.contact.now {
        Contact::Load(page) => page.signals.queue.map(|reading| reading.value),
        Contact::Untried | Contact::Alive | Contact::Unreachable { .. } => None,
    }
}

#[test]
fn who_has_seen_a_version_gets_what_changed_since_once() {
    let node = node(3);
    let first = node.since(0);
    assert_eq!((first.version, first.engines.len()), (FIRST, 3), "at first everything is new");
    (0..100).for_each(|n| node.found(id(&node, 1), page(n as f32)));
    let news = node.since(first.version);
    assert_eq!(news.engines.len(), 1, "however often it changed");
    assert_eq!(queue(&news.engines[0]), Some(99.0));
    assert!(node.since(news.version).engines.is_empty());
}

#[test]
fn a_list_of_models_is_told_when_it_changed_and_not_with_each_page() {
    let node = node(1);
    let list = ModelList::parse(br#"{"data":[{"id":"m"}]}"#).expect("a list");
    node.found(id(&node, 0), Finding::Models { at: Time::ZERO, list });
    let news = node.since(0);
    let models = news.engines[0].models.as_ref().expect("models");
    assert_eq!(&models.now.body[..], br#"{"object":"list","data":[{"id":"m"}]}"#);
    node.found(id(&node, 0), page(1.0));
    assert!(node.since(news.version).engines[0].models.is_none());
    node.found(id(&node, 0), Finding::Unreachable(Failure::Refused));
    node.found(id(&node, 0), page(1.0));
    assert!(node.since(0).engines[0].models.is_none(), "another process may serve other models");
}

#[test]
fn where_an_engine_is_wakes_nobody_and_a_page_does() {
    let node = node(1);
    let changes = node.changes();
    node.found(id(&node, 0), Finding::Resolved("127.0.0.1:8000".parse().expect("an address")));
    assert!(!changes.has_changed().expect("open"));
    node.found(id(&node, 0), Finding::Alive);
    assert!(changes.has_changed().expect("open"));
    node.found(EngineId(77), page(1.0));
    assert_eq!(node.since(0).version, FIRST + 1, "nobody's place");
}

#[test]
fn what_the_kubelet_tells_is_told_of_those_it_concerns() {
    let engine = |port: u16, pod: &str| named(&format!("a:{port}"), pod, "");
    let node =
        Node::new("node-a", &[engine(1, "llm/a"), engine(2, "llm/a"), engine(3, "llm/b"), engine(4, "")]);
    let seen = node.since(0).version;
    assert!(node.pods_without_gpus().is_empty(), "nobody knows");
    let pod = Pod { name: "llm/a".parse().expect("a name"), devices: vec!["GPU-0".to_owned()] };
    node.read_pods(Some(Arc::from([pod])));
    let news = node.since(seen);
    let told: Vec<&str> = news.engines.iter().map(|engine| &*engine.named.address).collect();
    assert_eq!(told, ["a:1", "a:2"]);
    assert!(news.engines.iter().all(|engine| engine.joined.gpus == ["GPU-0"]));
    let without: Vec<String> = node.pods_without_gpus().iter().map(ToString::to_string).collect();
    assert_eq!(without, ["llm/b"]);
    node.read_pods(None);
    assert_eq!(node.since(news.version).engines.len(), 2, "it is taken back");
    assert!(node.pods_without_gpus().is_empty());
}

#[test]
fn who_joins_and_who_leaves_is_told_and_whoever_stays_keeps_what_is_known() {
    let node = Node::new("node-a", &[named("a:1", "", "x"), named("b:1", "", "x")]);
    node.found(id(&node, 1), page(7.0));
    let seen = node.since(0).version;
    assert!(node.since(seen).all.is_none(), "the same engines");
    node.engage(&[named("b:1", "", "x"), named("c:1", "", "x")], 3);
    let news = node.since(seen);
    let all: Vec<String> = news.all.expect("others").iter().map(ToString::to_string).collect();
    assert_eq!(all, ["b:1", "c:1"]);
    let told: Vec<&str> = news.engines.iter().map(|engine| &*engine.named.address).collect();
    assert_eq!((told, node.left_out()), (vec!["c:1"], 3));
    assert_eq!(queue(&node.since(0).engines[0]), Some(7.0));
    let changes = node.changes();
    node.engage(&[named("b:1", "", "x"), named("c:1", "", "x")], 3);
    assert!(!changes.has_changed().expect("open"), "nobody joined or left");
}

#[test]
fn another_pod_at_the_same_address_inherits_nothing() {
    let node = Node::new("node-a", &[named("a:1", "llm/a", "first")]);
    let old = id(&node, 0);
    node.found(old, page(7.0));
    let seen = node.since(0).version;
    node.engage(&[named("a:1", "llm/a", "second")], 0);
    let news = node.since(seen);
    assert!(news.all.is_some() && matches!(news.engines[0].contact.now, Contact::Untried));
    node.found(old, page(8.0));
    assert_eq!(queue(&node.since(0).engines[0]), None, "what was found out of the first is nobody's");
}

#[test]
fn who_joins_a_node_with_one_engine_makes_it_one_with_several() {
    let node = Node::new("node-a", &[named("a:1", "", "")]);
    node.read_gpus(&[gpu("GPU-0"), gpu("GPU-1")]);
    assert_eq!(node.since(0).engines[0].joined.gpus.len(), 2);
    node.engage(&[named("a:1", "", ""), named("b:1", "", "")], 0);
    assert!(node.since(0).engines.iter().all(|engine| engine.joined.gpus.is_empty()));
}

fn gpu(uuid: &str) -> Gpu {
    let sample = Sample { uuid: Some(uuid.into()), ..Sample::default() };
    Gpu { sample: Arc::new(sample), verdict: Verdict::Healthy, read_at: None }
}
