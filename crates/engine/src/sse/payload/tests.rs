//! Payloads as recorded from vLLM, and those of other shapes.

use std::fs;

use proptest::prelude::*;

use super::super::Splitter;
use super::*;

/// A recorded answer: its body, without head and chunk framing.
fn recorded(name: &str) -> Vec<u8> {
    let path = format!("{}/../../tests/fixtures/http/vllm-0.32-{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let answer = fs::read_to_string(path).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    if !head.contains("transfer-encoding: chunked") {
        return body.into();
    }
    let (mut rest, mut plain) = (body, Vec::new());
    loop {
        let (size, after) = rest.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return plain;
        }
        plain.extend_from_slice(&after.as_bytes()[..size]);
        rest = &after[size + 2..];
    }
}

/// Kinds of the events of a recorded stream, and what they report in all.
fn watch(name: &str) -> (Vec<Kind>, Report) {
    let (mut kinds, mut report) = (Vec::new(), Report::default());
    Splitter::default().push(&recorded(name), |event| {
        kinds.push(kind(event));
        report.absorb(Report::of(event.data));
    });
    (kinds, report)
}

fn report(prompt_tokens: u64, completion_tokens: u64, cached_tokens: Option<u64>, finish: Finish) -> Report {
    Report { usage: Some(Usage { prompt_tokens, completion_tokens, cached_tokens }), finish: Some(finish) }
}

fn event(data: &str) -> Event<'_> {
    Event { name: b"", data: data.as_bytes() }
}

#[test]
fn recorded_answers_state_usage_and_finish() {
    for (name, expected) in [
        ("completion", report(7, 8, Some(0), Finish::Length)),
        ("completion-cached", report(133, 4, Some(128), Finish::Length)),
        ("chat", report(15, 8, Some(0), Finish::Length)),
        ("adapter-chat", report(15, 8, Some(0), Finish::Length)),
        ("responses", report(15, 8, Some(0), Finish::Length)),
        ("responses-cached", report(145, 4, Some(128), Finish::Length)),
        ("messages", report(15, 8, Some(0), Finish::Length)),
        ("messages-cached", report(145, 4, Some(128), Finish::Length)),
    ] {
        assert_eq!(Report::of(&recorded(name)), expected, "{name}");
        assert!(!is_error(&recorded(name)), "{name}");
    }
}

#[test]
fn recorded_streams_state_usage_and_finish() {
    for (name, expected) in [
        ("completion-stream", report(7, 8, Some(0), Finish::Length)),
        ("chat-stream", report(15, 8, Some(0), Finish::Length)),
        ("chat-stream-continuous-usage", report(15, 3, Some(0), Finish::Length)),
        ("adapter-completion-stream", report(7, 4, Some(0), Finish::Length)),
        ("responses-stream", report(15, 8, Some(0), Finish::Length)),
        ("messages-stream", report(15, 8, Some(0), Finish::Length)),
        ("chat-stream-no-usage", Report { usage: None, finish: Some(Finish::Length) }),
    ] {
        assert_eq!(watch(name).1, expected, "{name}");
    }
}

#[test]
fn only_completion_streams_end_with_done() {
    for (name, events, done) in [
        ("chat-stream", 11, true),
        ("completion-stream", 10, true),
        ("messages-stream", 13, false),
        ("responses-stream", 14, false),
    ] {
        let (kinds, _) = watch(name);
        assert_eq!((kinds.len(), kinds.last() == Some(&Kind::Done)), (events, done), "{name}");
        assert!(!kinds.contains(&Kind::Error), "{name}");
    }
}

#[test]
fn an_engine_that_shuts_down_shows_in_the_stream() {
    assert_eq!(watch("chat-stream-sigterm").1.finish, Some(Finish::Abort));
    assert_eq!(watch("messages-stream-sigterm").0.last(), Some(&Kind::Error));
}

#[test]
fn recorded_errors_are_errors() {
    for name in ["error-404-model", "error-400-truncated", "messages-error-404-model"] {
        assert!(is_error(&recorded(name)), "{name}");
        assert_eq!(Report::of(&recorded(name)), Report::default(), "{name}");
    }
}

#[test]
fn errors_are_told_from_data() {
    for error in
        [r#"{"error":{"message":"x","code":500}}"#, r#" { "error" : "x" }"#, r#"{"type":"error","error":{}}"#]
    {
        assert_eq!(kind(event(error)), Kind::Error, "{error}");
    }
    for data in [
        r#"{"error":null,"id":"x"}"#,
        r#"{"errors":[]}"#,
        r#"{"id":"\"error\":{}"}"#,
        "",
        "{",
        r#"{"type":"errors"}"#,
    ] {
        assert_eq!(kind(event(data)), Kind::Data, "{data}");
    }
    assert_eq!(kind(Event { name: b"response.failed", data: b"{}" }), Kind::Error);
    assert_eq!(kind(event(" [DONE] ")), Kind::Done);
}

#[test]
fn every_reason_to_end_is_known_in_every_shape() {
    for (payload, finish) in [
        (r#"{"choices":[{"finish_reason":null},{"finish_reason":"stop"}]}"#, Finish::Stop),
        (r#"{"choices":[{"finish_reason":"tool_calls"}]}"#, Finish::ToolCalls),
        (r#"{"choices":[{"finish_reason":"repetition"}]}"#, Finish::Other),
        (r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#, Finish::Stop),
        (r#"{"type":"message","stop_reason":"tool_use"}"#, Finish::ToolCalls),
        (r#"{"status":"completed","incomplete_details":null,"usage":{"input_tokens":1}}"#, Finish::Stop),
        (
            r#"{"response":{"status":"incomplete","incomplete_details":{"reason":"content_filter"}}}"#,
            Finish::ContentFilter,
        ),
    ] {
        assert_eq!(Report::of(payload.as_bytes()).finish, Some(finish), "{payload}");
    }
}

#[test]
fn usage_spread_over_two_events_adds_up() {
    let mut report =
        Report::of(br#"{"type":"message_start","message":{"usage":{"input_tokens":7,"cache_read_input_tokens":32,"output_tokens":1}}}"#);
    report.absorb(Report::of(
        br#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}"#,
    ));
    assert_eq!(report, self::report(39, 9, Some(32), Finish::Stop));
}

#[test]
fn odd_values_say_nothing() {
    for payload in [
        r#"{"usage":null,"choices":[]}"#,
        r#"{"usage":"many"}"#,
        r#"{"usage":{"prompt_tokens":-1}}"#,
        r#"{"usage":{}}"#,
        r#"{"usage":{"prompt_tokens":1}"#,
        r#"{"choices":[{"text":"\"usage\":{\"prompt_tokens\":1}","finish_reason":null}]}"#,
        r#"{"choices":{"finish_reason":"stop"}}"#,
        r#"[{"usage":{"prompt_tokens":1}}]"#,
    ] {
        assert_eq!(Report::of(payload.as_bytes()), Report::default(), "{payload}");
    }
}

#[test]
fn endless_nesting_does_not_recurse() {
    let deep = 200_000;
    let payload =
        format!("{}{{\"usage\":{{\"prompt_tokens\":1}}}}{}", "{\"response\":".repeat(deep), "}".repeat(deep));
    assert_eq!(Report::of(payload.as_bytes()), Report::default());
}

proptest! {
    #[test]
    fn any_payload_is_inspected_without_panic(data in "(\\{|\"usage\":|\"error\":|\"response\":|\"delta\":|[{}\\[\\]a-z0-9\",:\\\\ ]){0,40}") {
        let _ = kind(event(&data));
        let _ = Report::of(data.as_bytes());
    }
}

#[test]
fn a_piece_that_begins_with_the_engines_own_failure_is_told_from_tokens_and_from_the_clients_fault() {
    let failures = [
        &b"data: {\"error\":{\"message\":\"EngineCore died\",\"type\":\"InternalServerError\",\"param\":null,\"code\":500}}\n\n"[..],
        b"data:{\"error\":{\"message\":\"x\"}}\n\ndata: [DONE]\n\n",
        b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"internal_error\",\"message\":\"x\"}}\n\n",
        b"event: response.failed\r\ndata: {}\r\n\r\n",
    ];
    for piece in failures {
        assert!(begins_with_failure(piece), "{}", piece.escape_ascii());
    }
    let others = [
        &b"data: {\"id\":\"cmpl-1\",\"choices\":[{\"text\":\"data: {\\\"error\\\":1}\"}]}\n\n"[..],
        b"data: {\"error\":{\"message\":\"too long\",\"type\":\"BadRequestError\",\"code\":400}}\n\n",
        b"event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"x\"}}\n\n",
        b"data: {\"error\":null}\n\n",
        b"data: [DONE]\n\n",
        b"event: message_start\ndata: {\"type\":\"message_start\"}\n\n",
        b": ping\n\n",
        b"",
    ];
    for piece in others {
        assert!(!begins_with_failure(piece), "{}", piece.escape_ascii());
    }
}
