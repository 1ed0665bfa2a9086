//! What `warmlane bundle` packs of a router and an agent that run, and what must not be in it.

use std::{
    collections::BTreeMap, io::Read as _, net::TcpListener, os::unix::fs::PermissionsExt as _, path::Path,
};

use serde_json::Value;
use warmlane_tests::{
    TestRouter,
    agent::TestAgent,
    eventually,
    picker::{TestPicker, engines, models},
};

use super::{Said, ask, program, run};

const TOKEN: &str = "adm1n-t0ken-adm1n";
const PROMPT: &str = "the-prompt-that-somebody-sent";
const SESSION: &str = "a-session-key-of-somebody";

/// The files of an archive.
fn files(archive: &Path) -> BTreeMap<String, String> {
    let packed = std::fs::read(archive).expect("an archive");
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&*packed));
    let read = |entry: std::io::Result<tar::Entry<'_, flate2::read::GzDecoder<&[u8]>>>| {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a name").display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("text");
        (name.strip_prefix("warmlane-bundle/").expect("a folder of its own").to_owned(), text)
    };
    archive.entries().expect("entries").map(read).collect()
}

/// A router with an agent, that has served a request.
struct Scene {
    _engines: Vec<warmlane_tests::RawEngine>,
    agent: TestAgent,
    router: TestRouter,
    folder: tempfile::TempDir,
}

impl Scene {
    fn play() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let token = folder.path().join("token");
        std::fs::write(&token, TOKEN).expect("a token");
        let (engines, addresses) = engines(2);
        engines.iter().for_each(|engine| engine.models(&models(&["a-model"])));
        let agent = TestAgent::start(&addresses);
        let router = TestRouter::with(&addresses, |config| {
            config.agents = vec![agent.address().to_string()];
            config.admin.token_file = token;
            // Of the settings alone: no other page has them.
            config.admin.hosts = vec!["debug.corp.example".to_owned(), "10.11.12.13".to_owned()];
        });
        eventually("it follows", || {
            router.admin().get("/debug/agents").json()["agents"][0]["connected"] == true
        });
        eventually("models are known", || router.endpoints().iter().all(|e| !e["models"].is_null()));
        let body = format!(
            r#"{{"model":"a-model","prompt":"{PROMPT}","max_tokens":2,"prompt_cache_key":"{SESSION}"}}"#
        );
        let headers = "x-request-id: somebodys-request\r\nauthorization: Bearer somebodys-api-key\r\n";
        assert_eq!(router.aware().post_with("/v1/completions", headers, &body).status, 200);
        Self { _engines: engines, agent, router, folder }
    }

    fn bundle(&self, file: &Path, more: &[&str]) -> Said {
        let (admin, node) =
            (self.router.listening().admin.to_string(), self.agent.admin_address().to_string());
        let (metrics, theirs) =
            (self.router.listening().metrics.to_string(), self.agent.metrics_address().to_string());
        let mut command = program();
        command.args(["--router", &admin, "--agent", &node, "bundle", file.to_str().expect("UTF-8")]);
        command.args(["--router-metrics", &metrics, "--agent-metrics", &theirs]).args(more);
        run(command.env("WARMLANE_TOKEN", TOKEN))
    }
}

#[test]
fn an_archive_has_every_page_and_neither_secret_nor_prompt() {
    let scene = Scene::play();
    let archive = scene.folder.path().join("a.tar.gz");
    let said = scene.bundle(&archive, &[]).well();
    assert!(said.starts_with("archive   ") && !said.contains("lacks"), "{said}");
    let files = files(&archive);
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "agent/health.txt",
            "agent/metrics.txt",
            "agent/node.json",
            "agent/ready.txt",
            "doctor.json",
            "machine.json",
            "manifest.json",
            "router/agents.json",
            "router/config.toml",
            "router/decisions.json",
            "router/decisions.jsonl",
            "router/endpoints.json",
            "router/groups.json",
            "router/lane.json",
            "router/metrics.txt",
            "router/pins.json",
            "router/pools.json",
            "router/ready.txt",
            "router/router.json",
        ]
    );
    for (name, text) in &files {
        for secret in [TOKEN, PROMPT, SESSION, "somebodys-api-key"] {
            assert!(!text.contains(secret), "{secret} in {name}");
        }
    }
    assert!(
        files["router/metrics.txt"].contains("warmlane_") && files["agent/metrics.txt"].contains("warmlane_")
    );
    let json = |name: &str| serde_json::from_str::<Value>(&files[name]).expect("JSON");
    assert_eq!(json("router/decisions.json")["decisions"][0]["request_id"], "somebodys-request");
    assert_eq!(
        json("router/pins.json")["sessions"]["pinned"],
        1,
        "whose session it is stands there as a hash"
    );
    assert!(!json("machine.json")["kernel"].as_str().unwrap_or_default().is_empty());
    let listed = json("manifest.json")["files"].as_array().map(Vec::len);
    assert_eq!(listed, Some(files.len() - 1));
}

#[test]
fn other_names_take_the_place_of_names_and_decisions_can_still_be_replayed() {
    let scene = Scene::play();
    let archive = scene.folder.path().join("a.tar.gz");
    let manifest = scene.bundle(&archive, &["--redact", "-o", "json"]).json();
    assert_eq!((&manifest["redacted"], &manifest["archive"]), (&true.into(), &"a.tar.gz".into()));
    let mode = std::fs::metadata(&archive).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it is for who made it");
    let files = files(&archive);
    let folder = scene.folder.path().display().to_string();
    assert!(!files["manifest.json"].contains(&folder), "{folder}");
    for (name, text) in &files {
        for secret in ["a-model", "somebodys-request", "node-a", "10.11.12.13", "corp.example"] {
            assert!(!text.contains(secret), "{secret} in {name}: {text}");
        }
    }
    let decisions = scene.folder.path().join("decisions.jsonl");
    std::fs::write(&decisions, &files["router/decisions.jsonl"]).expect("a file");
    let said = run(program().args(["replay", decisions.to_str().expect("UTF-8")])).well();
    assert!(said.contains("1 decisions, 1 as recorded"), "{said}");
}

#[test]
fn what_cannot_be_had_costs_nothing_else() {
    let picker = TestPicker::idle(1);
    let folder = tempfile::tempdir().expect("a folder");
    let archive = folder.path().join("a.tar.gz");
    let path = archive.to_str().expect("UTF-8");
    let admin = picker.router.listening().admin;
    // The metrics of a router on port 0 are not where its settings say.
    let said = ask(admin, &["--agent", "127.0.0.1:1", "bundle", path]);
    assert_eq!((said.code, said.err.as_str()), (Some(1), ""), "{said:?}");
    assert!(said.out.contains("lacks     router/metrics.txt: where it is cannot be told"), "{}", said.out);
    assert!(
        said.out.contains("lacks     agent/node.json and 2 more: cannot reach the agent at 127.0.0.1:1"),
        "{}",
        said.out
    );
    let packed = files(&archive);
    assert!(packed.contains_key("router/pins.json") && packed.contains_key("doctor.json"));
    let manifest: Value = serde_json::from_str(&packed["manifest.json"]).expect("JSON");
    let why = manifest["missing"][0]["why"].as_str().unwrap_or_default();
    assert!(why.contains("cannot reach the agent"), "{manifest}");
    // Nobody: what this machine is like is worth having all the same.
    let said = ask("127.0.0.1:1", &["--agent", "127.0.0.1:1", "bundle", path]);
    assert!(said.code == Some(1) && files(&archive).contains_key("machine.json"), "{said:?}");
    let said = ask(admin, &["bundle", "/nowhere/a.tar.gz"]);
    assert!(said.code == Some(2) && said.err.contains("/nowhere/a.tar.gz"), "{said:?}");
}

#[test]
fn who_does_not_answer_is_waited_for_once() {
    let picker = TestPicker::idle(1);
    let silent = TcpListener::bind("127.0.0.1:0").expect("bind");
    let agent = silent.local_addr().expect("address").to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let archive = folder.path().join("a.tar.gz");
    let words = ["--agent", &agent, "--timeout", "2", "bundle", archive.to_str().expect("UTF-8")];
    let said = ask(picker.router.listening().admin, &words);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("agent/node.json and 3 more: the agent at"), "{}", said.out);
    silent.set_nonblocking(true).expect("it does not wait");
    let asked = std::iter::from_fn(|| silent.accept().ok()).count();
    assert_eq!(asked, 1);
}

#[test]
fn why_a_router_is_not_ready_is_part_of_what_it_says() {
    let nobody = "127.0.0.1:1".parse().expect("an address");
    let router = TestRouter::unready(&[nobody], |_| {});
    let (admin, metrics) = (router.listening().admin, router.listening().metrics.to_string());
    let folder = tempfile::tempdir().expect("a folder");
    let archive = folder.path().join("a.tar.gz");
    let path = archive.to_str().expect("UTF-8");
    let said = ask(admin, &["--agent", "127.0.0.1:1", "bundle", path, "--router-metrics", &metrics]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let ready = &files(&archive)["router/ready.txt"];
    assert!(ready.contains("127.0.0.1:1") && ready.ends_with('\n'), "{ready:?}");
}
