//! The binaries run with exactly what the manifests give them: user, capabilities, no way to gain more, and the cgroup
//! hierarchy mounted read-only.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;
use warmlane_tests::{Behaviour, RawEngine, Wire, engine, lane};

use super::{
    flags::{PENDING, halves},
    rendered::{SETS, containers, list, pod, tool},
};

/// Killed when dropped.
struct Owned(Child);

impl Drop for Owned {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The pod of a workload of this name.
fn workload(name: &str) -> &'static Value {
    let objects = &SETS["overlays/ack-a10"];
    let found = objects.iter().filter(|object| object["metadata"]["name"] == name).find_map(pod);
    found.unwrap_or_else(|| panic!("no {name}"))
}

/// Its arguments on this machine: ports are free ones of loopback, the engine is ours, and what is mounted lies elsewhere.
fn arguments(binary: &str, container: &Value, engine: &str, cgroup: &Path) -> Vec<String> {
    let words = list(&container["args"]).iter().map(|word| word.as_str().expect("a word"));
    // Outside a cluster: replicas are named.
    let kept = words.filter(|word| {
        let flag = halves(word).0;
        flag != "--pool" && !PENDING.contains(&(binary, flag))
    });
    let here = kept.map(|word| match halves(word) {
        (flag, Some(value)) if value.starts_with("0.0.0.0:") => format!("{flag}=127.0.0.1:0"),
        ("--lane-cgroup", _) => format!("--lane-cgroup={}", cgroup.display()),
        _ => word.replace("$(NODE_NAME)", "node"),
    });
    let ours = match binary {
        "warmlane-agent" => vec![format!("--engine={engine}")],
        _ => vec![format!("--endpoint={engine}"), "--admin=127.0.0.1:0".to_owned()],
    };
    here.chain(ours).collect()
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

/// Starts a workload's program as its manifest has it run; with the line that says where it listens.
fn started(name: &str, binary: &'static str) -> (Owned, String) {
    let raw = RawEngine::start(Behaviour::Answer(engine::answer("text/plain", b"x")));
    let (pod, dir) = (workload(name), TempDir::new().expect("a directory"));
    // Other users must reach what they run.
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
    let (program, cgroup) = (dir.path().join(binary), dir.path().join("cgroup"));
    fs::copy(tool("WARMLANE_BIN_DIR").join(binary), &program).expect("copy the program");
    fs::copy(lane::object(), dir.path().join("warmlane-lane.o")).expect("copy the kernel programs");
    fs::create_dir(&cgroup).expect("a directory");
    let container = containers(pod)[0];
    let mut script = format!("mount -o bind,ro {} {}; ", hierarchy().display(), cgroup.display());
    script += &format!("exec {} \"$@\"", confined(pod, container));
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", &script, "sh"]).arg(&program);
    command.args(arguments(binary, container, &raw.address().to_string(), &cgroup));
    let log = dir.path().join("log");
    command.stdout(Stdio::piped()).stderr(fs::File::create(&log).expect("a file"));
    let mut child = command.spawn().expect("unshare runs");
    let mut told = BufReader::new(child.stdout.take().expect("its output"));
    let (child, mut line) = (Owned(child), String::new());
    told.read_line(&mut line).expect("text");
    let said = fs::read_to_string(&log).expect("its log");
    assert!(line.starts_with("listening "), "{name}: {line}{said}");
    (child, line)
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

#[test]
fn the_node_local_router_has_its_lane() {
    let (child, listening) = started("warmlane-router-node", "warmlane-router");
    let metrics = listening.split(' ').find_map(|word| word.strip_prefix("metrics=")).expect("an address");
    let page = Wire::connect(metrics.trim().parse().expect("an address")).get("/metrics").text();
    assert!(page.contains("warmlane_lane_on 1"), "{page}");
    assert_eq!(effective(&child), LANE);
}

#[test]
fn the_router_beside_a_gateway_runs_without_any_capability() {
    let (child, _) = started("warmlane-router", "warmlane-router");
    assert_eq!(effective(&child), 0);
}

#[test]
fn the_agent_runs_without_any_capability() {
    let (child, _) = started("warmlane-agent", "warmlane-agent");
    assert_eq!(effective(&child), 0);
}
