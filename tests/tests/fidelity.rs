//! What arrives at the engine is what the client sent, byte for byte, and so is what comes back.

use warmlane_tests::{Behaviour, RawEngine, Seen, TestRouter, engine::answer};

fn engine() -> RawEngine {
    RawEngine::start(Behaviour::Answer(answer("application/json", br#"{"ok":true}"#)))
}

/// Sends `body` to the chat endpoint and returns what the engine got.
fn through(body: &[u8], headers: &str) -> Seen {
    let engine = engine();
    let router = TestRouter::start(&[engine.address()]);
    let mut client = router.aware();
    let length = body.len();
    let head =
        format!("POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\n{headers}Content-Length: {length}\r\n\r\n");
    client.send(&[head.as_bytes(), body].concat());
    let response = client.response();
    assert_eq!(response.status, 200, "{}", response.text());
    engine.wait_for(1).remove(0)
}

#[test]
fn bodies_arrive_byte_for_byte() {
    let cases: [&[u8]; 6] = [
        br#"{"model":"m","messages":[{"role":"user","content":"hi"}],"unknown_field":{"x":[1,2.50,null]},"n":1e3}"#,
        br#"{"messages":[{"role":"made-up","content":"hi"},{"role":"developer","content":null}],"model":"m"}"#,
        b"  {\r\n\t\"model\" :\n\"m\" ,\"messages\": [ ] , \"temperature\":0.70 }  \n",
        br#"{"model":"m","messages":[{"role":"user","content":"\u0041\ud83d\ude00 \/ \" \\ \u00e9"}]}"#,
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"日本語 🚀 é\"}]}".as_bytes(),
        br#"{"model":"x","model":"m","messages":[],"messages":[{"role":"user","content":"twice"}]}"#,
    ];
    for body in cases {
        assert_eq!(through(body, "").body, body, "{}", String::from_utf8_lossy(body));
    }
}

#[test]
fn token_id_prompts_arrive_byte_for_byte() {
    let engine = engine();
    let router = TestRouter::start(&[engine.address()]);
    let ids: Vec<String> = (0..5_000).map(|i| (i * 7 % 2_048).to_string()).collect();
    for prompt in
        [format!("[{}]", ids.join(", ")), format!("[[{}],[1,2]]", ids.join(",")), "[\"a\",\"b\"]".to_owned()]
    {
        let body = format!(r#"{{"prompt":{prompt},"model":"m","max_tokens":1}}"#);
        let before = engine.seen().len();
        assert_eq!(router.aware().post("/v1/completions", &body).status, 200);
        assert_eq!(engine.wait_for(before + 1)[before].body, body.as_bytes());
    }
}

#[test]
fn a_prompt_of_20_mb_arrives_byte_for_byte() {
    let text: String = (0..2_400_000).map(|i| format!("word{} ", i % 9_973)).collect();
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"{text}"}}]}}"#);
    assert!(body.len() > 20_000_000, "{}", body.len());
    // Compared without printing 20 MB on failure.
    assert!(through(body.as_bytes(), "").body == body.as_bytes());
}

#[test]
fn chunked_bodies_keep_their_framing() {
    let engine = engine();
    let router = TestRouter::start(&[engine.address()]);
    let mut client = router.aware();
    let chunks = "19;ext=1\r\n{\"model\":\"m\",\"messages\":[\r\n2\r\n]}\r\n0\r\n\r\n";
    client.send(
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
        )
        .as_bytes(),
    );
    assert_eq!(client.response().status, 200);
    assert_eq!(engine.wait_for(1)[0].body, chunks.as_bytes());
}

#[test]
fn end_to_end_headers_keep_order_case_and_value_and_hop_by_hop_ones_go() {
    let headers = "X-Custom: a,  b\r\nAuthorization: Bearer s3cret\r\nCookie: a=b; c=\"d e\"\r\nx-lower: 1\r\nX-Custom: twice\r\n\
                   Connection: keep-alive, x-hop\r\nX-Hop: gone\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\n\
                   x-gateway-destination-endpoint: 10.0.0.1:1\r\nX-Request-Id: my-id\r\n";
    let seen = through(br#"{"model":"m","messages":[]}"#, headers);
    let expected = "POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nX-Custom: a,  b\r\nAuthorization: Bearer s3cret\r\n\
                    Cookie: a=b; c=\"d e\"\r\nx-lower: 1\r\nX-Custom: twice\r\nx-gateway-destination-endpoint: 10.0.0.1:1\r\n\
                    X-Request-Id: my-id\r\nContent-Length: 27\r\n\r\n";
    assert_eq!(seen.head, expected);
}

#[test]
fn any_method_path_and_query_is_passed_on() {
    let engine = engine();
    let router = TestRouter::start(&[engine.address()]);
    for (at, line) in [
        "GET /a/b?x=1&y=%20 HTTP/1.1",
        "DELETE /v1/files/7 HTTP/1.1",
        "PUT /p HTTP/1.1",
        "OPTIONS * HTTP/1.1",
    ]
    .iter()
    .enumerate()
    {
        let mut client = if at % 2 == 0 { router.aware() } else { router.plain() };
        client.send(format!("{line}\r\nHost: h\r\n\r\n").as_bytes());
        assert_eq!(client.response().status, 200, "{line}");
        assert!(engine.wait_for(at + 1)[at].head.starts_with(line), "{line}");
    }
}

#[test]
fn bodies_that_are_not_inference_calls_are_not_looked_at() {
    let engine = engine();
    let router = TestRouter::start(&[engine.address()]);
    let body = "{not json";
    assert_eq!(router.aware().post("/v1/audio/transcriptions", body).status, 200);
    assert_eq!(
        router.plain().post("/v1/chat/completions", body).status,
        200,
        "the plain listener reads nothing"
    );
    assert!(engine.wait_for(2).iter().all(|seen| seen.body == body.as_bytes()));
}

#[test]
fn responses_come_back_byte_for_byte_with_the_endpoint_named() {
    let chunks = "1c;note=x\r\ndata: {\"choices\":[{\"a\":1}]}\n\r\ne\r\ndata: [DONE]\n\n\r\n0\r\nX-Trailer: t\r\n\r\n";
    let head = "HTTP/1.1 200 Fine\r\nServer: uvicorn\r\nx-CASE: Kept\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n";
    let engine = RawEngine::start(Behaviour::AnswerAndClose(format!("{head}\r\n{chunks}").into_bytes()));
    let router = TestRouter::start(&[engine.address()]);
    let mut client = router.aware();
    client.send(b"POST /v1/completions HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 29\r\n\r\n{\"model\":\"m\",\"stream\":true  }");
    let all = client.rest();
    let text = String::from_utf8_lossy(&all);
    assert!(text.starts_with(head), "{text}");
    assert!(text.ends_with(chunks), "{text}");
    assert!(text.contains(&format!("x-warmlane-endpoint: {}\r\n", engine.address())), "{text}");
}

#[test]
fn a_request_without_an_id_gets_one_that_both_sides_see() {
    let engine = engine();
    let router = TestRouter::start(&[engine.address()]);
    let response = router.aware().post("/v1/completions", r#"{"model":"m","prompt":"x"}"#);
    let id = response.header("x-request-id").expect("id").to_owned();
    assert_eq!(id.len(), 32);
    assert!(engine.wait_for(1)[0].head.contains(&format!("x-request-id: {id}\r\n")));
    let kept = router.aware().post_with(
        "/v1/completions",
        "X-Request-ID: mine\r\n",
        r#"{"model":"m","prompt":"x"}"#,
    );
    assert_eq!(kept.header("x-request-id"), Some("mine"));
}

#[test]
fn a_model_rewrite_changes_the_model_value_and_nothing_else() {
    use warmlane_picker::Criticality;
    use warmlane_router::config::{ModelRule, Target};
    let engine = engine();
    let router = TestRouter::with(&[engine.address()], |config| {
        let targets = vec![Target { name: "a".to_owned(), weight: 1 }];
        config.models =
            vec![ModelRule { name: "travel".to_owned(), criticality: Criticality::Standard, targets }];
    });
    let sent = "{\"x\": 1.0, \"mod\\u0065l\" : \"travel\", \"prompt\":\"travel\"}";
    assert_eq!(router.aware().post("/v1/completions", sent).status, 200);
    let seen = engine.wait_for(1).remove(0);
    let expected = "{\"x\": 1.0, \"mod\\u0065l\" : \"a\", \"prompt\":\"travel\"}";
    assert_eq!(String::from_utf8_lossy(&seen.body), expected);
    assert!(seen.head.contains(&format!("Content-Length: {}\r\n", expected.len())), "{}", seen.head);

    let mut client = router.aware();
    let chunks = "b\r\n{\"model\":\"t\r\n8\r\nravel\"}\n\r\n0\r\n\r\n";
    client.send(
        format!("POST /v1/completions HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}")
            .as_bytes(),
    );
    assert_eq!(client.response().status, 200);
    let seen = engine.wait_for(2).remove(1);
    assert_eq!(String::from_utf8_lossy(&seen.body), "{\"model\":\"a\"}\n");
    assert!(!seen.head.to_lowercase().contains("transfer-encoding"), "{}", seen.head);
}
