//! A real Envoy asks the picker: each row of what happens when, with the bootstraps that are shipped.

use std::{net::SocketAddr, time::Duration};

use warmlane_picker::Criticality;
use warmlane_router::config::{Config, ModelRule, Target};
use warmlane_tests::{
    Behaviour, RawEngine, Response, TestRouter, Wire,
    engine::answer,
    envoy::{Bootstrap, Envoy},
    eventually,
    http2::Multiplexed,
    picker::{Said, TestPicker},
};

#[path = "envoy/clients.rs"]
mod clients;
#[path = "envoy/failing.rs"]
mod failing;
#[path = "envoy/leaving.rs"]
mod leaving;
#[path = "envoy/table.rs"]
mod table;

const ALL: [&str; 3] = ["override-host.yaml", "full-duplex.yaml", "original-dst.yaml"];
const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
const PATH: &str = "/v1/chat/completions";
const EVENTS: &str =
    "data: {\"model\":\"a\",\"choices\":[{\"delta\":{\"content\":\"one\"}}]}\n\ndata: [DONE]\n\n";

/// Two engines, of which the second is far better, and an Envoy before them.
struct Scene {
    picker: TestPicker,
    envoy: Envoy,
}

// === Scene ===

impl Scene {
    fn of(bootstrap: &str) -> Self {
        Self::set(bootstrap, |_| {})
    }

    /// With other settings of the router.
    fn set(bootstrap: &str, config: impl FnOnce(&mut Config)) -> Self {
        Self::with(bootstrap, config, |bootstrap| bootstrap)
    }

    /// With another bootstrap.
    fn changed(bootstrap: &str, change: impl FnOnce(Bootstrap) -> Bootstrap) -> Self {
        Self::with(bootstrap, |_| {}, change)
    }

    fn with(
        bootstrap: &str,
        config: impl FnOnce(&mut Config),
        change: impl FnOnce(Bootstrap) -> Bootstrap,
    ) -> Self {
        let picker = TestPicker::with(&[Said { queue: 30, ..Said::default() }, Said::default()], config);
        for (number, engine) in picker.engines.iter().enumerate() {
            let names = format!("{{\"engine\":{number}}}");
            engine.behave(Behaviour::Answer(answer("application/json", names.as_bytes())));
        }
        let replicas: Vec<SocketAddr> = picker.engines.iter().map(RawEngine::address).collect();
        let envoy = change(Bootstrap::of(bootstrap, picker.address(), &replicas)).start();
        envoy.wait_for_picker(true);
        Self { picker, envoy }
    }

    fn client(&self) -> Wire {
        Wire::connect(self.envoy.aware())
    }

    fn chat(&self) -> Response {
        self.client().post(PATH, CHAT)
    }

    /// Which engine gave this answer.
    fn by(response: &Response) -> u64 {
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()["engine"].as_u64().expect("an engine's answer")
    }
}

#[test]
fn the_picked_replica_gets_the_request_and_the_plain_listener_spreads() {
    for bootstrap in ALL {
        let scene = Scene::of(bootstrap);
        for _ in 0..6 {
            assert_eq!(Scene::by(&scene.chat()), 1, "{bootstrap}");
        }
        let plain = |_| Scene::by(&Wire::connect(scene.envoy.plain()).post(PATH, CHAT));
        let given: Vec<u64> = (0..4).map(plain).collect();
        assert_eq!(given.iter().sum::<u64>(), 2, "{bootstrap}: round robin: {given:?}");
        eventually("nothing stays counted", || scene.picker.in_flight(1) == 0);
    }
}

#[test]
fn the_engine_sees_the_body_as_the_client_sent_it_and_an_id() {
    for bootstrap in ALL {
        let scene = Scene::of(bootstrap);
        for length in [10, 200_000, 20_000_000] {
            let body = format!(r#"{{"model":"m","prompt":"{}"}}"#, "x".repeat(length));
            assert_eq!(Scene::by(&scene.client().post("/v1/completions", &body)), 1);
            let seen = scene.picker.engines[1].seen().pop().expect("a request");
            assert!(unchunked(&seen.body) == body.as_bytes(), "{bootstrap}: {length} bytes");
            assert!(seen.head.to_ascii_lowercase().contains("x-request-id: "), "{}", seen.head);
            assert!(seen.head.contains("x-gateway-model-name: m"), "{}", seen.head);
        }
    }
}

/// A body without the framing of chunks, where it has that.
fn unchunked(body: &[u8]) -> Vec<u8> {
    let (mut whole, mut rest) = (Vec::new(), body);
    while let Some(at) = rest.windows(2).position(|two| two == b"\r\n") {
        let length =
            std::str::from_utf8(&rest[..at]).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
        match length {
            None | Some(0) => return whole,
            Some(length) => {
                whole.extend_from_slice(&rest[at + 2..at + 2 + length]);
                rest = &rest[at + 2 + length + 2..];
            }
        }
    }
    body.to_vec()
}

#[test]
fn a_model_is_rewritten_and_in_full_duplex_restored() {
    let scene = Scene::changed("full-duplex.yaml", Bootstrap::trusting);
    scene.picker.engines[1].behave(Behaviour::Answer(answer("text/event-stream", EVENTS.as_bytes())));
    let long = CHAT.replace("hi", &"long ".repeat(40_000));
    let response = scene.client().post_with(PATH, "x-gateway-model-name-rewrite: a\r\n", &long);
    assert_eq!(response.text(), EVENTS.replace("\"a\"", "\"m\""));
    let seen = scene.picker.engines[1].seen().pop().expect("a request");
    assert!(unchunked(&seen.body) == long.replace("\"m\"", "\"a\"").as_bytes());
}

/// A name for clients, of another length than the one that engines know.
fn assistant(config: &mut Config) {
    let targets = vec![Target { name: "a".to_owned(), weight: 1 }];
    config.models =
        vec![ModelRule { name: "assistant".to_owned(), criticality: Criticality::Standard, targets }];
}

#[test]
fn buffered_bodies_are_routed_and_rewritten_too() {
    let buffer = |bootstrap: Bootstrap| {
        bootstrap
            .change("request_body_mode: FULL_DUPLEX_STREAMED", "request_body_mode: BUFFERED")
            .change("response_body_mode: FULL_DUPLEX_STREAMED", "response_body_mode: BUFFERED")
            .change("request_trailer_mode: SEND", "request_trailer_mode: SKIP")
            .change("response_trailer_mode: SEND", "response_trailer_mode: SKIP")
    };
    let scene = Scene::with("full-duplex.yaml", assistant, buffer);
    let reply = answer("application/json", br#"{"model":"a","engine":1}"#);
    scene.picker.engines[1].behave(Behaviour::Answer(reply));
    let ask = CHAT.replace("\"m\"", "\"assistant\"");
    for chunked in [false, true] {
        let mut client = scene.client();
        let response = if chunked {
            let head = format!("POST {PATH} HTTP/1.1\r\nHost: t\r\ncontent-type: application/json\r\n");
            let body = format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{ask}\r\n0\r\n\r\n", ask.len());
            client.send((head + &body).as_bytes());
            client.response()
        } else {
            client.post(PATH, &ask)
        };
        assert_eq!(response.text(), r#"{"model":"assistant","engine":1}"#);
        let seen = scene.picker.engines[1].seen().pop().expect("a request");
        assert_eq!(unchunked(&seen.body), CHAT.replace("\"m\"", "\"a\"").as_bytes());
    }
}

#[test]
fn clients_steer_by_no_header_unless_they_are_trusted_to() {
    for bootstrap in ALL {
        let scene = Scene::of(bootstrap);
        for family in ["x-gateway", "x-llm-d"] {
            let name = format!("{family}-model-name-rewrite: a\r\n");
            assert_eq!(Scene::by(&scene.client().post_with(PATH, &name, CHAT)), 1);
            let seen = scene.picker.engines[1].seen().pop().expect("a request");
            assert_eq!(unchunked(&seen.body), CHAT.as_bytes(), "{bootstrap} {name}");
        }
    }
}

#[test]
fn a_client_cannot_steer_by_the_destination_header() {
    for bootstrap in ALL {
        let scene = Scene::changed(bootstrap, |bootstrap| {
            // Without the filter that takes it off: the picker's word stands by itself.
            bootstrap.change("- remove: x-gateway-destination-endpoint", "- remove: x-other")
        });
        let spoofed = format!("x-gateway-destination-endpoint: {}\r\n", scene.picker.endpoint(0));
        assert_eq!(Scene::by(&scene.client().post_with(PATH, &spoofed, CHAT)), 1, "{bootstrap}");
    }
}

#[test]
fn a_subset_that_a_filter_before_it_chose_is_kept_to() {
    let set = |value: String| {
        format!(
            "{{ \"@type\": type.googleapis.com/envoy.extensions.filters.http.set_metadata.v3.Config, metadata: \
             [{{ metadata_namespace: envoy.lb.subset_hint, value: {{ x-gateway-destination-endpoint-subset: {value} }} }}] }}"
        )
    };
    for (nobody, expected) in [(false, 200), (true, 503)] {
        let picker = TestPicker::with(&[Said { queue: 30, ..Said::default() }, Said::default()], |_| {});
        let replicas: Vec<SocketAddr> = picker.engines.iter().map(RawEngine::address).collect();
        let offered = if nobody { "10.9.9.9:1".to_owned() } else { picker.endpoint(0) };
        for value in [format!("[\"{offered}\"]"), format!("\"10.9.9.8:1,{offered}\"")] {
            let bootstrap = Bootstrap::of("override-host.yaml", picker.address(), &replicas);
            let envoy = bootstrap.filter("envoy.filters.http.set_metadata", &set(value)).start();
            envoy.wait_for_picker(true);
            let before = picker.engines[0].seen().len();
            let response = Wire::connect(envoy.aware()).post(PATH, CHAT);
            assert_eq!(response.status, expected, "{}", response.text());
            assert_eq!(picker.engines[0].seen().len() - before, usize::from(!nobody));
        }
    }
}

#[test]
fn self_signed_tls_is_spoken_and_checked() {
    let identity = |config: &mut Config| config.ext_proc.tls = "self-signed".parse().expect("an identity");
    let scene = Scene::with("override-host.yaml", identity, |bootstrap| {
        // What the page says.
        let page = include_str!("../../docs/ENVOY.md");
        let tls =
            page.split("```yaml\n").nth(1).and_then(|text| text.split("```").next()).expect("an example");
        let checks = "    health_checks:\n";
        bootstrap.change(checks, &format!("{tls}{checks}"))
    });
    assert_eq!(Scene::by(&scene.chat()), 1);
}

#[test]
fn refusals_reach_the_client_as_they_are() {
    for bootstrap in ALL {
        let scene = Scene::set(bootstrap, |config| config.limits.body = 100_000);
        let ask = |body: &str| scene.client().post(PATH, body);
        let missing = ask("{\"messages\":[]}");
        assert_eq!(missing.status, 400, "{bootstrap}");
        assert!(
            missing.json()["error"]["message"].as_str().is_some_and(|text| text.contains("model not found"))
        );
        assert_eq!(missing.header("content-type"), Some("application/json"));
        assert_eq!(ask("{").status, 400);
        assert_eq!(ask(&CHAT.replace("hi", &"x".repeat(200_000))).status, 413);
        assert_eq!(Scene::by(&scene.chat()), 1, "and the next one is served");
    }
}

#[test]
fn a_list_is_walked_by_override_host_and_the_one_that_served_is_counted() {
    let scene = Scene::set("full-duplex.yaml", |config| config.ext_proc.fallbacks = 1);
    let (behaviour, parts) = Behaviour::in_parts();
    scene.picker.engines[0].behave(behaviour);
    // The best one dies; nobody has noticed yet.
    scene.picker.engines[1].stop();
    let mut client = scene.client();
    client.begin_post(PATH, "", CHAT);
    parts.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n".to_vec()).expect("the engine waits");
    assert!(client.head().starts_with("HTTP/1.1 200"));
    eventually("it is counted where it is", || {
        (scene.picker.in_flight(0), scene.picker.in_flight(1)) == (1, 0)
    });
    parts.send(b"{}".to_vec()).expect("the engine waits");
    drop(parts);
    eventually("it is over", || scene.picker.in_flight(0) == 0);
}

#[test]
fn a_list_is_too_much_for_original_dst() {
    let scene = Scene::set("original-dst.yaml", |config| config.ext_proc.fallbacks = 1);
    assert_eq!(scene.chat().status, 503);
}

#[test]
fn without_the_metadata_the_header_is_enough() {
    let scene = Scene::changed("override-host.yaml", |bootstrap| {
        bootstrap
            .change("receiving_namespaces: { untyped: [envoy.lb] }", "receiving_namespaces: { untyped: [] }")
    });
    assert_eq!(Scene::by(&scene.chat()), 1);
}

#[test]
fn an_engine_that_never_answers_is_given_up_by_our_deadline() {
    let limit = |config: &mut Config| config.timeouts.request = Duration::from_millis(300);
    let scene = Scene::set("full-duplex.yaml", limit);
    scene.picker.engines[1].behave(Behaviour::Hang);
    assert_eq!(scene.chat().status, 504);
    eventually("it is over", || scene.picker.in_flight(1) == 0);
}
