//! The program: flags, environment, the line it prints, and SIGTERM.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::client::{Answer, connect, send};

/// A running program that does not outlive its test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program(flags: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_warmlane-sim"));
    command.args(flags).envs(environment.iter().copied());
    command
}

/// Starts the program on a free port and learns it from the line it prints.
fn start(flags: &[&str], environment: &[(&str, &str)]) -> (Program, SocketAddr) {
    let (program, line) = announced(flags, environment);
    (program, line.parse().unwrap())
}

/// What the program announces.
fn announced(flags: &[&str], environment: &[(&str, &str)]) -> (Program, String) {
    let mut command = program(flags, environment);
    let mut child = command.args(["--listen", "127.0.0.1:0"]).stdout(Stdio::piped()).spawn().unwrap();
    let out = child.stdout.take().unwrap();
    let program = Program(child);
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line).unwrap();
    (program, line.trim_end().strip_prefix("listening ").unwrap().to_owned())
}

fn models(address: SocketAddr) -> Vec<Value> {
    let mut stream = connect(address);
    send(&mut stream, "GET", "/v1/models", &[], "");
    let list = Answer::read(stream).json()["data"].as_array().unwrap().clone();
    list.into_iter().map(|model| model["id"].clone()).collect()
}

#[test]
fn flags_and_environment_say_what_is_served() {
    let (_program, address) = start(&["--model", "/model/qwen", "--lora", "a,b", "--profile", "L20"], &[]);
    assert_eq!(models(address), [json!("/model/qwen"), json!("a"), json!("b")]);
    let environment = [("WARMLANE_SIM_MODEL", "base"), ("WARMLANE_SIM_LORA", "c")];
    let (_program, address) = start(&["--time-scale", "4"], &environment);
    assert_eq!(models(address), [json!("base"), json!("c")]);
}

#[test]
fn kv_events_are_announced_and_both_ports_are_open() {
    let flags = ["--kv-events", "127.0.0.1:0", "--kv-events-format", "array"];
    let environment = [("WARMLANE_SIM_KV_EVENTS", "127.0.0.1:0")];
    for (flags, environment) in [(&flags[..], &[][..]), (&[], &environment)] {
        let (_program, line) = announced(flags, environment);
        let (address, events) = line.split_once(" kv-events=").unwrap();
        assert_eq!(models(address.parse().unwrap()).len(), 1);
        let mut events: SocketAddr = events.parse().unwrap();
        connect(events);
        events.set_port(events.port() + 1);
        connect(events);
    }
}

#[test]
fn wrong_flags_are_refused_with_what_would_be_right() {
    let complaint = |flags: &[&str]| {
        let output = program(flags, &[]).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(complaint(&["--profile", "h100"]).contains("known profiles are a10 and l20"));
    assert!(complaint(&["--time-scale", "0"]).contains("time-scale: must be a number above 0"));
    assert!(complaint(&["--kv-tokens", "100"]).contains("raise kv-tokens"));
    assert!(complaint(&["--kv-events-format", "x"]).contains("known formats are map"));
    assert!(complaint(&["--kv-events", "127.0.0.1:65535"]).contains("take 65534 or less"));
    let without_cache = ["--kv-events", "127.0.0.1:0", "--no-prefix-caching"];
    assert!(complaint(&without_cache).contains("none without a prefix cache"));
}

#[test]
fn sigterm_ends_the_stream_with_an_error_and_the_program_with_success() {
    let (mut program, address) = start(&[], &[]);
    let mut stream = connect(address);
    let body = json!({"prompt": "hello", "max_tokens": 3000, "stream": true, "ignore_eos": true});
    send(&mut stream, "POST", "/v1/completions", &[], &body.to_string());
    let mut reader = BufReader::new(stream);
    assert!(reader.fill_buf().unwrap().starts_with(b"HTTP/1.1 200 OK"));
    assert!(Command::new("kill").arg(program.0.id().to_string()).status().unwrap().success());
    let events = Answer::read_from(&mut reader).events();
    assert_eq!(events[events.len() - 2]["error"]["code"], 500);
    assert!(program.0.wait().unwrap().success());
}
