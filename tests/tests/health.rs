//! gRPC health, as gateways and Kubernetes' probes ask for it.

use std::{net::SocketAddr, sync::mpsc, thread};

use hyper::Request;
use warmlane_tests::{
    Behaviour, PATIENCE, RawEngine, TestRouter,
    engine::answer,
    eventually,
    http2::{Multiplexed, Stream},
    picker::TestPicker,
};

const SERVING: u8 = 1;
const PICKER: &str = "envoy.service.ext_proc.v3.ExternalProcessor";
const NOT_SERVING: u8 = 2;
const SERVICE_UNKNOWN: u8 = 3;
/// gRPC's code for a name that nobody has.
const NOT_FOUND: &str = "5";

fn start(engine: SocketAddr) -> TestRouter {
    TestRouter::unready(&[engine], |config| {
        config.listen.grpc_health = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    })
}

fn connect(router: &TestRouter) -> Multiplexed {
    Multiplexed::connect(router.listening().grpc_health.expect("a health port"))
}

/// A call with one message: the service's name is its first field.
fn call(client: &mut Multiplexed, method: &str, service: &str) -> Stream {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.extend_from_slice(&[0x0a, service.len() as u8]);
        message.extend_from_slice(service.as_bytes());
    }
    let framed = [&[0, 0, 0, 0, message.len() as u8][..], &message].concat();
    let request = Request::post(format!("http://h/grpc.health.v1.Health/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    client.open(request.body(()).expect("a request"), Some(&framed))
}

/// The status in an answer's message: its one field is a number.
fn status(message: &[u8]) -> u8 {
    match message {
        [0, 0, 0, 0, 2, 0x08, status] => *status,
        other => panic!("not a status: {other:?}"),
    }
}

/// The status, or gRPC's error code.
fn check(client: &mut Multiplexed, service: &str) -> Result<u8, String> {
    let (head, body) = call(client, "Check", service).answer().expect("an answer");
    match head.headers.get("grpc-status") {
        Some(code) => Err(code.to_str().expect("text").to_owned()),
        None => Ok(status(&body)),
    }
}

#[test]
fn readiness_follows_the_replicas_and_liveness_does_not() {
    let engine = RawEngine::start(Behaviour::Answer(answer("text/plain", b"ok")));
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    let (ready, unready) = (start(engine.address()), start(nobody));
    let (mut client, mut other) = (connect(&ready), connect(&unready));
    for service in ["", "readiness", PICKER] {
        eventually(service, || check(&mut client, service) == Ok(SERVING));
        assert_eq!(check(&mut other, service), Ok(NOT_SERVING), "{service}");
    }
    assert_eq!((check(&mut client, "liveness"), check(&mut other, "liveness")), (Ok(SERVING), Ok(SERVING)));
    assert_eq!(check(&mut client, "nobody"), Err(NOT_FOUND.to_owned()));
}

#[test]
fn a_picker_that_has_lost_its_replicas_is_asked_on() {
    let engine = RawEngine::start(Behaviour::Answer(answer("text/plain", b"ok")));
    let router = start(engine.address());
    let mut client = connect(&router);
    eventually("the replica is ready", || check(&mut client, "readiness") == Ok(SERVING));
    engine.stop();
    eventually("it is gone", || check(&mut client, "readiness") == Ok(NOT_SERVING));
    assert_eq!(check(&mut client, PICKER), Ok(SERVING), "it has an answer for that, and Envoy none");
}

#[test]
fn the_port_that_envoy_asks_says_the_same() {
    let picker = TestPicker::idle(1);
    let mut client = Multiplexed::connect(picker.address());
    for service in ["", "readiness", "liveness", PICKER] {
        assert_eq!(check(&mut client, service), Ok(SERVING), "{service}");
    }
    assert_eq!(check(&mut client, "nobody"), Err(NOT_FOUND.to_owned()));
}

#[test]
fn a_watcher_hears_of_every_change() {
    let engine = RawEngine::start(Behaviour::Answer(answer("text/plain", b"ok")));
    let router = start(engine.address());
    eventually("the replica is ready", || router.ready_endpoints() == 1);
    let mut client = connect(&router);
    let mut watch = call(&mut client, "Watch", "readiness");
    let mut unknown = call(&mut client, "Watch", "nobody");
    watch.head().expect("a head");
    unknown.head().expect("a head");
    assert_eq!(status(&unknown.part().expect("a message").expect("whole")), SERVICE_UNKNOWN);
    assert_eq!(status(&watch.part().expect("a message").expect("whole")), SERVING);
    engine.stop();
    assert_eq!(status(&watch.part().expect("a message").expect("whole")), NOT_SERVING);
}

#[test]
fn a_watcher_does_not_hold_the_drain_up() {
    let picker = TestPicker::idle(1);
    let mut client = Multiplexed::connect(picker.address());
    let mut watch = call(&mut client, "Watch", PICKER);
    watch.head().expect("a head");
    assert_eq!(status(&watch.part().expect("a message").expect("whole")), SERVING);
    let TestPicker { router, engines: _engines } = picker;
    let (ended, drained) = mpsc::channel();
    thread::spawn(move || {
        router.drain();
        let _ = ended.send(());
    });
    assert_eq!(status(&watch.part().expect("a message").expect("whole")), NOT_SERVING);
    // Cut by the limit, it would take longer.
    drained.recv_timeout(PATIENCE).expect("drained");
}

#[test]
fn a_router_that_drains_is_not_ready_and_still_alive() {
    let (engine, send) = RawEngine::in_parts();
    let router = start(engine.address());
    eventually("the replica is ready", || router.ready_endpoints() == 1);
    let (mut probe, mut client) = (connect(&router), router.aware());
    client.send(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
    engine.wait_for(1);
    let draining = thread::spawn(move || router.drain());
    eventually("it says so", || check(&mut probe, "") == Ok(NOT_SERVING));
    assert_eq!(check(&mut probe, PICKER), Ok(NOT_SERVING));
    assert_eq!(check(&mut probe, "liveness"), Ok(SERVING));
    send.send(answer("text/plain", b"ok")).expect("sent");
    assert_eq!(client.response().text(), "ok", "the open request ends");
    draining.join().expect("drained");
}
