//! The network between a router and an agent is cut, in namespaces of their own: packets go nowhere, nobody is told.

use std::{
    net::{IpAddr, SocketAddr},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use warmlane_picker::{Profile, Strategy};
use warmlane_sim::server::{KvEvents, KvFormat, Options, Running, start};
use warmlane_tests::{
    TestRouter,
    agent::TestAgent,
    eventually,
    namespace::{End, Link},
};

fn any(end: End) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(end.address()), 0)
}

fn engine(end: End) -> Running {
    let mut options = Options::new("m");
    options.listen = any(end);
    options.kv_events = Some(KvEvents { listen: any(end), format: KvFormat::Map });
    options.time_scale = 100.0;
    start(options).expect("the engine starts")
}

fn agent(of: &Running, end: End) -> TestAgent {
    TestAgent::with(&[of.address()], |config| {
        config.listen = any(end);
        config.kv_events = vec![of.kv_events().map(|at| at.to_string())];
    })
}

fn router(of: &Running, agent: SocketAddr) -> TestRouter {
    let router = TestRouter::with(&[of.address()], |config| {
        config.agents = vec![agent.to_string()];
        config.profile = Profile::of(Strategy::PrefixCache);
    });
    eventually("it follows", || follows(&router));
    router
}

fn shown(router: &TestRouter) -> Value {
    router.admin().get("/debug/agents").json()["agents"][0].clone()
}

fn follows(router: &TestRouter) -> bool {
    shown(router)["connected"] == true
}

fn own_readings(router: &TestRouter) -> f64 {
    router.metric("warmlane_scrapes_total{outcome=\"ok\"}")
}

fn serve(router: &TestRouter, prompt: u32) {
    let ids: Vec<u32> = (0..200).map(|at| prompt * 1_000 + at).collect();
    let body = json!({ "model": "m", "prompt": ids, "max_tokens": 1 });
    let response = router.aware().post("/v1/completions", &body.to_string());
    assert_eq!(response.status, 200, "{}", response.text());
}

fn blocks(router: &TestRouter) -> Value {
    shown(router)["kv"][0]["blocks"].clone()
}

/// What `cargo xtask test` leaves out where it is not root.
mod privileged {
    use super::*;

    #[test]
    fn a_router_cut_off_from_an_agent_reads_by_itself_and_follows_again_once_the_network_is_back() {
        let link = Link::new();
        // The agent is away from both: what it says of the engine comes over the same network.
        let engine = link.at(End::Near, || engine(End::Near));
        let agent = link.at(End::Far, || agent(&engine, End::Far));
        let router = link.at(End::Near, || router(&engine, agent.address()));
        link.at(End::Near, || {
            serve(&router, 1);
            eventually("blocks are told", || blocks(&router) == 12);
        });
        link.cut();
        link.at(End::Near, || {
            eventually("the silence is noticed", || !follows(&router));
            let why = shown(&router)["trouble"].to_string();
            assert!(why.contains("nothing came for"), "{why}");
            let before = own_readings(&router);
            eventually("it reads by itself", || own_readings(&router) > before + 2.0);
            serve(&router, 2);
            assert_eq!(router.ready_endpoints(), 1);
            eventually("dialling says what fails", || {
                shown(&router)["trouble"].to_string().contains("no answer within")
            });
        });
        link.mend();
        link.at(End::Near, || {
            eventually("it is followed again", || follows(&router));
            eventually("with all that the engine holds", || blocks(&router) == 24);
            thread::sleep(Duration::from_millis(1_200));
            let before = own_readings(&router);
            thread::sleep(Duration::from_millis(2_200));
            assert_eq!(own_readings(&router), before, "nobody reads what the agent reads");
        });
        // Each ends where its sockets are.
        link.at(End::Near, || drop((router, engine)));
        link.at(End::Far, || drop(agent));
    }
}
