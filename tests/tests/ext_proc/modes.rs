//! Other ways in which a gateway may be configured to send bodies.

use envoy_types::pb::envoy::{
    extensions::filters::http::ext_proc::v3::processing_mode::BodySendMode,
    service::ext_proc::v3::{
        CommonResponse, ProcessingRequest, ProcessingResponse, body_mutation::Mutation,
        processing_response::Response,
    },
};
use warmlane_picker::Criticality;
use warmlane_router::config::{ModelRule, Target};
use warmlane_tests::{
    gateway::{Exchange, messages, messages::With as _},
    picker::{Said, TestPicker},
};

use super::{CHAT, PATH};

fn ask(exchange: &mut Exchange, message: &ProcessingRequest) -> ProcessingResponse {
    exchange.send(message);
    exchange.next().expect("an answer").expect("a good one")
}

fn head(headers: &[(&str, &str)], request: BodySendMode, response: BodySendMode) -> ProcessingRequest {
    let post = messages::post(PATH);
    messages::request_headers(&[&post[..], headers].concat(), false).with_modes(request, response)
}

fn common(answer: ProcessingResponse) -> CommonResponse {
    match answer.response {
        Some(Response::RequestHeaders(headers)) => headers.response,
        Some(Response::RequestBody(body) | Response::ResponseBody(body)) => body.response,
        other => panic!("{other:?}"),
    }
    .unwrap_or_default()
}

fn destination(common: &CommonResponse) -> Option<String> {
    header(common, "x-gateway-destination-endpoint")
}

fn header(common: &CommonResponse, name: &str) -> Option<String> {
    let set = &common.header_mutation.as_ref()?.set_headers;
    let headers = set.iter().filter_map(|option| option.header.as_ref());
    let found = headers.into_iter().find(|header| header.key == name)?;
    Some(String::from_utf8_lossy(&found.raw_value).into_owned())
}

#[test]
fn a_buffered_body_is_answered_as_one() {
    let picker = TestPicker::idle(1);
    let gateway = picker.gateway();
    let buffered = BodySendMode::Buffered;
    for (rewrite, body) in [(None, None), (Some("a"), Some(CHAT.replace("\"m\"", "\"a\"")))] {
        let headers: Vec<_> = rewrite.map(|to| ("x-gateway-model-name-rewrite", to)).into_iter().collect();
        let mut exchange = gateway.open();
        let go_on = common(ask(&mut exchange, &head(&headers, buffered, buffered)));
        assert_eq!(go_on, CommonResponse::default(), "nothing is decided yet");
        let answer = ask(&mut exchange, &messages::request_body(CHAT.as_bytes(), true));
        assert!(answer.dynamic_metadata.is_some());
        let answer = common(answer);
        assert_eq!(destination(&answer), Some(picker.endpoint(0)));
        let changed = answer.body_mutation.and_then(|body| body.mutation);
        assert_eq!(changed, body.map(|body| Mutation::Body(body.into_bytes())));
        ask(&mut exchange, &messages::response_headers(&[(":status", "200")], false));
        let answer = common(ask(&mut exchange, &messages::response_body(b"{\"model\":\"a\"}", true)));
        let changed = answer.body_mutation.and_then(|body| body.mutation);
        let restored = rewrite.map(|_| Mutation::Body(b"{\"model\":\"m\"}".to_vec()));
        assert_eq!(changed, restored);
    }
}

#[test]
fn a_buffered_body_of_another_length_is_told_with_its_length() {
    let rule = ModelRule {
        name: "assistant".to_owned(),
        criticality: Criticality::Standard,
        targets: vec![Target { name: "a".to_owned(), weight: 1 }],
    };
    let picker = TestPicker::with(&[Said::default()], |config| config.models = vec![rule]);
    let gateway = picker.gateway();
    let body = CHAT.replace("\"m\"", "\"assistant\"");
    for (mode, length) in [(BodySendMode::Buffered, Some("21")), (BodySendMode::BufferedPartial, None)] {
        let mut exchange = gateway.open();
        ask(&mut exchange, &head(&[], BodySendMode::Buffered, mode));
        let answer = common(ask(&mut exchange, &messages::request_body(body.as_bytes(), true)));
        let sent = CHAT.replace("\"m\"", "\"a\"").len().to_string();
        assert_eq!(header(&answer, "content-length"), Some(sent));
        let ok = messages::response_headers(&[(":status", "200"), ("content-length", "13")], false);
        ask(&mut exchange, &ok);
        let answer = common(ask(&mut exchange, &messages::response_body(b"{\"model\":\"a\"}", true)));
        assert_eq!(header(&answer, "content-length").as_deref(), length, "{mode:?}");
        let removed = answer.header_mutation.expect("a mutation").remove_headers;
        assert_eq!(removed.is_empty(), length.is_some(), "of a part of a body none is right: {removed:?}");
    }
}

#[test]
fn a_body_that_the_gateway_collects_may_take_its_time() {
    let idle = std::time::Duration::from_millis(100);
    let picker = TestPicker::with(&[Said::default()], |config| config.timeouts.client_body_idle = idle);
    let mut exchange = picker.gateway().open();
    ask(&mut exchange, &head(&[], BodySendMode::Buffered, BodySendMode::None));
    std::thread::sleep(5 * idle);
    let answer = common(ask(&mut exchange, &messages::request_body(CHAT.as_bytes(), true)));
    assert_eq!(header(&answer, "x-gateway-destination-endpoint"), Some(picker.endpoint(0)));
}

#[test]
fn a_gateway_that_sends_no_body_is_answered_by_the_head() {
    let picker = TestPicker::idle(1);
    let mut exchange = picker.gateway().open();
    let answer = common(ask(&mut exchange, &head(&[], BodySendMode::None, BodySendMode::None)));
    assert_eq!(destination(&answer), Some(picker.endpoint(0)));
}

#[test]
fn a_mode_in_which_nothing_can_be_picked_ends_the_stream_so_that_the_failure_mode_decides() {
    let picker = TestPicker::idle(1);
    let mut exchange = picker.gateway().open();
    exchange.send(&head(&[], BodySendMode::Streamed, BodySendMode::None));
    let status = exchange.next().expect("an end").expect_err("an error");
    assert_eq!(status.code(), tonic::Code::Unimplemented);
    assert!(status.message().contains("FULL_DUPLEX_STREAMED"), "{}", status.message());
    assert_eq!(picker.ended("misconfigured"), 1.0);
}

#[test]
fn a_response_mode_for_grpc_is_no_mode_for_bodies() {
    let picker = TestPicker::idle(1);
    let mut exchange = picker.gateway().open();
    exchange.send(&head(&[], BodySendMode::FullDuplexStreamed, BodySendMode::Grpc));
    let status = exchange.next().expect("an end").expect_err("an error");
    assert_eq!(status.code(), tonic::Code::Unimplemented);
}

#[test]
fn a_mode_of_an_envoy_to_come_is_refused_and_not_taken_for_another() {
    let picker = TestPicker::idle(1);
    let mut head = head(&[], BodySendMode::FullDuplexStreamed, BodySendMode::None);
    head.protocol_config.as_mut().expect("modes").request_body_mode = 77;
    let mut exchange = picker.gateway().open();
    exchange.send(&head);
    let status = exchange.next().expect("an end").expect_err("an error");
    assert_eq!(status.code(), tonic::Code::Unimplemented);
    assert!(status.message().contains("77"), "{}", status.message());
    assert_eq!(picker.ended("misconfigured"), 1.0);
}
