//! What is well, what is not, and what to do about it.

use std::cmp::Ordering;

use warmlane_api::admin::{Pool, Pools};

use super::{
    Asked, Finding, Machine,
    asked::Said,
    machine::{Cgroups, Kubelet, Nvidia, Process},
    ports::{Holder, PORTS, Taken},
};
use crate::error::CliError;

/// The oldest kernel that the lane is tested on.
const OLDEST: (u32, u32) = (6, 1);
/// What the lane needs, by the bits of `linux/capability.h`.
const NEEDED: [(&str, u32); 3] = [("CAP_NET_ADMIN", 12), ("CAP_PERFMON", 38), ("CAP_BPF", 39)];
/// A date has whole seconds, and takes a moment to come: less than this is none.
const SKEW_SECONDS: u64 = 3;

/// From the machine to what runs on it.
pub(super) fn findings(machine: &Machine, asked: &Asked) -> Vec<Finding> {
    let mut findings = vec![kernel(&machine.release), btf(machine.btf), cgroups(machine.cgroups)];
    findings.extend(machine.routers.iter().map(capabilities));
    findings.extend([nvidia(&machine.nvidia), kubelet(&machine.kubelet)]);
    findings.extend(ports(&machine.ports));
    let both_away = asked.router.is_err() && asked.agent.is_err();
    match &asked.router {
        Ok(said) => findings.extend(router(said, &asked.reached)),
        Err(error) => findings.push(away("router", error, both_away)),
    }
    match &asked.agent {
        Ok(node) => {
            findings.push(Finding::ok("agent", format!("of {}, {} engines", node.node, node.engines.len())));
            findings.push(version("agent version", &node.version));
        }
        Err(error) => findings.push(away("agent", error, both_away)),
    }
    findings
}

fn kernel(release: &str) -> Finding {
    let mut numbers = release.split(['.', '-']).map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match version.cmp(&OLDEST) {
        Ordering::Less => Finding::warn(
            "kernel",
            format!("{release}: the kernel lane is tested from 6.1 on"),
            "take a newer node image, or live without the lane: responses are copied",
        ),
        Ordering::Equal | Ordering::Greater => Finding::ok("kernel", release),
    }
}

fn btf(there: bool) -> Finding {
    if there {
        return Finding::ok("BTF", "the kernel has type information");
    }
    Finding::warn(
        "BTF",
        "there is no /sys/kernel/btf/vmlinux, which the kernel lane needs",
        "take a kernel built with CONFIG_DEBUG_INFO_BTF; in a container, mount the node's /sys",
    )
}

fn cgroups(cgroups: Cgroups) -> Finding {
    match cgroups {
        Cgroups::Two => Finding::ok("cgroups", "version 2"),
        Cgroups::Both => Finding::warn(
            "cgroups",
            "versions 1 and 2",
            "boot with systemd.unified_cgroup_hierarchy=1, or give routers --lane-cgroup /sys/fs/cgroup/unified",
        ),
        Cgroups::One => Finding::warn(
            "cgroups",
            "version 1, with which there is no kernel lane",
            "boot with systemd.unified_cgroup_hierarchy=1",
        ),
        Cgroups::Nothing => Finding::warn(
            "cgroups",
            "none is mounted here",
            "in a container, mount the node's /sys/fs/cgroup: deploy/components/node-local does",
        ),
    }
}

fn capabilities(process: &Process) -> Finding {
    let lacks = NEEDED.iter().filter(|(_, bit)| process.capabilities >> bit & 1 == 0).map(|(name, _)| *name);
    let lacks: Vec<&str> = lacks.collect();
    if lacks.is_empty() {
        return Finding::ok("capabilities", format!("router {} may lay a lane", process.id));
    }
    let said = format!("router {} lacks {}, so it has no kernel lane", process.id, lacks.join(", "));
    Finding::warn("capabilities", said, "see \"What it needs\" in docs/LANE.md, or set --lane off")
}

fn nvidia(nvidia: &Nvidia) -> Finding {
    match nvidia {
        Nvidia::Works { version, cards } => Finding::ok("NVML", format!("driver {version}, {cards} cards")),
        Nvidia::Nothing => Finding::ok("NVML", "neither an NVIDIA device nor its library is here"),
        Nvidia::Broken(why) => Finding::fail(
            "NVML",
            format!("the driver does not tell of its cards: {why}"),
            "does nvidia-smi work? If not, load the driver anew or reboot; in a container, use NVIDIA's runtime",
        ),
    }
}

fn kubelet(kubelet: &Kubelet) -> Finding {
    match kubelet {
        Kubelet::Answers => Finding::ok("kubelet", "it tells which pod has which GPU"),
        Kubelet::Missing => {
            Finding::ok("kubelet", "no pod-resources socket: this is no node, or it is not mounted")
        }
        Kubelet::Denied => Finding::warn(
            "kubelet",
            "this user may not use its pod-resources socket",
            "run this as root, as the agent must be",
        ),
        Kubelet::Broken(why) => Finding::warn(
            "kubelet",
            format!("its pod-resources socket is there, but: {why}"),
            "see how it does: journalctl -u kubelet; in a container, mount the socket's directory, not the socket",
        ),
    }
}

/// One for what is well, and one for each port that another has.
fn ports(taken: &[Taken]) -> Vec<Finding> {
    let numbers = |right: Option<bool>| {
        let such = taken.iter().filter(|taken| taken.is_right() == right);
        such.map(|taken| taken.port.number.to_string()).collect::<Vec<_>>()
    };
    let (ours, hidden) = (numbers(Some(true)), numbers(None));
    let mut said = match ours.is_empty() {
        true => "no program of Warmlane listens on its usual ones".to_owned(),
        false => format!("Warmlane listens on {}", ours.join(", ")),
    };
    if !hidden.is_empty() {
        said += &format!("; who listens on {} only root can see", hidden.join(", "));
    }
    let free = PORTS.len() - taken.len();
    said += &format!("; {free} of {} are free", PORTS.len());
    let others = taken.iter().filter(|taken| taken.is_right() == Some(false)).map(stranger);
    [Finding::ok("ports", said)].into_iter().chain(others).collect()
}

fn stranger(taken: &Taken) -> Finding {
    let port = taken.port;
    let who = match &taken.by {
        Holder::Program(name) => name.as_str(),
        Holder::Ours | Holder::Stranger | Holder::Hidden => "a program that does not answer as Warmlane does",
    };
    let said = format!("{}, usually {}'s {}, is taken by {who}", port.number, port.program, port.flag);
    let fix = format!(
        "see who it is: sudo ss -ltnp 'sport = :{}'; stop it, or give {} another port by {}",
        port.number, port.program, port.flag
    );
    Finding::warn("ports", said, fix)
}

fn router(said: &Said, reached: &[(String, bool)]) -> Vec<Finding> {
    let about = &said.about;
    let mut findings = vec![match about.ready {
        true => Finding::ok("router", &about.readiness),
        false => Finding::fail("router", &about.readiness, "`warmlane status` says more"),
    }];
    findings.extend(replicas(&said.pools));
    findings.push(version("router version", &about.version));
    findings.extend(said.ahead_seconds.map(clock));
    findings.push(match &said.lane.why_off {
        None => Finding::ok("lane", format!("on for {} responses", said.lane.mode)),
        Some(why) if said.lane.mode == "off" => Finding::ok("lane", why),
        Some(why) => Finding::warn("lane", format!("off: {why}"), "see \"What it needs\" in docs/LANE.md"),
    });
    findings.push(agents(said, reached));
    findings
}

/// Those that get no requests, of each pool that has such.
fn replicas(page: &Pools) -> impl Iterator<Item = Finding> {
    const FIX: &str = "`warmlane status` names them, and says why";
    page.pools.iter().filter(|pool| pool.ready < pool.replicas).map(|pool| {
        let Pool { name, replicas, ready, .. } = pool;
        let said = format!("{} of {replicas} of pool {name} get no requests", replicas - ready);
        if *ready == 0 { Finding::fail("replicas", said, FIX) } else { Finding::warn("replicas", said, FIX) }
    })
}

fn agents(said: &Said, reached: &[(String, bool)]) -> Finding {
    let all = &said.agents.agents;
    let Some(lost) = all.iter().find(|agent| !agent.connected) else {
        return match all.len() {
            0 => Finding::ok("agents", "the router follows none, and reads engines by itself"),
            count => Finding::ok("agents", format!("the router follows all {count}")),
        };
    };
    let count = all.iter().filter(|agent| !agent.connected).count();
    let why = lost.trouble.as_deref().unwrap_or("it does not say why");
    let fix = match reached.iter().find(|(address, _)| *address == lost.address) {
        Some((_, true)) => {
            "from here a connection can be made: it hangs, which its log and `warmlane gpus --agent` would tell, or something is \
             between the router and it, a NetworkPolicy for instance"
        }
        Some((_, false)) | None => {
            "no connection can be made from here either: does it run, and is its --listen what the router dials?"
        }
    };
    let said = format!("the router has lost {count} of {}; {}: {why}", all.len(), lost.address);
    Finding::fail("agents", said, fix)
}

fn clock(ahead: i64) -> Finding {
    if ahead.unsigned_abs() < SKEW_SECONDS {
        return Finding::ok("clock", "as the router's");
    }
    let way = if ahead > 0 { "ahead of" } else { "behind" };
    Finding::warn(
        "clock",
        format!(
            "{} seconds {way} the router's: logs do not match, and certificates may seem invalid",
            ahead.abs()
        ),
        "set both clocks by NTP: timedatectl set-ntp true",
    )
}

fn version(what: &'static str, theirs: &str) -> Finding {
    match env!("CARGO_PKG_VERSION") {
        ours if ours == theirs => Finding::ok(what, theirs),
        ours => Finding::warn(
            what,
            format!("{theirs}, and this program is of {ours}"),
            "use the program of that version: images of router and agent have it",
        ),
    }
}

/// One that is not here is no failure where the other one is.
fn away(what: &'static str, error: &CliError, both: bool) -> Finding {
    let said = error.to_string();
    let (said, fix) = said.split_once('\n').unwrap_or((&said, "--router and --agent say where they are"));
    let fix: Vec<&str> = fix.lines().map(str::trim).collect();
    if both { Finding::fail(what, said, fix.join(" ")) } else { Finding::warn(what, said, fix.join(" ")) }
}
