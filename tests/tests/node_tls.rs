//! TLS between agents and routers: who is let in, what is said where nobody is, and certificates that change under way.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use warmlane_router::{agents::AgentTls, app::Files, config::Config};
use warmlane_tests::{
    PATIENCE, RawEngine, TestRouter,
    agent::TestAgent,
    eventually,
    picker::{Said, engines, page},
    tls::{Authority, Issued},
};

const HERE: &str = "127.0.0.1";

/// One engine, its agent's CA, and the routers'.
struct Bed {
    engines: Vec<RawEngine>,
    addresses: Vec<SocketAddr>,
    agents: Authority,
    routers: Authority,
}

impl Bed {
    fn new() -> Self {
        let (engines, addresses) = engines(1);
        Self { engines, addresses, agents: Authority::new(), routers: Authority::new() }
    }

    /// An agent that shows this and lets in what the routers' CA signed.
    fn agent(&self, shown: &Issued) -> TestAgent {
        self.agent_on(SocketAddr::from(([127, 0, 0, 1], 0)), shown)
    }

    fn agent_on(&self, address: SocketAddr, shown: &Issued) -> TestAgent {
        TestAgent::with(&self.addresses, |config| {
            config.listen = address;
            config.tls = Some(shown.pair());
            config.tls_client_ca = Some(self.routers.file());
        })
    }

    fn router(&self, agent: &TestAgent, tls: AgentTls) -> TestRouter {
        TestRouter::with(&self.addresses, |config: &mut Config| {
            config.agents = vec![agent.address().to_string()];
            config.agent_tls = tls;
        })
    }

    /// Waits until the router says this of its agent, and reads by itself all the same.
    fn is_refused(&self, router: &TestRouter, why: &str) {
        eventually(why, || trouble(router).contains(why));
        assert!(!connected(router));
        self.engines[0].metrics(page(Said { queue: 4, ..Said::default() }).as_bytes());
        eventually("it reads by itself", || queue(router) == 4.0);
        self.engines[0].metrics(page(Said::default()).as_bytes());
    }
}

fn agent(router: &TestRouter) -> serde_json::Value {
    router.admin().get("/debug/agents").json()["agents"][0].clone()
}

fn connected(router: &TestRouter) -> bool {
    agent(router)["connected"] == true
}

fn trouble(router: &TestRouter) -> String {
    agent(router)["trouble"].as_str().unwrap_or_default().to_owned()
}

fn queue(router: &TestRouter) -> f64 {
    router.endpoints()[0]["signals"]["queue"]["value"].as_f64().unwrap_or(-1.0)
}

fn losses(router: &TestRouter) -> f64 {
    router.metric("warmlane_node_losses_total{")
}

fn scrapes(router: &TestRouter) -> f64 {
    router.metric("warmlane_scrapes_total{")
}

#[test]
fn with_certificates_on_both_sides_readings_arrive() {
    let bed = Bed::new();
    let agent = bed.agent(&bed.agents.issue(HERE));
    let router = bed.router(&agent, bed.agents.trusted_with(&bed.routers.issue("router")));
    eventually("it follows", || connected(&router));
    let before = scrapes(&router);
    bed.engines[0].metrics(page(Said { queue: 9, ..Said::default() }).as_bytes());
    eventually("it has heard", || queue(&router) == 9.0);
    assert_eq!((scrapes(&router), losses(&router)), (before, 0.0), "by the agent's word alone");
    assert_eq!(agent.metric("warmlane_agent_tls_handshake_failures_total"), 0.0);
}

#[test]
fn an_agent_without_a_client_ca_lets_in_who_trusts_it() {
    let bed = Bed::new();
    let shown = bed.agents.issue(HERE);
    let agent = TestAgent::with(&bed.addresses, |config| config.tls = Some(shown.pair()));
    let router = bed.router(&agent, bed.agents.trusted());
    eventually("it follows", || connected(&router));
}

#[test]
fn a_router_without_a_certificate_is_refused_and_says_so() {
    let bed = Bed::new();
    let agent = bed.agent(&bed.agents.issue(HERE));
    let router = bed.router(&agent, bed.agents.trusted());
    bed.is_refused(&router, "it wants a certificate, and this router shows none");
    assert!(agent.metric("warmlane_agent_tls_handshake_failures_total") >= 1.0);
}

#[test]
fn a_router_whose_certificate_another_ca_signed_is_refused_and_says_so() {
    let bed = Bed::new();
    let agent = bed.agent(&bed.agents.issue(HERE));
    let router = bed.router(&agent, bed.agents.trusted_with(&Authority::new().issue("router")));
    bed.is_refused(&router, "it refused this router's certificate");
}

#[test]
fn an_agent_whose_certificate_another_ca_signed_is_not_believed() {
    let bed = Bed::new();
    let agent = bed.agent(&Authority::new().issue(HERE));
    let router = bed.router(&agent, bed.agents.trusted_with(&bed.routers.issue("router")));
    bed.is_refused(&router, "its certificate is not signed by the CA in agent_tls.ca");
}

#[test]
fn a_cas_own_certificate_is_named_as_such() {
    let bed = Bed::new();
    let agent = TestAgent::with(&bed.addresses, |config| config.tls = Some(bed.agents.pair()));
    let router = bed.router(&agent, bed.agents.trusted());
    bed.is_refused(&router, "its certificate is a CA's own (CA:TRUE)");
}

#[test]
fn an_agent_is_believed_by_the_name_that_is_set_and_by_no_other() {
    let bed = Bed::new();
    let agent = bed.agent(&bed.agents.issue("warmlane-agent"));
    let shown = bed.routers.issue("router");
    let router = bed.router(&agent, bed.agents.trusted_with(&shown));
    bed.is_refused(&router, "its certificate is for warmlane-agent, not for 127.0.0.1");
    let named = |name: &str| AgentTls { name: name.to_owned(), ..bed.agents.trusted_with(&shown) };
    let router = bed.router(&agent, named("another"));
    bed.is_refused(&router, "its certificate is for warmlane-agent, not for another");
    let router = bed.router(&agent, named("warmlane-agent"));
    eventually("it follows", || connected(&router));
}

#[test]
fn a_plain_router_is_told_that_the_agent_speaks_tls() {
    let bed = Bed::new();
    let agent = bed.agent(&bed.agents.issue(HERE));
    let router = bed.router(&agent, AgentTls::default());
    bed.is_refused(&router, "it speaks TLS only: name the CA of its certificate with --agent-tls-ca");
}

#[test]
fn a_tls_router_is_told_that_the_agent_speaks_none() {
    let bed = Bed::new();
    let agent = TestAgent::start(&bed.addresses);
    let router = bed.router(&agent, bed.agents.trusted());
    bed.is_refused(&router, "no TLS with it: it speaks none; start it with --tls");
}

#[test]
fn a_renewed_certificate_of_the_agents_is_shown_to_who_dials_next() {
    let bed = Bed::new();
    let shown = bed.agents.issue(HERE);
    let agent = bed.agent(&shown);
    let own = bed.routers.issue("router");
    let before = bed.router(&agent, bed.agents.trusted_with(&own));
    eventually("it follows", || connected(&before));
    // By another CA, so that it is seen which of the two is shown.
    let next = Authority::new();
    next.renew(&shown, HERE);
    let after = bed.router(&agent, next.trusted_with(&own));
    eventually("the new one is shown", || connected(&after));
    let late = bed.router(&agent, bed.agents.trusted_with(&own));
    bed.is_refused(&late, "its certificate is not signed by the CA in agent_tls.ca");
    bed.engines[0].metrics(page(Said { queue: 7, ..Said::default() }).as_bytes());
    eventually("both hear of it", || queue(&before) == 7.0 && queue(&after) == 7.0);
    assert_eq!((connected(&before), losses(&before)), (true, 0.0), "the open stream goes on");
}

#[test]
fn files_of_the_agents_that_cannot_be_used_change_nothing() {
    let bed = Bed::new();
    let shown = bed.agents.issue(HERE);
    let agent = bed.agent(&shown);
    std::fs::write(shown.pair().key, "garbage").expect("written");
    // It is looked at every second.
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    let router = bed.router(&agent, bed.agents.trusted_with(&bed.routers.issue("router")));
    eventually("the last good one is shown", || connected(&router));
}

#[test]
fn a_renewed_certificate_of_the_routers_is_shown_when_it_dials_next() {
    let bed = Bed::new();
    let (shown, own) = (bed.agents.issue(HERE), bed.routers.issue("router"));
    let agent = bed.agent(&shown);
    let router = bed.router(&agent, bed.agents.trusted_with(&own));
    eventually("it follows", || connected(&router));
    // One that the agent will not take, so that it is seen which of the two is shown.
    Authority::new().renew(&own, "router");
    bed.engines[0].metrics(page(Said { queue: 7, ..Said::default() }).as_bytes());
    eventually("it goes on hearing", || queue(&router) == 7.0);
    assert_eq!((connected(&router), losses(&router)), (true, 0.0), "the open stream goes on");
    let address = agent.address();
    drop(agent);
    let _agent = bed.agent_on(address, &shown);
    bed.is_refused(&router, "it refused this router's certificate");
    bed.routers.renew(&own, "router");
    eventually("it is let in again", || connected(&router));
}

#[test]
fn who_connects_and_says_nothing_holds_up_nobody_and_is_let_go() {
    let bed = Bed::new();
    let agent = bed.agent(&bed.agents.issue(HERE));
    let mut silent: Vec<TcpStream> = (0..32)
        .map(|_| {
            let stream = TcpStream::connect(agent.address()).expect("connect");
            stream.set_read_timeout(Some(PATIENCE)).expect("read timeout");
            stream
        })
        .collect();
    let router = bed.router(&agent, bed.agents.trusted_with(&bed.routers.issue("router")));
    eventually("it follows", || connected(&router));
    assert_eq!(agent.metric("warmlane_agent_tls_handshake_failures_total"), 0.0, "while they are all there");
    for stream in &mut silent {
        assert_eq!(stream.read(&mut [0; 16]).ok(), Some(0), "closed");
    }
    eventually("they are counted", || agent.metric("warmlane_agent_tls_handshake_failures_total") == 32.0);
    assert!(connected(&router) && losses(&router) == 0.0);
}

#[test]
fn who_is_refused_hears_why_whatever_it_has_sent_meanwhile() {
    let bed = Bed::new();
    let agent = bed.agent(&bed.agents.issue(HERE));
    let mut stream = TcpStream::connect(agent.address()).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("read timeout");
    // More than is read before it is seen that it is not TLS: the rest would make a reset of the end.
    stream.write_all(&[b'x'; 32 << 10]).expect("sent");
    let mut said = Vec::new();
    stream.read_to_end(&mut said).expect("an end that is no reset");
    assert!(said.starts_with(&[21, 3]), "an alert of TLS: {said:?}");
}

#[test]
fn files_that_cannot_be_used_are_named_and_nothing_starts() {
    let bed = Bed::new();
    let (shown, nowhere) = (bed.agents.issue(HERE), std::path::PathBuf::from("/nowhere/ca.crt"));
    let refusal = |tls: AgentTls| {
        let mut config = Config::for_endpoints(vec!["127.0.0.1:1".to_owned()]);
        (config.agents, config.agent_tls) = (vec!["127.0.0.1:2".to_owned()], tls);
        format!("{:#}", Files::read(&config).expect_err("an error"))
    };
    let missing = refusal(AgentTls { ca: nowhere.clone(), ..AgentTls::default() });
    assert!(missing.contains("/nowhere/ca.crt (agent_tls.ca)"), "{missing}");
    let swapped = shown.pair();
    let swapped = AgentTls { certificate: swapped.key, key: swapped.certificate, ..bed.agents.trusted() };
    let swapped = refusal(swapped);
    assert!(swapped.contains("(agent_tls.certificate)") && swapped.contains("swapped?"), "{swapped}");
    let missing = TestAgent::try_with(&bed.addresses, |config| {
        (config.tls, config.tls_client_ca) = (Some(shown.pair()), Some(nowhere));
    });
    let missing = format!("{:#}", missing.expect_err("an error"));
    assert!(missing.contains("/nowhere/ca.crt (--tls-client-ca)"), "{missing}");
}
