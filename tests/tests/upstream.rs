//! The cases of the upstream picker's own suites (common and hermetic), by their names: picks, headers, metadata and
//! bodies. Where this picker deliberately does otherwise, `upstream/differences.tsv` says so, and why; a line that no case
//! needs fails the suite.

use std::{cell::RefCell, collections::HashSet, fmt::Display};

use warmlane_router::config::{Config, ModelRule, Objective, Target};
use warmlane_tests::{
    Behaviour, RawEngine, TestRouter,
    engine::answer,
    gateway::{Answer, Asked, Gateway},
    picker::{Said, TestPicker},
};

const DIFFERENCES: &str = include_str!("upstream/differences.tsv");
const PATH: &str = "/v1/completions";

/// What one case expects, by upstream or by the table.
struct Case<'t> {
    name: &'static str,
    table: &'t Table,
}

/// The deliberate differences.
#[derive(Default)]
struct Table {
    used: RefCell<HashSet<usize>>,
}

// === Case ===

impl Case<'_> {
    /// Holds what came against what upstream expects, unless the table says otherwise.
    fn expect(&self, what: &str, upstream: impl Display, found: impl Display) {
        let (upstream, found) = (upstream.to_string(), found.to_string());
        let expected = self.table.expected(self.name, what, &upstream);
        assert_eq!(found, expected, "{}: {what}", self.name);
    }

    /// The shape of every success: one destination in header and metadata, and the body as it should go on. Pods are
    /// called P0, P1 and so on, as upstream calls them.
    fn routed(&self, picker: &TestPicker, answer: &Answer, to: &str, body: &str) {
        let pod = |address: &Option<String>| {
            let found =
                (0..picker.engines.len()).find(|pod| address.as_ref() == Some(&picker.endpoint(*pod)));
            found.map_or_else(|| format!("{address:?}"), |pod| format!("P{pod}"))
        };
        self.expect("destination", to, pod(&answer.destination));
        self.expect("metadata", to, pod(&answer.metadata_destination));
        self.expect("clear_route_cache", true, answer.clear_route_cache);
        self.expect("body", body, String::from_utf8_lossy(&answer.body));
        if !body.is_empty() {
            let length = answer.header("content-length").unwrap_or("none");
            self.expect("content-length", body.len(), length);
            self.expect("end_of_stream", true, answer.body_eos);
        }
        self.expect("passthrough header is set again", true, answer.header("x-passed").is_some());
    }

    fn refused(&self, answer: &Answer, status: u16, text: &str) {
        let immediate = answer.immediate.as_ref().unwrap_or_else(|| panic!("{}: not refused", self.name));
        self.expect("status", status, immediate.status);
        let body = String::from_utf8_lossy(&immediate.body);
        let has = |part: &str| if body.contains(part) { part.to_owned() } else { body.to_string() };
        let (code, words) = text.split_once(" - ").expect("a code and a text");
        self.expect("code", code, has(&self.table.expected(self.name, "code", code)));
        self.expect("text", words, has(words));
        let is_object = serde_json::from_slice::<serde_json::Value>(&immediate.body).is_ok();
        self.expect("error object", false, is_object);
    }
}

// === Table ===

impl Table {
    fn rows() -> impl Iterator<Item = (usize, Vec<&'static str>)> {
        let lines = DIFFERENCES.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        lines.map(|line| line.split('\t').collect()).enumerate()
    }

    fn expected(&self, case: &str, what: &str, upstream: &str) -> String {
        let matches =
            |row: &[&str]| [case, "every case"].contains(&row[0]) && row[1] == what && row[2] == upstream;
        match Self::rows().find(|(_, row)| matches(row)) {
            Some((number, row)) => {
                self.used.borrow_mut().insert(number);
                row[3].to_owned()
            }
            None => upstream.to_owned(),
        }
    }
}

fn completion(model: &str) -> String {
    format!(r#"{{"max_tokens":100,"model":"{model}","prompt":"test1","temperature":0}}"#)
}

fn asked(body: &str) -> Asked {
    Asked::post(PATH, body).header("x-passed", "yes").header("x-request-id", "test-id")
}

/// A pod as upstream writes it.
fn p(queue: u32, kv: f32, active: &str) -> Said<'_> {
    Said { queue, kv, active, running: 0 }
}

/// The rules and models that upstream's environment has.
fn pods(said: &[Said<'_>]) -> TestPicker {
    let adapters = ["my-model-12345", "sql-lora-1fdg2", "direct-model", "foo", "bar"];
    TestPicker::serving(said, &adapters, configure)
}

fn configure(config: &mut Config) {
    let rule = |name: &str, target: &str| ModelRule {
        name: name.to_owned(),
        criticality: warmlane_picker::Criticality::Standard,
        targets: vec![Target { name: target.to_owned(), weight: 1 }],
    };
    config.models = vec![rule("my-model", "my-model-12345"), rule("sql-lora", "sql-lora-1fdg2")];
    config.objectives = vec![Objective { name: "sheddable".to_owned(), priority: -1 }];
}

#[test]
fn the_upstream_cases_hold_but_for_the_differences_in_the_table() {
    let table = Table::default();
    let case = |name| Case { name, table: &table };
    picks(&case);
    refusals(&case);
    subsets(&case);
    protocol(&case);
    responses(&case);
    let unused: Vec<_> = Table::rows().filter(|(number, _)| !table.used.borrow().contains(number)).collect();
    assert!(unused.is_empty(), "no case needs these differences any more: {unused:?}");
}

fn picks<'t>(case: &impl Fn(&'static str) -> Case<'t>) {
    let idle = pods(&[p(3, 0.2, ""), p(0, 0.1, ""), p(10, 0.2, "")]);
    let gateway = idle.gateway();
    let name = case("select lower queue and kv cache");
    let answer = gateway.ask(&asked(&completion("my-model")));
    name.routed(&idle, &answer, "P1", &completion("my-model-12345"));
    name.expect("picks", 1, idle.router.metric("warmlane_picks_total"));
    name.expect("ready pods", 3, idle.router.ready_endpoints());
    let name = case("rewrite request model");
    let renamed = asked(&completion("direct-model")).header("x-gateway-model-name-rewrite", "foo");
    name.routed(&idle, &gateway.ask(&renamed), "P1", &completion("foo"));
    let name = case("passthrough: model not in objectives");
    name.routed(&idle, &gateway.ask(&asked(&completion("direct-model"))), "P1", &completion("direct-model"));

    let active = pods(&[p(0, 0.2, "foo,bar"), p(0, 0.1, "foo,sql-lora-1fdg2"), p(10, 0.2, "foo,bar")]);
    let gateway = active.gateway();
    let answer = gateway.ask(&asked(&completion("sql-lora")));
    case("select active lora, low queue").routed(&active, &answer, "P1", &completion("sql-lora-1fdg2"));

    let fuller = pods(&[p(10, 0.2, "foo,bar"), p(10, 0.4, "foo,sql-lora-1fdg2"), p(10, 0.3, "foo")]);
    let gateway = fuller.gateway();
    let answer = gateway.ask(&asked(&completion("sql-lora")));
    let name = case("select lora despite higher kv cache (affinity)");
    name.routed(&fuller, &answer, "P1", &completion("sql-lora-1fdg2"));

    let full = pods(&[p(6, 0.2, "foo,bar"), p(0, 0.85, "foo"), p(10, 0.9, "foo")]);
    let gateway = full.gateway();
    let answer = gateway.ask(&asked(&completion("sql-lora")));
    case("do not shed requests by default").expect("routed", true, answer.destination.is_some());
}

fn refusals<'t>(case: &impl Fn(&'static str) -> Case<'t>) {
    let picker = pods(&[p(0, 0.2, "")]);
    let gateway = picker.gateway();
    let missing = gateway.ask(&asked(r#"{"prompt":"test1"}"#));
    case("request missing model field").refused(
        &missing,
        400,
        "inference error: BadRequest - model not found in request body",
    );
    let invalid = gateway.ask(&asked(r#"{"model":"#));
    case("invalid json body").refused(
        &invalid,
        400,
        "inference error: BadRequest - error unmarshaling request bodyMap",
    );
    // A pool whose only pod does not answer.
    let engine = RawEngine::start(Behaviour::Hang);
    let gone = engine.address();
    drop(engine);
    let router = TestRouter::unready(&[gone], |config| {
        config.listen.ext_proc = Some(([127, 0, 0, 1], 0).into());
    });
    let gateway = Gateway::connect(router.listening().ext_proc.expect("a listener"));
    case("no backend pods available").refused(
        &gateway.ask(&Asked::get("/")),
        500,
        "inference error: Internal - no pods available in datastore",
    );
}

fn subsets<'t>(case: &impl Fn(&'static str) -> Case<'t>) {
    let picker = pods(&[p(0, 0.2, "foo"), p(0, 0.1, "foo,sql-lora-1fdg2"), p(10, 0.2, "foo,sql-lora-1fdg2")]);
    let gateway = picker.gateway();
    let all: Vec<String> = (0..3).map(|number| picker.endpoint(number)).collect();
    let among = |some: &[&str]| gateway.ask(&asked(&completion("sql-lora")).among(some));
    let body = completion("sql-lora-1fdg2");
    case("subsetting: select best from subset").routed(
        &picker,
        &among(&[&all[0], &all[1], &all[2]]),
        "P1",
        &body,
    );
    case("subsetting: partial match").routed(&picker, &among(&[&all[2], "10.9.9.9:8000"]), "P2", &body);
    let name = case("subsetting: no pods match");
    let nobody = among(&["10.9.9.9:8000", "10.9.9.8:8000"]);
    name.refused(
        &nobody,
        503,
        "inference error: ServiceUnavailable - failed to find endpoint candidates for serving the request",
    );
    let headers = &nobody.immediate.as_ref().expect("refused").headers;
    let reason = headers.iter().find(|(set, _)| set == "x-llm-d-request-dropped-reason");
    name.expect("dropped reason", "rejected-no-endpoints", reason.map_or("none", |(_, value)| value));
}

fn protocol<'t>(case: &impl Fn(&'static str) -> Case<'t>) {
    let picker = pods(&[p(4, 0.2, ""), p(4, 0.1, "foo,bar"), p(4, 0.2, "foo")]);
    let gateway = picker.gateway();
    let whole = completion("my-model");
    let mut split = asked("");
    let (first, second) = whole.split_at(30);
    split.chunks = vec![first.into(), second.into()];
    let answer = gateway.ask(&split);
    let name = case("split body across chunks");
    name.expect("body", completion("my-model-12345"), String::from_utf8_lossy(&answer.body));
    name.expect("end_of_stream", true, answer.body_eos);
    let name = case("protocol: simple GET (header only)");
    let get = gateway.ask(&Asked::get("/healthz").header("x-passed", "yes"));
    let to = get.destination.clone().unwrap_or_default();
    name.expect("a pod of the pool", true, (0..3).any(|number| picker.endpoint(number) == to));
    let pod =
        (0..3).find(|pod| picker.endpoint(*pod) == to).map_or_else(String::new, |pod| format!("P{pod}"));
    name.routed(&picker, &get, &pod, "");
    let name = case("passthrough parser success");
    let raw = gateway
        .ask(&Asked::post("/raw", "not json at all").header("x-gateway-inference-objective", "sheddable"));
    name.expect("routed", true, raw.destination.is_some());
    name.expect("body", "not json at all", String::from_utf8_lossy(&raw.body));
}

fn responses<'t>(case: &impl Fn(&'static str) -> Case<'t>) {
    let picker = pods(&[p(0, 0.2, "")]);
    picker.engines[0].behave(Behaviour::Answer(answer("application/json", b"{}")));
    let gateway = picker.gateway();
    let respond = |kind: &str, chunks: &[&[u8]]| {
        let mut asked = gateway.ask(&asked(&completion("direct-model")));
        asked.exchange.respond(200, &[("content-type", kind)], chunks, false)
    };
    let name = case("response buffering: multi-chunk JSON");
    let said = respond("application/json", &[b"{\"id\":\"1\",", b"\"usage\":{\"prompt_tokens\":1}}"]);
    name.expect("body", r#"{"id":"1","usage":{"prompt_tokens":1}}"#, String::from_utf8_lossy(&said.body));
    name.expect("answers", 1, said.chunk_lengths.len());
    let name = case("response buffering: invalid JSON");
    let said = respond("application/json", &[b"no json"]);
    name.expect("body", "no json", String::from_utf8_lossy(&said.body));
    let name = case("response buffering: empty EOS chunk (JSON)");
    let said = respond("application/json", &[b"{\"a\":1}", b""]);
    name.expect("body", r#"{"a":1}"#, String::from_utf8_lossy(&said.body));
    name.expect("answers", 1, said.chunk_lengths.len());
    let name = case("response streaming: SSE token counting");
    let used = |kind: &str| picker.router.metric(&format!("warmlane_used_tokens_total{{kind=\"{kind}\"}}"));
    let before = (used("prompt"), used("completion"));
    let usage = b"data: {\"usage\":{\"prompt_tokens\":7,\"total_tokens\":17,\"completion_tokens\":10}}\n\n";
    let said = respond("text/event-stream", &[b"data: {\"choices\":[]}\n\n", usage, b"data: [DONE]\n\n"]);
    name.expect("answers", 3, said.chunk_lengths.len());
    name.expect("prompt tokens", 7, used("prompt") - before.0);
    name.expect("completion tokens", 10, used("completion") - before.1);
}
