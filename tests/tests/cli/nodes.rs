//! What the program says of a node, asked of its agent and of a router that follows it.

use std::net::SocketAddr;

use warmlane_tests::{TestRouter, agent::TestAgent, eventually, nvml::FakeNvml, picker::engines};

use super::{Said, program, run};

/// Asks the agent there.
fn ask(address: SocketAddr, words: &[&str]) -> Said {
    run(program().args(["--agent", &address.to_string()]).args(words))
}

#[test]
fn an_agent_tells_of_its_engines_its_sources_and_who_follows_it() {
    let (engines, addresses) = engines(2);
    let fake = FakeNvml::new(1);
    let agent = TestAgent::with(&addresses, |config| config.nvml_lib = fake.path());
    let admin = agent.admin_address();
    eventually("all is known", || {
        let said = ask(admin, &["agents"]).well();
        let answering = said.lines().filter(|line| line.contains(":") && line.contains("  yes  ")).count();
        said.contains("nvml      works (driver") && answering == 2
    });
    let said = ask(admin, &["agents"]).well();
    for part in
        ["node      node-a, version", "kubelet   does not tell: switched off", "router    none follows"]
    {
        assert!(said.contains(part), "no {part:?} in\n{said}");
    }
    let router = TestRouter::with(&addresses, |config| config.agents = vec![agent.address().to_string()]);
    eventually("a router follows", || {
        ask(admin, &["agents", "-o", "json"]).json()["routers"].as_array().is_some_and(|all| all.len() == 1)
    });
    engines[1].stop();
    eventually("one does not answer", || ask(admin, &["agents"]).out.contains("no: nothing listens"));
    let page = ask(admin, &["agents", "-o", "json"]).json();
    assert_eq!(page["engines"][0]["contact"], "answers");
    assert_eq!(page["engines"][0]["kv_capacity_tokens"], 95_000);
    assert!(
        page["engines"][0]["signals"]["queue"]["age_ms"].as_u64().is_some_and(|age| age < 10_000),
        "{page}"
    );
    assert_eq!(page["engines"][1]["trouble"], "nothing listens");
    drop(router);
    eventually("none follows", || ask(admin, &["agents"]).out.contains("none follows"));
}

#[test]
fn a_card_is_shown_with_what_it_measures_by_agent_and_router() {
    let (_engines, addresses) = engines(1);
    let fake = FakeNvml::new(1);
    let agent = TestAgent::with(&addresses, |config| config.nvml_lib = fake.path());
    let router = TestRouter::with(&addresses, |config| config.agents = vec![agent.address().to_string()]);
    let admin = router.listening().admin.to_string();
    let by_router =
        || run(program().args(["--router", &admin, "gpus", "-o", "json"])).json()["gpus"][0].take();
    eventually("the router knows it", || by_router()["temperature_celsius"].is_f64());
    let by_router = by_router();
    assert_eq!((&by_router["node"], &by_router["verdict"]), (&"node-a".into(), &"healthy".into()));
    let by_agent = ask(agent.admin_address(), &["gpus", "-o", "json"]).json()["gpus"][0].take();
    for what in ["uuid", "name", "memory_total_bytes", "slowdown_celsius", "power_limit_watts"] {
        assert!(!by_agent[what].is_null(), "{what}: {by_agent}");
        assert_eq!(by_agent[what], by_router[what], "{what}");
    }
    assert!(by_agent["read_ms_ago"].is_u64() && by_agent["index"] == 0, "{by_agent}");
    let table = ask(agent.admin_address(), &["gpus"]).well();
    assert!(table.contains("NVIDIA A10") && table.contains(" C "), "{table}");
}

#[test]
fn without_a_driver_it_says_why_there_are_no_cards() {
    let (_engines, addresses) = engines(1);
    let agent = TestAgent::with(&addresses, |config| config.nvml_lib = "/nowhere/libnvidia-ml.so.1".into());
    eventually("it has tried", || {
        ask(agent.admin_address(), &["gpus"])
            .out
            .contains("does not tell: the NVIDIA library cannot be loaded")
    });
}

#[test]
fn an_agents_other_ports_are_told_from_its_admin_port() {
    let (_engines, addresses) = engines(1);
    let agent = TestAgent::start(&addresses);
    let said = ask(agent.metrics_address(), &["agents"]);
    assert_eq!(said.code, Some(3));
    assert!(said.err.contains("is this a port for metrics") && said.err.contains("9012"), "{}", said.err);
    let said = ask(agent.address(), &["gpus"]);
    assert!(said.code == Some(3) && said.err.contains("is not the agent of Warmlane"), "{}", said.err);
    let admin = agent.admin_address();
    let said = run(program().args(["--router", &admin.to_string(), "endpoints"]));
    assert!(
        said.code == Some(3) && said.err.contains("It is the agent that answers there: ask it by --agent"),
        "{said:?}"
    );
    drop(agent);
    let said = ask(admin, &["gpus"]);
    assert!(said.code == Some(3) && said.err.contains("warmlane-agent --node"), "{}", said.err);
}

#[test]
fn the_doctor_finds_what_is_wrong_with_what_runs_here() {
    let (_engines, addresses) = engines(1);
    let agent = TestAgent::start(&addresses);
    let router = TestRouter::with(&addresses, |config| config.agents = vec![agent.address().to_string()]);
    let (at, node) = (router.listening().admin.to_string(), agent.admin_address().to_string());
    let doctor =
        |words: &[&str]| run(program().args(["--router", &at, "--agent", &node, "doctor"]).args(words));
    let finding = |what: &str| {
        let page: serde_json::Value = serde_json::from_str(&doctor(&["-o", "json"]).out).expect("JSON");
        let all = page["findings"].as_array().cloned().unwrap_or_default();
        all.into_iter()
            .find(|finding| finding["what"] == what)
            .unwrap_or_else(|| panic!("no {what} in {page}"))
    };
    eventually("the router follows", || finding("agents")["said"] == "the router follows all 1");
    for what in ["kernel", "BTF", "cgroups", "NVML", "kubelet", "lane"] {
        let finding = finding(what);
        assert_eq!(finding["fix"].is_null(), finding["grade"] == "ok", "{finding}");
    }
    for what in ["router", "router version", "agent", "agent version", "clock"] {
        assert_eq!(finding(what)["grade"], "ok", "{what}");
    }
    let text = doctor(&[]).out;
    assert!(text.contains("ok    router          ok: 1 of 1 replicas ready"), "{text}");
    drop(agent);
    eventually("the agent is lost", || finding("agents")["grade"] == "fail");
    let said = doctor(&[]);
    assert_eq!((said.code, said.err.as_str()), (Some(1), ""));
    assert!(
        said.out.contains("the router has lost 1 of 1") && said.out.contains("does it run"),
        "{}",
        said.out
    );
    drop(router);
    let said = doctor(&[]);
    assert!(
        said.code == Some(1) && said.out.contains("FAIL  router          cannot reach the router"),
        "{}",
        said.out
    );
}
