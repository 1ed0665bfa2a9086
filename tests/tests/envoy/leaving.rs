//! The router goes, or all it could pick: what clients of Envoy notice of it.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

use super::*;

#[test]
fn a_router_that_drains_finishes_what_is_open() {
    let Scene { picker, envoy } = Scene::of("full-duplex.yaml");
    let (behaviour, parts) = Behaviour::in_parts();
    let TestPicker { router, engines } = picker;
    engines[1].behave(behaviour);
    let mut client = Wire::connect(envoy.aware());
    client.begin_post(PATH, "", CHAT);
    parts.send(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\none".to_vec()).expect("the engine waits");
    assert!(client.until(b"one").is_some());
    let draining = thread::spawn(move || router.drain());
    envoy.wait_for_picker(false);
    parts.send(b"two".to_vec()).expect("the engine waits");
    assert!(client.until(b"two").is_some(), "nothing is lost");
    drop(parts);
    draining.join().expect("drained");
    engines[1].behave(Behaviour::Answer(answer("application/json", b"{}")));
    assert_eq!(Wire::connect(envoy.aware()).post(PATH, CHAT).status, 200, "and others go on without it");
}

/// What four clients get while something is done.
fn asked_while(envoy: &Envoy, act: impl FnOnce()) -> Vec<u16> {
    let over = AtomicBool::new(false);
    let ask = || {
        let mut statuses = Vec::new();
        while !over.load(Relaxed) {
            statuses.push(Wire::connect(envoy.aware()).post(PATH, CHAT).status);
        }
        statuses
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        act();
        over.store(true, Relaxed);
        clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
    })
}

#[test]
fn a_router_that_is_terminated_is_not_missed_by_anybody() {
    for bootstrap in ["override-host.yaml", "full-duplex.yaml"] {
        let Scene { picker, envoy } = Scene::of(bootstrap);
        let TestPicker { router, engines: _engines } = picker;
        let statuses = asked_while(&envoy, || {
            router.terminate();
            thread::sleep(Duration::from_secs(1));
        });
        let failed = statuses.iter().filter(|status| **status != 200).count();
        assert_eq!(failed, 0, "{bootstrap}: of {}", statuses.len());
        assert!(envoy.stat("http.aware.ext_proc.failure_mode_allowed") > 0, "{bootstrap}: it is gone");
    }
}

/// As behind a Service without a cluster IP, where Envoy that fails closed has another router to ask.
#[test]
fn of_two_routers_that_envoy_knows_one_is_not_missed_though_it_fails_closed() {
    let picker = TestPicker::idle(2);
    let replicas: Vec<SocketAddr> = picker.engines.iter().map(RawEngine::address).collect();
    let other = TestRouter::with(&replicas, |config| {
        config.listen.ext_proc = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    });
    let host = |address: SocketAddr| {
        let (ip, port) = (address.ip(), address.port());
        format!(
            "        - endpoint: {{ address: {{ socket_address: {{ address: {ip}, port_value: {port} }} }} }}\n"
        )
    };
    let (leaves, stays) = (picker.address(), other.listening().ext_proc.expect("an address"));
    let bootstrap = Bootstrap::of("original-dst.yaml", leaves, &replicas);
    let envoy = bootstrap.change(&host(leaves), &(host(leaves) + &host(stays))).start();
    let healthy = |count: u64| {
        eventually("Envoy sees as many", || envoy.stat("cluster.picker.membership_healthy") == count);
    };
    healthy(2);
    let TestPicker { router, engines: _engines } = picker;
    let statuses = asked_while(&envoy, || {
        router.terminate();
        healthy(1);
    });
    let failed = statuses.iter().filter(|status| **status != 200).count();
    assert!(failed == 0 && statuses.len() > 20, "{failed} of {}", statuses.len());
}

#[test]
fn with_no_replica_left_the_router_is_asked_all_the_same_and_says_when_to_come_back() {
    let scene = Scene::of("override-host.yaml");
    scene.picker.engines.iter().for_each(RawEngine::stop);
    eventually("both are down", || scene.picker.router.ready_endpoints() == 0);
    // Longer than Envoy's check takes.
    thread::sleep(Duration::from_millis(2_500));
    let response = scene.chat();
    assert_eq!(response.status, 503);
    assert!(response.text().contains("no replica can serve now"), "{}", response.text());
    assert_eq!(response.header("x-llm-d-request-dropped-reason"), Some("rejected-no-endpoints"));
    assert!(response.header("retry-after").is_some());
    assert_eq!(scene.envoy.stat("http.aware.ext_proc.failure_mode_allowed"), 0);
}
