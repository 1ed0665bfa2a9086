//! Replicas and clients that fail at each stage.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener},
};

use warmlane_tests::{Behaviour, PATIENCE, RawEngine, TestRouter, engine::answer, eventually};

const ASK: &str = r#"{"model":"m","prompt":"x"}"#;
const STREAM: &str = r#"{"model":"m","prompt":"x","stream":true}"#;
const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

fn good() -> RawEngine {
    RawEngine::start(Behaviour::Answer(answer("application/json", br#"{"ok":true}"#)))
}

/// Serves until every request in `count` went to some replica; each must have been answered by the good one.
fn all_served(router: &TestRouter, count: usize) {
    for _ in 0..count {
        let response = router.aware().post("/v1/completions", ASK);
        assert_eq!(response.status, 200, "{}", response.text());
    }
}

#[test]
fn a_failure_before_the_first_response_byte_goes_to_the_next_replica() {
    let cases = [
        ("closes without an answer", Behaviour::AnswerAndClose(Vec::new())),
        ("resets without an answer", Behaviour::AnswerAndReset(Vec::new())),
        ("closes before it has read the body", Behaviour::CloseEarly),
    ];
    for (what, behaviour) in cases {
        let (bad, good) = (RawEngine::start(behaviour), good());
        let router = TestRouter::start(&[bad.address(), good.address()]);
        all_served(&router, 20);
        assert_eq!(good.seen().len(), 20, "{what}");
        assert!(router.metric("warmlane_retries_total") > 0.0 || bad.seen().is_empty(), "{what}");
        assert_eq!(router.in_flight(), 0, "{what}");
    }
}

#[test]
fn a_replica_that_refuses_connections_costs_no_request() {
    let (gone, good) = (good(), good());
    let router = TestRouter::start(&[gone.address(), good.address()]);
    gone.stop();
    all_served(&router, 20);
    eventually("it is not ready any more", || router.ready_endpoints() == 1);
}

#[test]
fn when_every_replica_fails_the_client_gets_503_that_names_the_last() {
    let bad: Vec<RawEngine> =
        (0..2).map(|_| RawEngine::start(Behaviour::AnswerAndClose(Vec::new()))).collect();
    let router = TestRouter::start(&[bad[0].address(), bad[1].address()]);
    let response = router.aware().post("/v1/completions", ASK);
    assert_eq!(response.status, 503);
    let message = response.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.contains("2 tried") && message.contains("closed the connection"), "{message}");
    assert_eq!(router.in_flight(), 0);
}

#[test]
fn a_malformed_answer_gets_502_and_is_not_sent_twice() {
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "garbage\r\n\r\n",
        "HTTP/1.1 200",
    ] {
        let engines = [0, 1].map(|_| RawEngine::start(Behaviour::AnswerAndClose(bytes.as_bytes().to_vec())));
        let router = TestRouter::start(&[engines[0].address(), engines[1].address()]);
        assert_eq!(router.aware().post("/v1/completions", ASK).status, 502, "{bytes:?}");
        assert_eq!(engines.iter().map(|e| e.seen().len()).sum::<usize>(), 1, "{bytes:?}");
    }
}

#[test]
fn an_answer_before_the_body_was_read_is_passed_on() {
    let refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig";
    let engine = RawEngine::start(Behaviour::RefuseEarly(refusal.to_vec()));
    let router = TestRouter::start(&[engine.address()]);
    let body = format!(r#"{{"model":"m","prompt":"{}"}}"#, "x".repeat(8_000_000));
    let response = router.aware().post("/v1/completions", &body);
    assert_eq!((response.status, response.text().as_str()), (413, "big"));
}

#[test]
fn a_response_that_breaks_off_never_ends_cleanly() {
    let event = "b\r\ndata: {..}\n\r\n";
    let cases = [
        ("closes", Behaviour::AnswerAndClose(format!("{HEAD}{event}").into_bytes())),
        (
            "short body",
            Behaviour::AnswerAndClose(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc".to_vec()),
        ),
    ];
    for (what, behaviour) in cases {
        let engine = RawEngine::start(behaviour);
        let router = TestRouter::start(&[engine.address()]);
        let response = router.aware().post("/v1/completions", STREAM);
        assert_eq!((response.status, response.complete), (200, false), "{what}");
        eventually("nothing stays open", || router.in_flight() == 0);
    }
}

#[test]
fn a_reset_loses_the_answer_or_cuts_it_but_never_ends_it_cleanly() {
    let engine = RawEngine::start(Behaviour::AnswerAndReset(format!("{HEAD}4\r\nabcd\r\n").into_bytes()));
    let router = TestRouter::start(&[engine.address()]);
    for _ in 0..10 {
        // A reset may overtake the bytes before it: then nothing was answered, and the client is told so.
        let response = router.aware().post("/v1/completions", STREAM);
        assert!(response.status == 503 || !response.complete, "{}", response.head);
    }
    eventually("nothing stays open", || router.in_flight() == 0);
}

#[test]
fn bad_framing_gets_502_while_nothing_was_passed_on_and_cuts_later() {
    let engine = RawEngine::start(Behaviour::AnswerAndClose(format!("{HEAD}zz\r\n").into_bytes()));
    let router = TestRouter::start(&[engine.address()]);
    assert_eq!(router.aware().post("/v1/completions", STREAM).status, 502);

    let (engine, parts) = RawEngine::in_parts();
    let router = TestRouter::start(&[engine.address()]);
    let mut client = router.aware();
    client.send(request(STREAM).as_bytes());
    parts.send(format!("{HEAD}4\r\nabcd\r\n").into_bytes()).expect("engine lives");
    assert!(client.until(b"abcd\r\n").is_some());
    parts.send(b"zz\r\n".to_vec()).expect("engine lives");
    assert_eq!(client.rest(), b"", "cut");
}

#[test]
fn each_event_of_a_stream_is_passed_on_before_the_next_exists() {
    let (engine, parts) = RawEngine::in_parts();
    let router = TestRouter::start(&[engine.address()]);
    let mut client = router.aware();
    client.send(request(STREAM).as_bytes());
    parts.send(HEAD.as_bytes().to_vec()).expect("engine lives");
    for n in 0..20 {
        let event = format!("data: {n}\n\n");
        parts.send(format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()).expect("engine lives");
        if n == 0 {
            assert!(client.head().starts_with("HTTP/1.1 200"), "the head comes with the first event");
        }
        assert!(client.until(event.as_bytes()).is_some(), "event {n}");
    }
    parts.send(b"0\r\n\r\n".to_vec()).expect("engine lives");
    drop(parts);
    assert!(client.until(b"0\r\n\r\n").is_some());
    assert_eq!(client.get("/v1/models").status, 200, "the connection goes on");
}

#[test]
fn a_client_that_goes_away_cancels_its_request_at_once_at_every_stage() {
    // While its body is on the way.
    let engine = RawEngine::start(Behaviour::Hang);
    let router = TestRouter::start(&[engine.address()]);
    let mut client = router.aware();
    client.send(b"POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{\"model\"");
    drop(client);
    eventually("counted", || router.metric("warmlane_client_connections{listener=\"aware\"}") == 0.0);
    // While it waits for the first byte.
    let mut client = router.aware();
    client.send(request(ASK).as_bytes());
    eventually("it is at the engine", || engine.open() == 1 && router.in_flight() == 1);
    drop(client);
    eventually("the engine is rid of it", || engine.open() == 0 && router.in_flight() == 0);
    // In the middle of a stream, by FIN and by reset.
    for by_reset in [false, true] {
        let (engine, parts) = RawEngine::in_parts();
        let router = TestRouter::start(&[engine.address()]);
        let mut client = router.aware();
        client.send(request(STREAM).as_bytes());
        parts.send(format!("{HEAD}4\r\nabcd\r\n").into_bytes()).expect("engine lives");
        assert!(client.until(b"abcd").is_some());
        let stream = client.into_stream();
        if by_reset {
            socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).expect("linger");
        }
        drop(stream);
        eventually("the engine is rid of it", || engine.open() == 0 && router.in_flight() == 0);
    }
}

#[test]
fn a_kept_connection_that_died_is_replaced_without_an_error() {
    let engine = RawEngine::start(Behaviour::AnswerAndClose(answer("text/plain", b"x")));
    let router = TestRouter::start(&[engine.address()]);
    let mut client = router.aware();
    for _ in 0..30 {
        // The engine says keep-alive and closes all the same.
        assert_eq!(client.post("/v1/completions", ASK).status, 200);
    }
}

#[test]
fn a_garbage_metrics_page_takes_nobody_out_of_service() {
    let engine = good();
    engine.metrics(&[0xff, 0, b'\n', b'x', 0x80]);
    let router = TestRouter::start(&[engine.address()]);
    all_served(&router, 3);
    let page = include_bytes!("../fixtures/metrics/vllm-0.32-metrics-load-lora.txt");
    engine.metrics(page);
    eventually("it recovers by itself", || router.endpoints()[0]["signals"]["queue"]["value"] == 24.0);
}

#[test]
fn a_silent_stream_ends_by_the_idle_timeout() {
    let (engine, parts) = RawEngine::in_parts();
    let router = TestRouter::with(&[engine.address()], |c| {
        c.timeouts.stream_idle = std::time::Duration::from_millis(50);
    });
    let mut client = router.aware();
    client.send(request(STREAM).as_bytes());
    parts.send(format!("{HEAD}4\r\nabcd\r\n").into_bytes()).expect("engine lives");
    let all = client.rest();
    assert!(all.ends_with(b"abcd\r\n"), "cut, not ended: {:?}", String::from_utf8_lossy(&all));
    eventually("the engine is rid of it", || engine.open() == 0);
    drop(parts);
}

#[test]
fn a_request_nobody_answers_ends_by_the_request_timeout() {
    let engine = RawEngine::start(Behaviour::Hang);
    let router =
        TestRouter::with(&[engine.address()], |c| c.timeouts.request = std::time::Duration::from_millis(100));
    assert_eq!(router.aware().post("/v1/completions", ASK).status, 504);
    eventually("the engine is rid of it", || engine.open() == 0 && router.in_flight() == 0);
}

#[test]
fn draining_lets_open_streams_end_and_takes_no_new_ones() {
    let (engine, parts) = RawEngine::in_parts();
    let router = TestRouter::start(&[engine.address()]);
    let aware = router.aware_address();
    let mut client = router.aware();
    client.send(request(STREAM).as_bytes());
    parts.send(format!("{HEAD}4\r\nabcd\r\n").into_bytes()).expect("engine lives");
    assert!(client.until(b"abcd").is_some());
    let draining = std::thread::spawn(move || router.drain());
    eventually("the listener closes", || TcpListener::bind(aware).is_ok());
    parts.send(b"4\r\nefgh\r\n0\r\n\r\n".to_vec()).expect("engine lives");
    drop(parts);
    assert!(client.until(b"efgh\r\n0\r\n\r\n").is_some(), "the open stream ends properly");
    assert_eq!(client.rest(), b"", "and then its connection");
    draining.join().expect("drained");
}

#[test]
fn a_drain_tells_how_many_requests_it_cut() {
    for open in [0, 2] {
        let engine = RawEngine::start(Behaviour::Hang);
        let limit = if open == 0 { PATIENCE } else { std::time::Duration::from_millis(100) };
        let router = TestRouter::with(&[engine.address()], |config| config.timeouts.drain = limit);
        let idle = router.aware();
        let clients: Vec<_> = (0..open)
            .map(|_| {
                let mut client = router.aware();
                client.begin_post("/v1/completions", "", ASK);
                client
            })
            .collect();
        engine.wait_for(open);
        assert_eq!(router.drain(), open as u64, "an idle connection is no request");
        drop((clients, idle));
    }
}

#[test]
fn a_router_over_dead_addresses_starts_and_says_so() {
    let nobody: SocketAddr = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("address");
    let router = TestRouter::unready(&[nobody], |_| {});
    assert_eq!(router.aware().post("/v1/completions", ASK).status, 503);
    assert_eq!(router.metrics().get("/readyz").status, 503);
}

#[test]
fn a_half_closed_client_counts_as_gone() {
    let engine = RawEngine::start(Behaviour::Hang);
    let router = TestRouter::start(&[engine.address()]);
    let mut client = router.aware();
    client.send(request(ASK).as_bytes());
    engine.wait_for(1);
    let stream = client.into_stream();
    stream.shutdown(Shutdown::Write).expect("half close");
    eventually("the engine is rid of it", || engine.open() == 0);
}

/// Answers with everything it reads, while it reads.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut bytes = vec![0; 64 * 1024];
                let first = stream.read(&mut bytes).unwrap_or(0);
                if bytes[..first].starts_with(b"GET ") {
                    let _ = stream
                        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                    return;
                }
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8000000\r\n\r\n");
                while let Ok(n) = stream.read(&mut bytes)
                    && n > 0
                    && stream.write_all(&bytes[..n]).is_ok()
                {}
            });
        }
    });
    address
}

#[test]
fn an_endpoint_that_answers_while_it_reads_gets_the_whole_request() {
    let router = TestRouter::start(&[echo()]);
    let mut client = router.aware();
    // The first read takes head and some of the body; what is echoed is the rest and then padding.
    let body = vec![b'x'; 8_300_000];
    client
        .send(format!("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes());
    client.send(&body);
    let response = client.response();
    assert_eq!((response.status, response.complete, response.body.len()), (200, true, 8_000_000));
}

#[test]
fn a_cut_response_that_only_closing_would_end_is_ended_by_a_reset() {
    let (engine, parts) = RawEngine::in_parts();
    let router = TestRouter::start(&[engine.address()]);
    let mut client = router.aware();
    client.send(b"POST /v1/completions HTTP/1.0\r\nHost: h\r\nContent-Length: 28\r\n\r\n{\"model\":\"m\",\"stream\":true }");
    parts.send(format!("{HEAD}4\r\nabcd\r\n").into_bytes()).expect("engine lives");
    assert!(client.until(b"abcd").is_some(), "without its framing");
    parts.send(b"zz\r\n".to_vec()).expect("engine lives");
    let end = client.into_stream().read(&mut [0; 1]);
    assert_eq!(end.map_err(|e| e.kind()), Err(std::io::ErrorKind::ConnectionReset));
}

#[test]
fn an_abort_is_seen_behind_bytes_that_were_sent_ahead() {
    let engine = RawEngine::start(Behaviour::Hang);
    let router = TestRouter::start(&[engine.address()]);
    let mut client = router.aware();
    client.send(request(ASK).as_bytes());
    client.send(&vec![b'x'; 60_000]);
    engine.wait_for(1);
    drop(client);
    eventually("the engine is rid of it", || engine.open() == 0 && router.in_flight() == 0);
}

#[test]
fn a_head_that_breaks_off_is_not_sent_twice_however_it_breaks() {
    for behaviour in [
        Behaviour::AnswerAndClose(b"HTTP/1.1 200 OK\r\nContent".to_vec()),
        Behaviour::AnswerAndReset(b"HTTP/1.1 200 OK\r\nContent".to_vec()),
    ] {
        let engines = [0, 1].map(|_| RawEngine::start(behaviour.clone()));
        let router = TestRouter::start(&[engines[0].address(), engines[1].address()]);
        let status = router.aware().post("/v1/completions", ASK).status;
        let sent = engines.iter().map(|e| e.seen().len()).sum::<usize>();
        // A reset may overtake the part of the head: then nothing was answered, and it may go elsewhere.
        assert!(
            (status, sent) == (502, 1) || matches!(behaviour, Behaviour::AnswerAndReset(_)),
            "{status} {sent}"
        );
    }
}

fn request(body: &str) -> String {
    format!("POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}
