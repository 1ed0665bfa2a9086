//! The wire is compared with the published definitions, both ways.

use envoy_types::pb::envoy::service::ext_proc::v3 as published;
use envoy_types::pb::google::protobuf as known;

use super::*;

fn ours(theirs: &published::ProcessingRequest) -> ProcessingRequest {
    ProcessingRequest::decode(theirs.encode_to_vec().as_slice()).expect("ours reads it")
}

fn theirs(ours: &ProcessingResponse) -> published::ProcessingResponse {
    published::ProcessingResponse::decode(ours.encode_to_vec().as_slice()).expect("they read it")
}

fn head(end_of_stream: bool) -> published::HttpHeaders {
    use envoy_types::pb::envoy::config::core::v3::{HeaderMap, HeaderValue};
    let header = HeaderValue { key: ":path".into(), value: "old".into(), raw_value: b"new".to_vec() };
    let headers = Some(HeaderMap { headers: vec![header] });
    published::HttpHeaders { headers, end_of_stream, ..Default::default() }
}

#[test]
fn every_part_of_an_exchange_is_read() {
    use published::processing_request::Request;
    let body = published::HttpBody { body: b"piece".to_vec(), end_of_stream: true, ..Default::default() };
    let read = |request| {
        let config = published::ProtocolConfiguration {
            request_body_mode: 4,
            response_body_mode: 2,
            ..Default::default()
        };
        let message = published::ProcessingRequest {
            request: Some(request),
            protocol_config: Some(config),
            ..Default::default()
        };
        let message = ours(&message);
        let config = message.protocol_config.expect("modes");
        assert_eq!(config.request_body_mode(), BodyMode::FullDuplexStreamed);
        assert_eq!(config.response_body_mode(), BodyMode::Buffered);
        message.request.expect("a part")
    };
    for part in [read(Request::RequestHeaders(head(true))), read(Request::ResponseHeaders(head(true)))] {
        let (Part::RequestHeaders(head) | Part::ResponseHeaders(head)) = part else { panic!("{part:?}") };
        let headers = head.headers.expect("headers");
        assert_eq!((headers.get(":path"), head.end_of_stream), (Some(&b"new"[..]), true));
    }
    for part in [read(Request::RequestBody(body.clone())), read(Request::ResponseBody(body))] {
        let (Part::RequestBody(body) | Part::ResponseBody(body)) = part else { panic!("{part:?}") };
        assert_eq!((&body.body[..], body.end_of_stream), (&b"piece"[..], true));
    }
    let trailers = published::HttpTrailers::default();
    assert!(matches!(read(Request::RequestTrailers(trailers.clone())), Part::RequestTrailers(_)));
    assert!(matches!(read(Request::ResponseTrailers(trailers)), Part::ResponseTrailers(_)));
}

#[test]
fn body_modes_have_the_published_numbers() {
    use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::processing_mode::BodySendMode;
    let pairs = [
        (BodyMode::None, BodySendMode::None),
        (BodyMode::Streamed, BodySendMode::Streamed),
        (BodyMode::Buffered, BodySendMode::Buffered),
        (BodyMode::BufferedPartial, BodySendMode::BufferedPartial),
        (BodyMode::FullDuplexStreamed, BodySendMode::FullDuplexStreamed),
        (BodyMode::Grpc, BodySendMode::Grpc),
    ];
    for (ours, published) in pairs {
        assert_eq!(ours as i32, published as i32);
    }
}

#[test]
fn metadata_is_read_whatever_kinds_stand_in_it() {
    use known::value::Kind as Published;
    let value = |kind| known::Value { kind: Some(kind) };
    let list = known::ListValue { values: vec![value(Published::StringValue("b".into()))] };
    let fields = [
        ("text".to_owned(), value(Published::StringValue("a".into()))),
        ("list".to_owned(), value(Published::ListValue(list))),
        ("number".to_owned(), value(Published::NumberValue(1.0))),
    ];
    let entries = known::Struct { fields: fields.into_iter().collect() };
    let metadata = envoy_types::pb::envoy::config::core::v3::Metadata {
        filter_metadata: [("ns".to_owned(), entries)].into(),
        ..Default::default()
    };
    let message = published::ProcessingRequest { metadata_context: Some(metadata), ..Default::default() };
    let bytes = ours(&message).metadata_context.expect("metadata");
    let metadata = Metadata::decode(bytes).expect("readable");
    let kind = |key| metadata.get("ns", key).expect(key).kind.clone();
    assert_eq!(kind("text"), Some(Kind::Text("a".into())));
    assert!(matches!(kind("list"), Some(Kind::List(list)) if list.values.len() == 1));
    assert_eq!(kind("number"), Some(Kind::Number(1.0)));
    assert!(metadata.get("ns", "other").is_none() && metadata.get("other", "text").is_none());
}

#[test]
fn attributes_are_read_whichever_filter_they_are_for() {
    use super::super::told::{Origin, Told};
    let value = |kind| known::Value { kind: Some(kind) };
    let fields = [
        ("response.code_details".to_owned(), value(known::value::Kind::StringValue("overload".into()))),
        ("upstream.request_attempt_count".to_owned(), value(known::value::Kind::NumberValue(2.0))),
    ];
    let attributes = [("a.filter".to_owned(), known::Struct { fields: fields.into() })].into();
    let message = ours(&published::ProcessingRequest { attributes, ..Default::default() });
    let told = Told::read(None, &message.attributes);
    assert_eq!((told.origin, told.was_retried), (Origin::Gateway, true));
    assert_eq!(Told::read(None, &[Bytes::from_static(b"\xff")]).origin, Origin::Untold, "not readable");
}

#[test]
fn every_answer_is_understood() {
    use super::super::reply;
    use published::{body_mutation::Mutation as Published, processing_response::Response};
    let changes = reply::Changes { set: vec![("x-a", Bytes::from_static(b"1"))], remove: vec!["x-b"] };
    let routed = theirs(&reply::routed(changes, "10.0.0.1:1".to_owned()));
    let metadata = routed.dynamic_metadata.expect("metadata");
    let known::value::Kind::StructValue(inner) = metadata.fields["envoy.lb"].kind.clone().expect("a kind")
    else {
        panic!("{metadata:?}")
    };
    let destination = inner.fields["x-gateway-destination-endpoint"].kind.clone();
    assert_eq!(destination, Some(known::value::Kind::StringValue("10.0.0.1:1".into())));
    let Some(Response::RequestHeaders(head)) = routed.response else { panic!("{:?}", routed.response) };
    let common = head.response.expect("an answer");
    let headers = common.header_mutation.expect("headers");
    assert_eq!(headers.remove_headers, ["x-b"]);
    let set = &headers.set_headers[0];
    assert!(common.clear_route_cache);
    assert_eq!(set.append_action, 2, "overwrites");
    assert_eq!(set.header.as_ref().map(|h| (h.key.as_str(), &h.raw_value[..])), Some(("x-a", &b"1"[..])));
    let piece = reply::streamed(Reply::ResponseBody, Bytes::from_static(b"p"), true).next().expect("a piece");
    let Some(Response::ResponseBody(body)) = theirs(&piece).response else { panic!("{piece:?}") };
    let mutation = body.response.and_then(|common| common.body_mutation).and_then(|body| body.mutation);
    let Some(Published::StreamedResponse(streamed)) = mutation else { panic!("{mutation:?}") };
    assert_eq!((&streamed.body[..], streamed.end_of_stream), (&b"p"[..], true));
    let whole = reply::replaced(Reply::RequestBody, BodyMode::Buffered, Bytes::from_static(b"w"));
    let Some(Response::RequestBody(body)) = theirs(&whole).response else { panic!("{whole:?}") };
    let mutation = body.response.and_then(|common| common.body_mutation).and_then(|body| body.mutation);
    assert_eq!(mutation, Some(Published::Body(b"w".to_vec())));
    let refused = theirs(&reply::immediate(429, Vec::new(), "full".to_owned(), "shed"));
    let Some(Response::ImmediateResponse(immediate)) = refused.response else { panic!("{refused:?}") };
    assert_eq!(immediate.status.map(|status| status.code), Some(429));
    assert_eq!((&immediate.body[..], immediate.details.as_str()), (&b"full"[..], "shed"));
    let kinds = [
        (reply::trailers(Reply::RequestTrailers), 5),
        (reply::trailers(Reply::ResponseTrailers), 6),
        (reply::response_headers(Vec::new()), 2),
        (reply::go_on(), 1),
    ];
    for (answer, tag) in kinds {
        let found = match theirs(&answer).response.expect("an answer") {
            Response::RequestHeaders(_) => 1,
            Response::ResponseHeaders(_) => 2,
            Response::RequestTrailers(_) => 5,
            Response::ResponseTrailers(_) => 6,
            other => panic!("{other:?}"),
        };
        assert_eq!(found, tag);
    }
}
