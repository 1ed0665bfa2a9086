//! The access line of the program itself: one for each request, with what is known of it and nothing else.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::Value;
use warmlane_tests::{
    Behaviour, RawEngine, Wire,
    engine::answer,
    eventually,
    gateway::{Asked, Gateway},
};

const CHAT: &str =
    r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"the secret prompt"}]}"#;
const PATH: &str = "/v1/chat/completions";
const JSON: &[&str] = &["--log-json", "--lane=off"];
const EVENTS: [&str; 3] = [
    "data: {\"choices\":[{\"delta\":{\"content\":\"the secret answer\"},\"finish_reason\":\"length\"}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":10,\"prompt_tokens_details\":{\"cached_tokens\":4}}}\n\n",
    "data: [DONE]\n\n",
];

/// A router that runs, and what it writes.
struct Router {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    listening: String,
}

// === Router ===

impl Router {
    fn start(engine: &RawEngine, flags: &[&str]) -> Self {
        let bin = std::env::var_os("WARMLANE_BIN_DIR").map(PathBuf::from);
        let bin = bin.expect("WARMLANE_BIN_DIR names no folder; run this suite as: cargo xtask test");
        let mut command = Command::new(bin.join("warmlane-router"));
        command.env_clear().stdout(Stdio::piped()).stderr(Stdio::piped());
        command.args(
            ["plain", "aware", "metrics", "admin", "ext-proc"].map(|port| format!("--{port}=127.0.0.1:0")),
        );
        command.args([format!("--endpoint={}", engine.address()), "--workers=1".to_owned()]);
        let mut child = command.arg("--log-access").args(flags).spawn().expect("it runs");
        let mut listening = String::new();
        BufReader::new(child.stdout.take().expect("output")).read_line(&mut listening).expect("it listens");
        let (errors, log) = (child.stderr.take().expect("its log"), Arc::<Mutex<Vec<String>>>::default());
        let written = log.clone();
        thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                written.lock().expect("one writer").push(line);
            }
        });
        let router = Self { child, log, listening };
        eventually("its replica is ready", || {
            router.admin().get("/debug/endpoints").json()["endpoints"][0]["ready"] == true
        });
        eventually("its list is known", || {
            router.admin().get("/debug/endpoints").json()["endpoints"][0]["models"].is_array()
        });
        router
    }

    fn at(&self, name: &str) -> SocketAddr {
        let named =
            self.listening.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        named.expect("it listens").parse().expect("an address")
    }

    fn aware(&self) -> Wire {
        Wire::connect(self.at("aware"))
    }

    fn admin(&self) -> Wire {
        Wire::connect(self.at("admin")).called("localhost")
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().expect("one writer").clone()
    }

    /// The access lines of a request, once there is one.
    fn lines(&self, id: &str) -> Vec<Value> {
        let lines = || -> Vec<Value> {
            let all = self.log().into_iter().filter_map(|line| serde_json::from_str::<Value>(&line).ok());
            all.filter(|line| line["target"] == "access" && line["fields"]["request_id"] == id).collect()
        };
        eventually("its line is written", || !lines().is_empty());
        lines().into_iter().map(|mut line| line["fields"].take()).collect()
    }

    fn line(&self, id: &str) -> Value {
        let mut lines = self.lines(id);
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines.remove(0)
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn events() -> Vec<u8> {
    answer("text/event-stream", EVENTS.concat().as_bytes())
}

/// What both fronts tell alike.
fn assert_told(line: &Value, engine: &RawEngine) {
    let at = engine.address().to_string();
    for (field, value) in [
        ("model", Value::from("m")),
        ("status", 200.into()),
        ("end", "complete".into()),
        ("endpoint", at.into()),
        ("prompt_tokens", 7.into()),
        ("completion_tokens", 10.into()),
        ("cached_tokens", 4.into()),
        ("finish", "length".into()),
        ("strategy", "DEFAULT".into()),
        ("why", "the only endpoint of its pool".into()),
        ("fallbacks", "".into()),
    ] {
        assert_eq!(line[field], value, "{field} of {line}");
    }
    assert_eq!(line["decision"].as_str().map(str::len), Some(16), "{line}");
    assert_eq!(line["session"].as_str().map(str::len), Some(16), "{line}");
    assert!(line["first_byte_us"].as_u64().is_some_and(|us| us > 0), "{line}");
    for stage in ["read=", "admit=", "pick=", "connect=", "relay=", "done="] {
        assert!(line["stages"].as_str().is_some_and(|stages| stages.contains(stage)), "{stage} in {line}");
    }
}

#[test]
fn a_request_by_http_is_told_with_its_tokens_its_reasons_and_its_decision() {
    let engine = RawEngine::start(Behaviour::Answer(events()));
    let router = Router::start(&engine, JSON);
    let headers = "x-request-id: one\r\nx-session-id: mine\r\n";
    assert_eq!(router.aware().post_with(PATH, headers, CHAT).status, 200);
    let line = router.line("one");
    assert_told(&line, &engine);
    assert_eq!((&line["listener"], &line["tried"]), (&"aware".into(), &1.into()));
    assert_eq!(line["bytes"], EVENTS.concat().len());
    assert!(
        line.get("lane_bytes").is_none() && line.get("fault").is_none() && line.get("trace_id").is_none(),
        "{line}"
    );
    let page = router.admin().get("/debug/decisions/one").json();
    assert_eq!(page["decision"]["cursor"], line["decision"], "it can be looked up: {page}");
    assert_eq!(page["decision"]["session"], line["session"]);
    assert_eq!(page["then"]["why"], line["why"]);
    let log = router.log().join("\n");
    assert!(!log.contains("secret") && !log.contains("mine"), "{log}");
}

#[test]
fn an_answer_in_one_piece_and_one_in_many_say_the_same() {
    let body = format!(
        "{{\"choices\":[{{\"text\":\"{}\",\"finish_reason\":\"stop\"}}],\"usage\":{{\"prompt_tokens\":3,\"completion_tokens\":5}}}}",
        "x".repeat(9_000)
    );
    let engine = RawEngine::start(Behaviour::Answer(answer("application/json", body.as_bytes())));
    let router = Router::start(&engine, JSON);
    let ask = |id: &str| {
        let headers = format!("x-request-id: {id}\r\n");
        assert_eq!(
            router.aware().post_with("/v1/completions", &headers, r#"{"model":"m","prompt":"x"}"#).status,
            200
        );
        let line = router.line(id);
        (line["prompt_tokens"].clone(), line["completion_tokens"].clone(), line.get("cached_tokens").cloned())
    };
    assert_eq!(ask("whole"), (3.into(), 5.into(), None));
    engine.behave(Behaviour::OneByOne(events()));
    assert_eq!(ask("in-bytes"), (7.into(), 10.into(), Some(4.into())));
}

#[test]
fn a_request_by_ext_proc_is_told_alike() {
    let engine = RawEngine::start(Behaviour::Answer(events()));
    let router = Router::start(&engine, JSON);
    let asked = Asked::post(PATH, CHAT).header("x-request-id", "two").header("x-session-id", "mine");
    let gateway = Gateway::connect(router.at("ext-proc"));
    let mut told = gateway.ask(&asked);
    let chunks: Vec<&[u8]> = EVENTS.iter().map(|event| event.as_bytes()).chain([&b""[..]]).collect();
    told.exchange.respond(200, &[("content-type", "text/event-stream")], &chunks, false);
    drop(told);
    let line = router.line("two");
    assert_told(&line, &engine);
    assert_eq!(line["listener"], "ext_proc");
    assert!(line.get("bytes").is_none() && line.get("tried").is_none(), "Envoy carries it: {line}");
}

#[test]
fn a_request_whose_envoy_left_has_no_status_and_is_abandoned() {
    let engine = RawEngine::start(Behaviour::Answer(events()));
    let router = Router::start(&engine, JSON);
    let gateway = Gateway::connect(router.at("ext-proc"));
    let told = gateway.ask(&Asked::post(PATH, CHAT).header("x-request-id", "left"));
    told.exchange.reset();
    let line = router.line("left");
    assert_eq!(line["end"], "abandoned", "{line}");
    assert!(line.get("status").is_none(), "{line}");
    let outcome = router.admin().get("/debug/decisions/left").json()["decision"]["outcome"].take();
    assert_eq!((&outcome["status"], &outcome["end"]), (&Value::Null, &"abandoned".into()), "{outcome}");
}

#[test]
fn what_is_not_known_of_a_request_is_not_told() {
    let cut = [
        &b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 9000\r\n\r\n"[..],
        EVENTS[1].as_bytes(),
    ];
    let engine = RawEngine::start(Behaviour::AnswerAndClose(cut.concat()));
    let router = Router::start(&engine, JSON);
    let mut wire = router.aware();
    wire.begin_post(PATH, "x-request-id: cut\r\n", CHAT);
    wire.rest();
    let line = router.line("cut");
    assert_eq!((&line["end"], &line["status"]), (&"response_cut".into(), &200.into()), "{line}");
    for field in ["prompt_tokens", "completion_tokens", "cached_tokens", "finish"] {
        assert!(line.get(field).is_none(), "{field} of {line}");
    }
    let none = r#"{"model":"nobody's","prompt":"the secret prompt"}"#;
    assert_eq!(router.aware().post_with("/v1/completions", "x-request-id: none\r\n", none).status, 404);
    let line = router.line("none");
    assert_eq!((&line["end"], &line["status"]), (&"unknown_model".into(), &404.into()), "{line}");
    assert!(line["fault"].as_str().is_some_and(|fault| fault.contains("nobody's")), "{line}");
    for field in ["endpoint", "why", "strategy", "bytes", "session"] {
        assert!(line.get(field).is_none(), "{field} of {line}");
    }
    let asked = Asked::post("/v1/completions", none).header("x-request-id", "none-by-ext-proc");
    assert!(Gateway::connect(router.at("ext-proc")).ask(&asked).immediate.is_some(), "nobody has it");
    let by_ext_proc = router.line("none-by-ext-proc");
    for field in ["model", "status", "end", "fault"] {
        assert_eq!(by_ext_proc[field], line[field], "{field}: by both fronts alike");
    }
    engine.behave(Behaviour::Answer(answer("text/plain", b"hello")));
    let plain = Wire::connect(router.at("plain")).get("/hello");
    let id = plain.header("x-request-id").expect("an id").to_owned();
    let line = router.line(&id);
    assert_eq!(
        (&line["listener"], &line["status"], &line["bytes"]),
        (&"plain".into(), &200.into(), &5.into())
    );
    assert!(line.get("decision").is_none() && line.get("why").is_none(), "{line}");
}

#[test]
fn for_people_the_line_is_text() {
    let engine = RawEngine::start(Behaviour::Answer(events()));
    let router = Router::start(&engine, &["--lane=off"]);
    assert_eq!(router.aware().post_with(PATH, "x-request-id: three\r\n", CHAT).status, 200);
    eventually("its line is written", || router.log().iter().any(|line| line.contains("request_id=three")));
    let line = router.log().into_iter().find(|line| line.contains("request_id=three")).expect("it is there");
    for part in [
        "access: ",
        "prompt_tokens=7",
        "completion_tokens=10",
        "why=\"the only endpoint of its pool\"",
        "status=200",
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
}

/// What needs root.
mod privileged {
    use std::{thread, time::Duration};

    use super::*;

    const HEAD: &[u8] =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

    /// An event of an engine that states its usage all along.
    fn event(tokens: usize) -> Vec<u8> {
        let event = format!(
            "data: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":7,\"completion_tokens\":{tokens}}}}}\n\n"
        );
        format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()
    }

    #[test]
    fn tokens_that_took_the_kernel_lane_are_not_told_by_those_that_came_before() {
        let (engine, parts) = RawEngine::in_parts();
        let object = format!("--lane-object={}", warmlane_tests::lane::object().display());
        let router = Router::start(&engine, &["--log-json", "--lane=all", &object]);
        let mut wire = router.aware();
        wire.begin_post(PATH, "x-request-id: rode\r\n", CHAT);
        let say = |part: &[u8]| parts.send(part.to_vec()).expect("the engine runs");
        say(HEAD);
        for tokens in 1..=300 {
            say(&event(tokens));
            // As an engine does: what comes faster is copied.
            thread::sleep(Duration::from_millis(3));
        }
        say(b"0\r\n\r\n");
        drop(parts);
        assert_eq!(wire.response().status, 200);
        let line = router.line("rode");
        assert!(line["lane_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{line}");
        let told = line.get("completion_tokens").cloned();
        assert!(told.is_none() || told == Some(300.into()), "{line}");
    }
}
