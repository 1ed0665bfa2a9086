//! How a server ends: as vLLM on SIGTERM, or as a crash.

use std::{
    io::{BufRead, BufReader, Read},
    net::TcpStream,
};

use serde_json::{Value, json};
use warmlane_sim::server::{Options, Running, Stop, start};

use crate::client::{Answer, connect, options, recorded, send};

/// An engine with one long stream whose head has arrived.
fn streaming(path: &str) -> (Running, BufReader<TcpStream>) {
    let mut options = options();
    options.time_scale = 1.0;
    let engine = start(options).unwrap();
    let mut stream = connect(engine.address());
    let body = json!({
        "prompt": "hello", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 3000,
        "stream": true, "ignore_eos": true,
    });
    send(&mut stream, "POST", path, &[], &body.to_string());
    let mut reader = BufReader::new(stream);
    assert!(reader.fill_buf().unwrap().starts_with(b"HTTP/1.1 200 OK"));
    (engine, reader)
}

#[test]
fn on_terminate_a_stream_ends_with_an_error_and_done_and_a_clean_close() {
    for path in ["/v1/completions", "/v1/chat/completions"] {
        let (engine, mut reader) = streaming(path);
        let address = engine.address();
        engine.stop(Stop::Terminate);
        let answer = Answer::read_from(&mut reader);
        let events = answer.events();
        let [.., error, done] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(
            (&error["error"]["code"], &error["error"]["type"]),
            (&json!(500), &json!("InternalServerError"))
        );
        assert_eq!(done, &json!("[DONE]"));
        assert_eq!(reader.read(&mut [0]).unwrap(), 0, "the connection is closed");
        assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
    }
}

#[test]
fn on_terminate_a_message_stream_ends_with_the_recorded_kind_of_error() {
    let (engine, mut reader) = streaming("/v1/messages");
    engine.stop(Stop::Terminate);
    let last = |answer: &Answer| {
        let mut event = answer.events().pop().unwrap();
        event["error"]["message"] = Value::Null;
        event
    };
    assert_eq!(last(&Answer::read_from(&mut reader)), last(&recorded("messages-stream-sigterm")));
}

#[test]
fn on_terminate_a_whole_answer_becomes_a_500() {
    let mut options = options();
    options.time_scale = 1.0;
    let engine = start(options).unwrap();
    let mut stream = connect(engine.address());
    let body = json!({"prompt": "hello", "max_tokens": 3000, "ignore_eos": true}).to_string();
    send(&mut stream, "POST", "/v1/completions", &[], &body);
    crate::client::await_metric(&engine, "vllm:num_requests_running", 1.0);
    engine.stop(Stop::Terminate);
    let answer = Answer::read(stream);
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (500, &json!(500)));
}

#[test]
fn a_kill_cuts_the_stream_in_the_middle() {
    let (engine, mut reader) = streaming("/v1/completions");
    engine.stop(Stop::Kill);
    let mut rest = Vec::new();
    // A reset is as good as an end: either way the last chunk is missing.
    let _ = reader.read_to_end(&mut rest);
    assert!(!rest.ends_with(b"0\r\n\r\n"));
}

#[test]
fn settings_that_make_no_sense_are_refused_with_the_reason() {
    let refused = |change: fn(&mut Options)| {
        let mut options = options();
        change(&mut options);
        start(options).map(drop).unwrap_err().to_string()
    };
    assert!(refused(|options| options.time_scale = 0.0).starts_with("time-scale"));
    assert!(refused(|options| options.engine.block_size = 0).contains("block-size"));
    let small = refused(|options| options.engine.kv_tokens = Some(1000));
    assert!(small.contains("4096") && small.contains("992"), "{small}");
    let engine = start(options()).unwrap();
    let mut taken = options();
    taken.listen = engine.address();
    assert!(start(taken).map(drop).unwrap_err().to_string().contains("cannot listen on"));
}
