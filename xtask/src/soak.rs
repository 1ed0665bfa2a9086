//! `cargo xtask soak`: builds the soak and its servers, and becomes the soak.

use std::{ffi::OsString, os::unix::process::CommandExt as _, process::Command};

use anyhow::Context as _;

use crate::{ebpf, progress::Progress, step, workspace};

/// Load a router whose replicas misbehave and die, and watch its memory
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// Passed on; `cargo xtask soak --help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<OsString>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let soak = build()?;
    let mut command = Command::new(&soak);
    ebpf::for_lane(&args.options, &mut command)?;
    // Only returns when it fails; from here on the terminal and its signals are the soak's own.
    let error = command.args(&args.options).exec();
    Err(error).with_context(|| format!("cannot start {}", soak.display()))
}

/// What CI runs: as root with the kernel lane on, since that is where more can be lost.
pub(crate) fn for_two_minutes() -> anyhow::Result<()> {
    let mut command = Command::new(build()?);
    command.args(["--minutes", "2"]);
    if rustix::process::geteuid().is_root() {
        command.args(["--lane", "all"]).env("WARMLANE_LANE_OBJECT", ebpf::build()?);
    }
    step::shown(&mut command)
}

fn build() -> anyhow::Result<std::path::PathBuf> {
    let mut progress = Progress::start("build (release)");
    let words = [
        "build",
        "--locked",
        "--release",
        "--package",
        "warmlane-router",
        "--package",
        "warmlane-tests",
        "--bins",
    ];
    step::quiet(&mut progress, &step::log_file("soak build"), &mut workspace::cargo(words))?;
    progress.finish("done");
    Ok(workspace::target().join("release/warmlane-soak"))
}
