//! What no Envoy should send.

use bytes::Bytes;
use envoy_types::pb::envoy::service::ext_proc::v3::ProcessingRequest;
use prost::Message as _;
use tonic::Code;
use warmlane_tests::{
    eventually,
    gateway::{Asked, Exchange, messages, messages::With as _},
    picker::{Said, TestPicker},
};

use super::{CHAT, PATH, chat, message};

fn code(mut exchange: Exchange, sent: &[ProcessingRequest]) -> Code {
    sent.iter().for_each(|message| exchange.send(message));
    loop {
        match exchange.next() {
            Some(Ok(_)) => {}
            Some(Err(status)) => return status.code(),
            None => return Code::Ok,
        }
    }
}

#[test]
fn messages_in_a_wrong_order_end_their_stream_and_no_other() {
    let picker = TestPicker::idle(1);
    let gateway = picker.gateway();
    let mut other = gateway.ask(&chat());
    let head = || messages::request_headers(&messages::post(PATH), false);
    let whole = || messages::request_body(CHAT.as_bytes(), true);
    let response = || messages::response_headers(&[(":status", "200")], false);
    let wrong = [
        vec![whole()],
        vec![messages::request_trailers()],
        vec![head(), head()],
        vec![response(), head()],
        vec![head(), whole(), response(), response()],
        vec![head(), whole(), messages::response_body(b"x", false), response()],
    ];
    for (number, sent) in wrong.iter().enumerate() {
        assert_eq!(code(gateway.open(), sent), Code::FailedPrecondition, "case {number}");
    }
    assert_eq!(picker.ended("wrong_order"), wrong.len() as f64);
    let said = other.exchange.respond(200, &[], &[b"fine", b""], false);
    assert_eq!(said.body, b"fine", "another stream of the connection goes on");
    eventually("nothing is left", || picker.in_flight(0) == 0);
}

#[test]
fn messages_that_hold_nothing_and_heads_without_a_path_are_named() {
    let picker = TestPicker::idle(1);
    let gateway = picker.gateway();
    assert_eq!(code(gateway.open(), &[ProcessingRequest::default()]), Code::InvalidArgument);
    let no_path = messages::request_headers(&[(":method", "POST")], false);
    assert_eq!(code(gateway.open(), &[no_path]), Code::InvalidArgument);
    let no_head = messages::request_headers(&[], true);
    assert_eq!(code(gateway.open(), &[no_head]), Code::InvalidArgument);
    assert_eq!(picker.ended("unreadable"), 3.0);
    assert!(gateway.ask(&chat()).destination.is_some());
}

#[test]
fn bodies_that_cannot_be_routed_get_the_clients_error() {
    let picker = TestPicker::with(&[Said::default()], |config| config.limits.body = 4_096);
    let gateway = picker.gateway();
    let ask = |body: &str| message(&gateway.ask(&Asked::post(PATH, body)));
    let (status, text) = ask("{\"model\":");
    assert_eq!(status, 400);
    assert!(text.contains("error unmarshaling request bodyMap"), "{text}");
    let (status, text) = ask("{\"messages\":[]}");
    assert_eq!(status, 400);
    assert!(text.contains("model not found in request body"), "{text}");
    let (status, text) = ask(&CHAT.replace("\"m\"", "\"nobody's\""));
    assert_eq!(status, 404);
    assert!(text.contains("does not exist"), "{text}");
    let (status, text) = ask(&CHAT.replace("hi", &"x".repeat(5_000)));
    assert_eq!(status, 413);
    assert!(text.contains("4096"), "{text}");
    eventually("they are counted", || picker.ended("refused") == 4.0);
}

#[test]
fn metadata_of_other_kinds_harms_nobody() {
    let picker = TestPicker::idle(2);
    let gateway = picker.gateway();
    let note = |namespace: &str, key: &str| {
        let mut asked = chat();
        asked.metadata.push((namespace.to_owned(), key.to_owned(), "\u{0}{[,,,".into()));
        asked
    };
    assert!(gateway.ask(&note("envoy.lb", "x-gateway-destination-endpoint-served")).destination.is_some());
    assert!(gateway.ask(&note("envoy.lb.subset_hint", "other")).destination.is_some(), "another key");
    let (status, _) =
        message(&gateway.ask(&note("envoy.lb.subset_hint", "x-gateway-destination-endpoint-subset")));
    assert_eq!(status, 503, "a hint that cannot be read offers nobody");
    let mut exchange = gateway.open();
    // Field 8 is the metadata: two bytes, of which the first is no field.
    let head = messages::request_headers(&messages::post(PATH), false).encode_to_vec();
    exchange.send_framed(prefixed(&[&head[..], &[0x42, 2, 0xff, 0xff]].concat()));
    exchange.send(&messages::request_body(CHAT.as_bytes(), true));
    assert_eq!(super::immediate(&mut exchange), 503, "nor does metadata that is none");
    let mut number = messages::request_headers(&messages::post(PATH), false).with_metadata(
        "envoy.lb.subset_hint",
        "x",
        "y",
    );
    let hint =
        number.metadata_context.as_mut().expect("metadata").filter_metadata.get_mut("envoy.lb.subset_hint");
    let fields = &mut hint.expect("a namespace").fields;
    let kind = envoy_types::pb::google::protobuf::value::Kind::NumberValue(1.0);
    let value = envoy_types::pb::google::protobuf::Value { kind: Some(kind) };
    fields.insert("x-gateway-destination-endpoint-subset".to_owned(), value);
    let mut exchange = gateway.open();
    exchange.send(&number);
    exchange.send(&messages::request_body(CHAT.as_bytes(), true));
    assert_eq!(super::immediate(&mut exchange), 503, "nor does a number");
}

/// A message as gRPC frames it.
fn prefixed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).expect("a length").to_be_bytes();
    [&[0][..], &length, message].concat().into()
}

#[test]
fn frames_after_the_end_are_ignored() {
    let picker = TestPicker::idle(1);
    let mut answer = picker.gateway().ask(&chat());
    answer.exchange.send(&messages::request_body(b"late", true));
    answer.exchange.send(&messages::request_trailers());
    let said = answer.exchange.respond(200, &[], &[b"fine", b""], false);
    assert_eq!(said.body, b"fine");
    answer.exchange.send(&messages::response_body(b"late", true));
    answer.exchange.half_close();
    assert!(answer.exchange.next().is_none(), "and the stream ends well");
}

#[test]
fn bytes_that_are_no_message_end_their_stream() {
    let picker = TestPicker::idle(1);
    let gateway = picker.gateway();
    assert!(gateway.ask(&chat()).destination.is_some());
    // A length that no message may have: the limit of a body and what stands beside it.
    let mut client = warmlane_tests::http2::Multiplexed::connect(picker.address());
    let request = hyper::Request::post("http://p/envoy.service.ext_proc.v3.ExternalProcessor/Process")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let huge = [0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3];
    let _open = client.open(request.body(()).expect("a request"), Some(&huge));
    eventually("it is counted", || picker.ended("unreadable") == 1.0);
    assert!(gateway.ask(&chat()).destination.is_some());
}
