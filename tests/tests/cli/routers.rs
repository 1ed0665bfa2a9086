//! What the program says of a router that runs.

use std::process::Stdio;

use serde_json::Value;
use warmlane_tests::{
    TestRouter,
    agent::TestAgent,
    eventually,
    picker::{Said as Page, TestPicker, engines},
};

use super::{ask, program, run};

fn busy() -> TestPicker {
    let busy = Page { queue: 4, running: 9, kv: 0.5, active: "a" };
    TestPicker::with(&[Page::default(), busy], |_| {})
}

#[test]
fn status_is_one_screen_and_its_exit_code_says_whether_all_is_well() {
    let picker = busy();
    let admin = picker.router.listening().admin;
    let text = ask(admin, &["status"]).well();
    let hottest = format!("hottest   {}: 4 waiting, 9 running", picker.endpoint(1));
    for part in
        ["2 of 2 replicas ready", "2 ready of 2;", &hottest, "pool      endpoints: 2 of 2", "all is well"]
    {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    assert!(text.lines().count() <= 20, "more than a screen:\n{text}");
    picker.engines[1].stop();
    eventually("it is not ready", || picker.router.ready_endpoints() == 1);
    let said = ask(admin, &["status"]);
    assert_eq!((said.code, said.err.as_str()), (Some(1), ""));
    assert!(said.out.contains(&format!("1 of 2 replicas not ready: {}", picker.endpoint(1))), "{}", said.out);
    let status: Value = serde_json::from_str(&ask(admin, &["status", "-o", "json"]).out).expect("JSON");
    assert_eq!(
        (&status["replicas"]["ready"], status["wrong"].as_array().map(Vec::len)),
        (&1.into(), Some(1))
    );
}

#[test]
fn endpoints_are_shown_as_the_router_has_them_in_the_order_asked_for() {
    let picker = busy();
    let admin = picker.router.listening().admin;
    let table = ask(admin, &["endpoints", "--sort", "queue"]).well();
    let rows: Vec<&str> = table.lines().collect();
    assert!(rows[0].starts_with("ADDRESS") && rows.len() == 3, "{table}");
    assert!(rows[1].starts_with(&picker.endpoint(1)) && rows[1].contains("#####..... 50%"), "{table}");
    let wide = ask(admin, &["endpoints", "-o", "wide"]).well();
    assert!(wide.contains("MODELS") && wide.contains("95,000") && wide.contains("a,m"), "{wide}");
    let page = ask(admin, &["endpoints", "-o", "json"]).json();
    let (said, mut shown) = (picker.router.endpoints(), page["endpoints"].as_array().cloned().expect("rows"));
    let without_ages = |row: &mut Value| row["signals"].take();
    let mut said = said;
    for row in said.iter_mut().chain(&mut shown) {
        without_ages(row);
    }
    assert_eq!(shown, said, "nothing is lost or made up");
    let yaml = ask(admin, &["endpoints", "-o", "yaml"]).well();
    let yaml: Value = serde_saphyr::from_str(&yaml).expect("YAML");
    assert_eq!(yaml["endpoints"][1]["address"], picker.endpoint(1));
}

#[test]
fn pods_and_agents_tell_who_speaks_for_whom() {
    let (_engines, addresses) = engines(2);
    let agent = TestAgent::start(&addresses[..1]);
    let router = TestRouter::with(&addresses, |config| config.agents = vec![agent.address().to_string()]);
    let admin = router.listening().admin;
    eventually("it follows", || ask(admin, &["agents"]).out.contains("connected"));
    let pods = ask(admin, &["pods", "-o", "json"]).json();
    let (told, own) = (&pods["pods"][0], &pods["pods"][1]);
    assert_eq!((&told["node"], &told["agent"]["connected"]), (&"node-a".into(), &true.into()));
    assert_eq!((&own["node"], &own["agent"]), (&Value::Null, &Value::Null));
    assert_eq!(told["address"], addresses[0].to_string());
    let agents = ask(admin, &["agents"]).well();
    assert!(agents.contains("node-a") && agents.contains(&agent.address().to_string()), "{agents}");
    assert!(ask(admin, &["gpus"]).well().starts_with("no GPU is known"));
    drop(agent);
    eventually("it is lost", || ask(admin, &["agents"]).out.contains("lost"));
    let said = ask(admin, &["status"]);
    assert!(said.code == Some(1) && said.out.contains("1 of 1 agents lost"), "{said:?}");
}

#[test]
fn pins_are_shown_with_where_they_lead() {
    let picker = TestPicker::idle(1);
    let admin = picker.router.listening().admin;
    assert!(ask(admin, &["pins"]).well().starts_with("sessions pinned: 0;"));
    for session in ["one", "two", "three"] {
        let body = format!(r#"{{"model":"m","prompt":"hi","prompt_cache_key":"{session}"}}"#);
        assert_eq!(picker.router.aware().post("/v1/completions", &body).status, 200);
    }
    let all = ask(admin, &["pins"]).well();
    assert_eq!(all.matches(&picker.endpoint(0)).count(), 3, "{all}");
    let some = ask(admin, &["pins", "--limit", "2"]).well();
    assert!(some.starts_with("sessions pinned: 3, the last 2 shown;"), "{some}");
    assert_eq!(ask(admin, &["pins", "-o", "json"]).json()["sessions"]["pinned"], 3);
    assert!(ask(admin, &["groups"]).well().starts_with("prefix groups pinned: 0;"));
    assert_eq!(ask(admin, &["groups", "-o", "json"]).json()["groups"]["pinned"], 0);
}

#[test]
fn pools_and_lane_are_shown() {
    let picker = TestPicker::idle(1);
    let admin = picker.router.listening().admin;
    let pools = ask(admin, &["pools"]).well();
    assert!(pools.contains("endpoints") && pools.contains("1 of 1") && pools.contains("DEFAULT"), "{pools}");
    let lane = ask(admin, &["lane"]).well();
    assert!(lane.starts_with("lane      off, responses are copied: it is set to off"), "{lane}");
    assert_eq!(ask(admin, &["lane", "-o", "json"]).json()["on"], false);
}

#[test]
fn the_router_may_stand_in_the_environment() {
    let picker = TestPicker::idle(1);
    let address = format!("http://{}/", picker.router.listening().admin);
    let said = run(program().env("WARMLANE_ROUTER", &address).arg("endpoints"));
    assert!(said.well().contains(&picker.endpoint(0)));
    let said = run(program().env("WARMLANE_ROUTER", &address).args(["--router", "127.0.0.1:1", "endpoints"]));
    assert_eq!(said.code, Some(3), "what is given counts more");
}

#[test]
fn a_request_is_explained_replayed_and_watched() {
    let picker = busy();
    let admin = picker.router.listening().admin;
    let send = |id: &str| {
        let header = format!("x-request-id: {id}\r\n");
        let body = r#"{"model":"m","prompt":"hello","max_tokens":2}"#;
        let sent = picker.router.aware().post_with("/v1/completions", &header, body);
        sent.header("x-warmlane-endpoint").expect("an endpoint").to_owned()
    };
    let endpoint = send("first");
    let said = ask(admin, &["explain", "first"]).well();
    for part in ["request   first, ", &format!("went to   {endpoint}\n"), "because   ", "chosen", "again: "] {
        assert!(said.contains(part), "no {part:?} in\n{said}");
    }
    let unknown = ask(admin, &["explain", "nobody's"]);
    assert_eq!(unknown.code, Some(4));
    assert!(unknown.err.contains("no decision for \"nobody's\" is kept"), "{}", unknown.err);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("decisions.jsonl");
    let file = file.to_str().expect("UTF-8");
    let saved = ask(admin, &["decisions", "--model", "m", "--save", file]).well();
    assert!(saved.starts_with("1 decisions are in "), "{saved}");
    let replayed = run(program().args(["replay", file])).well();
    assert!(replayed.contains("1 decisions, 1 as recorded, 0 elsewhere"), "{replayed}");
    let otherwise = run(program().args(["replay", file, "--weights", "prefx=1"]));
    assert_eq!(otherwise.code, Some(2));
    assert!(otherwise.err.contains("there is no weight \"prefx\""), "{}", otherwise.err);
    let watching = program()
        .args(["--router", &admin.to_string(), "watch", "--model", "m", "--count", "1", "-o", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // It tells of what comes after it has begun, whenever that is.
    let (mut watching, mut number) = (watching, 0);
    eventually("it has seen one", || {
        number += 1;
        send(&format!("later-{number}"));
        watching.try_wait().expect("its state").is_some()
    });
    let seen = watching.wait_with_output().expect("its output").stdout;
    let seen: Value = serde_json::from_slice(&seen).expect("a line of JSON");
    assert!(seen["request_id"].as_str().is_some_and(|id| id.starts_with("later-")), "{seen}");
}

#[test]
fn a_body_is_explained_that_nobody_sent() {
    let picker = busy();
    let admin = picker.router.listening().admin;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("body.json");
    std::fs::write(&file, r#"{"model":"m","messages":[{"role":"user","content":"hello"}]}"#).expect("a file");
    let file = file.to_str().expect("UTF-8");
    let said = ask(admin, &["explain", "--body", file, "--header", "x-session-id: mine"]).well();
    assert!(said.starts_with("asked     m in pool endpoints") && said.contains("session "), "{said}");
    assert_eq!(picker.router.in_flight(), 0);
    let missing = ask(admin, &["explain", "--body", "/nowhere/body.json"]);
    assert_eq!(missing.code, Some(2));
    assert!(missing.err.contains("/nowhere/body.json"), "{}", missing.err);
    let wrong = ask(admin, &["explain", "--body", file, "--path", "/v1/nothing"]);
    assert!(wrong.code == Some(4) && wrong.err.contains("not an inference call"), "{}", wrong.err);
}

#[test]
fn a_running_router_is_changed_by_who_has_the_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    std::fs::write(&token, "s3cret-s3cret-s3cret\n").expect("a token");
    let token = token.to_str().expect("UTF-8").to_owned();
    let picker = TestPicker::with(&[Page::default(), Page::default()], |config| {
        config.admin.token_file = token.clone().into();
    });
    let (admin, endpoint) = (picker.router.listening().admin, picker.endpoint(0));
    let refused = ask(admin, &["drain", &endpoint]);
    assert_eq!(refused.code, Some(4));
    assert!(refused.err.contains("401") && refused.err.contains("--token-file FILE"), "{}", refused.err);
    let with = |words: &[&str]| {
        run(program().args(["--router", &admin.to_string(), "--token-file", &token]).args(words))
    };
    let drained = with(&["drain", &endpoint]).well();
    assert!(drained.starts_with(&format!("{endpoint} gets no new requests")), "{drained}");
    assert!(with(&["drain", &endpoint]).well().contains("as before"));
    for number in 0..20 {
        let body = format!(r#"{{"model":"m","prompt":"{number}","max_tokens":2}}"#);
        let sent = picker.router.aware().post("/v1/completions", &body);
        assert_eq!(sent.header("x-warmlane-endpoint"), Some(&*picker.endpoint(1)));
    }
    let by_environment = run(program().env("WARMLANE_TOKEN", "s3cret-s3cret-s3cret").args([
        "--router",
        &admin.to_string(),
        "undrain",
        &endpoint,
    ]));
    assert!(by_environment.well().contains("may get requests"));
    let level = with(&["set", "log", "warmlane_router=nonsense"]);
    assert!(level.code == Some(4), "{level:?}");
    let absent = with(&["unpin", "00000000000000ff"]);
    assert!(absent.code == Some(4) && absent.err.contains("no such session is pinned"), "{absent:?}");
    assert_eq!(with(&["unpin"]).code, Some(2), "one of two must be named");
}
