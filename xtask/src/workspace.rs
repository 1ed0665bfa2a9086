//! Where things are: the checkout, the build output, and cargo itself.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
    // Cargo sets the variable when it runs us; a binary started by hand finds the checkout from where it stands.
    let started = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let started = started.or_else(|| std::env::current_dir().ok()).unwrap_or_default();
    let found = started.ancestors().find(|dir| dir.join("Cargo.lock").exists()).map(Path::to_path_buf);
    found.unwrap_or(started)
});

/// The checkout.
pub fn root() -> &'static Path {
    &ROOT
}

/// Build output; everything that a command downloads or writes lies below it.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// Tools that were installed for this checkout only.
pub fn tools() -> PathBuf {
    root().join("target/tools")
}

/// A cargo command in the checkout.
pub fn cargo<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(args);
    command
}

/// The checkout's own files: tracked ones and new ones that git does not ignore, relative to the root.
pub fn files() -> anyhow::Result<Vec<PathBuf>> {
    use anyhow::Context as _;
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .context("cannot run git, which lists the files to check: install git")?;
    anyhow::ensure!(
        listed.status.success(),
        "git cannot list the files of {}: is this a git checkout? {}",
        root().display(),
        String::from_utf8_lossy(&listed.stderr).trim()
    );
    let names = String::from_utf8(listed.stdout).context("a file name is not UTF-8")?;
    let files = names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from);
    // A file deleted but not yet committed is still listed.
    Ok(files.filter(|file| root().join(file).is_file()).collect())
}
