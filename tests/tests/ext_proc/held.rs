//! What a stream holds, and when it is let go: connections, places, bytes.

use std::time::Duration;

use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::processing_mode::BodySendMode;
use hyper::Request;
use warmlane_tests::{
    Wire, eventually,
    gateway::{Exchange, framed, messages, messages::With as _},
    http2::{Multiplexed, Stream},
    picker::{Said, TestPicker},
};

use super::{CHAT, PATH, chat, header, immediate, message};

const MILLIS: fn(u64) -> Duration = Duration::from_millis;

#[test]
fn refusals_in_mid_body_leave_the_connection_and_its_other_streams_alone() {
    let picker = TestPicker::with(&[Said::default()], |config| config.limits.body = 4_096);
    let gateway = picker.gateway();
    let refused = |_| {
        let mut exchange = gateway.open();
        exchange.send(&messages::request_headers(&messages::post(PATH), false));
        // The rest is on its way when the refusal is.
        (0..60).for_each(|_| exchange.send(&messages::request_body(&[b'x'; 4_100], false)));
        assert_eq!(immediate(&mut exchange), 413);
        exchange
    };
    // More than the resets that an HTTP/2 server of this kind forgives by default.
    let open: Vec<Exchange> = (0..1_200).map(refused).collect();
    eventually("they are ended where the gateway does not end them", || picker.ended("refused") == 1_200.0);
    drop(open);
    assert!(gateway.ask(&chat()).destination.is_some());
}

#[test]
fn a_refused_stream_ends_well_when_the_gateway_closes_it() {
    let picker = TestPicker::with(&[Said::default()], |config| config.limits.body = 4_096);
    let mut exchange = picker.gateway().open();
    exchange.send(&messages::request_headers(&messages::post(PATH), false));
    exchange.send(&messages::request_body(&[b'x'; 5_000], false));
    assert_eq!(immediate(&mut exchange), 413);
    exchange.send(&messages::request_body(b"still coming", true));
    exchange.half_close();
    assert!(exchange.next().is_none());
}

#[test]
fn a_connection_on_which_nothing_is_asked_is_closed_and_one_that_waits_for_an_answer_is_not() {
    let picker = TestPicker::with(&[Said::default()], |config| config.timeouts.client_idle = MILLIS(300));
    let gateway = picker.gateway();
    let mut waiting = gateway.ask(&chat());
    // Neither sends a preface; both are closed, or reading to the end fails.
    let mut silent = Wire::connect(picker.address());
    let _ = silent.rest();
    let mut half = Wire::connect(picker.address());
    half.send(b"PRI * HTTP/2.0\r\n");
    let _ = half.rest();
    let said = waiting.exchange.respond(200, &[], &[b"fine", b""], false);
    assert_eq!(said.body, b"fine");
    drop(waiting);
    gateway.ended().expect("told to go");
}

/// A stream whose request has this body, and whose answers are taken when the test takes them.
fn asking(gateway: &mut Multiplexed, body: &str) -> Stream {
    let request = Request::post("http://p/envoy.service.ext_proc.v3.ExternalProcessor/Process")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let mut stream = gateway.open(request.body(()).expect("a request"), None);
    stream.send(&framed(&messages::request_headers(&messages::post(PATH), false)), false);
    stream.send(&framed(&messages::request_body(body.as_bytes(), true)), false);
    stream
}

#[test]
fn a_gateway_that_does_not_read_holds_nothing_once_its_time_is_up() {
    let picker = TestPicker::with(&[Said::default()], |config| config.timeouts.request = MILLIS(200));
    let mut gateway = Multiplexed::connect(picker.address());
    let body = CHAT.replace("hi", &"x".repeat(300_000));
    let stream = asking(&mut gateway, &body);
    eventually("it is routed", || picker.in_flight(0) == 1);
    assert!(picker.router.metric("warmlane_body_bytes_held") > 200_000.0, "its body is not taken");
    eventually("it is let go", || picker.in_flight(0) == 0 && picker.ended("silent") == 0.0);
    eventually("and so is its body", || picker.router.metric("warmlane_body_bytes_held") == 0.0);
    assert_eq!(picker.router.metric("warmlane_endpoint_failures_total{"), 0.0, "no endpoint is to blame");
    assert!(picker.gateway().ask(&chat()).destination.is_some());
    drop(stream);
    eventually("it is counted", || picker.ended("silent") == 1.0);
}

#[test]
fn a_gateway_that_reads_slowly_gets_all_of_a_long_body() {
    let picker = TestPicker::with(&[Said::default()], |config| config.timeouts.stream_idle = MILLIS(200));
    let mut gateway = Multiplexed::connect(picker.address());
    let body = CHAT.replace("hi", &"x".repeat(3_000_000));
    let mut stream = asking(&mut gateway, &body);
    stream.head().expect("an answer");
    let mut got = 0;
    while got < body.len() {
        got += stream.part().expect("more").expect("not cut").len();
        // In all, longer than a gateway that reads nothing is waited for.
        std::thread::sleep(MILLIS(40));
    }
    assert_eq!(picker.in_flight(0), 1);
}

#[test]
fn a_request_for_which_there_is_no_place_gets_the_clients_error() {
    // The connection has one.
    let picker = TestPicker::with(&[Said::default()], |config| config.limits.connections = 2);
    let gateway = picker.gateway();
    let first = gateway.ask(&chat());
    assert!(first.destination.is_some());
    let answer = gateway.ask(&chat());
    assert_eq!(message(&answer).0, 503);
    assert_eq!(header(&answer, "x-llm-d-request-dropped-reason"), Some("rejected-saturated"));
    assert_eq!(header(&answer, "retry-after"), Some("1"));
    drop(first);
    eventually("its place is free", || gateway.ask(&chat()).destination.is_some());
}

#[test]
fn a_stream_that_is_closed_before_its_request_is_whole_does_not_end_well() {
    let picker = TestPicker::idle(1);
    let mut exchange = picker.gateway().open();
    exchange.send(&messages::request_headers(&messages::post(PATH), false));
    exchange.half_close();
    let status = exchange.next().expect("an end").expect_err("an error");
    assert_eq!(status.code(), tonic::Code::Cancelled);
    assert_eq!(picker.ended("abandoned"), 1.0);
}

#[test]
fn a_body_in_one_message_is_held_to_the_budget_before_it_is_whole() {
    let picker = TestPicker::with(&[Said::default()], |config| {
        (config.limits.body, config.limits.body_budget) = (1_000_000, 1_000_000);
    });
    let gateway = picker.gateway();
    let (buffered, none) = (BodySendMode::Buffered, BodySendMode::None);
    let head = messages::request_headers(&messages::post(PATH), false).with_modes(buffered, none);
    let body = framed(&messages::request_body(CHAT.replace("hi", &"x".repeat(700_000)).as_bytes(), true));
    let begin = || {
        let mut exchange = gateway.open();
        exchange.send(&head);
        assert!(exchange.next().expect("an answer").is_ok(), "it is to go on");
        exchange.send_framed(body.slice(..600_000));
        exchange
    };
    let mut first = begin();
    eventually("it is counted", || picker.router.metric("warmlane_body_bytes_held") > 500_000.0);
    assert_eq!(immediate(&mut begin()), 503, "there is no room for a second");
    first.send_framed(body.slice(600_000..));
    assert!(first.next().expect("an answer").expect("a good one").dynamic_metadata.is_some());
    eventually("nothing is held", || picker.router.metric("warmlane_body_bytes_held") == 0.0);
    let mut later = begin();
    later.send_framed(body.slice(600_000..));
    assert!(later.next().expect("an answer").is_ok(), "there is room again");
}

#[test]
fn a_body_in_one_message_over_the_limit_gets_the_clients_error() {
    let picker = TestPicker::with(&[Said::default()], |config| config.limits.body = 4_096);
    let mut exchange = picker.gateway().open();
    let modes = (BodySendMode::Buffered, BodySendMode::None);
    exchange.send(&messages::request_headers(&messages::post(PATH), false).with_modes(modes.0, modes.1));
    assert!(exchange.next().expect("an answer").is_ok());
    exchange.send_framed(framed(&messages::request_body(&vec![b'x'; 2_000_000], true)).slice(..100_000));
    assert_eq!(immediate(&mut exchange), 413);
}
