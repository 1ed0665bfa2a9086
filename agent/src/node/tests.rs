use warmlane_engine::models::ModelList;
use warmlane_picker::{Reading, Signals};

use super::*;
use crate::kubelet::Pod;

fn node(engines: usize) -> Node {
    let address = |n| format!("127.0.0.1:{}", 8_000 + n);
    let engines: Vec<EngineFlag> =
        (0..engines).map(|n| EngineFlag { address: address(n), pod: None }).collect();
    Node::new("node-a", &engines)
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
    (0..100).for_each(|n| node.found(1, page(n as f32)));
    let news = node.since(first.version);
    assert_eq!(news.engines.len(), 1, "however often it changed");
    assert_eq!(queue(&news.engines[0]), Some(99.0));
    assert!(node.since(news.version).engines.is_empty());
}

#[test]
fn a_list_of_models_is_told_when_it_changed_and_not_with_each_page() {
    let node = node(1);
    let list = ModelList::parse(br#"{"data":[{"id":"m"}]}"#).expect("a list");
    node.found(0, Finding::Models { at: Time::ZERO, list });
    let news = node.since(0);
    let models = news.engines[0].models.as_ref().expect("models");
    assert_eq!(&models.now.body[..], br#"{"object":"list","data":[{"id":"m"}]}"#);
    node.found(0, page(1.0));
    assert!(node.since(news.version).engines[0].models.is_none());
    node.found(0, Finding::Unreachable(Failure::Refused));
    node.found(0, page(1.0));
    assert!(node.since(0).engines[0].models.is_none(), "another process may serve other models");
}

#[test]
fn where_an_engine_is_wakes_nobody_and_a_page_does() {
    let node = node(1);
    let changes = node.changes();
    node.found(0, Finding::Resolved("127.0.0.1:8000".parse().expect("an address")));
    assert!(!changes.has_changed().expect("open"));
    node.found(0, Finding::Alive);
    assert!(changes.has_changed().expect("open"));
    node.found(7, page(1.0));
    assert_eq!(node.since(0).version, FIRST + 1, "nobody's place");
}

#[test]
fn what_the_kubelet_tells_is_told_of_those_it_concerns() {
    let engine = |port: u16, pod: &str| EngineFlag { address: format!("a:{port}"), pod: pod.parse().ok() };
    let node =
        Node::new("node-a", &[engine(1, "llm/a"), engine(2, "llm/a"), engine(3, "llm/b"), engine(4, "")]);
    let seen = node.since(0).version;
    assert!(node.pods_without_gpus().is_empty(), "nobody knows");
    let pod = Pod { name: "llm/a".parse().expect("a name"), devices: vec!["GPU-0".to_owned()] };
    node.read_pods(Some(Arc::from([pod])));
    let news = node.since(seen);
    let told: Vec<&str> = news.engines.iter().map(|engine| &*engine.address).collect();
    assert_eq!(told, ["a:1", "a:2"]);
    assert!(news.engines.iter().all(|engine| engine.joined.gpus == ["GPU-0"]));
    let without: Vec<String> = node.pods_without_gpus().iter().map(ToString::to_string).collect();
    assert_eq!(without, ["llm/b"]);
    node.read_pods(None);
    assert_eq!(node.since(news.version).engines.len(), 2, "it is taken back");
    assert!(node.pods_without_gpus().is_empty());
}
