//! The endpoint picker, asked by a scripted gateway: what it answers, and what becomes of what it counts.

use std::time::Duration;

use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::processing_mode::BodySendMode;
use warmlane_router::config::Objective;
use warmlane_tests::{
    eventually,
    gateway::{Asked, FULL_DUPLEX, Gateway, REQUEST_ONLY, messages, messages::With as _},
    picker::{Said, TestPicker},
};

#[path = "ext_proc/blame.rs"]
mod blame;
#[path = "ext_proc/held.rs"]
mod held;
#[path = "ext_proc/hostile.rs"]
mod hostile;
#[path = "ext_proc/modes.rs"]
mod modes;
#[path = "ext_proc/responses.rs"]
mod responses;

const CHAT: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
const PATH: &str = "/v1/chat/completions";
const EVENTS: &[(&str, &str)] = &[("content-type", "text/event-stream")];

fn chat() -> Asked {
    Asked::post(PATH, CHAT)
}

fn message(answer: &warmlane_tests::gateway::Answer) -> (u16, String) {
    let immediate = answer.immediate.as_ref().expect("an immediate answer");
    let body: serde_json::Value = serde_json::from_slice(&immediate.body).expect("an error object");
    (immediate.status, body["error"]["message"].as_str().unwrap_or_default().to_owned())
}

fn header<'a>(answer: &'a warmlane_tests::gateway::Answer, name: &str) -> Option<&'a str> {
    let immediate = answer.immediate.as_ref().expect("an immediate answer");
    immediate.headers.iter().find(|(set, _)| set == name).map(|(_, value)| value.as_str())
}

#[test]
fn the_destination_is_told_in_header_and_metadata_alike_and_the_body_comes_back() {
    let picker = TestPicker::with(&[Said { queue: 9, ..Said::default() }, Said::default()], |_| {});
    let answer = picker.gateway().ask(&chat());
    assert_eq!(answer.destination, Some(picker.endpoint(1)));
    assert_eq!(answer.metadata_destination, answer.destination);
    assert!(answer.clear_route_cache);
    assert_eq!(answer.body, CHAT.as_bytes());
    assert_eq!(answer.header("x-gateway-model-name"), Some("m"));
    assert_eq!(answer.header("x-request-id").map(str::len), Some(32), "it had none");
    assert_eq!(answer.header("content-length"), Some(CHAT.len().to_string().as_str()));
    let mine = picker.gateway().ask(&chat().header("x-request-id", "mine"));
    assert_eq!(mine.header("x-request-id"), None, "it keeps its own");
}

#[test]
fn a_long_body_comes_back_in_small_pieces_however_it_came() {
    let picker = TestPicker::idle(1);
    let body = format!(r#"{{"model":"m","prompt":"{}"}}"#, "long ".repeat(60_000));
    for length in [1_000, 16_384, 300_000] {
        let mut asked = Asked::post("/v1/completions", body.clone()).in_chunks(length);
        for trailers in [false, true] {
            asked.trailers = trailers;
            let answer = picker.gateway().ask(&asked);
            assert_eq!(answer.body, body.as_bytes());
            assert!(answer.chunk_lengths.iter().all(|length| *length <= 62_000));
            assert_eq!((answer.body_eos, answer.trailers_answered), (!trailers, trailers));
        }
    }
}

#[test]
fn requests_without_a_body_and_those_of_other_apis_are_answered_by_their_head() {
    let picker = TestPicker::idle(1);
    let gateway = picker.gateway();
    assert_eq!(gateway.ask(&Asked::get("/v1/models")).destination, Some(picker.endpoint(0)));
    let mut upload = gateway.open();
    upload.send(&messages::request_headers(&messages::post("/upload"), false));
    let first = upload.next().expect("an answer").expect("a good one");
    assert!(first.dynamic_metadata.is_some(), "the body is not waited for");
    upload.send(&messages::request_body(b"part", false));
    assert!(upload.next().expect("an answer").is_ok());
}

#[test]
fn a_request_for_tokens_without_a_body_is_answered_as_an_empty_one() {
    let picker = TestPicker::idle(1);
    for mode in [FULL_DUPLEX, REQUEST_ONLY, (BodySendMode::None, BodySendMode::None)] {
        let mut exchange = picker.gateway().open();
        exchange.send(&messages::request_headers(&messages::post(PATH), true).with_modes(mode.0, mode.1));
        assert_eq!(immediate(&mut exchange), 400, "{mode:?}");
    }
    assert_eq!(picker.router.aware().post(PATH, "").status, 400, "as over HTTP");
    let other = picker.gateway().ask(&Asked::get(PATH));
    assert!(other.destination.is_some(), "only what asks for tokens must have a body");
}

#[test]
fn a_subset_is_kept_to_and_one_without_a_match_is_refused() {
    let picker = TestPicker::with(&[Said::default(), Said { queue: 40, kv: 0.9, ..Said::default() }], |_| {});
    let gateway = picker.gateway();
    let second = picker.endpoint(1);
    let list = gateway.ask(&chat().among([second.as_str(), "10.9.9.9:1"]));
    assert_eq!(list.destination.as_ref(), Some(&second), "the worse one, for the better is not offered");
    let text = gateway.ask(&chat().among(format!("10.9.9.9:1, {second}").as_str()));
    assert_eq!(text.destination, Some(second));
    for nobody in [vec!["10.9.9.9:8000"], vec![]] {
        let answer = gateway.ask(&chat().among(&nobody[..]));
        let (status, text) = message(&answer);
        assert_eq!(status, 503, "{text}");
        assert!(text.contains("failed to find endpoint candidates"), "{text}");
        assert_eq!(header(&answer, "x-llm-d-request-dropped-reason"), Some("rejected-no-endpoints"));
    }
}

#[test]
fn fallbacks_are_named_only_where_that_is_configured() {
    let said = [Said::default(), Said { queue: 2, ..Said::default() }, Said { queue: 9, ..Said::default() }];
    let picker = TestPicker::with(&said, |config| config.ext_proc.fallbacks = 1);
    let answer = picker.gateway().ask(&chat());
    assert_eq!(answer.destination, Some(format!("{},{}", picker.endpoint(0), picker.endpoint(1))));
    assert_eq!(answer.metadata_destination, answer.destination);
}

#[test]
fn a_rewritten_model_is_sent_on_and_the_clients_name_comes_back() {
    let picker = TestPicker::idle(1);
    for name in ["x-gateway-model-name-rewrite", "x-llm-d-model-name-rewrite"] {
        let asked = chat().header(name, "a").in_chunks(7);
        let mut answer = picker.gateway().ask(&asked);
        assert_eq!(answer.body, CHAT.replace("\"m\"", "\"a\"").as_bytes());
        assert_eq!(answer.header("x-gateway-model-name"), Some("m"), "routes know the client's name");
        let parts: [&[u8]; 4] =
            [b"data: {\"mod", b"el\": \"a\",\"x\":1}\n\ndata: {\"model\":\"a\"}", b"\n\n", b""];
        let said = answer.exchange.respond(200, &[("content-type", "text/event-stream")], &parts, false);
        assert_eq!(said.body, b"data: {\"model\": \"m\",\"x\":1}\n\ndata: {\"model\":\"m\"}\n\n");
    }
}

#[test]
fn an_objective_below_zero_is_shed_when_all_are_saturated_under_either_name() {
    let busy = Said { queue: 50, kv: 0.95, ..Said::default() };
    let picker = TestPicker::with(&[busy, busy], |config| {
        config.objectives = vec![Objective { name: "batch".to_owned(), priority: -1 }];
    });
    let gateway = picker.gateway();
    for name in ["x-gateway-inference-objective", "x-llm-d-inference-objective"] {
        let answer = gateway.ask(&chat().header(name, "batch"));
        let (status, text) = message(&answer);
        assert_eq!(status, 429, "{text}");
        assert!(text.contains("sheddable request dropped"), "{text}");
        assert_eq!(header(&answer, "x-llm-d-request-dropped-reason"), Some("rejected-saturated"));
        assert!(header(&answer, "retry-after").is_some());
    }
    assert!(gateway.ask(&chat()).destination.is_some(), "not shed by default");
    assert!(gateway.ask(&chat().header("x-gateway-inference-objective", "unknown")).destination.is_some());
}

#[test]
fn a_session_stays_where_it_began() {
    let picker = TestPicker::idle(4);
    let gateway = picker.gateway();
    let ask = || gateway.ask(&chat().header("x-session-id", "s")).destination;
    let first = ask();
    assert!((0..8).all(|_| ask() == first));
}

#[test]
fn a_request_counts_until_its_response_ends() {
    let picker = TestPicker::idle(1);
    let gateway = picker.gateway();
    let mut answer = gateway.ask(&chat());
    assert_eq!(picker.in_flight(0), 1);
    let events = "data: {\"usage\":{\"prompt_tokens\":7,\"total_tokens\":17,\"completion_tokens\":10}}\n\ndata: [DONE]\n\n";
    let said = answer.exchange.respond(
        200,
        &[("content-type", "text/event-stream")],
        &[events.as_bytes(), b""],
        false,
    );
    assert_eq!(said.body, events.as_bytes());
    assert_eq!(said.header("x-warmlane-endpoint"), Some(picker.endpoint(0).as_str()));
    eventually("it is over", || picker.in_flight(0) == 0);
    answer.exchange.reset();
    eventually("a reset after the end is no abort", || picker.ended("complete") == 1.0);
    assert_eq!(picker.router.metric("warmlane_client_aborts_total"), 0.0);
    assert_eq!(picker.router.metric("warmlane_used_tokens_total{kind=\"completion\"}"), 10.0);
}

#[test]
fn a_client_that_leaves_in_mid_body_is_counted() {
    let picker = TestPicker::idle(1);
    let mut exchange = picker.gateway().open();
    exchange.send(&messages::request_headers(&messages::post(PATH), false));
    exchange.send(&messages::request_body(CHAT.as_bytes(), false));
    eventually("its body is held", || picker.router.metric("warmlane_body_bytes_held") > 0.0);
    exchange.reset();
    eventually("it is told", || picker.router.metric("warmlane_client_aborts_total") == 1.0);
}

#[test]
fn a_client_that_leaves_in_any_phase_leaves_nothing_behind() {
    let picker = TestPicker::idle(1);
    let gateway = picker.gateway();
    let body = messages::request_body(CHAT.as_bytes(), true);
    let requests = [messages::request_headers(&messages::post(PATH), false), body];
    let responses = [
        messages::response_headers(&[(":status", "200")], false),
        messages::response_body(b"data: 1\n\n", false),
    ];
    let all: Vec<_> = requests.into_iter().chain(responses).collect();
    for sent in 0..=all.len() {
        let mut exchange = gateway.open();
        all[..sent].iter().for_each(|message| exchange.send(message));
        if sent >= 2 {
            eventually("it is counted", || picker.in_flight(0) == 1);
        }
        exchange.reset();
        eventually("nothing is left", || {
            picker.in_flight(0) == 0 && picker.ended("abandoned") == (sent + 1) as f64
        });
    }
    eventually("no place is taken", || picker.router.metric("warmlane_body_bytes_held") == 0.0);
}

#[test]
fn the_endpoint_that_really_served_is_the_one_that_counts() {
    let picker = TestPicker::with(&[Said::default(), Said { queue: 9, ..Said::default() }], |config| {
        config.ext_proc.fallbacks = 1;
    });
    let mut answer = picker.gateway().ask(&chat());
    assert_eq!((picker.in_flight(0), picker.in_flight(1)), (1, 0));
    let served = picker.endpoint(1);
    use warmlane_tests::gateway::messages::With as _;
    let head = messages::response_headers(&[(":status", "200")], false);
    answer.exchange.send(&head.with_metadata(
        "envoy.lb",
        "x-gateway-destination-endpoint-served",
        served.as_str(),
    ));
    assert!(answer.exchange.next().expect("an answer").is_ok());
    eventually("it moved", || (picker.in_flight(0), picker.in_flight(1)) == (0, 1));
}

#[test]
fn every_phase_has_a_time_limit() {
    let limit = Duration::from_millis(50);
    let picker = TestPicker::with(&[Said::default()], |config| {
        config.timeouts.client_head = limit;
        config.timeouts.client_body_idle = limit;
        config.timeouts.request = limit;
        config.timeouts.stream_idle = limit;
    });
    let gateway = picker.gateway();
    let status = gateway.open().next().expect("an end").expect_err("no head");
    assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
    let mut no_body = gateway.open();
    no_body.send(&messages::request_headers(&messages::post(PATH), false));
    assert_eq!(immediate(&mut no_body), 408);
    let mut no_response = gateway.ask(&chat()).exchange;
    assert_eq!(immediate(&mut no_response), 504);
    assert!(no_response.next().is_none(), "and the stream ends well");
    let mut no_end = gateway.ask(&chat()).exchange;
    no_end.send(&messages::response_headers(&[(":status", "200")], false));
    no_end.next();
    assert_eq!(immediate(&mut no_end), 504);
    eventually("nothing is left", || picker.in_flight(0) == 0);
}

fn immediate(exchange: &mut warmlane_tests::gateway::Exchange) -> u16 {
    use envoy_types::pb::envoy::service::ext_proc::v3::processing_response::Response;
    match exchange.next().expect("an answer").expect("a good one").response {
        Some(Response::ImmediateResponse(immediate)) => {
            immediate.status.map_or(0, |status| status.code as u16)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn with_request_bodies_only_a_burst_spreads_and_nothing_stays_counted() {
    let picker = TestPicker::idle(4);
    let gateway = picker.gateway();
    let mut asked = chat();
    asked.modes = REQUEST_ONLY;
    let mut given = [0; 4];
    for number in 0..40 {
        // Prompts differ, or the first would draw all others.
        asked.chunks = vec![CHAT.replace("hi", &format!("{number} {}", "x".repeat(4_000))).into_bytes()];
        let answer = gateway.ask(&asked);
        let to = answer.destination.expect("a destination");
        given[(0..4).find(|at| picker.endpoint(*at) == to).expect("ours")] += 1;
        answer.exchange.reset();
    }
    assert!(given.iter().all(|count| (5..=15).contains(count)), "no herd: {given:?}");
    eventually("readings of idle engines take them off", || (0..4).all(|at| picker.in_flight(at) == 0));
    assert_eq!(picker.ended("unseen"), 40.0);
}

#[test]
fn envoy_may_connect_by_tls_to_a_certificate_made_at_start() {
    let picker = TestPicker::with(&[Said::default()], |config| {
        config.ext_proc.tls = "self-signed".parse().expect("an identity");
    });
    let answer = Gateway::connect_tls(picker.address()).ask(&chat());
    assert_eq!(answer.destination, Some(picker.endpoint(0)));
}
