//! Dashboards and alerts: every query names what is there, each alert says what to do, and a real Prometheus has an answer.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
    sync::LazyLock,
    time::Duration,
};

use serde_json::{Value, json};
use warmlane_tests::{
    Behaviour, RawEngine, TestRouter, Wire,
    agent::TestAgent,
    boards::{Board, NAMES, Scene, Target},
    caller::Caller,
    engine, eventually,
    prometheus::{Prometheus, binary},
};

use super::rendered::{SETS, deploy, list, overlay, relative};

/// Panels that people who run engines expect.
const PANELS: [&str; 12] = [
    "E2E request latency",
    "Token throughput",
    "Time per output token",
    "Scheduler state",
    "Time to first token",
    "Cache utilisation",
    "Request prompt length",
    "Request generation length",
    "Finish reason",
    "Queue time",
    "Prefill and decode time",
    "Max generation token in sequence group",
];
/// What engines renamed, new name first: who asks for one asks for the other.
const RENAMED: [(&str, &str); 2] = [
    ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
    ("vllm:inter_token_latency_seconds", "vllm:time_per_output_token_seconds"),
];
/// What engines dropped: who asks for it has a zero for engines without it.
const DROPPED: [&str; 2] = ["vllm:num_requests_swapped", "vllm:cpu_cache_usage_perc"];

fn board(name: &str) -> Value {
    Board::json(name).expect("a dashboard")
}

/// A query with the place where it stands.
#[derive(Debug)]
struct Query {
    place: String,
    expression: String,
}

/// Those of every panel, variables filled in.
fn panels() -> Vec<Query> {
    let mut found = Vec::new();
    for name in NAMES {
        for panel in Board::read(name).expect("a dashboard").panels {
            let query = |target: &Target| Query {
                place: format!("{name}: {}", panel.title),
                expression: target.query("30s"),
            };
            found.extend(panel.targets.iter().map(query));
        }
    }
    found
}

/// The rules of the alerts, as rendered.
fn rules() -> Vec<&'static Value> {
    let groups = SETS["alerts"].iter().flat_map(|object| list(&object["spec"]["groups"]));
    let rules: Vec<&Value> = groups.flat_map(|group| list(&group["rules"])).collect();
    assert!(rules.len() > 20, "{}", rules.len());
    rules
}

/// What an alert measures: what stands before its first comparison, or what `absent` looks for.
fn measured(expression: &str) -> &str {
    if let Some(inner) = expression.strip_prefix("absent(").and_then(|rest| rest.strip_suffix(')')) {
        return inner;
    }
    // In braces a comparison is a selector's.
    let mut depth = 0;
    let at = expression.char_indices().find_map(|(at, c)| {
        depth += match c {
            '{' | '(' | '[' => 1,
            '}' | ')' | ']' => -1,
            _ => 0,
        };
        let compares = [" > ", " < ", " == ", " != "].iter().any(|sign| expression[at..].starts_with(sign));
        (depth == 0 && compares).then_some(at)
    });
    &expression[..at.unwrap_or_else(|| panic!("{expression} compares nothing"))]
}

fn alerts() -> Vec<Query> {
    let of = |rule: &&Value| Query {
        place: rule["alert"].as_str().expect("a name").to_owned(),
        expression: rule["expr"].as_str().expect("an expression").to_owned(),
    };
    rules().iter().map(of).collect()
}

/// Names of series in an expression: ours and the engines'.
fn names(expression: &str) -> BTreeSet<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = expression.split(|c: char| !is_name(c));
    words.filter(|word| word.starts_with("vllm:") || word.starts_with("warmlane_")).collect()
}

/// Names that a page makes series of, whether or not it has any now.
fn series(page: &str, open_metrics: bool) -> BTreeSet<String> {
    let families = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let names = families.flat_map(|(name, kind)| match kind {
        "histogram" => ["_bucket", "_sum", "_count"].map(|end| format!("{name}{end}")).to_vec(),
        "counter" if open_metrics => vec![format!("{name}_total")],
        _ => vec![name.to_owned()],
    });
    names.collect()
}

/// What the router and the agent register, and what recorded pages of engines have.
static THERE: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let raw = RawEngine::start(Behaviour::Answer(engine::answer("text/plain", b"x")));
    let agent = TestAgent::with(&[raw.address()], |config| config.kubelet_socket = "not-there.sock".into());
    let agents = vec![agent.address().to_string()];
    let router = TestRouter::with(&[raw.address()], |config| config.agents = agents);
    // Families with labels are told once they have one.
    for family in ["kubelet_questions", "scrapes", "updates"] {
        eventually(family, || agent.metric(&format!("warmlane_agent_{family}_total")) > 0.0);
    }
    let mut there = series(&router.metrics().get("/metrics").text(), true);
    there.extend(series(&Wire::connect(agent.metrics_address()).get("/metrics").text(), true));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/metrics");
    for entry in fs::read_dir(folder).expect("recorded pages") {
        let path = entry.expect("an entry").path();
        if path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("vllm-")) {
            there.extend(series(&fs::read_to_string(&path).expect("a page"), false));
        }
    }
    there
});

#[test]
fn every_query_names_what_is_registered_or_was_recorded() {
    let queries: Vec<Query> = panels().into_iter().chain(alerts()).collect();
    assert!(queries.len() > 100, "{}", queries.len());
    for Query { place, expression } in &queries {
        let names = names(expression);
        assert!(!names.is_empty(), "{place}: {expression}");
        for name in names {
            assert!(THERE.contains(name), "{place}: nobody has {name}");
        }
    }
}

#[test]
fn a_name_that_nobody_has_would_be_seen() {
    let names = names("sum by (le) (rate(warmlane_pick_total{strategy=\"DEFAULT\"}[5m])) or vllm:kv_use");
    assert_eq!(names, BTreeSet::from(["vllm:kv_use", "warmlane_pick_total"]));
    assert!(names.iter().all(|name| !THERE.contains(*name)));
}

#[test]
fn engines_have_the_twelve_panels_and_both_variables() {
    let board = board("engines");
    let titles: Vec<&str> =
        list(&board["panels"]).iter().filter_map(|panel| panel["title"].as_str()).collect();
    assert_eq!(titles, PANELS);
    let variables: Vec<&str> =
        list(&board["templating"]["list"]).iter().filter_map(|variable| variable["name"].as_str()).collect();
    assert_eq!(variables, ["datasource", "model_name"]);
    for panel in list(&board["panels"]) {
        for target in list(&panel["targets"]) {
            assert!(target["expr"].as_str().is_some_and(|e| e.contains("$model_name")), "{}", panel["title"]);
        }
    }
}

#[test]
fn panels_stand_beside_each_other_and_say_what_they_show() {
    for name in NAMES {
        let board = board(name);
        let mut taken: BTreeMap<(u64, u64), &str> = BTreeMap::new();
        let mut ids = BTreeSet::new();
        for panel in list(&board["panels"]) {
            let title = panel["title"].as_str().expect("a title");
            assert!(ids.insert(panel["id"].as_u64()), "{name}: {title} has another's id");
            let at = |key: &str| panel["gridPos"][key].as_u64().expect("a place");
            for x in at("x")..at("x") + at("w") {
                for y in at("y")..at("y") + at("h") {
                    let other = taken.insert((x, y), title);
                    assert!(x < 24 && other.is_none(), "{name}: {title} lies on {other:?}");
                }
            }
            if panel["type"] != "row" {
                assert!(panel["description"].as_str().is_some_and(|said| said.len() > 5), "{name}: {title}");
                assert_eq!(panel["datasource"]["uid"], "${datasource}", "{name}: {title}");
            }
        }
    }
}

#[test]
fn renamed_metrics_are_asked_for_by_both_names() {
    let mut seen = BTreeSet::new();
    for Query { place, expression } in panels().iter().chain(&alerts()) {
        for (new, old) in RENAMED {
            let (has_new, has_old) = (expression.contains(new), expression.contains(old));
            // A zero may be made of whatever is there.
            let zero = DROPPED.iter().any(|name| expression.contains(name));
            assert!(zero || has_new == has_old, "{place} knows one of {new} and {old} only");
            if has_new && has_old {
                seen.insert(new);
            }
        }
        if DROPPED.iter().any(|name| expression.contains(name)) {
            assert!(expression.contains(" or 0 * "), "{place} has no zero for engines of today");
        }
    }
    assert_eq!(seen.len(), RENAMED.len(), "{seen:?}");
}

#[test]
fn promtool_accepts_the_alerts() {
    let check = |spec: &Value| {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        // JSON is YAML.
        std::io::Write::write_all(&mut file, spec.to_string().as_bytes()).expect("write");
        Command::new(binary("promtool")).args(["check", "rules"]).arg(file.path()).output().expect("it runs")
    };
    let spec = &SETS["alerts"][0]["spec"];
    let output = check(spec);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut broken = spec.clone();
    broken["groups"][0]["rules"][0]["expr"] = json!("rate(warmlane_picks_total)");
    assert!(!check(&broken).status.success(), "a query that cannot run is not refused");
}

/// The anchor that a heading of this name gets.
fn anchor(heading: &str) -> String {
    heading.to_lowercase().replace(' ', "-")
}

#[test]
fn each_alert_has_a_section_in_the_runbooks_and_each_section_an_alert() {
    let page = fs::read_to_string(deploy().join("../docs/runbooks.md")).expect("docs/runbooks.md");
    let sections: BTreeSet<String> =
        page.lines().filter_map(|line| line.strip_prefix("## ")).map(anchor).collect();
    let mut wanted = BTreeSet::new();
    for rule in rules() {
        let name = rule["alert"].as_str().expect("a name");
        let severity = rule["labels"]["severity"].as_str();
        assert!(["critical", "warning"].contains(&severity.unwrap_or_default()), "{name}: {severity:?}");
        assert!(rule["for"].is_string(), "{name}");
        for text in ["summary", "description"] {
            assert!(rule["annotations"][text].as_str().is_some_and(|said| said.len() > 10), "{name}: {text}");
        }
        assert_eq!(rule["annotations"]["runbook_url"], format!("docs/runbooks.md#{}", anchor(name)));
        assert!(wanted.insert(anchor(name)), "{name} is there twice");
    }
    assert_eq!(wanted, sections);
}

/// What the page has an operator write into an overlay.
#[test]
fn an_overlay_can_say_once_where_the_runbooks_are() {
    let page = fs::read_to_string(deploy().join("../docs/runbooks.md")).expect("docs/runbooks.md");
    let block = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an overlay");
    let made = overlay(&format!("resources: [{}]\n{block}", relative(&deploy().join("alerts"))));
    let rules = list(&made[0]["spec"]["groups"]).iter().flat_map(|group| list(&group["rules"]));
    let rules: Vec<&Value> = rules.collect();
    assert!(rules.len() > 20, "{}", rules.len());
    for rule in rules {
        let name = rule["alert"].as_str().expect("a name");
        let there = format!("https://wiki.example.com/warmlane/runbooks.md#{}", anchor(name));
        assert_eq!(rule["annotations"]["runbook_url"], there);
    }
}

/// Two namespaces are two fleets, whose models may be named alike.
#[test]
fn unevenness_is_of_the_replicas_of_one_namespace() {
    let alert = alerts().into_iter().find(|alert| alert.place == "EnginesUneven").expect("that alert");
    assert_eq!(alert.expression.matches(" by (namespace, model_name) ").count(), 2, "{}", alert.expression);
}

// === On a real Prometheus ===

/// Every panel is in the pictures, and shows something.
fn drawn(prometheus: &Prometheus) {
    let folder = tempfile::tempdir().expect("a folder");
    for name in NAMES {
        let (board, file) = (Board::read(name).expect("a dashboard"), folder.path().join(name));
        board.draw(&file, prometheus, Duration::from_secs(6)).expect("a picture");
        let picture = fs::read_to_string(&file).expect("a picture");
        for panel in &board.panels {
            assert!(picture.contains(&panel.title), "{name}: {} is not drawn", panel.title);
        }
        let lines = picture.matches("<polyline").count();
        assert!(lines > 2 * board.panels.len(), "{name}: {lines} lines, axes among them");
    }
}

#[test]
fn a_real_prometheus_answers_every_query() {
    let mut scene = Scene::start(50.0);
    scene.load(Duration::from_secs(6), 1);
    let prometheus = &scene.prometheus;
    let mut queries = panels();
    let alerts = alerts();
    queries.extend(alerts.iter().map(|alert| Query {
        place: alert.place.clone(),
        expression: measured(&alert.expression).to_owned(),
    }));
    for Query { place, expression } in &queries {
        let numbers = prometheus.numbers(expression);
        assert!(!numbers.is_empty(), "{place} has no data: {expression}");
        assert!(numbers.iter().any(|number| number.is_finite()), "{place}: no number: {expression}");
    }
    drawn(prometheus);
    // Those of the panels that only an old engine answers.
    let at = scene.old.address();
    let of_old = format!("vllm:kv_cache_usage_perc or vllm:gpu_cache_usage_perc{{instance=\"{at}\"}}");
    assert!(prometheus.query(&of_old).iter().any(|sample| sample["metric"]["instance"] == at.to_string()));
    // All is well but for the cache of the old engine, which stands at two thirds while the others' are next to empty.
    let fires = |alert: &&Query| !prometheus.query(&alert.expression).is_empty();
    let firing: Vec<&str> = alerts.iter().filter(fires).map(|alert| alert.place.as_str()).collect();
    assert_eq!(firing, ["EnginesUneven"]);
    // One that is gone is told of.
    let holds = |name: &str| {
        let alert = alerts.iter().find(|alert| alert.place == name).expect("that alert");
        eventually(name, || !prometheus.query(&alert.expression).is_empty());
    };
    drop(scene.engines.remove(0));
    holds("WarmlaneReplicaDown");
    scene.engines.clear();
    holds("WarmlaneNoReplicaReady");
    drop(scene.agent.take());
    holds("WarmlaneAgentGone");
    // So is a hook that is refused.
    let hooks = Caller::connect(scene.router.listening().extension.expect("an extension server"));
    let nameless = json!({ "kind": "InferencePool", "metadata": {} });
    hooks.cluster(Vec::new(), &nameless).expect_err("no pool without a name");
    holds("WarmlaneHooksFail");
}
