//! HTTP/2 clients: what works over HTTP/1.1 works for them, and what ends badly ends so that they can tell.

use std::{io::Write, thread, time::Duration};

use h2::Reason;
use hyper::Request;
use warmlane_tests::{
    Behaviour, RawEngine, TestRouter,
    engine::answer,
    eventually,
    http2::{Frames, Multiplexed, PREFACE, frame, hpack, kind},
    torrent::narrow,
};

#[path = "http2/translation.rs"]
mod translation;

const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"hello"}]}"#;

fn ok() -> RawEngine {
    RawEngine::start(Behaviour::Answer(answer("application/json", b"{\"ok\":1}")))
}

fn reason<T: std::fmt::Debug>(outcome: Result<T, h2::Error>) -> Reason {
    let error = outcome.expect_err("an error");
    error.reason().unwrap_or_else(|| panic!("a reason, not {error}"))
}

#[test]
fn requests_are_served_side_by_side_on_one_connection() {
    let engine = ok();
    let router = TestRouter::start(&[engine.address()]);
    let mut client = Multiplexed::connect(router.aware_address());
    let streams: Vec<_> = (0..100).map(|_| client.post("/v1/chat/completions", CHAT)).collect();
    for stream in streams {
        let (head, body) = stream.answer().expect("an answer");
        assert_eq!((head.status, body.as_slice()), (200, &b"{\"ok\":1}"[..]));
        assert_eq!(head.headers["x-warmlane-endpoint"], engine.address().to_string());
        assert!(head.headers.contains_key("x-request-id") && !head.headers.contains_key("connection"));
    }
    assert_eq!(engine.seen().len(), 100);
    assert!(engine.seen().iter().all(|seen| seen.body == CHAT.as_bytes()));
    let mut plain = Multiplexed::connect(router.plain_address());
    assert_eq!(plain.get("/x").answer().expect("an answer").0.status, 200);
    drop((client, plain));
    eventually("both are gone", || router.metric("warmlane_client_connections") == 0.0);
}

#[test]
fn tokens_arrive_as_they_come() {
    let (engine, send) = RawEngine::in_parts();
    let router = TestRouter::start(&[engine.address()]);
    let mut client = Multiplexed::connect(router.aware_address());
    let mut stream = client.post("/v1/chat/completions", CHAT);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    send.send(format!("{head}8\r\ndata: 1\n\r\n").into_bytes()).expect("sent");
    let head = stream.head().expect("a head");
    assert_eq!((head.status, &head.headers["content-type"]), (200, &"text/event-stream".parse().unwrap()));
    assert!(!head.headers.contains_key("transfer-encoding"));
    assert_eq!(stream.part().expect("a part").expect("whole"), "data: 1\n");
    for token in ["data: 2\n", "data: 3\n"] {
        send.send(format!("8\r\n{token}\r\n").into_bytes()).expect("sent");
        assert_eq!(stream.part().expect("a part").expect("whole"), token);
    }
    send.send(b"0\r\n\r\n".to_vec()).expect("sent");
    assert!(stream.part().is_none());
}

#[test]
fn large_bodies_go_both_ways() {
    let body = vec![b'x'; 8 << 20];
    let engine = RawEngine::start(Behaviour::Answer(answer("text/plain", &body)));
    let router = TestRouter::start(&[engine.address()]);
    let mut client = Multiplexed::connect(router.aware_address());
    for with_length in [true, false] {
        let mut request = Request::post("http://t/x");
        if with_length {
            request = request.header("content-length", body.len());
        }
        let stream = client.open(request.body(()).expect("a request"), Some(&body));
        assert!(stream.answer().expect("an answer").1 == body);
    }
    let seen = engine.seen();
    assert!(seen[0].body == body);
    assert!(seen[1].head.contains("transfer-encoding: chunked") && seen[1].body.len() > body.len());
}

#[test]
fn an_answer_that_is_cut_resets_its_stream_and_no_other() {
    let cut = [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ];
    for bytes in cut {
        let bad = RawEngine::start(Behaviour::AnswerAndReset(bytes.into()));
        let router = TestRouter::start(&[bad.address()]);
        let mut client = Multiplexed::connect(router.aware_address());
        let mut stream = client.get("/x");
        // The reset may overtake what came before it.
        let outcome = stream.head().and_then(|_| {
            loop {
                match stream.part() {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => break Err(error),
                    None => break Ok(()),
                }
            }
        });
        assert!(
            matches!(&outcome, Err(error) if error.reason() == Some(Reason::INTERNAL_ERROR)),
            "{bytes:?}: {outcome:?}"
        );
        bad.behave(Behaviour::Answer(answer("text/plain", b"ok")));
        eventually("the connection goes on", || {
            client.get("/x").answer().is_ok_and(|(head, body)| head.status == 200 && body == b"ok")
        });
    }
}

#[test]
fn an_answer_whose_end_is_the_connections_is_whole_or_reset() {
    let head = "HTTP/1.1 200 OK\r\n\r\nabc";
    let engine = RawEngine::start(Behaviour::AnswerAndClose(head.into()));
    let router = TestRouter::start(&[engine.address()]);
    let mut client = Multiplexed::connect(router.aware_address());
    assert_eq!(client.get("/x").answer().expect("whole").1, b"abc");
    engine.behave(Behaviour::AnswerAndReset(head.into()));
    assert_eq!(reason(client.get("/x").answer()), Reason::INTERNAL_ERROR);
}

#[test]
fn a_stream_that_its_client_resets_leaves_its_engine() {
    let (engine, send) = RawEngine::in_parts();
    let router = TestRouter::start(&[engine.address()]);
    let mut client = Multiplexed::connect(router.aware_address());
    let stream = client.post("/v1/chat/completions", CHAT);
    engine.wait_for(1);
    stream.reset();
    eventually("it is gone before its head", || engine.open() == 0 && router.in_flight() == 0);
    let mut stream = client.post("/v1/chat/completions", CHAT);
    let begin = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n";
    send.send(begin.into()).expect("sent");
    stream.head().expect("a head");
    stream.reset();
    eventually("it is gone after its head", || engine.open() == 0 && router.in_flight() == 0);
    let mut stream = client.post("/v1/chat/completions", CHAT);
    send.send(begin.into()).expect("sent");
    stream.head().expect("a head");
    drop((stream, client));
    eventually("the connection is gone", || {
        engine.open() == 0 && router.in_flight() == 0 && router.metric("warmlane_client_connections") == 0.0
    });
}

#[test]
fn an_upload_that_breaks_off_is_no_request() {
    let engine = ok();
    let router = TestRouter::start(&[engine.address()]);
    for with_length in [true, false] {
        let mut request = Request::post("http://t/v1/completions");
        if with_length {
            request = request.header("content-length", 40);
        }
        let mut client = Multiplexed::connect(router.aware_address());
        let mut stream = client.open(request.body(()).expect("a request"), None);
        stream.send(br#"{"model":"m","prompt":"x"}"#, false);
        // What was sent is with the router before its end is.
        assert_eq!(client.get("/x").answer().expect("an answer").1, b"{\"ok\":1}");
        stream.reset();
        eventually("it is counted", || {
            router.metric("warmlane_client_aborts_total") > 0.0
                || router.metric("warmlane_request_errors_total") > 0.0
        });
        drop(client);
    }
    assert!(engine.seen().iter().all(|seen| seen.head.starts_with("GET /x ")));
}

#[test]
fn errors_are_told_in_full() {
    let engine = ok();
    let router = TestRouter::with(&[engine.address()], |config| config.limits.body = 1_024);
    let mut client = Multiplexed::connect(router.aware_address());
    let unknown = r#"{"model":"nobody","messages":[]}"#;
    let (head, body) = client.post("/v1/chat/completions", unknown).answer().expect("an answer");
    assert_eq!(head.status, 404);
    assert!(String::from_utf8_lossy(&body).contains("does not exist"));
    let large = format!(r#"{{"model":"m","prompt":"{}"}}"#, "x".repeat(1 << 20));
    let (head, _) = client.post("/v1/completions", &large).answer().expect("an answer");
    assert_eq!(head.status, 413);
    let head = client.open(Request::head("http://t/v1/nothing").body(()).expect("a request"), Some(b""));
    assert_eq!(head.answer().expect("an answer").0.status, 200);
    assert_eq!(client.get("/v1/models").answer().expect("an answer").0.status, 200);
    assert_eq!(engine.seen().len(), 1, "the HEAD only");
}

#[test]
fn a_drain_lets_open_streams_end_and_takes_no_more() {
    let (engine, send) = RawEngine::in_parts();
    let router = TestRouter::start(&[engine.address()]);
    let mut client = Multiplexed::connect(router.aware_address());
    let mut idle = Frames::connect(router.aware_address());
    let mut stream = client.post("/v1/chat/completions", CHAT);
    send.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na".to_vec()).expect("sent");
    stream.head().expect("a head");
    let draining = thread::spawn(move || router.drain());
    assert!(idle.until(|frame| frame.kind == kind::GOAWAY).is_some());
    // It answers nothing and is closed all the same.
    assert!(idle.until(|_| false).is_none());
    eventually("no new stream is taken", || client.try_open(Request::new(()), Some(b"")).is_err());
    send.send(b"b".to_vec()).expect("sent");
    let rest: Vec<u8> = std::iter::from_fn(|| stream.part()).flat_map(|part| part.expect("whole")).collect();
    assert_eq!(rest, b"ab");
    drop(stream);
    client.ended().expect("a proper end");
    draining.join().expect("drained");
}

#[test]
fn a_drain_waits_for_what_is_answered_and_not_yet_written() {
    const STREAMS: u32 = 120;
    let engine = RawEngine::start(Behaviour::Answer(answer("text/plain", &[b'x'; 60_000])));
    let router = TestRouter::start(&[engine.address()]);
    let mut client = Frames::over(narrow(router.aware_address()));
    // Windows as large as they may be: what is not read fills the router's own buffers.
    client.send(kind::SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]);
    client.send(8, 0, 0, &0x7000_0000_u32.to_be_bytes());
    let fields = [(":method", "GET"), (":scheme", "http"), (":path", "/x"), (":authority", "t")];
    assert!((0..STREAMS).all(|number| client.headers(2 * number + 1, true, &fields)));
    eventually("all are served", || engine.seen().len() == STREAMS as usize && router.in_flight() == 0);
    let draining = thread::spawn(move || router.drain());
    // Longer than a client without a stream is waited for.
    thread::sleep(Duration::from_millis(1_500));
    let ends =
        std::iter::from_fn(|| client.read()).filter(|frame| frame.kind == kind::DATA && frame.flags & 1 == 1);
    assert_eq!(ends.count(), STREAMS as usize);
    draining.join().expect("drained");
}

#[test]
fn an_idle_connection_is_told_to_go_and_one_with_a_stream_is_not() {
    let (engine, send) = RawEngine::in_parts();
    let router = TestRouter::with(&[engine.address()], |config| {
        config.timeouts.client_idle = Duration::from_millis(50);
    });
    let mut busy = Multiplexed::connect(router.aware_address());
    let mut stream = busy.post("/v1/chat/completions", CHAT);
    let mut idle = Frames::connect(router.aware_address());
    assert!(idle.until(|frame| frame.kind == kind::GOAWAY).is_some());
    assert!(idle.until(|_| false).is_none());
    send.send(answer("text/plain", b"ok")).expect("sent");
    assert_eq!(stream.head().expect("a head").status, 200);
}

#[test]
fn places_are_for_streams_too() {
    let engine = RawEngine::start(Behaviour::Hang);
    let router = TestRouter::with(&[engine.address()], |config| config.limits.connections = 4);
    let mut client = Multiplexed::connect(router.aware_address());
    let held: Vec<_> = (0..3).map(|_| client.get("/x")).collect();
    engine.wait_for(3);
    assert_eq!(reason(client.get("/x").answer()), Reason::REFUSED_STREAM);
    assert_eq!(router.metric("warmlane_client_connections_refused_total"), 1.0);
    drop(held);
    eventually("places are free", || engine.open() == 0);
    engine.behave(Behaviour::Answer(answer("text/plain", b"ok")));
    assert_eq!(client.get("/x").answer().expect("an answer").1, b"ok");
}

#[test]
fn a_preface_may_come_in_pieces_but_must_come() {
    let engine = ok();
    let router = TestRouter::with(&[engine.address()], |config| {
        config.timeouts.client_head = Duration::from_millis(300);
    });
    let mut stream = router.aware().into_stream();
    for byte in PREFACE {
        stream.write_all(&[*byte]).expect("sent");
    }
    stream.write_all(&frame(kind::SETTINGS, 0, 0, &[])).expect("sent");
    let fields = [(":method", "GET"), (":scheme", "http"), (":path", "/x"), (":authority", "t")];
    stream.write_all(&frame(kind::HEADERS, 5, 1, &hpack(&fields))).expect("sent");
    engine.wait_for(1);
    let mut broken = router.aware();
    broken.send(&PREFACE[..10]);
    assert_eq!(broken.response().status, 408);
    assert_eq!(broken.rest(), b"");
}
