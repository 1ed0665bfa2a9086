//! Responses: whose they are, how they end, and what they say of an endpoint.

use std::time::Duration;

use envoy_types::pb::envoy::{
    extensions::filters::http::ext_proc::v3::processing_mode::BodySendMode,
    service::ext_proc::v3::{ProcessingResponse, body_mutation::Mutation, processing_response::Response},
};
use warmlane_tests::{
    eventually,
    gateway::{Asked, FULL_DUPLEX, messages},
    picker::{Said, TestPicker},
};

use super::{CHAT, EVENTS, chat};

const MILLIS: fn(u64) -> Duration = Duration::from_millis;

#[test]
fn an_answer_of_envoys_own_is_passed_on_before_any_request_was_shown() {
    let picker = TestPicker::idle(1);
    let gateway = picker.gateway();
    for (headers, head) in [(&[][..], true), (EVENTS, false)] {
        let mut exchange = gateway.open();
        if head {
            let said = exchange.respond(401, headers, &[b"who are you", b""], false);
            assert_eq!(said.body, b"who are you");
        } else {
            // With `response_header_mode: SKIP` its body comes first.
            exchange.send(&messages::response_body(b"no", true));
            assert!(
                matches!(body(exchange.next()), Some(Mutation::StreamedResponse(piece)) if piece.body == b"no")
            );
        }
        exchange.half_close();
        assert!(exchange.next().is_none(), "the stream ends well");
    }
    eventually("they are over", || picker.ended("gateway") == 2.0);
}

fn body(answer: Option<Result<ProcessingResponse, tonic::Status>>) -> Option<Mutation> {
    match answer.expect("an answer").expect("a good one").response {
        Some(Response::ResponseBody(body)) => body.response?.body_mutation?.mutation,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_response_whose_head_is_not_shown_comes_whole_and_is_seen_to_its_end() {
    let picker = TestPicker::idle(1);
    let mut exchange = picker.gateway().ask(&chat()).exchange;
    let parts: [&[u8]; 2] = [
        b"data: {\"usage\":{\"prompt_tokens\":7,\"total_tokens\":17,\"completion_tokens\":10}}\n\n",
        b"data: [DONE]\n\n",
    ];
    for (number, part) in parts.iter().enumerate() {
        exchange.send(&messages::response_body(part, number == 1));
        let Some(Mutation::StreamedResponse(piece)) = body(exchange.next()) else { panic!("a piece") };
        assert_eq!(piece.body, *part);
    }
    eventually("it is over", || picker.in_flight(0) == 0);
    assert_eq!(picker.router.metric("warmlane_used_tokens_total{kind=\"completion\"}"), 10.0);
    assert_eq!(picker.router.metric("warmlane_endpoint_failures_total{"), 0.0);
}

#[test]
fn a_rewritten_response_that_trailers_end_loses_nothing() {
    let picker = TestPicker::idle(1);
    let gateway = picker.gateway();
    let rewritten = chat().header("x-gateway-model-name-rewrite", "a");
    let text = b"{\"model\":\"a\",\"end\":\"mod";
    for mode in [BodySendMode::Streamed, BodySendMode::Buffered, BodySendMode::FullDuplexStreamed] {
        let mut asked = rewritten.clone();
        asked.modes = (FULL_DUPLEX.0, mode);
        let mut exchange = gateway.ask(&asked).exchange;
        exchange.send(&messages::response_headers(&[(":status", "200")], false));
        exchange.next();
        exchange.send(&messages::response_body(text, false));
        exchange.send(&messages::response_trailers());
        let mut got = Vec::new();
        loop {
            match exchange.next().expect("an answer").expect("a good one").response {
                Some(Response::ResponseTrailers(_)) => break,
                Some(Response::ResponseBody(body)) => {
                    match body.response.and_then(|common| common.body_mutation).and_then(|body| body.mutation)
                    {
                        Some(Mutation::Body(body)) => got.extend(body),
                        Some(Mutation::StreamedResponse(piece)) => got.extend(piece.body),
                        other => panic!("{other:?}"),
                    }
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(got, b"{\"model\":\"m\",\"end\":\"mod", "{mode:?}");
        eventually("it is over", || picker.in_flight(0) == 0);
    }
}

#[test]
fn a_body_that_trailers_end_is_complete_where_trailers_are_not_shown() {
    let picker = TestPicker::idle(1);
    let gateway = picker.gateway();
    let mut asked = chat();
    asked.modes = (FULL_DUPLEX.0, BodySendMode::Streamed);
    for (text, how) in [
        (&b"data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"[..], "complete"),
        (b"data: {\"choices\":[{\"delta\":{}}]}\n\n", "abandoned"),
    ] {
        let mut exchange = gateway.ask(&asked).exchange;
        exchange.send(&messages::response_headers(&[(":status", "200"), EVENTS[0]], false));
        exchange.next();
        exchange.send(&messages::response_body(text, false));
        exchange.next();
        exchange.half_close();
        assert!(exchange.next().is_none());
        eventually(how, || picker.ended(how) == 1.0 && picker.in_flight(0) == 0);
    }
}

#[test]
fn a_buffered_response_is_counted_once_whether_its_trailers_are_shown_or_not() {
    let picker = TestPicker::idle(1);
    let gateway = picker.gateway();
    let mut asked = chat();
    asked.modes = (FULL_DUPLEX.0, BodySendMode::Buffered);
    let text = b"{\"usage\":{\"prompt_tokens\":7,\"total_tokens\":17,\"completion_tokens\":10}}";
    for (trailers, completed) in [(true, 1.0), (false, 2.0)] {
        let mut exchange = gateway.ask(&asked).exchange;
        exchange.send(&messages::response_headers(&[(":status", "200")], false));
        exchange.next();
        exchange.send(&messages::response_body(text, false));
        exchange.next();
        if trailers {
            exchange.send(&messages::response_trailers());
            exchange.next();
        }
        exchange.half_close();
        assert!(exchange.next().is_none());
        eventually("it is complete", || picker.ended("complete") == completed);
        let used = picker.router.metric("warmlane_used_tokens_total{kind=\"completion\"}");
        assert_eq!(used, 10.0 * completed, "trailers: {trailers}");
    }
}

#[test]
fn a_conversation_goes_on_where_its_response_was_made() {
    let picker = TestPicker::idle(4);
    let gateway = picker.gateway();
    let first = gateway.ask(&Asked::post("/v1/responses", r#"{"model":"m","input":"hi"}"#));
    let (home, mut exchange) = (first.destination.clone(), first.exchange);
    exchange.respond(200, &[], &[b"{\"id\":\"resp_abc\",\"status\":\"completed\"}", b""], false);
    for _ in 0..8 {
        let next = r#"{"model":"m","input":"and?","previous_response_id":"resp_abc"}"#;
        assert_eq!(gateway.ask(&Asked::post("/v1/responses", next)).destination, home);
    }
}

#[test]
fn a_model_header_of_the_clients_is_taken_off_where_the_router_sets_none() {
    let picker = TestPicker::idle(1);
    let answer = picker.gateway().ask(&Asked::get("/v1/models").header("x-gateway-model-name", "spoofed"));
    assert_eq!(answer.remove_headers, ["x-gateway-model-name"]);
    let answer = picker.gateway().ask(&chat().header("x-gateway-model-name", "spoofed"));
    assert_eq!(answer.header("x-gateway-model-name"), Some("m"));
}

#[test]
fn errors_have_the_shape_of_the_api_that_was_asked() {
    let picker = TestPicker::with(&[Said::default()], |config| config.timeouts.request = MILLIS(200));
    let asked = Asked::post("/v1/messages", CHAT.replace("}]}", "}],\"max_tokens\":5}"));
    let mut exchange = picker.gateway().ask(&asked).exchange;
    let Some(Response::ImmediateResponse(late)) =
        exchange.next().expect("an answer").expect("a good one").response
    else {
        panic!("no answer of the router's own")
    };
    let object: serde_json::Value = serde_json::from_slice(&late.body).expect("an object");
    assert_eq!(object["type"], "error", "{object}");
}
