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
    let folder = workspace::target().join("ebpf");
    let built = folder.join("build");
    let mut command = match &route {
        BpfRoute::Debian { compiler, .. } => {
            let mut command = workspace::cargo(["build"]);
            // Programs for BPF need features that are not stable yet.
            command.env("RUSTC", compiler).env("RUSTC_BOOTSTRAP", "1");
            command
        }
        BpfRoute::Nightly => {
            let mut command = Command::new("rustup");
            command.args(["run", "nightly", "cargo", "build", "-Zbuild-std=core"]);
            command
        }
    };
    command.args(["--release", "--locked", "--target", TARGET, "--target-dir"]).arg(&built);
    command.current_dir(workspace::root().join("router-ebpf"));
    let flags = [
        &format!("--cfg=bpf_target_arch=\"{}\"", std::env::consts::ARCH),
        "-Cdebuginfo=2",
        // The kernel wants the types of maps.
        "-Clink-arg=--btf",
    ];
    // Cargo's own word for flags with quotes in them.
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f")).env("PATH", route.path());
    step::quiet(&mut progress, &step::log_file("ebpf"), &mut command)?;
    let object = folder.join(format!("{BINARY}.o"));
    let made = built.join(TARGET).join("release").join(BINARY);
    std::fs::copy(&made, &object).with_context(|| format!("cannot copy {}", made.display()))?;
    progress.finish("done");
    Ok(object)
}
