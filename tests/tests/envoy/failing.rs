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
fn without_a_picker_each_bootstrap_does_what_its_page_says_whatever_the_client_sends() {
    let page = include_str!("../../../deploy/envoy/README.md");
    let mut away = "";
    for bootstrap in ALL {
        let row = page.lines().find(|line| line.starts_with(&format!("| [{bootstrap}]"))).expect("a row");
        let says = row.trim_end_matches(" |").rsplit("| ").next().expect("a column");
        away = if says == "the same" { away } else { says };
        let expected = match away {
            "requests go on by round robin" => 200,
            "clients get 503" => 503,
            other => panic!("what is {other:?}?"),
        };
        let (engines, envoy) = without_picker(bootstrap, |bootstrap| bootstrap);
        envoy.wait_for_picker(false);
        let spoofed = format!("x-gateway-destination-endpoint: {}\r\n", engines[0].address());
        for _ in 0..4 {
            let response = Wire::connect(envoy.aware()).post_with(PATH, &spoofed, CHAT);
            assert_eq!(response.status, expected, "{bootstrap}");
            assert_eq!(response.body.is_empty(), expected == 503, "{bootstrap}");
        }
        let given = [engines[0].seen().len(), engines[1].seen().len()];
        assert_eq!(given, if expected == 200 { [2, 2] } else { [0, 0] }, "{bootstrap}");
    }
}

#[test]
fn a_replica_that_envoy_cannot_reach_has_failed_for_the_breaker_too() {
    for bootstrap in ALL {
        // So seldom that the router has not looked again when the request comes.
        let seldom = Duration::from_secs(60);
        let scene = Scene::set(bootstrap, |config| {
            (config.scrape.min_interval, config.scrape.max_interval) = (seldom, seldom);
        });
        scene.picker.engines[1].stop();
        let response = scene.chat();
        let retries = bootstrap != "original-dst.yaml";
        assert_eq!(response.status, if retries { 200 } else { 503 }, "{bootstrap} {}", response.text());
        let end = if retries { "complete" } else { "gateway" };
        eventually("whose answer it was is told", || scene.picker.ended(end) == 1.0);
        let failures = || {
            let series =
                format!("warmlane_endpoint_failures_total{{endpoint=\"{}\"}}", scene.picker.endpoint(1));
            scene.picker.router.metric(&series)
        };
        eventually("it is counted", || failures() == 1.0);
        assert_eq!(scene.picker.router.metric("warmlane_endpoint_failures_total{"), 1.0, "and no other");
    }
}

#[test]
fn every_request_whose_replica_is_gone_goes_to_another_however_many_there_are() {
    for bootstrap in ["override-host.yaml", "full-duplex.yaml"] {
        let seldom = Duration::from_secs(60);
        let scene = Scene::set(bootstrap, |config| {
            (config.scrape.min_interval, config.scrape.max_interval) = (seldom, seldom);
            config.breaker.in_a_row = 1_000;
        });
        scene.picker.engines[0].behave(Behaviour::Hang);
        scene.picker.engines[1].stop();
        let clients: Vec<Wire> = (0..20)
            .map(|_| {
                let mut client = scene.client();
                client.begin_post(PATH, "", CHAT);
                client
            })
            .collect();
        eventually("the other has them all", || scene.picker.engines[0].open() == 20);
        drop(clients);
    }
}

#[test]
fn one_client_that_sends_single_bytes_leaves_the_others_alone() {
    let scene = Scene::of("full-duplex.yaml");
    scene.picker.engines.iter().for_each(|engine| engine.behave(Behaviour::Hang));
    let waiting: Vec<Wire> = (0..8)
        .map(|_| {
            let mut client = scene.client();
            client.begin_post(PATH, "", CHAT);
            client
        })
        .collect();
    eventually("they wait", || scene.picker.in_flight(1) == 8);
    let mut client = Multiplexed::connect(scene.envoy.aware());
    let request = hyper::Request::post(format!("http://t{PATH}")).header("content-type", "application/json");
    let mut stream = client.open(request.body(()).expect("a request"), None);
    let body = CHAT.replace("hi", &"x".repeat(40_000));
    let (last, before) = body.as_bytes().split_last().expect("a body");
    before.iter().for_each(|byte| stream.send(&[*byte], false));
    stream.send(&[*last], true);
    eventually("it is routed", || scene.picker.in_flight(0) + scene.picker.in_flight(1) == 9);
    assert_eq!(scene.picker.ended("abandoned"), 0.0);
    drop(waiting);
}

#[test]
fn a_filter_before_it_that_refuses_is_answered_with_its_own_status() {
    // Envoy's own answer, of which the picker sees nothing but the response.
    let refuse = "{ \"@type\": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault, abort: \
                  { http_status: 401, percentage: { numerator: 100 } } }";
    for bootstrap in ALL {
        let scene =
            Scene::changed(bootstrap, |bootstrap| bootstrap.filter("envoy.filters.http.fault", refuse));
        assert_eq!(scene.chat().status, 401, "{bootstrap}");
        eventually("it is seen", || scene.picker.ended("gateway") == 1.0);
    }
}

#[test]
fn a_response_whose_head_is_skipped_comes_whole() {
    for mode in ["STREAMED", "FULL_DUPLEX_STREAMED"] {
        let scene = Scene::changed("full-duplex.yaml", |bootstrap| {
            let bootstrap = bootstrap
                .change("response_header_mode: SEND", "response_header_mode: SKIP")
                .change("response_body_mode: FULL_DUPLEX_STREAMED", &format!("response_body_mode: {mode}"));
            if mode == "STREAMED" {
                bootstrap.change("response_trailer_mode: SEND", "response_trailer_mode: SKIP")
            } else {
                bootstrap
            }
        });
        let response = scene.chat();
        assert!(response.complete, "{mode}");
        assert_eq!(Scene::by(&response), 1, "{mode}");
    }
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
fn fail_open_has_nowhere_to_go_where_only_the_picker_knows_replicas() {
    let (engines, envoy) = without_picker("original-dst.yaml", |bootstrap| {
        bootstrap.change("failure_mode_allow: false", "failure_mode_allow: true")
    });
    envoy.wait_for_picker(false);
    let response = Wire::connect(envoy.aware()).post(PATH, CHAT);
    assert_eq!((response.status, response.text().as_str()), (503, "no healthy upstream"));
    assert!(engines.iter().all(|engine| engine.seen().is_empty()));
}

#[test]
fn fail_open_needs_an_envoy_that_believes_its_check() {
    let (_engines, envoy) = without_picker("override-host.yaml", |bootstrap| {
        bootstrap
            .change("common_lb_config: { healthy_panic_threshold: { value: 0 } }", "common_lb_config: {}")
    });
    envoy.wait_for_picker(false);
    assert_eq!(Wire::connect(envoy.aware()).post(PATH, CHAT).status, 500);
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
fn a_stream_that_falls_silent_is_cut_where_the_client_can_see_it() {
    let limit = |config: &mut Config| config.timeouts.stream_idle = Duration::from_millis(300);
    let scene = Scene::set("full-duplex.yaml", limit);
    let begun = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n";
    scene.picker.engines[1].behave(Behaviour::AnswerAndHang(begun.to_vec()));
    let response = scene.chat();
    assert_eq!((response.status, response.complete), (200, false));
    eventually("it is over", || scene.picker.in_flight(1) == 0);
}
