use warmlane_api::admin::{Aged, Agent, Cluster, Gpu, Pool, Refused, Signals};

use super::*;
use crate::{screen::Screen, views::View as _};

fn replica(address: &str) -> Endpoint {
    let reading = |value| Some(Aged { value, age_ms: 100 });
    Endpoint {
        address: address.to_owned(),
        ready: true,
        health: "healthy".to_owned(),
        local: true,
        requests: 10,
        signals: Signals {
            queue: reading(0.0),
            running: reading(1.0),
            kv_use: reading(0.1),
            ..Signals::default()
        },
        ..Endpoint::default()
    }
}

fn well() -> Pages {
    let gpu = Gpu { verdict: "healthy".to_owned(), ..Gpu::default() };
    let agent = Agent { connected: true, heard_ms_ago: Some(20), gpus: vec![gpu], ..Agent::default() };
    Pages {
        router: Router {
            ready: true,
            readiness: "ok: 2 of 2 replicas ready".to_owned(),
            ..Router::default()
        },
        endpoints: Endpoints { endpoints: vec![replica("a:1"), replica("b:2")] },
        agents: Agents { agents: vec![agent] },
        pools: Pools { pools: vec![Pool { replicas: 2, ready: 2, ..Pool::default() }], cluster: None },
        lane: Lane { on: true, mode: "pinned".to_owned(), ..Lane::default() },
    }
}

fn judged(change: impl FnOnce(&mut Pages)) -> Status {
    let mut pages = well();
    change(&mut pages);
    Status::of("router:9091".to_owned(), &pages)
}

#[test]
fn where_all_is_well_nothing_is_said_against_it() {
    let status = judged(|_| {});
    assert_eq!((&status.wrong, &status.hints), (&vec![], &vec![]));
    assert!(status.is_yes());
}

/// What is wrong after this change of one thing, which must be said once.
fn wrong(change: impl FnOnce(&mut Pages)) -> String {
    let status = judged(change);
    assert!(!status.is_yes());
    assert_eq!(status.wrong.len(), 1, "{:?}", status.wrong);
    status.wrong.concat()
}

#[test]
fn whatever_is_wrong_is_said_and_makes_the_answer_no() {
    let unready =
        |pages: &mut Pages| (pages.router.ready, pages.router.readiness) = (false, "draining".to_owned());
    assert_eq!(wrong(unready), "the router serves nothing: draining");
    assert_eq!(
        wrong(|pages| {
            let replica = &mut pages.endpoints.endpoints[1];
            (replica.ready, replica.health) = (false, "failed: refused".to_owned());
        }),
        "1 of 2 replicas not ready: b:2 (failed: refused)"
    );
    assert_eq!(
        wrong(|pages| pages.endpoints.endpoints[0].health = "degraded: hot".to_owned()),
        "1 of 2 replicas unhealthy: a:1 (degraded: hot)"
    );
    assert_eq!(
        wrong(|pages| pages.endpoints.endpoints[0].signals.queue = Some(Aged { value: 0.0, age_ms: 10_000 })),
        "readings are old, so picks guess: a:1 (10s)"
    );
    assert_eq!(
        wrong(|pages| pages.pools.pools[0].ready = 0),
        "pool  has no ready replica of 2: requests for it get 503"
    );
    assert_eq!(
        wrong(|pages| pages.pools.pools.push(Pool {
            name: "p".to_owned(),
            found: Some(false),
            ..Pool::default()
        })),
        "pool p is not in the cluster: check its name and namespace"
    );
    assert_eq!(
        wrong(|pages| pages.pools.pools.push(Pool {
            name: "p".to_owned(),
            found: Some(true),
            ..Pool::default()
        })),
        "pool p has no replica: its selector matches no pod"
    );
}

#[test]
fn so_is_what_is_wrong_around_the_router() {
    assert_eq!(
        wrong(|pages| {
            let agent = &mut pages.agents.agents[0];
            (agent.connected, agent.address, agent.trouble) =
                (false, "a:9010".to_owned(), Some("refused".to_owned()));
        }),
        "1 of 1 agents lost: a:9010 (refused)"
    );
    assert_eq!(
        wrong(|pages| {
            let agent = &mut pages.agents.agents[0];
            agent.node = "gpu-a".to_owned();
            (agent.gpus[0].uuid, agent.gpus[0].verdict) = ("GPU-1".to_owned(), "failed: XID 79".to_owned());
        }),
        "1 of 1 GPUs unhealthy: GPU-1 on gpu-a (failed: XID 79)"
    );
    let refused =
        Refused { model: "llm/m".to_owned(), reason: "ModelNameInUse".to_owned(), message: String::new() };
    let cluster = Cluster { troubles: vec!["it contradicts itself".to_owned()], ..Cluster::default() };
    assert_eq!(wrong(|pages| pages.pools.cluster = Some(cluster)), "it contradicts itself");
    let cluster = Cluster { refused: vec![refused], ..Cluster::default() };
    assert_eq!(
        wrong(|pages| pages.pools.cluster = Some(cluster)),
        "InferenceModels not served, 1: llm/m (ModelNameInUse)"
    );
}

#[test]
fn of_many_a_few_are_named_and_all_are_counted() {
    let said = wrong(|pages| {
        let closed =
            (0..500).map(|n| Endpoint { ready: false, health: "x".to_owned(), ..replica(&format!("r{n}")) });
        pages.endpoints.endpoints.extend(closed);
    });
    assert_eq!(said, "500 of 502 replicas not ready: r0 (x), r1 (x), r2 (x) and 497 more");
}

/// The hint after this change, with which all is still well.
fn hint(change: impl FnOnce(&mut Pages)) -> String {
    let status = judged(change);
    assert!(status.is_yes(), "{:?}", status.wrong);
    assert_eq!(status.hints.len(), 1, "{:?}", status.hints);
    status.hints.concat()
}

#[test]
fn a_low_share_of_local_requests_is_a_hint_only_where_the_lane_needs_it() {
    let low = |pages: &mut Pages| {
        (pages.endpoints.endpoints[1].local, pages.endpoints.endpoints[1].requests) = (false, 30);
    };
    assert!(hint(low).starts_with("only 25% of requests went to the router's own node"));
    let with = |change: fn(&mut Pages)| {
        judged(|pages| {
            low(pages);
            change(pages);
        })
    };
    assert!(with(|pages| pages.lane.remote = true).hints.is_empty(), "other nodes' responses take it too");
    let off = with(|pages| {
        pages.lane =
            Lane { mode: "off".to_owned(), why_off: Some("it is set to off".to_owned()), ..Lane::default() };
    });
    assert!(off.hints.is_empty(), "it is meant to be off");
    let new = with(|pages| pages.endpoints.endpoints.iter_mut().for_each(|endpoint| endpoint.requests = 0));
    assert!(new.hints.is_empty(), "nothing was sent yet");
}

#[test]
fn hints_say_what_would_help() {
    assert!(hint(|pages| pages.agents.agents.clear()).contains("give --agent"));
    let off = |pages: &mut Pages| (pages.lane.on, pages.lane.why_off) = (false, Some("no BTF".to_owned()));
    assert_eq!(hint(off), "the kernel lane is off, every token wakes the router: see lane above");
    let screen = judged(off).draw(Screen::default(), false);
    assert_eq!(screen.matches("no BTF").count(), 1, "{screen}");
    let full = |pages: &mut Pages| {
        pages.endpoints.endpoints[1].signals.kv_use = Some(Aged { value: 0.95, age_ms: 1 });
    };
    assert!(hint(full).starts_with("KV cache full on b:2"));
}

#[test]
fn what_somebody_drained_is_meant_so_until_something_else_is_wrong() {
    let drain = |replica: &mut Endpoint| {
        (replica.ready, replica.health) = (false, "degraded: drained by hand".to_owned());
    };
    let one = |pages: &mut Pages| drain(&mut pages.endpoints.endpoints[1]);
    assert_eq!(hint(one), "drained by hand: b:2; `warmlane undrain` lets them have requests again");
    let screen = judged(one).draw(Screen::default(), false);
    assert!(screen.contains("replicas  1 ready of 2, 1 drained; "), "{screen}");
    let all = wrong(|pages| {
        pages.endpoints.endpoints.iter_mut().for_each(drain);
        pages.pools.pools[0].ready = 0;
    });
    assert_eq!(all, "pool  has no ready replica of 2: requests for it get 503");
    let failed = wrong(|pages| {
        one(pages);
        pages.endpoints.endpoints[1].health = "failed: refused".to_owned();
    });
    assert_eq!(failed, "1 of 2 replicas not ready: b:2 (failed: refused)");
}

#[test]
fn the_hottest_is_the_one_where_a_newcomer_waits_longest() {
    let hottest = |change: fn(&mut [Endpoint])| {
        judged(|pages| change(&mut pages.endpoints.endpoints)).hottest.map(|hottest| hottest.address)
    };
    assert_eq!(hottest(|_| {}).as_deref(), Some("a:1"), "the first of equals");
    assert_eq!(hottest(|all| all[1].in_flight = 1).as_deref(), Some("b:2"));
    assert_eq!(
        hottest(|all| {
            all[0].signals.queue = Some(Aged { value: 1.0, age_ms: 1 });
            all[1].signals.kv_use = Some(Aged { value: 1.0, age_ms: 1 });
        })
        .as_deref(),
        Some("a:1"),
        "a queue counts more than a full cache"
    );
    assert_eq!(hottest(|all| all.iter_mut().for_each(|endpoint| endpoint.ready = false)), None);
}
