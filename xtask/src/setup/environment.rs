//! A Python environment of its own below target, with one package in it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::progress::Progress;
use crate::{step, workspace};

/// What an environment holds, and how one asks it.
pub(super) struct Environment {
    /// Its folder below target.
    pub(super) folder: &'static str,
    /// The package's name at the index.
    pub(super) package: &'static str,
    pub(super) version: &'static str,
    /// Python that fails where the package is of no use, and may print something.
    pub(super) probe: &'static str,
    /// For pip, besides the package.
    pub(super) options: &'static [&'static str],
}

// === Environment ===

impl Environment {
    /// What the probe prints, making the environment if there is none of this version.
    pub(super) fn ensure(&self) -> anyhow::Result<String> {
        if let Some(said) = self.ask() {
            return Ok(said);
        }
        let package = format!("{}=={}", self.package, self.version);
        let mut progress = Progress::start(&format!("install {package}"));
        let mut venv = Command::new(super::python()?);
        let log = |what: &str| step::log_file(&format!("{} {what}", self.folder));
        step::quiet(&mut progress, &log("venv"), venv.args(["-m", "venv", "--clear"]).arg(self.path()))?;
        let mut pip = Command::new(self.path().join("bin/pip"));
        let pip = pip.args(["install", "-q"]).args(self.options).arg(&package);
        step::quiet(&mut progress, &log("pip"), pip)
            .with_context(|| format!("cannot install {package}: is the package index reachable?"))?;
        let said = self.ask().with_context(|| format!("{package} was installed but cannot be imported"))?;
        progress.finish("done");
        Ok(said)
    }

    /// The Python that has the package.
    pub(super) fn python(&self) -> PathBuf {
        self.path().join("bin/python")
    }

    fn path(&self) -> PathBuf {
        workspace::target().join(self.folder)
    }

    fn ask(&self) -> Option<String> {
        let version = format!(
            "import importlib.metadata as m, sys; sys.exit(m.version('{}') != '{}')",
            self.package, self.version
        );
        step::output(Command::new(self.python()).args(["-c", &version]))?;
        step::output(Command::new(self.python()).args(["-c", self.probe]))
    }
}
