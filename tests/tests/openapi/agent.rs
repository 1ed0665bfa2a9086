//! An agent, held against its description.

use super::*;

#[test]
fn an_agent_answers_as_is_described_and_nothing_else_is() {
    let (_engines, addresses) = engines(2);
    let fake = FakeNvml::new(2);
    let agent = TestAgent::with(&addresses, |config| config.nvml_lib = fake.path());
    let router = TestRouter::with(&addresses, |config| config.agents = vec![agent.address().to_string()]);
    let door = Door::Port(agent.admin_address());
    let mut described = Description::of("agent");
    eventually("all is known", || {
        let page = door.ask("GET", "/debug/node", "", "").page;
        page["gpus"][1]["uuid"].is_string()
            && page["routers"][0].is_object()
            && page["engines"][1]["signals"]["queue"].is_object()
    });
    for route in route::AGENT {
        for method in ["GET", "HEAD"] {
            assert_eq!(described.hold(&door, &Asked::of(method, route.path, route.path)).status, 200);
            let of_other =
                Asked::of(method, route.path, route.path).with("origin: http://evil.example.com\r\n");
            assert_eq!(described.hold(&door, &of_other).status, 403, "a page of another site");
        }
    }
    for (host, status) in
        [("evil.example.com", 403), ("localhost", 200), ("10.0.0.1:9012", 200), ("node-a", 200)]
    {
        let host = format!("host: {host}\r\n");
        assert_eq!(described.hold(&door, &Asked::get("/debug/node").with(&host)).status, status, "{host}");
        assert_eq!(described.hold(&door, &Asked::get("/healthz").with(&host)).status, 200, "a probe");
    }
    described.has_the_paths(&door, route::AGENT, str::to_owned);
    // The suite of agents in clusters sees an agent that is not ready.
    assert_eq!(described.unseen(), ["get /readyz 503", "head /readyz 503"].map(str::to_owned).into());
    let served = door.ask("GET", "/openapi.json", "", "").page;
    assert_eq!(served, described.document);
    drop(router);
}
