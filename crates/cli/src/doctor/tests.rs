use warmlane_api::admin::{Agent, Agents, Lane, Node, Pool, Router};

use super::{
    asked::Said,
    machine::{Cgroups, Kubelet, Nvidia, Process},
    ports::{Holder, PORTS, Taken},
    *,
};
use crate::error::{CliError, Side};

fn sound() -> Machine {
    Machine {
        release: "6.18.1".to_owned(),
        btf: true,
        cgroups: Cgroups::Two,
        routers: vec![Process { id: 7, capabilities: 1 << 12 | 1 << 38 | 1 << 39 }],
        kubelet: Kubelet::Answers,
        nvidia: Nvidia::Works { version: "550.54".to_owned(), cards: 2 },
        ports: vec![Taken { port: PORTS[3], by: Holder::Program("warmlane-router".to_owned()) }],
    }
}

fn well() -> Asked {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let about = Router {
        version: version.clone(),
        ready: true,
        readiness: "ok: 2 of 2".to_owned(),
        ..Router::default()
    };
    let agent = Agent { address: "10.0.0.1:9010".to_owned(), connected: true, ..Agent::default() };
    let lane = Lane { on: true, mode: "pinned".to_owned(), ..Lane::default() };
    let agents = Agents { agents: vec![agent] };
    Asked {
        router: Ok(Said { about, agents, lane, ahead_seconds: Some(1), ..Said::default() }),
        agent: Ok(Node { version, node: "gpu-a".to_owned(), ..Node::default() }),
        reached: Vec::new(),
    }
}

fn away(who: Side) -> CliError {
    CliError::Foreign {
        who,
        address: "127.0.0.1:1".parse().expect("an address"),
        what: "it says nothing".to_owned(),
    }
}

/// What is said of what is not well after this change.
fn found(change: impl FnOnce(&mut Machine, &mut Asked)) -> Vec<(Grade, String)> {
    let (mut machine, mut asked) = (sound(), well());
    change(&mut machine, &mut asked);
    let found = Checkup::of(&machine, &asked).findings;
    for finding in &found {
        assert_eq!(finding.fix.is_none(), finding.grade == Grade::Ok, "each has its fix: {finding:?}");
    }
    let bad = found.into_iter().filter(|finding| finding.grade != Grade::Ok);
    bad.map(|finding| (finding.grade, format!("{}: {}", finding.what, finding.said))).collect()
}

#[test]
fn where_all_is_well_nothing_is_found() {
    assert_eq!(found(|_, _| {}), []);
    assert!(Checkup::of(&sound(), &well()).is_yes());
    let bare = Machine { routers: Vec::new(), kubelet: Kubelet::Missing, nvidia: Nvidia::Nothing, ..sound() };
    assert!(Checkup::of(&bare, &well()).findings.iter().all(|finding| finding.grade == Grade::Ok));
}

#[test]
fn what_costs_the_lane_is_a_warning() {
    let warned = |change: fn(&mut Machine), said: &str| {
        let found = found(|machine, _| change(machine));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].0, found[0].1.contains(said)), (Grade::Warn, true), "{found:?}");
    };
    warned(
        |machine| machine.release = "5.15.0-91-generic".to_owned(),
        "kernel: 5.15.0-91-generic: the kernel lane",
    );
    warned(|machine| machine.release = "6.0.19".to_owned(), "tested from 6.1 on");
    warned(|machine| machine.btf = false, "BTF: there is no /sys/kernel/btf/vmlinux");
    warned(|machine| machine.cgroups = Cgroups::Both, "cgroups: versions 1 and 2");
    warned(|machine| machine.cgroups = Cgroups::One, "cgroups: version 1");
    warned(|machine| machine.cgroups = Cgroups::Nothing, "cgroups: none");
    warned(|machine| machine.routers[0].capabilities = 1 << 12, "router 7 lacks CAP_PERFMON, CAP_BPF");
    warned(|machine| machine.kubelet = Kubelet::Denied, "kubelet: this user may not");
    warned(
        |machine| machine.kubelet = Kubelet::Broken("refused".to_owned()),
        "kubelet: its pod-resources socket is there",
    );
}

#[test]
fn a_newer_kernel_is_no_worse() {
    for release in ["6.1.0", "6.18.3-custom", "7.0", "10.2.1"] {
        assert_eq!(found(|machine, _| machine.release = release.to_owned()), [], "{release}");
    }
}

#[test]
fn what_keeps_requests_from_being_served_well_is_a_failure() {
    let broken = found(|machine, _| machine.nvidia = Nvidia::Broken("version mismatch".to_owned()));
    assert_eq!(
        broken,
        [(Grade::Fail, "NVML: the driver does not tell of its cards: version mismatch".to_owned())]
    );
    let unready = found(|_, asked| {
        let said = asked.router.as_mut().expect("it answers");
        (said.about.ready, said.about.readiness) = (false, "not ready: no replica".to_owned());
    });
    assert_eq!(unready, [(Grade::Fail, "router: not ready: no replica".to_owned())]);
    let lost = found(|_, asked| {
        let agent = &mut asked.router.as_mut().expect("it answers").agents.agents[0];
        (agent.connected, agent.trouble) = (false, Some("refused".to_owned()));
    });
    assert_eq!(
        lost,
        [(Grade::Fail, "agents: the router has lost 1 of 1; 10.0.0.1:9010: refused".to_owned())]
    );
}

#[test]
fn replicas_that_get_no_requests_are_told_of_each_pool() {
    let found = |ready| {
        found(|_, asked| {
            let pool =
                |name: &str, ready| Pool { name: name.to_owned(), replicas: 3, ready, ..Pool::default() };
            asked.router.as_mut().expect("it answers").pools.pools = vec![pool("a", 3), pool("b", ready)];
        })
    };
    assert_eq!(found(1), [(Grade::Warn, "replicas: 2 of 3 of pool b get no requests".to_owned())]);
    assert_eq!(found(0), [(Grade::Fail, "replicas: 3 of 3 of pool b get no requests".to_owned())]);
    assert_eq!(found(3), []);
}

#[test]
fn whether_a_lost_agent_can_be_reached_from_here_decides_what_to_try() {
    let fix = |reached: bool| {
        let mut asked = well();
        asked.router.as_mut().expect("it answers").agents.agents[0].connected = false;
        asked.reached = vec![("10.0.0.1:9010".to_owned(), reached)];
        let found = Checkup::of(&sound(), &asked).findings;
        found
            .into_iter()
            .find(|finding| finding.what == "agents")
            .and_then(|finding| finding.fix)
            .expect("a fix")
    };
    assert!(fix(true).contains("NetworkPolicy"));
    assert!(fix(false).contains("does it run"));
}

#[test]
fn router_or_agent_may_be_elsewhere_but_not_both() {
    let one = found(|_, asked| asked.agent = Err(away(Side::Agent)));
    assert_eq!(one.iter().map(|(grade, _)| *grade).collect::<Vec<_>>(), [Grade::Warn]);
    assert!(one[0].1.starts_with("agent: what answers at 127.0.0.1:1 is not the agent"), "{one:?}");
    let both =
        found(|_, asked| (asked.router, asked.agent) = (Err(away(Side::Router)), Err(away(Side::Agent))));
    assert_eq!(both.iter().map(|(grade, _)| *grade).collect::<Vec<_>>(), [Grade::Fail, Grade::Fail]);
}

#[test]
fn clocks_and_versions_may_differ_but_that_is_told() {
    let skewed = |ahead| {
        found(|_, asked| asked.router.as_mut().expect("it answers").ahead_seconds = Some(ahead))
            .into_iter()
            .map(|(_, said)| said)
            .collect::<String>()
    };
    assert_eq!((skewed(2), skewed(-2)), (String::new(), String::new()));
    assert!(skewed(90).contains("90 seconds ahead of the router's"));
    assert!(skewed(-3).contains("3 seconds behind the router's"));
    let older = found(|_, asked| asked.agent.as_mut().expect("it answers").version = "0.0.1".to_owned());
    assert_eq!(older[0].0, Grade::Warn);
    assert!(older[0].1.starts_with("agent version: 0.0.1, and this program is of"), "{older:?}");
}

#[test]
fn a_port_that_another_program_has_is_told_with_a_way_out() {
    let by = |by: Holder| {
        let mut machine = sound();
        machine.ports.push(Taken { port: PORTS[0], by });
        Checkup::of(&machine, &well()).findings
    };
    let finding = |findings: &[Finding], grade| {
        let found = findings.iter().find(|finding| finding.what == "ports" && finding.grade == grade);
        found.map(|finding| (finding.said.clone(), finding.fix.clone().unwrap_or_default()))
    };
    let taken = by(Holder::Program("nginx".to_owned()));
    let (said, fix) = finding(&taken, Grade::Warn).expect("a warning");
    assert_eq!(said, "8080, usually warmlane-router's --plain, is taken by nginx");
    assert!(fix.contains("ss -ltnp 'sport = :8080'") && fix.contains("another port by --plain"), "{fix}");
    let (said, _) = finding(&taken, Grade::Ok).expect("what is well");
    assert_eq!(said, "Warmlane listens on 9091; 8 of 10 are free");
    // Its agent on the router's port is as wrong.
    assert!(finding(&by(Holder::Program("warmlane-agent".to_owned())), Grade::Warn).is_some());
    let (said, _) = finding(&by(Holder::Stranger), Grade::Warn).expect("a warning");
    assert!(said.ends_with("taken by a program that does not answer as Warmlane does"), "{said}");
    let hidden = by(Holder::Hidden);
    assert_eq!(finding(&hidden, Grade::Warn), None, "nobody knows");
    let (said, _) = finding(&hidden, Grade::Ok).expect("what is well");
    assert_eq!(said, "Warmlane listens on 9091; who listens on 8080 only root can see; 8 of 10 are free");
}
