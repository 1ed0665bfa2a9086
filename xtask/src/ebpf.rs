//! `cargo xtask ebpf`: builds the router's kernel programs.
//!
//! They live in `router-ebpf`, a workspace of its own, as they are for another target than everything else. Ordinary
//! builds do not come here, and what is built is never committed.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::progress::Progress;
use crate::setup::{self, BpfRoute};
use crate::{step, workspace};

const TARGET: &str = "bpfel-unknown-none";
const BINARY: &str = "warmlane-lane";

/// Build the router's kernel programs
///
/// Writes target/ebpf/warmlane-lane.o, which the router loads where it may. Two ways lead there, and the one that the
/// machine has is taken, and named:
///
///   debian   Debian's compiler with a prebuilt core for BPF; `cargo xtask setup` installs
///            it (about 200 MB), and so does this command where neither way is there
///   nightly  a nightly toolchain of rustup's with the component rust-src
///
/// Both need bpf-linker: of your own for nightly, since it must know that compiler's LLVM, and below target/tools
/// for Debian's.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> anyhow::Result<()> {
    println!("  {}", build()?.display());
    Ok(())
}

/// Where options ask for the kernel lane: builds them, and has the routers that a command starts load them.
pub(crate) fn for_lane(options: &[OsString], command: &mut Command) -> anyhow::Result<()> {
    let asked =
        options.iter().any(|option| option == "--lane" || option.as_encoded_bytes().starts_with(b"--lane="));
    if asked {
        command.env("WARMLANE_LANE_OBJECT", build()?);
    }
    Ok(())
}

/// Builds them, installing what that takes; where the object lies.
pub(crate) fn build() -> anyhow::Result<PathBuf> {
    let route = setup::bpf_route()?;
    let mut progress = Progress::start(&format!("kernel programs ({})", route.name()));
    // The kernel wants the types of maps.
    let mut command = cargo(&route, "build", &["-Cdebuginfo=2", "-Clink-arg=--btf"]);
    step::quiet(&mut progress, &step::log_file("ebpf"), &mut command)?;
    let object = folder().join(format!("{BINARY}.o"));
    let made = folder().join("build").join(TARGET).join("release").join(BINARY);
    std::fs::copy(&made, &object).with_context(|| format!("cannot copy {}", made.display()))?;
    progress.finish("done");
    Ok(object)
}

/// Has clippy read them, by the way by which they are built; warnings are errors.
pub(crate) fn lint(progress: &mut Progress) -> anyhow::Result<()> {
    let route = setup::bpf_route()?;
    let warnings = ["-Dwarnings"];
    let mut command = match &route {
        BpfRoute::Debian { .. } => {
            let mut command = cargo(&route, "check", &warnings);
            // What `cargo clippy` does, with the clippy of another compiler than cargo's.
            command.env("RUSTC_WORKSPACE_WRAPPER", setup::bpf_clippy()?);
            command
        }
        BpfRoute::Nightly => cargo(&route, "clippy", &warnings),
    };
    step::quiet(progress, &step::log_file("check-clippy-bpf"), &mut command)
}

/// What does this with them, with these flags for the compiler.
fn cargo(route: &BpfRoute, word: &str, flags: &[&str]) -> Command {
    let mut command = match route {
        BpfRoute::Debian { compiler, .. } => {
            let mut command = workspace::cargo([word]);
            // Programs for BPF need features that are not stable yet.
            command.env("RUSTC", compiler).env("RUSTC_BOOTSTRAP", "1");
            command
        }
        BpfRoute::Nightly => {
            let mut command = Command::new("rustup");
            command.args(["run", "nightly", "cargo", word, "-Zbuild-std=core"]);
            command
        }
    };
    command.args(["--release", "--locked", "--target", TARGET, "--target-dir"]).arg(folder().join("build"));
    command.current_dir(workspace::root().join("router-ebpf"));
    let machine = format!("--cfg=bpf_target_arch=\"{}\"", std::env::consts::ARCH);
    let flags = [&[&*machine], flags].concat();
    // Cargo's own word for flags with quotes in them.
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f")).env("PATH", route.path());
    command
}

fn folder() -> PathBuf {
    workspace::target().join("ebpf")
}
