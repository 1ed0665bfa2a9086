//! Requests that cannot be served: a clear answer, and nothing else is lost.

use warmlane_picker::Criticality;
use warmlane_router::config::{ModelRule, UnknownModel};
use warmlane_tests::{Behaviour, RawEngine, Response, TestRouter, engine::answer, eventually};

fn engine() -> RawEngine {
    RawEngine::start(Behaviour::Answer(answer("application/json", br#"{"ok":true}"#)))
}

fn error_of(response: &Response) -> (u16, String) {
    let json = response.json();
    let error = &json["error"];
    assert_eq!(error["code"], response.status, "{json}");
    assert!(error["type"].is_string() && error["message"].is_string(), "{json}");
    (response.status, error["message"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn bodies_that_cannot_be_routed_get_400_and_the_connection_goes_on() {
    let engine = engine();
    let router = TestRouter::start(&[engine.address()]);
    let mut client = router.aware();
    for (body, hint) in [
        ("", "empty or ends before"),
        (r#"{"model":"m","prompt":"cut"#, "ends before"),
        ("hello", "not valid JSON"),
        ("[1]", "not an object"),
        (r#"{"prompt":"x"}"#, "names no model"),
        (r#"{"model":7}"#, "not a string"),
        (r#"{"model":"m",}"#, "not valid JSON"),
    ] {
        let (status, message) = error_of(&client.post("/v1/completions", body));
        assert_eq!(status, 400, "{body}");
        assert!(message.contains(hint), "{body}: {message}");
    }
    assert_eq!(
        client.post("/v1/completions", r#"{"model":"m"}"#).status,
        200,
        "the same connection still works"
    );
    assert_eq!(engine.wait_for(1).len(), 1, "nothing of the bad ones reached the engine");
}

#[test]
fn the_messages_api_gets_errors_of_its_own_shape() {
    let engine = engine();
    let router = TestRouter::start(&[engine.address()]);
    let response = router.aware().post("/v1/messages", "{");
    assert_eq!((response.status, response.json()["type"].as_str()), (400, Some("error")));
}

#[test]
fn an_unknown_model_gets_404_with_the_served_names() {
    let engine = engine();
    let router = TestRouter::start(&[engine.address()]);
    eventually("the list of models is known", || {
        router.aware().post("/v1/completions", r#"{"model":"gpt-9"}"#).status == 404
    });
    let (status, message) = error_of(&router.aware().post("/v1/completions", r#"{"model":"gpt-9"}"#));
    assert_eq!(status, 404);
    assert!(message.contains("`gpt-9`") && message.contains("a, m"), "{message}");
    assert_eq!(router.aware().post("/v1/completions", r#"{"model":"a"}"#).status, 200, "adapters are served");
}

#[test]
fn an_unknown_model_passes_where_configured_or_while_a_list_is_unknown() {
    let (known, unknown) = (engine(), engine());
    unknown.models("not a list");
    let router = TestRouter::start(&[known.address(), unknown.address()]);
    assert_eq!(
        router.aware().post("/v1/completions", r#"{"model":"gpt-9"}"#).status,
        200,
        "one has not said"
    );
    let router = TestRouter::with(&[known.address()], |config| config.unknown_model = UnknownModel::Pass);
    assert_eq!(router.aware().post("/v1/completions", r#"{"model":"gpt-9"}"#).status, 200);
}

#[test]
fn a_body_over_the_limit_gets_413() {
    let engine = engine();
    let router = TestRouter::with(&[engine.address()], |config| config.limits.body = 1_000);
    let body = format!(r#"{{"model":"m","prompt":"{}"}}"#, "x".repeat(2_000));
    let (status, message) = error_of(&router.aware().post("/v1/completions", &body));
    assert_eq!(status, 413);
    assert!(message.contains("1000 bytes") && message.contains("--body-limit"), "{message}");
    let mut client = router.aware();
    let chunk = format!("{:x}\r\n{body}\r\n", body.len());
    client.send(
        format!("POST /v1/completions HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}")
            .as_bytes(),
    );
    assert_eq!(client.response().status, 413, "chunked, before its end");
}

#[test]
fn bodies_over_the_process_budget_get_503_with_retry_after() {
    let engine = engine();
    let router = TestRouter::with(&[engine.address()], |config| config.limits.body_budget = 200_000);
    let body = format!(r#"{{"model":"m","prompt":"{}"}}"#, "x".repeat(400_000));
    let response = router.aware().post("/v1/completions", &body);
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
    assert_eq!(
        router.aware().post("/v1/completions", r#"{"model":"m"}"#).status,
        200,
        "the budget came back"
    );
}

#[test]
fn an_upload_that_is_cut_off_gets_400_not_a_hang() {
    let engine = engine();
    let router = TestRouter::start(&[engine.address()]);
    let mut client = router.aware();
    client.send(b"POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{\"model\":");
    let stream = client.into_stream();
    stream.shutdown(std::net::Shutdown::Write).expect("half close");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut &stream, &mut text).expect("answer");
    assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
}

#[test]
fn all_replicas_down_gets_503_with_the_reason() {
    let engine = engine();
    let router = TestRouter::start(&[engine.address()]);
    engine.stop();
    eventually("the router notices", || router.ready_endpoints() == 0);
    for mut client in [router.aware(), router.plain()] {
        let response = client.post("/v1/completions", r#"{"model":"m"}"#);
        let (status, message) = error_of(&response);
        assert_eq!(status, 503);
        assert!(message.contains("1 not ready"), "{message}");
        assert!(response.header("retry-after").is_some());
    }
    assert_eq!(router.metrics().get("/readyz").status, 503);
    assert_eq!(router.metrics().get("/healthz").status, 200);
}

#[test]
fn the_model_list_is_merged_also_while_a_replica_is_down() {
    let (one, two) = (engine(), engine());
    two.models(
        r#"{"object":"list","data":[{"id":"m","object":"model"},{"id":"b","object":"model","parent":"m"}]}"#,
    );
    let router = TestRouter::start(&[one.address(), two.address()]);
    let ids = || -> Vec<String> {
        let list = router.aware().get("/v1/models").json();
        let data = list["data"].as_array().cloned().unwrap_or_default();
        data.iter().filter_map(|model| model["id"].as_str().map(str::to_owned)).collect()
    };
    eventually("both lists are merged", || ids() == ["m", "a", "b"]);
    two.stop();
    eventually("the router notices", || router.ready_endpoints() == 1);
    let response = router.aware().get("/v1/models");
    assert_eq!(response.status, 200);
    assert!(ids().contains(&"m".to_owned()));
}

#[test]
fn sheddable_requests_are_shed_only_when_every_replica_is_saturated() {
    let (busy, idle) = (engine(), engine());
    let page = String::from_utf8_lossy(include_bytes!("../fixtures/metrics/vllm-0.32-metrics-load-lora.txt"))
        .into_owned();
    busy.metrics(page.as_bytes());
    let router = TestRouter::with(&[busy.address(), idle.address()], |config| {
        let rule =
            |name: &str, criticality| ModelRule { name: name.to_owned(), criticality, targets: vec![] };
        config.models = vec![rule("m", Criticality::Sheddable), rule("a", Criticality::Critical)];
    });
    let queue = |router: &TestRouter| router.endpoints()[0]["signals"]["queue"]["value"].as_f64();
    eventually("the queue of 24 is known", || queue(&router) == Some(24.0));
    assert_eq!(router.aware().post("/v1/completions", r#"{"model":"m"}"#).status, 200, "one has room");
    idle.metrics(page.as_bytes());
    eventually("sheddable requests are shed", || {
        let response = router.aware().post("/v1/completions", r#"{"model":"m"}"#);
        response.status == 429 && response.header("retry-after").is_some()
    });
    assert_eq!(
        router.aware().post("/v1/completions", r#"{"model":"a"}"#).status,
        200,
        "critical ones are not"
    );
    eventually("it is counted", || router.metric("warmlane_shed_total") >= 1.0);
}

#[test]
fn ambiguous_framing_is_refused_and_never_reaches_the_engine() {
    let engine = engine();
    let router = TestRouter::start(&[engine.address()]);
    for head in [
        "POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 5, 6\r\n\r\n",
        "POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Length: +5\r\n\r\n",
        "POST /v1/completions HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost : h\r\n\r\n",
    ] {
        let mut client = router.aware();
        client.send(head.as_bytes());
        let response = client.response();
        assert_eq!(response.status, 400, "{head:?}");
        assert_eq!(response.header("connection"), Some("close"), "{head:?}");
    }
    assert_eq!(engine.seen().len(), 0);
}

#[test]
fn a_request_behind_a_refused_one_on_the_same_connection_is_served() {
    let engine = engine();
    let router = TestRouter::start(&[engine.address()]);
    let mut client = router.aware();
    let request = |body: &str| {
        format!("POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    client.send((request(r#"{"prompt":1}"#) + &request(r#"{"model":"m"}"#)).as_bytes());
    assert_eq!((client.response().status, client.response().status), (400, 200));
}

#[test]
fn an_empty_line_behind_a_body_is_no_request() {
    let engine = engine();
    let router = TestRouter::with(&[engine.address()], |config| {
        config.timeouts.client_head = std::time::Duration::from_millis(50);
        config.timeouts.client_idle = std::time::Duration::from_millis(100);
    });
    let mut client = router.aware();
    client
        .send(b"POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 13\r\n\r\n{\"model\":\"m\"}\r\n");
    assert_eq!(client.response().status, 200);
    assert_eq!(String::from_utf8_lossy(&client.rest()), "", "closed when idle, without a word");
}

#[test]
fn the_routers_own_answers_close_http_1_0_connections() {
    let engine = engine();
    let router = TestRouter::start(&[engine.address()]);
    for request in ["GET /v1/models HTTP/1.0", "POST /v1/completions HTTP/1.0"] {
        let mut client = router.aware();
        client.send(format!("{request}\r\nHost: h\r\nConnection: keep-alive\r\n\r\n").as_bytes());
        let all = client.rest();
        assert!(String::from_utf8_lossy(&all).contains("Connection: close"), "{request}");
    }
}

#[test]
fn bodies_that_never_come_hold_little_of_the_budget() {
    let engine = engine();
    let router = TestRouter::with(&[engine.address()], |config| config.limits.body_budget = 2 << 20);
    let waiting: Vec<_> = (0..40)
        .map(|_| {
            let mut client = router.aware();
            client.send(b"POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n{");
            client
        })
        .collect();
    let body = format!(r#"{{"model":"m","prompt":"{}"}}"#, "x".repeat(40_000));
    assert_eq!(router.aware().post("/v1/completions", &body).status, 200);
    drop(waiting);
}

#[test]
fn an_absurd_max_tokens_is_the_engines_to_judge() {
    let engine = engine();
    let router = TestRouter::start(&[engine.address()]);
    let body = r#"{"model":"m","prompt":"x","max_tokens":18446744073709551615}"#;
    assert_eq!(router.aware().post("/v1/completions", body).status, 200);
    assert!(engine.wait_for(1)[0].body == body.as_bytes());
}
