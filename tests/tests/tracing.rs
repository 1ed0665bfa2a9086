//! Spans of requests, taken by a collector; who their parents are, what they say, and that no request waits for them.

use std::{
    net::TcpStream,
    thread,
    time::{Duration, Instant, SystemTime},
};

use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use warmlane_router::config::{Config, ModelRule, Target};
use warmlane_tests::{
    Behaviour, RawEngine, TestRouter, engine::answer, eventually, gateway::Asked, picker::TestPicker,
};

#[path = "tracing/collector.rs"]
mod collector;

use collector::{Collector, Manner, attributes};

const PATH: &str = "/v1/chat/completions";
const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"the secret prompt"}]}"#;
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const STAGES: [&str; 6] = ["read", "admit", "pick", "connect", "relay", "done"];
const EVENTS: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"the secret answer\"},\"finish_reason\":\"stop\"}]}\n\n\
                      data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":10}}\n\ndata: [DONE]\n\n";

fn engine() -> RawEngine {
    RawEngine::start(Behaviour::Answer(answer("text/event-stream", EVENTS.as_bytes())))
}

fn router(engine: &RawEngine, collector: &Collector, change: impl FnOnce(&mut Config)) -> TestRouter {
    TestRouter::with(&[engine.address()], |config| {
        config.tracing.endpoint = collector.url();
        change(config);
    })
}

fn send(router: &TestRouter, id: &str, headers: &str) {
    let headers = format!("x-request-id: {id}\r\n{headers}");
    assert_eq!(router.aware().post_with(PATH, &headers, CHAT).status, 200);
}

/// Values of a header of the last request that an engine got.
fn got(engine: &RawEngine, name: &str) -> Vec<String> {
    let seen = engine.seen();
    let lines = seen.last().expect("a request").head.lines();
    let pairs = lines.filter_map(|line| line.split_once(": "));
    pairs.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).collect()
}

fn named<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name} among {spans:?}"))
}

#[expect(clippy::disallowed_methods, reason = "spans are put side by side by wall clocks")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_request_has_a_span_of_each_stage_below_its_own_and_the_engine_is_told_of_its_parent() {
    let (engine, collector) = (engine(), Collector::start());
    let router = router(&engine, &collector, |_| {});
    let before = wall_clock();
    send(&router, "one", &format!("traceparent: {PARENT}\r\ntracestate: a=1\r\n"));
    let spans = collector.of("one");
    let after = wall_clock();
    let (server, client) = (&spans[0], named(&spans, "chat m"));
    assert_eq!((server.name.as_str(), server.kind()), ("POST /v1/chat/completions", SpanKind::Server));
    assert_eq!(hex(&server.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(
        (hex(&server.parent_span_id), server.trace_state.as_str()),
        ("b7ad6b7169203331".to_owned(), "a=1")
    );
    assert_eq!((client.kind(), &client.parent_span_id), (SpanKind::Client, &server.span_id));
    assert_eq!(spans.len(), STAGES.len() + 2);
    for stage in STAGES {
        let span = named(&spans, stage);
        let parent = if matches!(stage, "connect" | "relay") { client } else { server };
        assert_eq!((span.kind(), &span.parent_span_id), (SpanKind::Internal, &parent.span_id), "{stage}");
        let inside = parent.start_time_unix_nano <= span.start_time_unix_nano
            && span.start_time_unix_nano <= span.end_time_unix_nano
            && span.end_time_unix_nano <= parent.end_time_unix_nano;
        assert!(inside, "{stage}: {span:?} in {parent:?}");
    }
    let order: Vec<u64> = STAGES.iter().map(|stage| named(&spans, stage).start_time_unix_nano).collect();
    assert!(order.is_sorted(), "{order:?}");
    let nanos =
        |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    let millis = 1_000_000;
    assert!(
        nanos(before) - millis <= server.start_time_unix_nano
            && server.end_time_unix_nano <= nanos(after) + millis
    );
    let told = got(&engine, "traceparent");
    assert_eq!(told, [format!("00-{}-{}-01", hex(&client.trace_id), hex(&client.span_id))]);
    assert_eq!(got(&engine, "tracestate"), ["a=1"], "as it came");
    let ids: std::collections::HashSet<_> = spans.iter().map(|span| &span.span_id).collect();
    assert_eq!(ids.len(), spans.len(), "no two have one number");
}

#[test]
fn spans_say_what_was_asked_where_it_went_why_and_what_it_cost_and_nothing_of_the_prompt() {
    let (engine, collector) = (engine(), Collector::start());
    let router = router(&engine, &collector, |config| {
        config.tracing.service_name = "mine".to_owned();
        let targets = vec![Target { name: "a".to_owned(), weight: 1 }];
        config.models = vec![ModelRule { name: "m".to_owned(), criticality: Default::default(), targets }];
    });
    send(&router, "one", "x-session-id: somebody\r\n");
    let spans = collector.of("one");
    let (server, client) = (attributes(&spans[0]), attributes(named(&spans, "chat a")));
    let at = engine.address();
    let decision = router.admin().get("/debug/decisions/one").json()["decision"].take();
    for (key, value) in [
        ("http.request.method", "POST"),
        ("http.route", PATH),
        ("url.path", PATH),
        ("http.response.status_code", "200"),
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.request.model", "m"),
        ("gen_ai.usage.input_tokens", "7"),
        ("gen_ai.usage.output_tokens", "10"),
        ("gen_ai.response.finish_reasons", "[stop]"),
        ("warmlane.endpoint", &at.to_string()),
        ("warmlane.strategy", "DEFAULT"),
        ("warmlane.reasons", "the only endpoint of its pool"),
        ("warmlane.decision", decision["cursor"].as_str().expect("a cursor")),
        ("warmlane.session", decision["session"].as_str().expect("a session")),
        ("warmlane.lane", "copy"),
        ("warmlane.listener", "aware"),
        ("warmlane.end", "complete"),
        ("warmlane.tried", "1"),
    ] {
        assert_eq!(server.get(key).map(String::as_str), Some(value), "{key} of {server:?}");
    }
    for (key, value) in [
        ("server.address", "127.0.0.1"),
        ("server.port", &at.port().to_string()),
        ("gen_ai.request.model", "a"),
        ("gen_ai.usage.output_tokens", "10"),
        ("http.response.status_code", "200"),
    ] {
        assert_eq!(client.get(key).map(String::as_str), Some(value), "{key} of {client:?}");
    }
    assert!(server.get("error.type").or(client.get("error.type")).is_none());
    assert_eq!(collector.resource()["service.name"], "mine");
    let all = format!("{:?}", collector.spans());
    assert!(!all.contains("secret") && !all.contains("somebody"), "{all}");
}

#[test]
fn what_failed_is_said_by_its_error() {
    let (engine, collector) = (engine(), Collector::start());
    let router = router(&engine, &collector, |_| {});
    let ask = |id: &str, model: &str| {
        let body = format!(r#"{{"model":"{model}","prompt":"x"}}"#);
        router.aware().post_with("/v1/completions", &format!("x-request-id: {id}\r\n"), &body).status
    };
    assert_eq!(ask("unknown", "nobody's"), 404);
    let spans = collector.of("unknown");
    assert_eq!(attributes(&spans[0])["error.type"], "unknown_model");
    assert!(spans[0].status.is_none(), "the client's mistake");
    assert!(spans.iter().all(|span| span.kind() != SpanKind::Client), "nobody was called: {spans:?}");
    engine.behave(Behaviour::CloseEarly);
    assert_eq!(ask("failed", "m"), 503);
    let spans = collector.of("failed");
    let client = named(&spans, "text_completion m");
    assert_eq!(
        (&*attributes(&spans[0])["error.type"], &*attributes(client)["error.type"]),
        ("upstream", "upstream")
    );
    assert_eq!([&spans[0], client].map(|span| span.status.as_ref().map(|status| status.code)), [Some(2); 2]);
}

#[test]
fn parents_decide_and_else_the_share_does() {
    let (engine, collector) = (engine(), Collector::start());
    let unsampled = PARENT.replace("-01", "-00");
    let none = router(&engine, &collector, |config| config.tracing.sample = 0.0);
    send(&none, "unsampled", "");
    let told = got(&engine, "traceparent");
    assert!(
        told.len() == 1
            && told[0].len() == 55
            && told[0][53..].parse::<u8>().is_ok_and(|flags| flags % 2 == 0),
        "{told:?}"
    );
    send(&none, "by-parent", &format!("traceparent: {PARENT}\r\n"));
    collector.of("by-parent");
    let all = router(&engine, &collector, |_| {});
    send(&all, "against-parent", &format!("traceparent: {unsampled}\r\n"));
    assert_eq!(got(&engine, "traceparent")[0][..36], unsampled[..36], "its trace goes on");
    send(&all, "by-share", "");
    collector.of("by-share");
    let servers: Vec<Span> =
        collector.spans().into_iter().filter(|span| span.kind() == SpanKind::Server).collect();
    assert_eq!(servers.len(), 2, "{servers:?}");
}

#[test]
fn what_is_no_parent_is_left_behind_with_its_state() {
    let (engine, collector) = (engine(), Collector::start());
    let router = router(&engine, &collector, |_| {});
    let twice = format!("traceparent: {PARENT}\r\ntraceparent: {PARENT}\r\ntracestate: a=1\r\n");
    let malformed =
        "traceparent: 00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01\r\ntracestate: a=1\r\n";
    for (id, headers) in [("twice", &*twice), ("malformed", malformed), ("without", "tracestate: a=1\r\n")] {
        send(&router, id, headers);
        let spans = collector.of(id);
        assert!(
            spans[0].parent_span_id.is_empty() && spans[0].trace_state.is_empty(),
            "{id}: {:?}",
            spans[0]
        );
        let told = got(&engine, "traceparent");
        assert!(told.len() == 1 && told[0][3..35] == hex(&spans[0].trace_id), "{id}: {told:?}");
        assert!(got(&engine, "tracestate").is_empty(), "{id}");
    }
}

#[test]
fn without_a_collector_headers_pass_as_they_came() {
    let engine = engine();
    let router = TestRouter::start(&[engine.address()]);
    send(&router, "one", "TraceParent: whatever\r\ntracestate: a=1\r\n");
    assert_eq!(
        (got(&engine, "traceparent"), got(&engine, "tracestate")),
        (vec!["whatever".to_owned()], vec!["a=1".to_owned()])
    );
    assert!(engine.seen().last().expect("a request").head.contains("TraceParent: whatever"), "byte for byte");
}

#[test]
fn a_collector_that_is_away_holds_nothing_up_and_gets_spans_when_it_is_back() {
    let engine = engine();
    let address = Collector::start().address;
    let router = TestRouter::with(&[engine.address()], |config| {
        config.tracing.endpoint = format!("http://{address}");
    });
    let begun = Instant::now();
    send(&router, "while-away", "");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    eventually("it was tried", || begun.elapsed() > Duration::from_millis(1_200));
    let collector = Collector::on(address, Manner::Takes);
    collector.of("while-away");
    send(&router, "when-back", "");
    collector.of("when-back");
    assert_eq!(router.metric("warmlane_traced_requests_total{outcome=\"exported\"}"), 2.0);
}

#[test]
fn a_collector_that_hangs_or_refuses_loses_spans_and_they_are_counted() {
    let (engine, collector) = (engine(), Collector::start());
    let router = router(&engine, &collector, |_| {});
    let count =
        |outcome: &str| router.metric(&format!("warmlane_traced_requests_total{{outcome=\"{outcome}\"}}"));
    collector.behave(Manner::Refuses);
    send(&router, "refused", "");
    eventually("it is given up", || count("failed") == 1.0);
    assert_eq!(collector.calls(), 1, "what is refused is not said again");
    collector.behave(Manner::Busy);
    send(&router, "busy", "");
    eventually("it is tried again", || collector.calls() >= 3);
    collector.behave(Manner::Partly);
    eventually("it is handed over", || count("exported") == 1.0);
    collector.behave(Manner::Hangs);
    send(&router, "first-of-many", "");
    eventually("it hangs", || {
        let calls = collector.calls();
        calls >= 5
    });
    let mut wire = router.aware();
    let begun = Instant::now();
    for _ in 0..2_600 {
        assert_eq!(wire.post(PATH, CHAT).status, 200);
    }
    assert!(count("overflowed") >= 1.0, "more than wait: {}", router.metrics().get("/metrics").text());
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[test]
fn a_router_that_stops_hands_over_what_it_has_and_does_not_wait_for_one_that_hangs() {
    let collector = Collector::start();
    let (engine, parts) = RawEngine::in_parts();
    let first = router(&engine, &collector, |_| {});
    let (address, mut wire) = (first.aware_address(), first.aware());
    wire.begin_post(PATH, "x-request-id: last-word\r\n", CHAT);
    parts.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na".to_vec()).expect("the engine runs");
    wire.head();
    let stopping = thread::spawn(move || first.drain());
    eventually("it takes nobody in", || TcpStream::connect(address).is_err());
    // The last moment: once it has ended, so has its worker.
    parts.send(b"b".to_vec()).expect("the engine runs");
    assert_eq!(stopping.join().expect("it stops"), 0);
    let is_it = |span: &Span| attributes(span).get("warmlane.request_id").is_some_and(|id| id == "last-word");
    assert!(collector.spans().iter().any(is_it), "{:?}", collector.spans());
    drop(parts);
    let engine = self::engine();
    collector.behave(Manner::Hangs);
    let second = router(&engine, &collector, |_| {});
    send(&second, "unheard", "");
    let begun = Instant::now();
    second.drain();
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[test]
fn a_gateway_is_told_of_the_parent_and_has_the_request_traced() {
    let collector = Collector::start();
    let picker = TestPicker::with(&[Default::default()], |config| config.tracing.endpoint = collector.url());
    let asked = Asked::post(PATH, CHAT).header("x-request-id", "one").header("traceparent", PARENT);
    let mut told = picker.gateway().ask(&asked);
    let parent = told.header("traceparent").expect("a parent").to_owned();
    let chunks = [EVENTS.as_bytes(), b""];
    told.exchange.respond(200, &[("content-type", "text/event-stream")], &chunks, false);
    drop(told);
    let spans = collector.of("one");
    let server = attributes(&spans[0]);
    assert_eq!(
        parent,
        format!("00-{}-{}-01", &PARENT[3..35], hex(&spans[0].span_id)),
        "below the router's span"
    );
    assert_eq!(hex(&spans[0].parent_span_id), PARENT[36..52]);
    for (key, value) in [
        ("warmlane.listener", "ext_proc"),
        ("http.request.method", "POST"),
        ("gen_ai.usage.input_tokens", "7"),
        ("http.response.status_code", "200"),
        ("warmlane.endpoint", &picker.endpoint(0)),
    ] {
        assert_eq!(server.get(key).map(String::as_str), Some(value), "{key} of {server:?}");
    }
    assert!(!server.contains_key("warmlane.lane"), "Envoy carries it");
    for stage in STAGES {
        assert_eq!(named(&spans, stage).parent_span_id, spans[0].span_id, "{stage}");
    }
    assert_eq!(spans.len(), STAGES.len() + 1);
    let untraced = TestPicker::idle(1);
    assert_eq!(untraced.gateway().ask(&asked).header("traceparent"), None, "it stays as it came");
}
