//! Ways to misbehave, as a client sees them.

use std::io::{BufReader, ErrorKind, Read};

use serde_json::{Value, json};
use warmlane_sim::server::{Mode, Running, Troubles, start};

use crate::client::{Answer, connect, engine, get, options, post, send};

fn ask(stream: bool) -> String {
    json!({"prompt": "hello", "max_tokens": 20, "stream": stream, "ignore_eos": true}).to_string()
}

/// All bytes of an answer, and how its connection ended.
fn raw(engine: &Running, stream: bool) -> (String, Option<ErrorKind>) {
    let mut socket = connect(engine.address());
    send(&mut socket, "POST", "/v1/completions", &[("connection", "close")], &ask(stream));
    let mut bytes = Vec::new();
    let end = socket.read_to_end(&mut bytes).err().map(|error| error.kind());
    (String::from_utf8_lossy(&bytes).into_owned(), end)
}

fn with(mode: Mode) -> Running {
    let mut options = options();
    options.troubles = Troubles::always(mode);
    start(options).unwrap()
}

#[test]
fn whole_answers_and_streams_are_cut_as_told() {
    for stream in [false, true] {
        let (bytes, end) = raw(&with(Mode::CloseMidBody), stream);
        assert!(bytes.starts_with("HTTP/1.1 200") && !bytes.ends_with("0\r\n\r\n"), "{bytes}");
        assert_eq!(end, None, "a proper close");
        let (bytes, end) = raw(&with(Mode::ResetMidStream), stream);
        assert!(bytes.starts_with("HTTP/1.1 200") || bytes.is_empty(), "{bytes}");
        assert_eq!(end, Some(ErrorKind::ConnectionReset));
        assert_eq!(raw(&with(Mode::Reset), stream), (String::new(), Some(ErrorKind::ConnectionReset)));
    }
    let (bytes, _) = raw(&with(Mode::WrongLength), false);
    let (head, body) = bytes.split_once("\r\n\r\n").unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    assert!(body.len() < length.parse().unwrap(), "{length}: {body}");
}

#[test]
fn errors_have_the_recorded_shapes() {
    let engine = with(Mode::Shutdown);
    let refused = post(&engine, "/v1/completions", &ask(true));
    assert_eq!(refused.status, 500);
    assert_eq!(refused.json()["error"]["message"], json!("cannot schedule new futures after shutdown"));
    assert_eq!(get(&engine, "/health").status, 200);
    assert_eq!(post(&with(Mode::Busy), "/v1/completions", &ask(false)).status, 503);
    for (mode, tokens) in [(Mode::ErrorEvent, 0), (Mode::ErrorMidStream, 3)] {
        let engine = with(mode);
        let answer = post(&engine, "/v1/completions", &ask(true));
        let events: Vec<Value> = answer.events();
        assert_eq!((answer.status, events.len()), (200, tokens + 2), "{mode}: {events:?}");
        assert_eq!(events[tokens]["error"]["code"], json!(500));
        assert_eq!(events[tokens + 1], json!("[DONE]"));
        assert_eq!(post(&engine, "/v1/completions", &ask(false)).status, 500, "{mode}");
    }
}

#[test]
fn faults_are_switched_on_and_off_while_it_runs() {
    let engine = engine();
    let fine = |engine: &Running| post(engine, "/v1/completions", &ask(false)).status;
    assert_eq!(fine(&engine), 200);
    assert_eq!(post(&engine, "/sim/fault", r#"{"modes": ["error-503"], "share": 1}"#).status, 200);
    assert_eq!(fine(&engine), 503);
    let page = get(&engine, "/metrics").body;
    assert_eq!(post(&engine, "/sim/fault", r#"{"modes": ["stale-metrics"]}"#).status, 200);
    let stale = get(&engine, "/metrics").body;
    assert_eq!(fine(&engine), 200);
    assert_eq!(get(&engine, "/metrics").body, stale, "it stays as it was");
    assert!(!page.is_empty());
    post(&engine, "/sim/fault", r#"{"modes": ["garbage-metrics"]}"#);
    assert!(warmlane_engine::metrics::scan(get(&engine, "/metrics").body.as_bytes()).is_err());
    post(&engine, "/sim/fault", r#"{"modes": ["asleep"]}"#);
    assert_eq!(get(&engine, "/is_sleeping").json(), json!({"is_sleeping": true}));
    assert_eq!(post(&engine, "/sim/fault", r#"{"modes": []}"#).status, 200);
    assert_eq!(get(&engine, "/is_sleeping").json(), json!({"is_sleeping": false}));
    assert_eq!(fine(&engine), 200);
}

#[test]
fn a_replica_that_refuses_lets_what_is_under_way_end_and_can_come_back() {
    let engine = engine();
    let mut kept = connect(engine.address());
    send(&mut kept, "GET", "/health", &[], "");
    let mut kept = BufReader::new(kept);
    assert_eq!(Answer::read_from(&mut kept).status, 200);
    engine.trouble(Troubles::always(Mode::Refuse));
    let refused = || std::net::TcpStream::connect(engine.address()).is_err();
    while !refused() {}
    send(kept.get_mut(), "GET", "/health", &[], "");
    assert_eq!(Answer::read_from(&mut kept).status, 200, "a connection that was there goes on");
    engine.trouble(Troubles::none());
    while refused() {}
    assert_eq!(get(&engine, "/health").status, 200);
}

#[test]
fn a_fault_that_does_not_exist_is_refused_with_the_names() {
    let answer = post(&engine(), "/sim/fault", r#"{"modes": ["hung"]}"#);
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("hang-mid-stream"), "{}", answer.body);
}
