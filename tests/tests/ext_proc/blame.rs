//! What requests and their ends say of an endpoint, and when a request is given up for lost.

use std::time::Duration;

use envoy_types::pb::google::protobuf::value::Kind;
use warmlane_tests::{
    eventually,
    gateway::{Exchange, FULL_DUPLEX, REQUEST_ONLY, messages, messages::With as _},
    picker::{Said, TestPicker},
};

use super::{EVENTS, chat, immediate};

const MILLIS: fn(u64) -> Duration = Duration::from_millis;
const UNREACHABLE: &str =
    "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_refused}";
const SERVED: &str = "x-gateway-destination-endpoint-served";

fn failures(picker: &TestPicker) -> f64 {
    picker.router.metric("warmlane_endpoint_failures_total{")
}

/// A picker that holds its engine for silent soon.
fn hasty() -> TestPicker {
    TestPicker::with(&[Said::default()], |config| {
        config.timeouts.stream_idle = MILLIS(200);
        config.timeouts.request = MILLIS(20_000);
        config.scrape.timeout = MILLIS(200);
        config.scrape.max_interval = MILLIS(100);
    })
}

/// Long enough for the request to be at its endpoint, whatever Envoy had to do.
fn wait_for_envoy() {
    std::thread::sleep(MILLIS(2_500));
}

fn respond(exchange: &mut Exchange, headers: &[(&str, &str)], details: &str) {
    let head = messages::response_headers(headers, false);
    exchange.send(&head.with_attribute("response.code_details", text(details)));
    assert!(exchange.next().expect("an answer").is_ok());
}

#[test]
fn what_clients_do_wrong_is_no_failure_of_an_endpoint() {
    let picker = TestPicker::idle(1);
    let gateway = picker.gateway();
    let object = b"{\"error\":{\"message\":\"no\",\"type\":\"BadRequestError\",\"code\":400}}";
    for _ in 0..3 {
        gateway.ask(&chat()).exchange.respond(400, &[], &[object, b""], false);
        let event = [b"data: ", &object[..], b"\n\n"].concat();
        gateway.ask(&chat()).exchange.respond(200, EVENTS, &[&event, b""], false);
    }
    eventually("they are over", || picker.in_flight(0) == 0);
    assert_eq!(failures(&picker), 0.0);
    let ours = b"data: {\"error\":{\"message\":\"no\",\"type\":\"InternalServerError\",\"code\":500}}\n\n";
    gateway.ask(&chat()).exchange.respond(200, EVENTS, &[ours, b""], false);
    eventually("that is one", || failures(&picker) == 1.0);
}

#[test]
fn a_replica_that_envoy_cannot_reach_has_failed_and_one_that_is_busy_has_not() {
    let picker = TestPicker::idle(2);
    let gateway = picker.gateway();
    let busy = |details: &str| {
        let mut asked = chat();
        asked.modes = REQUEST_ONLY;
        let mut exchange = gateway.ask(&asked).exchange;
        respond(&mut exchange, &[(":status", "503")], details);
        exchange.half_close();
        assert!(exchange.next().is_none());
    };
    for details in ["via_upstream", "no_healthy_upstream", "upstream_reset_before_response_started{overflow}"]
    {
        busy(details);
    }
    assert_eq!(failures(&picker), 0.0);
    busy(UNREACHABLE);
    assert_eq!(failures(&picker), 1.0);
}

#[test]
fn an_error_is_no_complete_response_unless_a_replica_gave_it() {
    let picker = TestPicker::idle(1);
    let gateway = picker.gateway();
    let mut ends = std::collections::BTreeMap::from([("complete", 0.0), ("gateway", 0.0), ("error", 0.0)]);
    for (status, details, end) in [
        ("503", Some("via_upstream"), "complete"),
        ("503", Some("no_healthy_upstream"), "gateway"),
        ("503", Some(UNREACHABLE), "gateway"),
        ("503", None, "error"),
        ("404", None, "complete"),
    ] {
        for modes in [REQUEST_ONLY, FULL_DUPLEX] {
            let mut asked = chat();
            asked.modes = modes;
            let mut exchange = gateway.ask(&asked).exchange;
            let head = messages::response_headers(&[(":status", status)], true);
            exchange.send(&match details {
                Some(details) => head.with_attribute("response.code_details", text(details)),
                None => head,
            });
            assert!(exchange.next().expect("an answer").is_ok());
            exchange.half_close();
            assert!(exchange.next().is_none());
            *ends.get_mut(end).expect("a name") += 1.0;
            for (name, count) in &ends {
                eventually(name, || picker.ended(name) == *count);
            }
        }
    }
    let answered = |code: u16| {
        let series = format!("warmlane_requests_total{{listener=\"ext_proc\",code=\"{code}\"}}");
        picker.router.metric(&series)
    };
    assert_eq!((answered(503), answered(404)), (8.0, 2.0), "all the same, the client has got it");
}

fn text(details: &str) -> Kind {
    Kind::StringValue(details.to_owned())
}

#[test]
fn the_first_replica_has_failed_where_envoy_went_on_to_another() {
    for (attempts, failed) in [(1.0, 0.0), (2.0, 1.0)] {
        let picker = TestPicker::with(&[Said::default(), Said { queue: 30, ..Said::default() }], |_| {});
        let mut exchange = picker.gateway().ask(&chat()).exchange;
        let head = messages::response_headers(&[(":status", "200")], false)
            .with_metadata("envoy.lb", SERVED, picker.endpoint(1).as_str())
            .with_attribute("upstream.request_attempt_count", Kind::NumberValue(attempts));
        exchange.send(&head);
        assert!(exchange.next().expect("an answer").is_ok());
        assert_eq!((picker.in_flight(0), picker.in_flight(1)), (0, 1));
        assert_eq!(failures(&picker), failed, "{attempts} attempts");
    }
}

#[test]
fn streams_whose_end_nobody_sees_speak_for_their_endpoint_all_the_same() {
    let picker = TestPicker::with(&[Said::default()], |config| config.breaker.in_a_row = 5);
    let gateway = picker.gateway();
    let mut asked = chat();
    asked.modes = REQUEST_ONLY;
    let ask = |headers: &[(&str, &str)], details: &str| {
        respond(&mut gateway.ask(&asked).exchange, headers, details);
    };
    for _ in 0..3 {
        (0..4).for_each(|_| ask(&[(":status", "503")], UNREACHABLE));
        ask(&[(":status", "200"), EVENTS[0]], "via_upstream");
    }
    assert_eq!(failures(&picker), 12.0);
    assert!(gateway.ask(&chat()).destination.is_some(), "never five in a row: it does not rest");
}

#[test]
fn a_response_that_stands_still_is_cut_when_its_endpoint_is_silent_too() {
    let picker = hasty();
    let mut exchange = picker.gateway().ask(&chat()).exchange;
    exchange.send(&messages::response_headers(&[(":status", "200")], false));
    assert!(exchange.next().expect("an answer").is_ok());
    // Its client does not read, as far as anybody knows.
    wait_for_envoy();
    exchange.send(&messages::response_body(b"late", false));
    assert!(exchange.next().expect("an answer").is_ok(), "it goes on");
    assert_eq!(failures(&picker), 0.0);
    picker.engines[0].stall();
    assert_eq!(immediate(&mut exchange), 504);
    eventually("that was the endpoint's", || failures(&picker) == 1.0);
}

#[test]
fn a_response_that_stands_still_is_cut_when_its_time_is_up() {
    let picker = TestPicker::with(&[Said::default()], |config| {
        config.timeouts.stream_idle = MILLIS(200);
        config.timeouts.request = MILLIS(1_000);
    });
    let mut exchange = picker.gateway().ask(&chat()).exchange;
    exchange.send(&messages::response_headers(&[(":status", "200")], false));
    assert!(exchange.next().expect("an answer").is_ok());
    assert_eq!(immediate(&mut exchange), 504);
    assert_eq!(failures(&picker), 0.0);
    assert_eq!(
        picker.router.metric("warmlane_request_errors_total{listener=\"ext_proc\",reason=\"timeout\"}"),
        1.0
    );
}

#[test]
fn a_request_that_waits_at_a_replica_which_fell_silent_is_answered() {
    let picker = hasty();
    let mut waiting = picker.gateway().ask(&chat()).exchange;
    wait_for_envoy();
    assert_eq!(picker.in_flight(0), 1, "as long as it is up, it may compute");
    picker.engines[0].stall();
    assert_eq!(immediate(&mut waiting), 503);
    assert_eq!(failures(&picker), 1.0);
    assert_eq!(picker.in_flight(0), 0);
}

#[test]
fn a_request_at_a_replica_that_was_stuck_already_is_answered_too() {
    let picker = hasty();
    // It takes connections: so Envoy is connected to it, and waits.
    picker.engines[0].stall();
    let mut waiting = picker.gateway().ask(&chat()).exchange;
    assert_eq!(immediate(&mut waiting), 503);
    assert_eq!(failures(&picker), 1.0);
}

#[test]
fn a_request_whose_replica_refuses_may_be_at_another_and_is_left_alone() {
    let said = [Said::default(), Said { queue: 30, ..Said::default() }];
    let picker = TestPicker::with(&said, |config| {
        config.timeouts.stream_idle = MILLIS(200);
        config.scrape.max_interval = MILLIS(100);
    });
    let mut waiting = picker.gateway().ask(&chat()).exchange;
    assert_eq!(picker.in_flight(0), 1);
    wait_for_envoy();
    picker.engines[0].stop();
    eventually("it is down", || picker.router.ready_endpoints() == 1);
    std::thread::sleep(MILLIS(1_000));
    let head = messages::response_headers(&[(":status", "200")], false)
        .with_metadata("envoy.lb", SERVED, picker.endpoint(1).as_str())
        .with_attribute("upstream.request_attempt_count", Kind::NumberValue(2.0));
    waiting.send(&head);
    assert!(waiting.next().expect("an answer").expect("a good one").response.is_some());
    assert_eq!((picker.in_flight(0), picker.in_flight(1)), (0, 1));
}

#[test]
fn a_client_that_leaves_in_mid_stream_is_no_success_whatever_was_said_so_far() {
    let picker = TestPicker::idle(1);
    let usage = b"data: {\"choices\":[{}],\"usage\":{\"prompt_tokens\":7,\"total_tokens\":8,\"completion_tokens\":1}}\n\n";
    for served in [None, Some("192.0.2.1:8000")] {
        let mut exchange = picker.gateway().ask(&chat()).exchange;
        let head = messages::response_headers(&[(":status", "200"), EVENTS[0]], false);
        let head = head.with_attribute("upstream.request_attempt_count", Kind::NumberValue(2.0));
        // At an endpoint that is nobody's, too.
        exchange.send(&served.map_or(head.clone(), |served| head.with_metadata("envoy.lb", SERVED, served)));
        assert!(exchange.next().expect("an answer").is_ok());
        exchange.send(&messages::response_body(usage, false));
        assert!(exchange.next().expect("an answer").is_ok());
    }
    eventually("both are noticed", || picker.ended("abandoned") == 2.0);
    assert_eq!(picker.ended("complete"), 0.0);
    assert_eq!(picker.router.metric("warmlane_used_tokens_total{kind=\"completion\"}"), 0.0);
}
