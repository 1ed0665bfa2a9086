//! sglang-router, in a Python environment of its own below target: the peer that a benchmark compares with.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::progress::Progress;
use crate::{step, workspace};

const VERSION: &str = "0.3.2";

/// The Python that has it, making the environment if there is none.
pub(crate) fn ensure() -> anyhow::Result<PathBuf> {
    let dir = workspace::target().join("sglang-router");
    let python = dir.join("bin/python");
    let usable = || {
        let probe = "import importlib.metadata as m; import sglang_router; print(m.version('sglang-router'))";
        step::output(Command::new(&python).args(["-c", probe])).as_deref() == Some(VERSION)
    };
    if usable() {
        return Ok(python);
    }
    let mut progress = Progress::start("install sglang-router");
    let mut venv = Command::new(super::python()?);
    step::quiet(
        &mut progress,
        &step::log_file("sglang venv"),
        venv.args(["-m", "venv", "--clear"]).arg(&dir),
    )?;
    let package = format!("sglang-router=={VERSION}");
    let mut pip = Command::new(dir.join("bin/pip"));
    step::quiet(&mut progress, &step::log_file("sglang pip"), pip.args(["install", "-q", &package]))
        .with_context(|| format!("cannot install {package}: is the package index reachable?"))?;
    anyhow::ensure!(usable(), "{package} was installed but cannot be imported");
    progress.finish("done");
    Ok(python)
}
