//! Every way in which a replica can fail, streamed and not, alone and beside another one: what the client gets.
//!
//! The same table stands in docs/RELIABILITY.md; a test compares them.

use std::time::Duration;

use warmlane_tests::{Behaviour, RawEngine, Response, TestRouter, engine::answer, eventually};

const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
const TOKEN: &str = "data: {\"id\":\"cmpl-1\",\"choices\":[{\"text\":\"a\"}]}\n\n";
const ERROR: &str = "data: {\"error\":{\"message\":\"EngineCore died\",\"type\":\"InternalServerError\",\"param\":null,\"code\":500}}\n\n";
const SHUTDOWN: &str = r#"{"error":{"message":"cannot schedule new futures after shutdown","type":"InternalServerError","param":null,"code":500}}"#;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The other replica serves it.
    Served,
    /// The failing replica's own answer is passed on whole.
    Passed(u16),
    /// The router answers with this status.
    Refused(u16),
    /// The response ends without its proper end.
    Cut,
}

use Outcome::{Cut, Passed, Refused, Served};

/// One way to fail.
struct Fault {
    name: &'static str,
    /// How the replica behaves; the flag says whether the request is streamed.
    behaviour: fn(bool) -> Behaviour,
    alone: Outcome,
    beside_another: Outcome,
}

#[rustfmt::skip] // One row a line reads as a table.
const FAULTS: &[Fault] = &[
    Fault { name: "closes before its head", behaviour: |_| close(""), alone: Refused(503), beside_another: Served },
    Fault { name: "resets before its head", behaviour: |_| reset(""), alone: Refused(503), beside_another: Served },
    Fault { name: "closes before it has read the body", behaviour: |_| Behaviour::CloseEarly, alone: Refused(503), beside_another: Served },
    Fault { name: "hangs before its head", behaviour: |_| Behaviour::Hang, alone: Refused(504), beside_another: Refused(504) },
    Fault { name: "closes within its head", behaviour: |_| close("HTTP/1.1 200 OK\r\nConte"), alone: Refused(502), beside_another: Refused(502) },
    Fault { name: "garbage for a head", behaviour: |_| close("SSH-2.0-OpenSSH\r\n\r\n"), alone: Refused(502), beside_another: Refused(502) },
    Fault { name: "two lengths in its head", behaviour: |_| close("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), alone: Refused(502), beside_another: Refused(502) },
    Fault { name: "closes after its head", behaviour: |streamed| close(&head(streamed)), alone: Refused(503), beside_another: Served },
    Fault { name: "resets after its head", behaviour: |streamed| reset(&head(streamed)), alone: Refused(503), beside_another: Served },
    Fault { name: "hangs after its head", behaviour: |streamed| hang(&head(streamed)), alone: Refused(504), beside_another: Refused(504) },
    Fault { name: "bad framing before the first token", behaviour: |streamed| close(&bad_start(streamed)), alone: Refused(502), beside_another: Refused(502) },
    Fault { name: "closes in mid-body", behaviour: |streamed| close(&begun(streamed)), alone: Cut, beside_another: Cut },
    Fault { name: "hangs in mid-body", behaviour: |streamed| hang(&begun(streamed)), alone: Cut, beside_another: Cut },
    Fault { name: "a shorter body than announced", behaviour: |_| close("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort"), alone: Cut, beside_another: Cut },
    Fault { name: "a longer body than announced", behaviour: |_| close("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nshort of it"), alone: Passed(200), beside_another: Passed(200) },
    Fault { name: "400", behaviour: |_| status("400 Bad Request", "{}"), alone: Passed(400), beside_another: Passed(400) },
    Fault { name: "404", behaviour: |_| status("404 Not Found", "{}"), alone: Passed(404), beside_another: Passed(404) },
    Fault { name: "429", behaviour: |_| status("429 Too Many Requests", "{}"), alone: Passed(429), beside_another: Passed(429) },
    Fault { name: "500", behaviour: |_| status("500 Internal Server Error", "{}"), alone: Passed(500), beside_another: Passed(500) },
    Fault { name: "500 of a replica that shuts down", behaviour: |_| status("500 Internal Server Error", SHUTDOWN), alone: Passed(500), beside_another: Served },
    Fault { name: "502", behaviour: |_| status("502 Bad Gateway", "{}"), alone: Passed(502), beside_another: Served },
    Fault { name: "503", behaviour: |_| status("503 Service Unavailable", "{}"), alone: Passed(503), beside_another: Served },
    Fault { name: "504", behaviour: |_| status("504 Gateway Timeout", "{}"), alone: Passed(504), beside_another: Passed(504) },
    Fault { name: "an error event before the first token", behaviour: |_| events(&[ERROR]), alone: Passed(200), beside_another: Served },
    Fault { name: "an error event in mid-stream", behaviour: |_| events(&[TOKEN, ERROR]), alone: Passed(200), beside_another: Passed(200) },
];

fn close(bytes: &str) -> Behaviour {
    Behaviour::AnswerAndClose(bytes.as_bytes().to_vec())
}

fn reset(bytes: &str) -> Behaviour {
    Behaviour::AnswerAndReset(bytes.as_bytes().to_vec())
}

fn hang(bytes: &str) -> Behaviour {
    Behaviour::AnswerAndHang(bytes.as_bytes().to_vec())
}

fn status(line: &str, body: &str) -> Behaviour {
    Behaviour::Answer(format!("HTTP/1.1 {line}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

fn chunk(payload: &str) -> String {
    format!("{:x}\r\n{payload}\r\n", payload.len())
}

fn events(events: &[&str]) -> Behaviour {
    let chunks: String = events.iter().map(|event| chunk(event)).collect();
    Behaviour::Answer(format!("{STREAM_HEAD}{chunks}{}0\r\n\r\n", chunk("data: [DONE]\n\n")).into_bytes())
}

fn head(streamed: bool) -> String {
    if streamed { STREAM_HEAD.to_owned() } else { "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n".to_owned() }
}

fn begun(streamed: bool) -> String {
    head(streamed) + &if streamed { chunk(TOKEN) } else { "{\"id\":".to_owned() }
}

fn bad_start(streamed: bool) -> String {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    format!("{}zz\r\n", if streamed { STREAM_HEAD } else { chunked })
}

/// A replica that works, and looks busier than one that is idle: nothing comes to it first.
fn second_choice() -> RawEngine {
    let engine = RawEngine::start(Behaviour::Answer(answer("application/json", br#"{"served":true}"#)));
    engine.metrics(include_bytes!("../fixtures/metrics/vllm-0.32-metrics-load-lora.txt"));
    engine
}

fn outcome(response: &Response) -> Outcome {
    match (response.status, response.complete, response.header("x-warmlane-endpoint")) {
        (200, true, _) if response.text() == r#"{"served":true}"# => Served,
        (_, false, _) => Cut,
        (status, true, Some(_)) => Passed(status),
        (status, true, None) => Refused(status),
    }
}

fn router(engines: &[&RawEngine]) -> TestRouter {
    let addresses: Vec<_> = engines.iter().map(|engine| engine.address()).collect();
    let router = TestRouter::with(&addresses, |config| {
        config.timeouts.request = Duration::from_millis(400);
        config.timeouts.stream_idle = Duration::from_millis(100);
    });
    let known = |endpoint: &serde_json::Value| endpoint["signals"]["queue"]["value"].is_number();
    eventually("the load of all is known", || router.endpoints().iter().all(known));
    router
}

/// Sends one request and says what became of it; nothing may be left of it anywhere.
fn try_once(router: &TestRouter, engines: &[&RawEngine], streamed: bool) -> Outcome {
    let body = format!(r#"{{"model":"m","prompt":"x","stream":{streamed}}}"#);
    let outcome = outcome(&router.aware().post("/v1/completions", &body));
    eventually("nothing is left of it", || {
        router.in_flight() == 0 && engines.iter().all(|engine| engine.open() == 0)
    });
    outcome
}

#[test]
fn every_fault_ends_as_documented() {
    for fault in FAULTS {
        for streamed in [false, true] {
            let bad = RawEngine::start((fault.behaviour)(streamed));
            let alone = try_once(&router(&[&bad]), &[&bad], streamed);
            let (bad, good) = (RawEngine::start((fault.behaviour)(streamed)), second_choice());
            let beside = try_once(&router(&[&bad, &good]), &[&bad, &good], streamed);
            let (name, expected) = (fault.name, (fault.alone, fault.beside_another));
            // A reset may overtake the bytes before it: then there was no answer.
            assert_eq!((alone, beside), expected, "{name}, streamed: {streamed}");
            if !matches!(fault.name, "closes before it has read the body") {
                assert_eq!(bad.seen().len(), 1, "{name}: it was asked first, and once");
            }
        }
    }
}

#[test]
fn the_table_in_the_docs_is_this_one() {
    let docs = include_str!("../../docs/RELIABILITY.md");
    let told = |outcome| match outcome {
        Served => "served by the other".to_owned(),
        Passed(status) => format!("the replica's {status}"),
        Refused(status) => status.to_string(),
        Cut => "cut".to_owned(),
    };
    for fault in FAULTS {
        let row = format!("| {} | {} | {} |", fault.name, told(fault.alone), told(fault.beside_another));
        assert!(docs.contains(&row), "docs/RELIABILITY.md lacks the row\n{row}");
    }
}

#[test]
fn a_replica_that_refuses_connections_costs_nothing() {
    let (gone, good) = (RawEngine::start(Behaviour::Hang), second_choice());
    let router = router(&[&gone, &good]);
    gone.stop();
    for streamed in [false, true] {
        assert_eq!(try_once(&router, &[&good], streamed), Served);
    }
}

#[test]
fn a_request_leaves_a_replica_that_is_found_to_be_stuck() {
    let (stuck, good) = (RawEngine::start(Behaviour::Hang), second_choice());
    let router = TestRouter::with(&[stuck.address(), good.address()], |config| {
        config.scrape.timeout = Duration::from_millis(50);
    });
    eventually("both loads are known", || {
        router.endpoints().iter().all(|endpoint| endpoint["signals"]["queue"]["value"].is_number())
    });
    let mut client = router.aware();
    client.send(b"POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 26\r\n\r\n{\"model\":\"m\",\"prompt\":\"x\"}");
    stuck.wait_for(1);
    stuck.stall();
    assert_eq!(outcome(&client.response()), Served);
    assert!(router.metric("warmlane_retries_total{reason=\"abandoned\"}") == 1.0);
    eventually("the stuck one is rid of it", || stuck.open() == 0);
}

#[test]
fn what_may_change_something_is_not_sent_twice() {
    let (bad, good) = (RawEngine::start(close("")), second_choice());
    let router = router(&[&bad, &good]);
    let response = router.aware().post("/v1/load_lora_adapter", "{}");
    assert_eq!((response.status, good.seen().len()), (503, 0));
    let response = router.aware().get("/version");
    assert_eq!(outcome(&response), Served, "a GET changes nothing");
}

#[test]
fn a_replica_that_shuts_down_gets_no_further_request() {
    let (bad, good) = (RawEngine::start(status("500 x", SHUTDOWN)), second_choice());
    let router = router(&[&bad, &good]);
    for _ in 0..10 {
        assert_eq!(try_once(&router, &[&bad, &good], false), Served);
        eventually("it is known", || router.ready_endpoints() == 1);
    }
    assert_eq!(bad.seen().len(), 1);
    assert_eq!(router.endpoints()[0]["health"], "degraded: shutting down");
}

#[test]
fn the_breaker_opens_on_failures_and_never_on_4xx_or_503() {
    for (line, opens) in [("502 x", true), ("400 x", false), ("429 x", false), ("503 x", false)] {
        let (bad, good) = (RawEngine::start(status(line, "{}")), second_choice());
        let router = router(&[&bad, &good]);
        let health = || router.endpoints()[0]["health"].as_str().unwrap_or_default().to_owned();
        for _ in 0..12 {
            try_once(&router, &[&bad, &good], false);
        }
        if opens {
            eventually("it rests", || health().contains("its last 5 requests failed"));
            let before = bad.seen().len();
            try_once(&router, &[&bad, &good], false);
            assert_eq!(bad.seen().len(), before, "left alone");
        } else {
            assert_eq!((health().as_str(), bad.seen().len()), ("healthy", 12), "{line}");
        }
    }
}

#[test]
fn retries_stay_within_their_budget() {
    let (bad, good) = (RawEngine::start(close("")), second_choice());
    let addresses = [bad.address(), good.address()];
    let router = TestRouter::with(&addresses, |config| {
        config.workers = 1;
        config.breaker.in_a_row = 0;
        config.breaker.share = 2.0;
        config.retries.share = 0.25;
        config.retries.per_second = 0.0;
    });
    let known = |endpoint: &serde_json::Value| endpoint["signals"]["queue"]["value"].is_number();
    eventually("both loads are known", || router.endpoints().iter().all(known));
    let outcomes: Vec<_> = (0..40).map(|_| try_once(&router, &[&bad, &good], false)).collect();
    let served = outcomes.iter().filter(|outcome| **outcome == Served).count();
    assert_eq!(served, 10, "a quarter of 40: {outcomes:?}");
    assert_eq!(router.metric("warmlane_retries_refused_total"), 30.0);
}

#[test]
fn a_stream_that_ends_with_an_error_counts_against_its_replica() {
    let engine = RawEngine::start(events(&[TOKEN, ERROR]));
    let others = [second_choice(), second_choice()];
    let router = router(&[&engine, &others[0], &others[1]]);
    for _ in 0..5 {
        assert_eq!(try_once(&router, &[&engine], true), Passed(200));
    }
    eventually("it rests", || router.endpoints()[0]["health"] != "healthy");
    assert_eq!(
        router.metric("warmlane_request_errors_total{listener=\"aware\",reason=\"error_event\"}"),
        5.0
    );
}
