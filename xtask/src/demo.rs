//! `cargo xtask demo`: builds the demo and its servers, and becomes the demo.

use std::{ffi::OsString, os::unix::process::CommandExt as _, process::Command};

use anyhow::Context as _;

use crate::{ebpf, progress::Progress, setup, step, workspace};

/// Compare plain and inference-aware routing on simulated or real replicas
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// Passed on; `cargo xtask demo --help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<OsString>,
}

/// Optimised, since a debug build would measure itself. Libraries too: the fake NVML is one that agents load.
const BUILD: [&str; 12] = [
    "build",
    "--release",
    "--package",
    "warmlane-router",
    "--package",
    "warmlane-sim",
    "--package",
    "warmlane-agent",
    "--package",
    "warmlane-fake-nvml",
    "--package",
    "warmlane-tests",
];

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut progress = Progress::start("build (release)");
    step::quiet(&mut progress, &step::log_file("demo build"), &mut workspace::cargo(BUILD))?;
    progress.finish("done");
    let demo = workspace::target().join("release/warmlane-demo");
    let mut command = Command::new(&demo);
    if args.options.iter().any(|option| option == "--envoy") {
        command.env("WARMLANE_ENVOY", setup::envoy()?);
    }
    ebpf::for_lane(&args.options, &mut command)?;
    // Only returns when it fails; from here on the terminal and its signals are the demo's own.
    let error = command.args(&args.options).exec();
    Err(error).with_context(|| format!("cannot start {}", demo.display()))
}
