//! Clients of HTTP/1.1 and HTTP/2, with and without trailers, streamed and not, and those that leave.

use super::*;

/// A request by each kind of client; the answer's text.
fn ask(scene: &Scene, http2: bool, trailers: bool) -> String {
    if http2 {
        let mut client = Multiplexed::connect(scene.envoy.aware());
        let request =
            hyper::Request::post(format!("http://t{PATH}")).header("content-type", "application/json");
        let mut stream = client.open(request.body(()).expect("a request"), None);
        if trailers {
            stream.send(CHAT.as_bytes(), false);
            stream.trailers(&[("x-end", "1")]);
        } else {
            stream.send(CHAT.as_bytes(), true);
        }
        let (head, body) = stream.answer().expect("an answer");
        assert_eq!(head.status, 200);
        return String::from_utf8(body).expect("text");
    }
    let mut client = scene.client();
    let end = if trailers { "x-end: 1\r\n\r\n" } else { "\r\n" };
    let head = format!("POST {PATH} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(format!("{head}{:x}\r\n{CHAT}\r\n0\r\n{end}", CHAT.len()).as_bytes());
    let response = client.response();
    assert!(response.complete);
    response.text()
}

#[test]
fn clients_of_both_versions_with_and_without_trailers_are_served() {
    for bootstrap in ALL {
        let change = |bootstrap: Bootstrap| {
            // HTTP/1.1 trailers are dropped by Envoy unless it is told otherwise.
            let trailers = "codec_type: AUTO\n          http_protocol_options: { enable_trailers: true }";
            // With retries, this Envoy sends a body that ends by trailers twice.
            bootstrap.change("codec_type: AUTO", trailers).without_retries()
        };
        let scene = Scene::changed(bootstrap, change);
        scene.picker.engines[1].behave(Behaviour::Answer(answer("text/event-stream", EVENTS.as_bytes())));
        for (http2, trailers) in [(false, false), (false, true), (true, false), (true, true)] {
            assert_eq!(
                ask(&scene, http2, trailers),
                EVENTS,
                "{bootstrap}, HTTP/2: {http2}, trailers: {trailers}"
            );
        }
        let seen = scene.picker.engines[1].seen();
        for seen in seen {
            assert_eq!(String::from_utf8_lossy(&unchunked(&seen.body)), CHAT, "{bootstrap}");
        }
    }
}

#[test]
fn responses_with_trailers_and_without_a_length_come_whole() {
    for bootstrap in ALL {
        let scene = Scene::of(bootstrap);
        let chunked = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{EVENTS}\r\n0\r\nx-end: 1\r\n\r\n",
            EVENTS.len()
        );
        scene.picker.engines[1].behave(Behaviour::OneByOne(chunked.into_bytes()));
        let response = scene.chat();
        assert_eq!((response.text(), response.complete), (EVENTS.to_owned(), true), "{bootstrap}");
    }
}

#[test]
fn a_stream_arrives_as_it_is_made() {
    for bootstrap in ALL {
        let scene = Scene::of(bootstrap);
        let (behaviour, parts) = Behaviour::in_parts();
        scene.picker.engines[1].behave(behaviour);
        let mut client = scene.client();
        client.begin_post(PATH, "", CHAT);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        parts.send(head.into()).expect("the engine waits");
        for number in 0..5 {
            parts.send(format!("9\r\ndata: {number}\n\n\r\n").into_bytes()).expect("the engine waits");
            // Each is here before the next is made.
            assert!(client.until(format!("data: {number}\n\n").as_bytes()).is_some(), "{bootstrap}");
        }
    }
}

#[test]
fn a_client_that_leaves_is_taken_off_at_once_where_responses_are_seen() {
    let scene = Scene::of("full-duplex.yaml");
    scene.picker.engines[1].behave(Behaviour::Hang);
    let mut client = scene.client();
    client.begin_post(PATH, "", CHAT);
    eventually("it is counted", || scene.picker.in_flight(1) == 1);
    drop(client);
    eventually("it is taken off", || scene.picker.in_flight(1) == 0);
    eventually("and told", || scene.picker.ended("abandoned") == 1.0);
}

#[test]
fn a_client_that_leaves_before_its_response_is_told_from_one_that_got_it_where_heads_are_seen() {
    let scene = Scene::of("override-host.yaml");
    scene.picker.engines[1].behave(Behaviour::Hang);
    let mut client = scene.client();
    client.begin_post(PATH, "", CHAT);
    scene.picker.engines[1].wait_for(1);
    drop(client);
    eventually("nothing was seen", || scene.picker.ended("unseen") == 1.0);
    assert_eq!(scene.picker.ended("routed"), 0.0);
}

#[test]
fn an_empty_body_is_refused_with_the_routers_own_words() {
    for bootstrap in ALL {
        let scene = Scene::of(bootstrap);
        let response = scene.client().post(PATH, "");
        assert_eq!(response.status, 400, "{bootstrap}");
        assert!(response.text().contains("the request body is empty"), "{}", response.text());
        assert_eq!(scene.picker.engines[1].seen().len(), 0, "{bootstrap}");
    }
}

#[test]
fn a_get_is_answered_at_once() {
    for bootstrap in ALL {
        let scene = Scene::of(bootstrap);
        assert_eq!(Scene::by(&scene.client().get("/v1/models")), 1, "{bootstrap}");
    }
}
