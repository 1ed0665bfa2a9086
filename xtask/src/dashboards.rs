//! `cargo xtask dashboards`: builds the drawing of dashboards and what it draws of, and becomes it.

use std::{ffi::OsString, os::unix::process::CommandExt as _, process::Command};

use anyhow::Context as _;

use crate::{ebpf, progress::Progress, setup, step, workspace};

/// Draw the dashboards of deploy/dashboards with the data of a small load
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// Passed on; `cargo xtask dashboards --help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<OsString>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let mut command = Command::new(build()?);
    command.env("WARMLANE_PROMETHEUS", setup::prometheus()?).args(&args.options);
    // The panels of the kernel lane have something to show only where it may be laid.
    if rustix::process::geteuid().is_root() {
        command.env("WARMLANE_EBPF_OBJECT", ebpf::build()?).env("WARMLANE_TEST_LANE", "all");
    }
    // Only returns when it fails; from here on the terminal and its signals are the drawing's own.
    let error = command.exec();
    Err(error).with_context(|| format!("cannot start {}", command.get_program().display()))
}

fn build() -> anyhow::Result<std::path::PathBuf> {
    let mut progress = Progress::start("build");
    let words = ["build", "--locked", "--package", "warmlane-tests", "--bin", "warmlane-boards"];
    step::quiet(&mut progress, &step::log_file("dashboards build"), &mut workspace::cargo(words))?;
    progress.finish("done");
    Ok(workspace::target().join("debug/warmlane-boards"))
}
