//! What clients get while the picker, or what it picked, is away.

use std::net::TcpListener;

use super::*;

/// An Envoy whose picker has gone.
fn without_picker(bootstrap: &str, change: impl FnOnce(Bootstrap) -> Bootstrap) -> (Vec<RawEngine>, Envoy) {
    let Scene { picker, envoy } = Scene::changed(bootstrap, change);
    let TestPicker { router, engines } = picker;
    drop(router);
    (engines, envoy)
}

#[test]
fn fail_open_goes_on_by_round_robin_once_the_check_has_seen_it() {
    let (_engines, envoy) = without_picker("override-host.yaml", |bootstrap| bootstrap);
    envoy.wait_for_picker(false);
    let given: Vec<u64> = (0..6).map(|_| Scene::by(&Wire::connect(envoy.aware()).post(PATH, CHAT))).collect();
    assert_eq!(given.iter().sum::<u64>(), 3, "{given:?}");
}

#[test]
fn a_picker_that_was_silent_from_the_start_is_held_for_down() {
    // Accepts connections, as far as the kernel does, and says nothing: the first check takes all of its time.
    let silent = TcpListener::bind("127.0.0.1:0").expect("bind");
    let engine = RawEngine::start(Behaviour::Answer(answer("application/json", b"{}")));
    let picker = silent.local_addr().expect("address");
    let envoy = Bootstrap::of("override-host.yaml", picker, &[engine.address()]).start();
    assert_eq!(Wire::connect(envoy.aware()).post(PATH, CHAT).status, 200);
    assert_eq!(envoy.stat("http.aware.ext_proc.failure_mode_allowed"), 1);
}

#[test]
#[should_panic(expected = "the request_trailer_mode has to be set to SEND")]
fn a_bootstrap_that_envoy_refuses_is_told_with_its_reason() {
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    let bootstrap = Bootstrap::of("override-host.yaml", nobody, &[nobody]);
    bootstrap.change("request_trailer_mode: SEND", "request_trailer_mode: SKIP").start();
}

#[test]
fn fail_closed_answers_with_the_status_that_was_configured() {
    let (_engines, envoy) = without_picker("original-dst.yaml", |bootstrap| {
        bootstrap.change("status_on_error: { code: 503 }", "status_on_error: { code: 502 }")
    });
    envoy.wait_for_picker(false);
    assert_eq!(Wire::connect(envoy.aware()).post(PATH, CHAT).status, 502);
}

#[test]
fn fail_open_without_a_check_fails_for_bodies_that_came_at_once() {
    let (_engines, envoy) = without_picker("override-host.yaml", |bootstrap| {
        // Checked so seldom that it is not seen to be down.
        bootstrap.change("interval: 1s", "interval: 3600s")
    });
    assert_eq!(Wire::connect(envoy.aware()).post(PATH, CHAT).status, 500);
    assert_eq!(Wire::connect(envoy.aware()).get("/v1/models").status, 200, "without a body it is open");
}

#[test]
fn a_picked_replica_that_is_outside_the_cluster_is_passed_over_in_silence() {
    let picker = TestPicker::with(&[Said::default(), Said { queue: 30, ..Said::default() }], |_| {});
    let known = picker.engines[1].address();
    let envoy = Bootstrap::of("override-host.yaml", picker.address(), &[known]).start();
    envoy.wait_for_picker(true);
    assert_eq!(Wire::connect(envoy.aware()).post(PATH, CHAT).status, 200);
    assert_eq!(picker.engines[1].seen().len(), 1);
}

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
    let draining = std::thread::spawn(move || router.drain());
    envoy.wait_for_picker(false);
    parts.send(b"two".to_vec()).expect("the engine waits");
    assert!(client.until(b"two").is_some(), "nothing is lost");
    drop(parts);
    draining.join().expect("drained");
    engines[1].behave(Behaviour::Answer(answer("application/json", b"{}")));
    assert_eq!(Wire::connect(envoy.aware()).post(PATH, CHAT).status, 200, "and others go on without it");
}

#[test]
fn a_stream_that_falls_silent_is_cut_where_the_client_can_see_it() {
    let limit = |config: &mut Config| config.timeouts.stream_idle = Duration::from_millis(300);
    let scene = Scene::set("full-duplex.yaml", limit);
    let begun = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n";
    scene.picker.engines[1].behave(Behaviour::AnswerAndHang(begun.to_vec()));
    let response = scene.chat();
    assert_eq!((response.status, response.complete), (200, false));
    eventually("it is over", || scene.picker.in_flight(1) == 0);
}
