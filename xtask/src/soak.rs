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
    let mut command = command(&args.options)?;
    // Only returns when it fails; from here on the terminal and its signals are the soak's own.
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start {}", command.get_program().display()))
}

/// What CI runs: as root with the kernel lane on, since that is where more can be lost.
pub(crate) fn for_two_minutes() -> anyhow::Result<()> {
    let mut options = vec!["--minutes", "2"];
    if rustix::process::geteuid().is_root() {
        options.extend(["--lane", "all"]);
    }
    step::shown(&mut command(&options.into_iter().map(OsString::from).collect::<Vec<_>>())?)
}

/// The soak with these options, and what they ask for.
fn command(options: &[OsString]) -> anyhow::Result<Command> {
    let mut command = Command::new(build()?);
    ebpf::for_lane(options, &mut command)?;
    command.args(options);
    Ok(command)
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
