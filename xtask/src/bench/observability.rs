//! `bench observability`: what counting and keeping decisions costs a request, by a router that does and one that does not; and
//! what `warmlane top` takes.

use std::{ffi::OsString, fs, process::Command};

use anyhow::Context as _;

use super::{Bar, measured};
use crate::{progress::Progress, step, workspace};

pub(super) fn run(options: &[OsString]) -> anyhow::Result<Vec<Bar>> {
    measured::bars("observability", program()?, options)
}

/// The measuring program, with both routers: the same file is built twice, so the first is put aside.
fn program() -> anyhow::Result<Command> {
    let folder = workspace::target().join("bench-observability");
    let (built, aside) = (workspace::target().join("dist/warmlane-router"), folder.join("uncounted"));
    let mut progress = Progress::start("build (dist, uncounted)");
    let build = [
        "build",
        "--locked",
        "--profile",
        "dist",
        "--package",
        "warmlane-router",
        "--features",
        "uncounted",
        "--bins",
    ];
    step::quiet(&mut progress, &step::log_file("bench uncounted"), &mut workspace::cargo(build))?;
    progress.finish("done");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    fs::copy(&built, &aside).with_context(|| format!("cannot copy {}", built.display()))?;
    let mut progress = Progress::start("build (dist, CLI)");
    let build = ["build", "--locked", "--profile", "dist", "--package", "warmlane-cli", "--bins"];
    step::quiet(&mut progress, &step::log_file("bench cli"), &mut workspace::cargo(build))?;
    progress.finish("done");
    let mut command = measured::program("warmlane-observed", &["router"])?;
    command.arg("--uncounted").arg(aside).arg("--cli").arg(workspace::target().join("dist/warmlane"));
    Ok(command)
}
