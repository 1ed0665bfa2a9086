//! Framing without ambiguity, through the running router: what reaches an engine that records raw bytes, and what reaches
//! a client.
//!
//! Every request and every answer is sent whole and byte by byte, with the same outcome.

use warmlane_tests::{Behaviour, RawEngine, TestRouter, Wire, engine::answer, wire::find};

#[path = "framing/accepted.rs"]
mod accepted;
#[path = "framing/answers.rs"]
mod answers;
#[path = "framing/refused.rs"]
mod refused;

/// A name, the bytes sent, and the status of the refusal.
type Case = (&'static str, Vec<u8>, u16);

/// What must not be taken for a request of its own.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";

/// Longer ones are cut at a few places only.
const BYTE_BY_BYTE: usize = 2_000;

fn ok() -> RawEngine {
    RawEngine::start(Behaviour::Answer(answer("text/plain", b"ok")))
}

/// Sends bytes whole, or in pieces that arrive one by one.
fn send(client: &mut Wire, bytes: &[u8], split: bool) {
    let piece = match (split, bytes.len() <= BYTE_BY_BYTE) {
        (false, _) => bytes.len(),
        (true, true) => 1,
        (true, false) => bytes.len() / 7 + 1,
    };
    bytes.chunks(piece.max(1)).for_each(|piece| client.send(piece));
}

#[test]
fn there_are_enough_cases() {
    assert!(refused::cases().len() >= 60, "{}", refused::cases().len());
    assert!(accepted::cases().len() >= 60, "{}", accepted::cases().len());
    assert!(answers::refused().len() >= 60, "{}", answers::refused().len());
    assert!(answers::accepted().len() >= 60, "{}", answers::accepted().len());
}

#[test]
fn nothing_of_an_ambiguous_request_reaches_an_engine() {
    let engine = ok();
    let router = TestRouter::start(&[engine.address()]);
    for (name, bytes, status) in refused::cases() {
        let followed = [&bytes, SMUGGLED.as_bytes()].concat();
        for (bytes, split) in [(&bytes, false), (&bytes, true), (&followed, false)] {
            let mut client = router.aware();
            send(&mut client, bytes, split);
            let response = client.response();
            assert_eq!(response.status, status, "{name}, split: {split}: {}", response.text());
            assert!(response.json()["error"]["message"].is_string(), "{name}");
            assert_eq!(client.rest(), b"", "{name}: closed, and no second answer");
            assert_eq!(engine.seen().len(), 0, "{name}: {:?}", engine.seen());
        }
    }
}

#[test]
fn a_good_request_reaches_the_engine_as_it_was_sent() {
    let engine = ok();
    let router = TestRouter::start(&[engine.address()]);
    let mut count = 0;
    for case in accepted::cases() {
        for split in [false, true] {
            let mut client = router.aware();
            send(&mut client, &case.sent, split);
            let is_head = case.sent.starts_with(b"HEAD");
            let mut answered = || {
                if is_head { client.head()[9..12].to_owned() } else { client.response().status.to_string() }
            };
            let mut status = answered();
            if split && status == "100" {
                // Asked for, and due where the body's pieces were late.
                status = answered();
            }
            assert_eq!(status, "200", "{}, split: {split}", case.name);
            count += 1;
            let seen = engine.wait_for(count);
            assert_eq!(seen.len(), count, "{}: one request", case.name);
            let seen = &seen[count - 1];
            let head: String = seen
                .head
                .split_inclusive("\r\n")
                .filter(|line| !line.starts_with("x-request-id: "))
                .collect();
            let at = find(&case.seen, b"\r\n\r\n").expect("a head") + 4;
            let (expected, body) = case.seen.split_at(at);
            assert_eq!(head, String::from_utf8_lossy(expected), "{}, split: {split}", case.name);
            assert!(seen.body == body, "{}, split: {split}: the body differs", case.name);
        }
    }
}

#[test]
fn pipelined_requests_are_answered_in_order_and_bodies_open_none() {
    let engine = RawEngine::start(Behaviour::Decide(std::sync::Arc::new(|seen| {
        let target = seen.head.split(' ').nth(1).unwrap_or_default().to_owned();
        Behaviour::Answer(answer("text/plain", target.as_bytes()))
    })));
    let router = TestRouter::start(&[engine.address()]);
    let smuggled = SMUGGLED;
    let requests = [
        "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
        format!("POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{smuggled}", smuggled.len()),
        format!(
            "POST /3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{smuggled}\r\n0\r\n\r\n",
            smuggled.len()
        ),
        "GET /4 HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
    ];
    for split in [false, true] {
        let mut client = router.aware();
        send(&mut client, requests.concat().as_bytes(), split);
        for target in ["/1", "/2", "/3", "/4"] {
            assert_eq!(client.response().text(), target);
        }
    }
    assert!(engine.seen().iter().all(|seen| !seen.head.starts_with("GET /smuggled")));
}

#[test]
fn an_ambiguous_request_behind_a_good_one_is_refused_too() {
    let engine = ok();
    let router = TestRouter::start(&[engine.address()]);
    for (name, bytes, status) in refused::cases() {
        let before = engine.seen().len();
        let mut client = router.aware();
        client.send(&[b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\n", bytes.as_slice()].concat());
        assert_eq!(client.response().status, 200, "{name}");
        assert_eq!(client.response().status, status, "{name}");
        assert_eq!(engine.seen().len(), before + 1, "{name}");
    }
}

#[test]
fn a_body_is_asked_for_once_and_only_when_it_is_waited_for() {
    let engine = ok();
    let router = TestRouter::start(&[engine.address()]);
    let mut client = router.aware();
    client.send(b"POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send(b"abc");
    assert_eq!(client.response().status, 200);
    assert_eq!(engine.seen()[0].body, b"abc");
}

#[test]
fn an_ambiguous_answer_gets_502_with_the_reason_and_poisons_nothing() {
    let engine = ok();
    let router = TestRouter::with(&[engine.address()], |config| config.breaker.in_a_row = 0);
    for (name, bytes, status) in answers::refused() {
        for rest in ["", "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned"] {
            engine.behave(Behaviour::AnswerAndClose([bytes.as_slice(), rest.as_bytes()].concat()));
            let mut client = router.aware();
            let response = client.get("/x");
            let told = response.text();
            assert_eq!(response.status, status, "{name}: {told}");
            let message = response.json()["error"]["message"].to_string();
            assert!(message.contains("malformed"), "{name}: {message}");
            engine.behave(Behaviour::Answer(answer("text/plain", b"ok")));
            assert_eq!(client.get("/x").text(), "ok", "{name}: the next answer");
        }
    }
}

/// What has gone out before its end can only be cut.
#[test]
fn an_ambiguous_answer_that_trickles_in_never_looks_whole() {
    let engine = ok();
    let router = TestRouter::with(&[engine.address()], |config| config.breaker.in_a_row = 0);
    for (name, bytes, status) in answers::refused() {
        engine.behave(Behaviour::OneByOneAndClose(bytes));
        let response = router.aware().get("/x");
        let cut = response.status == 200 && !response.complete;
        assert!(response.status == status || cut, "{name}: {} {}", response.status, response.text());
        engine.behave(Behaviour::Answer(answer("text/plain", b"ok")));
        assert_eq!(router.aware().get("/x").text(), "ok", "{name}: the next answer");
    }
}

#[test]
fn a_good_answer_reaches_the_client_and_so_does_the_next() {
    let engine = ok();
    let router = TestRouter::with(&[engine.address()], |config| config.breaker.in_a_row = 0);
    for case in answers::accepted() {
        for split in [false, true] {
            let answer_as_sent = case.answer.clone();
            engine.behave(match (case.closes, split) {
                (true, false) => Behaviour::AnswerAndClose(answer_as_sent),
                (true, true) => Behaviour::OneByOneAndClose(answer_as_sent),
                (false, false) => Behaviour::Answer(answer_as_sent),
                (false, true) => Behaviour::OneByOne(answer_as_sent),
            });
            let mut client = router.aware();
            let response = client.get("/x");
            let got = (response.status, response.text(), response.complete);
            assert_eq!(got, (case.status, case.body.to_owned(), true), "{}, split: {split}", case.name);
            if response.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
                assert_eq!(client.rest(), b"", "{}: closed as it says", case.name);
            } else {
                engine.behave(Behaviour::Answer(answer("text/plain", b"next")));
                assert_eq!(client.get("/x").text(), "next", "{}, split: {split}", case.name);
            }
        }
    }
}

#[test]
fn what_an_endpoint_sends_behind_its_answer_reaches_nobody() {
    let surplus =
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned";
    let engine = RawEngine::start(Behaviour::Answer(surplus.into()));
    let router = TestRouter::start(&[engine.address()]);
    for _ in 0..10 {
        let mut client = router.aware();
        assert_eq!(client.get("/x").text(), "ok");
        assert_eq!(client.get("/x").text(), "ok");
    }
}

#[test]
fn a_head_request_gets_no_body_whatever_the_answer_says() {
    let engine =
        RawEngine::start(Behaviour::Answer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n".to_vec()));
    let router = TestRouter::start(&[engine.address()]);
    let mut client = router.aware();
    for _ in 0..3 {
        client.send(b"HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n");
        let head = client.head();
        assert!(head.starts_with("HTTP/1.1 200") && head.contains("Content-Length: 5"), "{head}");
    }
    assert_eq!(engine.seen().len(), 3);
}
