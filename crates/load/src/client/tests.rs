use std::sync::{Arc, Mutex};

use warmlane_engine::sse::payload::Usage;

use super::*;
use crate::{
    request::Prompt,
    scripted::{Answer, Scripted, response, stream},
};

fn request() -> Request {
    Request::new("m", Prompt::Text("hello".into()), 3)
}

async fn outcome_of(answer: fn() -> Answer) -> Outcome {
    let server = Scripted::start(move |_| async move { answer() }).await;
    Client::new(server.addr).send(&request()).await
}

fn kind(outcome: &Outcome) -> String {
    outcome.failure.as_ref().unwrap().kind()
}

#[tokio::test]
async fn a_stream_gives_tokens_usage_and_the_serving_replica() {
    let outcome = outcome_of(|| Answer::Send(stream(3))).await;
    assert!(outcome.ok(), "{outcome:?}");
    assert_eq!((outcome.chunks, outcome.gaps.len()), (3, 2));
    assert_eq!(outcome.usage, Some(Usage { prompt_tokens: 8, completion_tokens: 3, cached_tokens: Some(2) }));
    assert_eq!(outcome.endpoint.as_deref(), Some("10.0.0.7:8000"));
    assert!(outcome.ttft.unwrap() <= outcome.e2e);
}

#[tokio::test]
async fn a_whole_reply_gives_usage_and_no_ttft() {
    let body = r#"{"choices":[{"text":"a"}],"usage":{"prompt_tokens":8,"completion_tokens":3}}"#;
    let server =
        Scripted::start(move |_| async move { Answer::Send(response("200 OK", "application/json", body)) });
    let server = server.await;
    let outcome = Client::new(server.addr).send(&request().whole()).await;
    assert!(outcome.ok(), "{outcome:?}");
    assert_eq!((outcome.ttft, outcome.output_tokens()), (None, 3));
}

#[tokio::test]
async fn the_request_carries_session_headers_and_body() {
    let seen = Arc::new(Mutex::new(String::new()));
    let keep = Arc::clone(&seen);
    let server = Scripted::start(move |text| {
        *keep.lock().unwrap() = text;
        async { Answer::Send(stream(1)) }
    })
    .await;
    let mut request = request().in_session("s-1");
    request.headers.push((HeaderName::from_static("x-tier"), HeaderValue::from_static("gold")));
    Client::new(server.addr).send(&request).await;
    let seen = seen.lock().unwrap();
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /v1/completions HTTP/1.1\r\n"), "{head}");
    for line in ["x-session-id: s-1", "x-tier: gold", "content-type: application/json"] {
        assert!(head.contains(line), "{head}");
    }
    assert!(head.contains(&format!("host: {}", server.addr)));
    assert_eq!(body.as_bytes(), request.body());
}

#[tokio::test]
async fn one_connection_serves_request_after_request() {
    let server = Scripted::start(|_| async { Answer::Send(stream(2)) }).await;
    let client = Client::new(server.addr);
    for _ in 0..5 {
        assert!(client.send(&request()).await.ok());
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_connection_closed_while_idle_is_replaced() {
    let server = Scripted::start(|_| async { Answer::SendAndClose(stream(2)) }).await;
    let client = Client::new(server.addr);
    for _ in 0..3 {
        assert!(client.send(&request()).await.ok());
        // Lets the close arrive: a request that races with it may fail, as with any client.
        while !client.pool.all_closed() {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn an_error_status_is_a_failure_with_the_servers_message() {
    let outcome = outcome_of(|| {
        let body = r#"{"error":{"message":"no such model","code":404}}"#;
        Answer::Send(response("404 Not Found", "application/json", body))
    })
    .await;
    assert_eq!((outcome.status, kind(&outcome).as_str()), (Some(404), "status_404"));
    assert!(outcome.failure.unwrap().to_string().contains("no such model"));
}

#[tokio::test]
async fn a_stream_cut_in_the_middle_is_truncated_and_keeps_what_came() {
    let outcome = outcome_of(|| {
        let whole = stream(3);
        Answer::SendAndClose(whole[..whole.len() - 20].to_vec())
    })
    .await;
    assert_eq!((outcome.chunks, kind(&outcome).as_str()), (3, "truncated"));
}

#[tokio::test]
async fn a_stream_that_ends_cleanly_without_its_end_mark_is_truncated() {
    let outcome = outcome_of(|| {
        Answer::Send(response("200 OK", "text/event-stream", "data: {\"choices\":[{\"text\":\"a\"}]}\n\n"))
    })
    .await;
    assert_eq!((outcome.chunks, kind(&outcome).as_str()), (1, "truncated"));
}

#[tokio::test]
async fn a_close_before_the_head_is_told_apart() {
    let outcome = outcome_of(|| Answer::SendAndClose(Vec::new())).await;
    assert_eq!((outcome.status, kind(&outcome).as_str()), (None, "closed"));
}

#[tokio::test]
async fn a_refused_connection_names_the_address() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let outcome = Client::new(addr).send(&request()).await;
    assert_eq!(kind(&outcome), "connect");
    assert!(outcome.failure.unwrap().to_string().contains(&addr.to_string()));
}

#[tokio::test]
async fn a_server_that_never_answers_ends_in_a_timeout() {
    let server = Scripted::start(|_| async { Answer::Hang }).await;
    let client = Client::new(server.addr).with_limit(Duration::from_millis(20));
    assert_eq!(kind(&client.send(&request()).await), "timeout");
}

#[tokio::test]
async fn a_page_is_fetched_and_an_error_page_is_an_error() {
    let server = Scripted::start(|text| async move {
        let found = text.starts_with("GET /metrics HTTP/1.1\r\n");
        Answer::Send(if found {
            response("200 OK", "text/plain", "a 1\n")
        } else {
            response("404 Not Found", "text/plain", "no")
        })
    })
    .await;
    let client = Client::new(server.addr);
    assert_eq!(client.get("/metrics").await.unwrap(), b"a 1\n");
    assert_eq!(client.get("/other").await.unwrap_err().kind(), "status_404");
    assert_eq!(client.get("no path").await.unwrap_err().kind(), "malformed");
}
