//! An agent and the routers that follow it, over engines that behave and misbehave.

use std::{net::SocketAddr, thread, time::Duration};

use warmlane_tests::{
    TestRouter,
    agent::TestAgent,
    eventually,
    nvml::FakeNvml,
    picker::{Said, engines, page},
};

fn following(addresses: &[SocketAddr], agent: &TestAgent) -> TestRouter {
    let router = TestRouter::with(addresses, |config| config.agents = vec![agent.address().to_string()]);
    eventually("it follows", || connected(&router));
    router
}

fn connected(router: &TestRouter) -> bool {
    router.admin().get("/debug/agents").json()["agents"][0]["connected"] == true
}

fn queue(router: &TestRouter, number: usize) -> f64 {
    router.endpoints()[number]["signals"]["queue"]["value"].as_f64().unwrap_or(-1.0)
}

/// Readings of all engines by an agent, and by routers themselves.
fn scrapes(agent: &TestAgent, routers: &[TestRouter]) -> (f64, f64) {
    let own = routers.iter().map(|router| router.metric("warmlane_scrapes_total{")).sum();
    (agent.metric("warmlane_agent_scrapes_total{"), own)
}

#[test]
fn what_an_engine_says_reaches_every_router_and_one_reader_asks_it() {
    let (engines, addresses) = engines(2);
    let agent = TestAgent::start(&addresses);
    let routers: Vec<TestRouter> = (0..3).map(|_| following(&addresses, &agent)).collect();
    let (_, before) = scrapes(&agent, &routers);
    for number in [3, 9] {
        engines[1].metrics(page(Said { queue: number, ..Said::default() }).as_bytes());
        eventually("all have heard", || routers.iter().all(|router| queue(router, 1) == f64::from(number)));
    }
    let (by_agent, own) = scrapes(&agent, &routers);
    assert_eq!(own, before, "no router reads by itself");
    assert!(by_agent >= 2.0);
    let endpoint = &routers[0].endpoints()[1];
    assert_eq!(endpoint["models"].as_array().map(Vec::len), Some(2), "{endpoint}");
    assert_eq!(endpoint["kv_capacity_tokens"], 95_000);
    assert_eq!(endpoint["node"], "node-a", "its agent says so");
}

#[test]
fn an_engine_is_asked_no_more_often_by_ten_routers_than_by_one() {
    let (_engines, addresses) = engines(1);
    let agent = TestAgent::start(&addresses);
    let per_second = |routers: &[TestRouter]| {
        let (before, own) = scrapes(&agent, routers);
        thread::sleep(Duration::from_secs(3));
        let (after, own_after) = scrapes(&agent, routers);
        assert_eq!(own_after, own, "no router reads by itself");
        (after - before) / 3.0
    };
    let mut routers = vec![following(&addresses, &agent)];
    // An idle engine is read once a second, more or less a tenth, when it has been idle for a while.
    thread::sleep(Duration::from_secs(4));
    let one = per_second(&routers);
    routers.extend((0..9).map(|_| following(&addresses, &agent)));
    let ten = per_second(&routers);
    assert!((0.5..=1.5).contains(&one) && (0.5..=1.5).contains(&ten), "{one} and {ten} a second");
}

#[test]
fn routers_read_by_themselves_when_the_agent_is_gone_and_stop_when_it_is_back() {
    let (engines, addresses) = engines(1);
    let agent = TestAgent::start(&addresses);
    let router = following(&addresses, &agent);
    let address = agent.address();
    drop(agent);
    engines[0].metrics(page(Said { queue: 4, ..Said::default() }).as_bytes());
    eventually("the router reads", || queue(&router, 0) == 4.0);
    assert!(!connected(&router));
    let again = TestAgent::with(&addresses, |config| config.listen = address);
    eventually("it is followed again", || connected(&router));
    engines[0].metrics(page(Said { queue: 6, ..Said::default() }).as_bytes());
    eventually("and heard", || queue(&router, 0) == 6.0);
    drop(again);
}

#[test]
fn a_router_that_restarts_gets_everything_anew() {
    let (engines, addresses) = engines(2);
    let agent = TestAgent::start(&addresses);
    drop(following(&addresses, &agent));
    engines[0].metrics(page(Said { queue: 5, ..Said::default() }).as_bytes());
    let router = following(&addresses, &agent);
    eventually("it has heard", || queue(&router, 0) == 5.0);
    assert_eq!(agent.metric("warmlane_agent_updates_total{kind=\"full\"}"), 2.0);
}

#[test]
fn a_gpu_that_falls_off_the_bus_takes_its_replica_out_and_a_reset_brings_it_back() {
    let (engines, addresses) = engines(2);
    let mut fakes = [FakeNvml::new(1), FakeNvml::new(1)];
    let agent = |at: usize| TestAgent::with(&addresses[at..=at], |config| config.nvml_lib = fakes[at].path());
    let agents = [agent(0), agent(1)];
    let router = TestRouter::with(&addresses, |config| {
        config.agents = agents.iter().map(|agent| agent.address().to_string()).collect();
    });
    let gpus = |number: usize| router.admin().get("/debug/agents").json()["agents"][number]["gpus"].clone();
    eventually("both cards are known", || {
        gpus(0)[0]["name"] == "NVIDIA A10" && gpus(1)[0]["verdict"] == "healthy"
    });
    let health = || router.endpoints()[0]["health"].as_str().unwrap_or_default().to_owned();
    eventually("it is out", || {
        // Raised again until somebody listens: a listener hears what comes after it has begun.
        fakes[0].raise(0, 79);
        thread::sleep(Duration::from_millis(100));
        health().contains("XID 79")
    });
    for _ in 0..4 {
        let status = router.aware().post("/v1/completions", r#"{"model":"m","prompt":"hi"}"#).status;
        assert_eq!(status, 200, "no request fails");
    }
    assert_eq!((engines[0].seen().len(), engines[1].seen().len()), (0, 4));
    // A driver that was loaded anew counts energy from nothing.
    fakes[0].change(|script| {
        script["devices"][0]["values"]["nvmlDeviceGetTotalEnergyConsumption"] = serde_json::json!(1_000);
    });
    eventually("it is held back, but no longer out", || health().contains("its GPU") && !is_out(&router));
    assert!(agents[0].metric("warmlane_agent_gpu_health{") > 0.0);
}

/// Whether the first replica must not be used.
fn is_out(router: &TestRouter) -> bool {
    router.endpoints()[0]["health"].as_str().is_some_and(|health| health.starts_with("failed"))
}

#[test]
fn an_engine_that_dies_is_not_ready_and_one_that_comes_up_is() {
    let (engines, addresses) = engines(2);
    let agent = TestAgent::start(&addresses);
    let router = following(&addresses, &agent);
    engines[0].stop();
    eventually("it is seen", || router.endpoints()[0]["ready"] == false);
    let health = router.endpoints()[0]["health"].as_str().unwrap_or_default().to_owned();
    assert!(health.contains("refused"), "{health}");
    assert_eq!(router.endpoints()[1]["ready"], true);
}

#[test]
fn pages_that_are_none_leave_the_engine_in_service_and_the_rest_unharmed() {
    let (engines, addresses) = engines(2);
    let agent = TestAgent::start(&addresses);
    let router = following(&addresses, &agent);
    let huge = "x".repeat(50 << 20);
    let labels = format!("vllm:num_requests_waiting{{engine=\"{}\"}} 1\n", "y".repeat(1 << 20));
    let twice = "vllm:num_requests_waiting{engine=\"0\"} 1\nvllm:num_requests_waiting{engine=\"0\"} 2\n";
    let numbers = "vllm:num_requests_waiting{engine=\"0\"} NaN\nvllm:num_requests_running{engine=\"0\"} -5\n\
                   vllm:kv_cache_usage_perc{engine=\"0\"} 1e308\n";
    let bad: [&[u8]; 6] =
        [huge.as_bytes(), b"\0\xff\xfe binary", numbers.as_bytes(), b"", twice.as_bytes(), labels.as_bytes()];
    for (number, bytes) in bad.into_iter().enumerate() {
        engines[0].metrics(bytes);
        engines[1].metrics(page(Said { queue: 10 + number as u32, ..Said::default() }).as_bytes());
        eventually("its neighbour is heard", || queue(&router, 1) == f64::from(10 + number as u32));
        let status = router.aware().post("/v1/completions", r#"{"model":"m","prompt":"hi"}"#).status;
        assert_eq!(status, 200, "page {number}");
    }
    engines[0].metrics(page(Said { queue: 2, ..Said::default() }).as_bytes());
    eventually("and a good page is read again", || queue(&router, 0) == 2.0);
}
