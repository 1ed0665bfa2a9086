//! Routers that follow an agent whose engines come and go.

use super::*;

fn told(router: &TestRouter) -> Value {
    router.admin().get("/debug/agents").json()["agents"][0].take()
}

fn own_readings(router: &TestRouter) -> f64 {
    router.metric("warmlane_scrapes_total{")
}

#[test]
fn an_engine_that_the_agent_loses_is_read_by_the_router_at_once() {
    let (api, agent, follower, _engines, addresses) = scene(1);
    api.put(pod("a", "pool-0", NODE));
    follower.until_engines(&addresses);
    let router = TestRouter::with(&addresses, |config| config.agents = vec![agent.address().to_string()]);
    router.hear_agents();
    eventually("it tells of it", || told(&router)["endpoints"] == json!([addresses[0].to_string()]));
    let before = own_readings(&router);
    assert!(api.remove(&key("a")));
    eventually("the router reads by itself", || own_readings(&router) > before);
    let now = told(&router);
    assert_eq!((&now["connected"], &now["endpoints"]), (&json!(true), &json!([])), "{now}");
    // Back again: one reader is enough.
    api.put(pod("b", "pool-0", NODE));
    eventually("it tells of it again", || told(&router)["endpoints"] == json!([addresses[0].to_string()]));
    eventually("the agent reads", || shown(&agent, "up", addresses[0]) == Some(1.0));
    assert_eq!(router.ready_endpoints(), 1);
}

#[test]
fn what_the_agent_knows_reaches_a_router_whichever_of_them_learns_of_a_pod_first() {
    let (api, (engines, addresses)) = (FakeApi::start(), engines(2));
    engines.iter().for_each(|engine| engine.models(&warmlane_tests::picker::models(&["a"])));
    let ports: Vec<u16> = addresses.iter().map(SocketAddr::port).collect();
    api.put(pool("qwen", &ports));
    let agent = TestAgent::in_cluster(&api, NODE);
    until_ready(&agent);
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = folder.path().join("kubeconfig");
    api.write_kubeconfig(&kubeconfig).expect("it is written");
    let router = TestRouter::unready(&[], |config| {
        config.kube.pools = vec!["llm/qwen".to_owned()];
        config.kube.config = kubeconfig;
    });
    api.put(agent.slice(NODE));
    eventually("it follows", || {
        router.admin().get("/debug/agents").json()["agents"].as_array().is_some_and(|all| !all.is_empty())
    });
    for round in 0..4 {
        let name = format!("qwen-{round}");
        api.put(pod(&name, "qwen", NODE));
        eventually("both are ready", || router.ready_endpoints() == 2);
        let covered = |router: &TestRouter| {
            let agent = told(router);
            (agent["endpoints"].as_array().map(Vec::len), agent["ignored"].clone()) == (Some(2), json!(0))
        };
        eventually("the agent tells of both", || covered(&router));
        let models = |endpoint: &Value| endpoint["models"].as_array().map(Vec::len);
        eventually("with what they serve", || router.endpoints().iter().all(|e| models(e) == Some(2)));
        let (own, by_agent) = (own_readings(&router), agent.metric("warmlane_agent_scrapes_total{"));
        eventually("the agent reads", || agent.metric("warmlane_agent_scrapes_total{") > by_agent + 3.0);
        assert_eq!(own_readings(&router), own, "and the router does not");
        assert!(api.remove(&key(&name)));
        eventually("they have left", || router.endpoints().is_empty());
        eventually("for the agent too", || told(&router)["endpoints"] == json!([]));
        eventually("and nobody reads them", || engines.iter().all(|engine| engine.connections() == 0));
    }
}
