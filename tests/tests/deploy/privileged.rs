//! The binaries run with exactly what the manifests give them: arguments, user, capabilities, no way to gain more, the cgroup
//! hierarchy mounted read-only, and the files of their service account. They find their pool and serve it.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use warmlane_tests::{Wire, eventually, kube::ServiceAccount, lane};

use super::{
    cluster::{Cluster, MODEL, pools},
    flags::halves,
    rendered::{SETS, containers, list, pod, tool},
};

/// Killed when dropped.
pub(super) struct Owned(pub(super) Child);

/// A workload that runs.
struct Started {
    child: Owned,
    /// Where it listens, as it says.
    listening: String,
    _cluster: Cluster,
    _account: ServiceAccount,
    _folder: TempDir,
}

impl Drop for Owned {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program of ours and waits until it says where it listens; its log goes into `folder`.
pub(super) fn listening(command: &mut Command, folder: &Path) -> (Owned, String) {
    let log = folder.join("log");
    command.stdout(Stdio::piped()).stderr(fs::File::create(&log).expect("a file"));
    let mut child = command.spawn().expect("it runs");
    let mut told = BufReader::new(child.stdout.take().expect("its output"));
    let (child, mut line) = (Owned(child), String::new());
    told.read_line(&mut line).expect("text");
    let said = fs::read_to_string(&log).expect("its log");
    assert!(line.starts_with("listening "), "{command:?}: {line}{said}");
    (child, line)
}

/// The pod of a workload of this name.
pub(super) fn workload(name: &str) -> &'static Value {
    workload_of("overlays/ack-a10", name)
}

/// The same of another set.
pub(super) fn workload_of(set: &str, name: &str) -> &'static Value {
    let found = SETS[set].iter().filter(|object| object["metadata"]["name"] == name).find_map(pod);
    found.unwrap_or_else(|| panic!("{set}: no {name}"))
}

/// Its arguments on this machine: ports are free ones of loopback, and what is mounted lies elsewhere.
pub(super) fn arguments(binary: &str, container: &Value, cgroup: &Path) -> Vec<String> {
    let words = list(&container["args"]).iter().map(|word| word.as_str().expect("a word"));
    let here = words.map(|word| match halves(word) {
        (flag, Some(value)) if value.starts_with("0.0.0.0:") => format!("{flag}=127.0.0.1:0"),
        ("--lane-cgroup", _) => format!("--lane-cgroup={}", cgroup.display()),
        _ => word.replace("$(NODE_NAME)", "node").replace("$(POOLS)", pools()),
    });
    // On loopback, at a port that is taken on many a machine.
    let ours = ["warmlane-router", "warmlane-agent"].contains(&binary);
    here.chain(ours.then(|| "--admin=127.0.0.1:0".to_owned())).collect()
}

/// What gives up what the container does not have, and then is the program.
fn confined(pod: &Value, container: &Value) -> String {
    let context = &container["securityContext"];
    let user = context.get("runAsUser").or(pod["spec"]["securityContext"].get("runAsUser"));
    let user = user.and_then(Value::as_u64).expect("a user");
    assert_eq!(context["capabilities"]["drop"][0], "ALL");
    assert_eq!(context["allowPrivilegeEscalation"], false);
    let added = list(&context["capabilities"]["add"]).iter();
    let added: String =
        added.map(|name| format!(",+{}", name.as_str().expect("a name").to_lowercase())).collect();
    format!(
        "setpriv --reuid={user} --regid={user} --clear-groups --no-new-privs --bounding-set=-all{added} --inh-caps=-all{added}"
    )
}

/// Starts a workload's program as its manifest has it run.
fn started(name: &str, binary: &'static str) -> Started {
    let (pod, dir) = (workload(name), TempDir::new().expect("a directory"));
    let cluster = Cluster::new();
    let account = ServiceAccount::mounted(&cluster.api, "warmlane-system");
    // Other users must reach what they run.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
    let (program, cgroup) = (dir.path().join(binary), dir.path().join("cgroup"));
    fs::copy(tool("WARMLANE_BIN_DIR").join(binary), &program).expect("copy the program");
    fs::copy(lane::object(), dir.path().join("warmlane-lane.o")).expect("copy the kernel programs");
    fs::create_dir(&cgroup).expect("a directory");
    let container = containers(pod)[0];
    let script = format!("{}exec {} \"$@\"", mounts(&cgroup, account.folder()), confined(pod, container));
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", &script, "sh"]).arg(&program);
    command.args(arguments(binary, container, &cgroup));
    command.envs(account.environment());
    let (child, listening) = listening(&mut command, dir.path());
    Started { child, listening, _cluster: cluster, _account: account, _folder: dir }
}

/// Puts what a node mounts in its place: the cgroups, and an account's files, which the container's user may read.
fn mounts(cgroup: &Path, account: &Path) -> String {
    let (hierarchy, cgroup, account) = (hierarchy(), cgroup.display(), account.display());
    let there = "/var/run/secrets/kubernetes.io/serviceaccount";
    format!(
        "mount -o bind,ro {} {cgroup}; mount -t tmpfs tmpfs /var/run; mkdir -p {there}; cp {account}/* {there}; \
         chmod -R a+rX /var/run/secrets; ",
        hierarchy.display()
    )
}

/// Where this machine has its cgroups of version 2.
fn hierarchy() -> PathBuf {
    let mounts = fs::read_to_string("/proc/mounts").expect("mounts are told");
    let words = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let found = words.into_iter().find(|words| words[2] == "cgroup2").expect("cgroups of version 2");
    PathBuf::from(found[1])
}

/// The capabilities in force, as the kernel says.
fn effective(child: &Owned) -> u64 {
    // It has become the program: unshare, sh and setpriv each ended in the next.
    let status = fs::read_to_string(format!("/proc/{}/status", child.0.id())).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).expect("its capabilities");
    u64::from_str_radix(line.trim(), 16).expect("a number")
}

/// `CAP_NET_ADMIN`, `CAP_PERFMON` and `CAP_BPF`.
const LANE: u64 = 1 << 12 | 1 << 38 | 1 << 39;

// === Started ===

impl Started {
    /// Where one of its listeners is.
    fn at(&self, listener: &str) -> SocketAddr {
        let found = self.listening.split_whitespace().find_map(|word| {
            let (name, address) = word.split_once('=')?;
            (name == listener).then(|| address.parse().expect("an address"))
        });
        found.unwrap_or_else(|| panic!("no {listener}: {}", self.listening))
    }

    /// Waits until it has found the pool and its engine, and asks it something.
    fn serves(&self) {
        let ready = || Wire::connect(self.at("metrics")).get("/readyz").status == 200;
        eventually("it is ready", ready);
        let body = format!(r#"{{"model":"{MODEL}","prompt":"hello","max_tokens":2}}"#);
        let answer = Wire::connect(self.at("aware")).post("/v1/completions", &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["model"], MODEL);
    }
}

#[test]
fn the_node_local_router_serves_its_pool_and_has_its_lane() {
    let router = started("warmlane-router-node", "warmlane-router");
    router.serves();
    let page = Wire::connect(router.at("metrics")).get("/metrics").text();
    assert!(page.contains("warmlane_lane_on 1"), "{page}");
    assert_eq!(effective(&router.child), LANE);
}

#[test]
fn the_router_beside_a_gateway_serves_its_pool_without_any_capability() {
    let router = started("warmlane-router", "warmlane-router");
    router.serves();
    assert_eq!(effective(&router.child), 0);
}

#[test]
fn the_agent_finds_its_engine_and_reads_it_without_any_capability() {
    let agent = started("warmlane-agent", "warmlane-agent");
    let page = || Wire::connect(agent.at("metrics")).get("/metrics").text();
    eventually("it reads the engine", || page().contains("warmlane_agent_scrapes_total{outcome=\"ok\"}"));
    assert_eq!(effective(&agent.child), 0);
}
