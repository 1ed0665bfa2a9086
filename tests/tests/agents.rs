//! What a router makes of agents' words: true ones, wrong ones, and silence.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use warmlane_api::node::{Endpoint, Gpu, ModelList, Update, Verdict, verdict::Grade};
use warmlane_router::config::Config;
use warmlane_tests::{
    TestRouter, eventually,
    picker::engines,
    told::{HEARTBEAT_MS, ToldAgent, delta, full, waiting},
};

fn following(addresses: &[SocketAddr], agents: &[&ToldAgent]) -> TestRouter {
    let agents: Vec<String> = agents.iter().map(|agent| agent.address.to_string()).collect();
    TestRouter::with(addresses, |config: &mut Config| config.agents = agents)
}

fn agent(router: &TestRouter, number: usize) -> Value {
    router.admin().get("/debug/agents").json()["agents"][number].clone()
}

fn queue(router: &TestRouter, number: usize) -> f64 {
    router.endpoints()[number]["signals"]["queue"]["value"].as_f64().unwrap_or(-1.0)
}

fn connected(router: &TestRouter, number: usize) -> bool {
    agent(router, number)["connected"] == true
}

/// Readings of engines' pages by the router itself.
fn scrapes(router: &TestRouter) -> f64 {
    router.metric("warmlane_scrapes_total{outcome=\"ok\"}")
}

/// Keeps a stream alive for a while by what it says again and again; the sequence after it.
fn keep_saying(agent: &ToldAgent, first: u64, times: u64, say: impl Fn() -> Vec<Endpoint>) -> u64 {
    for sequence in first..first + times {
        agent.say(delta(sequence, say()));
        thread::sleep(Duration::from_millis(u64::from(HEARTBEAT_MS) / 2));
    }
    first + times
}

#[test]
fn an_agents_readings_count_and_the_router_reads_no_more() {
    let (_engines, addresses) = engines(2);
    let told = ToldAgent::start();
    let router = following(&addresses, &[&told]);
    told.wait_for(1);
    told.say(full(vec![waiting(addresses[0], 5.0), waiting(addresses[1], 7.0)]));
    eventually("they are merged", || (queue(&router, 0), queue(&router, 1)) == (5.0, 7.0));
    assert_eq!(agent(&router, 0)["node"], "node-a");
    assert_eq!(agent(&router, 0)["endpoints"].as_array().map(Vec::len), Some(2));
    // One that had begun may end.
    let sequence = keep_saying(&told, 2, 3, Vec::new);
    let before = scrapes(&router);
    keep_saying(&told, sequence, 15, || vec![waiting(addresses[0], 6.0)]);
    assert_eq!(scrapes(&router), before, "nobody reads what the agent reads");
    assert_eq!(queue(&router, 0), 6.0);
    let age = router.endpoints()[1]["signals"]["queue"]["age_ms"].as_u64().expect("an age");
    assert!(age > 1_000, "what is not told again ages: {age}");
}

#[test]
fn the_router_reads_by_itself_once_the_agent_is_silent() {
    let (_engines, addresses) = engines(1);
    let told = ToldAgent::start();
    let router = following(&addresses, &[&told]);
    told.wait_for(1);
    told.say(full(vec![waiting(addresses[0], 5.0)]));
    eventually("it is merged", || queue(&router, 0) == 5.0);
    // Its stream is open and says nothing more.
    eventually("the router reads", || queue(&router, 0) == 0.0);
    assert!(!connected(&router, 0));
    let trouble = agent(&router, 0)["trouble"].as_str().expect("a reason").to_owned();
    assert!(trouble.contains("nothing came"), "{trouble}");
    told.wait_for(2);
    told.say(full(vec![waiting(addresses[0], 9.0)]));
    eventually("it is followed again", || queue(&router, 0) == 9.0 && connected(&router, 0));
    assert_eq!(router.metric("warmlane_node_losses_total{"), 1.0);
}

#[test]
fn an_agent_that_restarts_on_its_port_is_followed_again() {
    let (_engines, addresses) = engines(1);
    let told = ToldAgent::start();
    let router = following(&addresses, &[&told]);
    told.wait_for(1);
    told.say(full(vec![waiting(addresses[0], 5.0)]));
    eventually("it is merged", || queue(&router, 0) == 5.0);
    let address = told.address;
    drop(told);
    eventually("the router reads", || queue(&router, 0) == 0.0);
    let again = ToldAgent::on(address);
    again.wait_for(1);
    again.say(Update { generation: 8, ..full(vec![waiting(addresses[0], 4.0)]) });
    eventually("it is followed again", || queue(&router, 0) == 4.0);
    assert_eq!(agent(&router, 0)["generation"], "0000000000000008");
}

#[test]
fn a_stream_with_a_gap_or_without_a_beginning_is_given_up() {
    let (_engines, addresses) = engines(1);
    let told = ToldAgent::start();
    let router = following(&addresses, &[&told]);
    told.wait_for(1);
    told.say(delta(1, vec![waiting(addresses[0], 5.0)]));
    told.wait_for(2);
    assert!(agent(&router, 0)["trouble"].as_str().is_some_and(|why| why.contains("full state")));
    told.say(full(vec![waiting(addresses[0], 5.0)]));
    eventually("it is merged", || queue(&router, 0) == 5.0);
    told.say(delta(3, vec![waiting(addresses[0], 6.0)]));
    told.wait_for(3);
    assert!(agent(&router, 0)["trouble"].as_str().is_some_and(|why| why.contains("update 3 came where 2")));
    assert_ne!(queue(&router, 0), 6.0, "what came behind a gap is not taken");
}

#[test]
fn a_failed_gpu_takes_its_replica_out_and_a_healthy_one_brings_it_back() {
    let (engines, addresses) = engines(2);
    let told = ToldAgent::start();
    let router = following(&addresses, &[&told]);
    told.wait_for(1);
    let judged = |grade: Grade| {
        let verdict = Verdict { grade: grade.into(), why: "XID 79: fell off the bus".to_owned() };
        let mut endpoint = waiting(addresses[0], 0.0);
        endpoint.verdict = Some(verdict);
        vec![endpoint, waiting(addresses[1], 20.0)]
    };
    told.say(full(judged(Grade::Failed)));
    eventually("it is out", || {
        router.endpoints()[0]["health"].as_str().is_some_and(|why| why.contains("XID 79"))
    });
    let ask =
        |router: &TestRouter| router.aware().post("/v1/completions", r#"{"model":"m","prompt":"hi"}"#).status;
    let mut sequence = 2;
    for _ in 0..4 {
        assert_eq!(ask(&router), 200);
        told.say(delta(sequence, Vec::new()));
        sequence += 1;
    }
    assert_eq!((engines[0].seen().len(), engines[1].seen().len()), (0, 4), "though it looks idle");
    told.say(delta(sequence, judged(Grade::Healthy)));
    eventually("it is back", || router.endpoints()[0]["health"] == "healthy");
    assert_eq!(ask(&router), 200);
    assert_eq!(engines[0].seen().len(), 1);
}

#[test]
fn a_failed_gpu_does_not_become_well_because_its_agent_was_restarted() {
    let (_engines, addresses) = engines(2);
    let told = ToldAgent::start();
    let router = following(&addresses, &[&told]);
    told.wait_for(1);
    let judged = |grade: Grade, waits: f32| {
        let mut endpoint = waiting(addresses[0], 0.0);
        endpoint.verdict = Some(Verdict { grade: grade.into(), why: "XID 48".to_owned() });
        full(vec![endpoint, waiting(addresses[1], waits)])
    };
    let is_out = || router.endpoints()[0]["health"].as_str().is_some_and(|why| why.contains("XID 48"));
    told.say(judged(Grade::Failed, 0.0));
    eventually("it is out", is_out);
    let address = told.address;
    drop(told);
    eventually("the agent is gone", || agent(&router, 0)["connected"] == false);
    assert!(is_out(), "nobody said that it is well");
    let anew = ToldAgent::on(address);
    anew.wait_for(1);
    anew.say(judged(Grade::Healthy, 7.0));
    // The other one is told of behind it.
    eventually("it is heard", || queue(&router, 1) == 7.0);
    assert!(is_out(), "the new agent knows nothing of what was before");
}

#[test]
fn the_word_of_a_second_agent_is_not_taken_until_the_first_is_gone() {
    let (_engines, addresses) = engines(1);
    let (first, second) = (ToldAgent::start(), ToldAgent::start());
    let router = following(&addresses, &[&first, &second]);
    first.wait_for(1);
    first.say(full(vec![waiting(addresses[0], 5.0)]));
    eventually("it is merged", || queue(&router, 0) == 5.0);
    second.wait_for(1);
    second.say(full(vec![waiting(addresses[0], 50.0)]));
    eventually("it is heard", || connected(&router, 1));
    let sequence = keep_saying(&first, 2, 3, Vec::new);
    assert_eq!(queue(&router, 0), 5.0, "and not taken");
    drop(first);
    let _ = sequence;
    let mut next = 2;
    eventually("its turn has come", || {
        second.say(delta(next, vec![waiting(addresses[0], 50.0)]));
        next += 1;
        queue(&router, 0) == 50.0
    });
}

#[test]
fn what_agents_say_of_others_replicas_and_in_no_known_form_harms_nobody() {
    let (_engines, addresses) = engines(1);
    let told = ToldAgent::start();
    let router = following(&addresses, &[&told]);
    told.wait_for(1);
    let mut garbage = waiting(addresses[0], f32::NAN);
    garbage.models = Some(ModelList { age_us: 0, body: b"\xff{".as_slice().into() });
    garbage.verdict = Some(Verdict { grade: 99, why: String::new() });
    let foreign = waiting("10.9.9.9:1".parse().expect("an address"), 1.0);
    told.say(full(vec![garbage, foreign]));
    eventually("it is heard", || connected(&router, 0));
    assert_eq!(agent(&router, 0)["ignored"], 1);
    assert_eq!(router.aware().post("/v1/completions", r#"{"model":"m","prompt":"hi"}"#).status, 200);
    told.say(delta(2, vec![waiting(addresses[0], 3.0)]));
    eventually("and goes on", || queue(&router, 0) == 3.0);
}

#[test]
fn something_that_is_no_agent_is_named_and_the_router_reads_by_itself() {
    let (engines, addresses) = engines(1);
    // An engine speaks HTTP/1.1.
    let router =
        TestRouter::with(&addresses, |config| config.agents = vec![engines[0].address().to_string()]);
    eventually("it is told", || agent(&router, 0)["trouble"].is_string());
    assert_eq!(queue(&router, 0), 0.0);
}

#[test]
fn a_replica_whose_name_leads_nowhere_is_not_ready_whatever_its_agent_says() {
    const NAME: &str = "nowhere.invalid:8000";
    let told = ToldAgent::start();
    let router = TestRouter::unready(&[], |config| {
        config.endpoints = vec![NAME.to_owned()];
        config.agents = vec![told.address.to_string()];
    });
    let reached = || {
        let models = ModelList { age_us: 0, body: br#"{"data":[{"id":"m"}]}"#.as_slice().into() };
        let here = waiting("127.0.0.1:1".parse().expect("an address"), 1.0);
        vec![Endpoint { address: NAME.to_owned(), models: Some(models), ..here }]
    };
    told.wait_for(1);
    told.say(full(reached()));
    eventually("it is heard", || connected(&router, 0));
    for sequence in 2..10 {
        told.say(delta(sequence, reached()));
        thread::sleep(Duration::from_millis(100));
        assert_eq!(router.ready_endpoints(), 0, "nobody can be sent there");
    }
    assert!(router.endpoints()[0]["health"].as_str().is_some_and(|why| why.contains("name")));
}

#[test]
fn an_agent_that_goes_wrong_soon_after_its_beginning_is_dialled_less_and_less_often() {
    let (_engines, addresses) = engines(1);
    let told = ToldAgent::start();
    let _router = following(&addresses, &[&told]);
    let began = Instant::now();
    let mut streams = 0;
    while began.elapsed() < Duration::from_secs(4) {
        if told.followers() > streams {
            streams = told.followers();
            told.say(full(vec![waiting(addresses[0], 5.0)]));
            told.say(delta(9, Vec::new()));
        }
        thread::sleep(Duration::from_millis(5));
    }
    assert!((2..=8).contains(&streams), "{streams} streams");
}

#[test]
fn gpus_that_are_told_of_no_more_are_shown_no_more() {
    let (_engines, addresses) = engines(1);
    let told = ToldAgent::start();
    let router = following(&addresses, &[&told]);
    let gpus = |names: &[&str]| -> Vec<Gpu> {
        names.iter().map(|uuid| Gpu { uuid: (*uuid).to_owned(), ..Gpu::default() }).collect()
    };
    let shown = || {
        let gpus = agent(&router, 0)["gpus"].as_array().cloned().unwrap_or_default();
        gpus.iter().map(|gpu| gpu["uuid"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    told.wait_for(1);
    told.say(Update { gpus: gpus(&["GPU-a", "MIG-b"]), ..full(Vec::new()) });
    eventually("they are shown", || shown() == ["GPU-a", "MIG-b"]);
    told.say(delta(2, Vec::new()));
    told.say(Update { gpus: gpus(&["GPU-a", "MIG-c", "MIG-d"]), ..delta(3, Vec::new()) });
    eventually("a card was cut anew", || shown() == ["GPU-a", "MIG-c", "MIG-d"]);
}

#[test]
fn an_update_with_more_parts_than_a_node_has_is_not_read() {
    let (_engines, addresses) = engines(1);
    let told = ToldAgent::start();
    let router = following(&addresses, &[&told]);
    told.wait_for(1);
    told.say(full(vec![Endpoint::default(); 10_000]));
    told.wait_for(2);
    assert!(!connected(&router, 0));
    let trouble = agent(&router, 0)["trouble"].to_string();
    assert!(trouble.contains("what it tells is too large") && trouble.contains("4096 parts"), "{trouble}");
}
