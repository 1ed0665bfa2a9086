//! The cargo commands behind the stages.
//!
//! Invariant: every stage selects the whole workspace with the same features and filters at run time, so that cargo
//! unifies features the same way each time and builds each dependency once.

use std::process::Command;

use crate::vllm::{Fleet, Install};
use crate::{ebpf, setup, step, workspace};

/// Which responses may take the kernel lane in routers that suites start.
const LANE: &str = "WARMLANE_TEST_LANE";
const FEATURES: [&str; 2] = ["--features", "warmlane-tests/real-vllm"];
/// Cases per property with `--fast`; the default is 256.
const FAST_CASES: &str = "32";

/// Builds every binary and test.
pub(super) fn build() -> anyhow::Result<()> {
    let words = ["build", "--workspace", "--bins", "--tests", "--locked"];
    step::shown(workspace::cargo(words).args(FEATURES))
}

/// Tests inside the crates.
pub(super) fn unit(fast: bool) -> anyhow::Result<()> {
    let mut command = if setup::nextest() {
        nextest("not package(warmlane-tests)", fast)
    } else {
        cargo_test(&["--workspace", "--exclude", "warmlane-tests"], fast)
    };
    step::shown(&mut command)
}

/// Examples in the documentation.
pub(super) fn doc() -> anyhow::Result<()> {
    step::shown(workspace::cargo(["test", "--workspace", "--doc", "--locked"]).args(FEATURES))
}

/// The suites on recorded and simulated engines.
pub(super) fn simulated(fast: bool) -> anyhow::Result<()> {
    let privileged = privileged(fast)?;
    let mut command = if setup::nextest() {
        let left_out = if privileged { "" } else { " and not test(/^privileged::/)" };
        nextest(&format!("package(warmlane-tests) and not binary(real_vllm){left_out}"), fast)
    } else {
        let mut command = cargo_test(&["--package", "warmlane-tests"], fast);
        if !privileged {
            command.args(["--", "--skip", "privileged::"]);
        }
        command
    };
    if privileged {
        command.env("WARMLANE_EBPF_OBJECT", ebpf::build()?);
    }
    command.env("WARMLANE_KUBECTL", setup::kubectl()?);
    command.env("WARMLANE_KUBERNETES_VALIDATE", setup::kubernetes_validate()?);
    command.env("WARMLANE_PROMETHEUS", setup::prometheus()?);
    command.env("WARMLANE_CHROMIUM", setup::chromium()?);
    step::shown(command.env("WARMLANE_BIN_DIR", binaries()).env("WARMLANE_ENVOY", setup::envoy()?))
}

/// Suites of responses that may take the kernel lane: HTTP/1.1, faults, and what must stay off it.
const RIDERS: [&str; 10] = [
    "fault_matrix",
    "faults",
    "framing",
    "http2",
    "requests",
    "stalled",
    "strategies",
    "tls",
    "upstream",
    "vanish",
];

/// Those again with a router whose kernel lane is on for all responses.
pub(super) fn on_the_lane(fast: bool) -> anyhow::Result<()> {
    privileged(false)?;
    let mut command = if setup::nextest() {
        let any = RIDERS.map(|suite| format!("binary({suite})")).join(" + ");
        nextest(&format!("package(warmlane-tests) & ({any})"), fast)
    } else {
        let suites = RIDERS.iter().flat_map(|suite| ["--test", suite]);
        cargo_test(&["--package", "warmlane-tests"].into_iter().chain(suites).collect::<Vec<_>>(), fast)
    };
    command.env("WARMLANE_EBPF_OBJECT", ebpf::build()?).env(LANE, "all");
    step::shown(command.env("WARMLANE_BIN_DIR", binaries()))
}

/// Whether the suites that need root run: always as root, never without, and only `--fast` may leave them out.
fn privileged(fast: bool) -> anyhow::Result<bool> {
    if rustix::process::geteuid().is_root() {
        setup::iproute2()?;
        return Ok(true);
    }
    anyhow::ensure!(
        fast,
        "suites with network namespaces and kernel programs need root: run this with sudo, or `cargo xtask test --fast`, which leaves them out"
    );
    println!(
        "  left out: tests in network namespaces and of kernel programs (privileged::*), which need root"
    );
    Ok(false)
}

/// The suite on real engines, one test at a time since they share the engines; then what streams once more by the kernel lane.
pub(super) fn real_vllm(install: &Install, fleet: &Fleet) -> anyhow::Result<()> {
    step::shown(workspace::cargo(["build", "--workspace", "--bins", "--tests", "--locked"]).args(FEATURES))?;
    step::shown(&mut real(install, fleet)?)?;
    let mut again = real(install, fleet)?;
    // What engines hold, and in which tokens, is the same whichever way responses take.
    again.args(["--skip", "exact::", "--skip", "kv::", "--skip", "tokens::"]);
    step::shown(again.env("WARMLANE_EBPF_OBJECT", ebpf::build()?).env(LANE, "all"))
}

fn real(install: &Install, fleet: &Fleet) -> anyhow::Result<Command> {
    let words = ["test", "--workspace", "--locked", "--test", "real_vllm"];
    let mut command = workspace::cargo(words);
    command.args(FEATURES).args(["--", "--test-threads", "1", "--nocapture"]);
    command.env("WARMLANE_BIN_DIR", binaries());
    command.env("WARMLANE_ENVOY", setup::envoy()?);
    command.env("WARMLANE_REAL_VLLM", install.dir());
    command.env("WARMLANE_REAL_ENGINES", fleet.addresses());
    command.env("WARMLANE_REAL_KV_EVENTS", fleet.kv_events());
    Ok(command)
}

fn nextest(filter: &str, fast: bool) -> Command {
    let mut command = workspace::cargo(["nextest", "run", "--workspace", "--locked"]);
    command.args(FEATURES).args(["--config-file", "xtask/assets/nextest.toml", "--filterset", filter]);
    if fast {
        command.env("PROPTEST_CASES", FAST_CASES);
    } else {
        command.args(["--run-ignored", "all"]);
    }
    command
}

fn cargo_test(selection: &[&str], fast: bool) -> Command {
    let mut command = workspace::cargo(["test", "--no-fail-fast", "--locked", "--lib", "--bins", "--tests"]);
    command.args(selection);
    if fast {
        command.env("PROPTEST_CASES", FAST_CASES);
    } else {
        command.args(["--", "--include-ignored"]);
    }
    command
}

/// Where the built binaries lie, for suites that run them as processes.
fn binaries() -> std::path::PathBuf {
    workspace::target().join("debug")
}
