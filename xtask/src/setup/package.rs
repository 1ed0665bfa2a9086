//! A package of Debian's, unpacked below target and never installed: nothing of it starts, and nothing else changes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use super::system;
use crate::progress::Progress;
use crate::step;

/// Unpacks the package that `offered` names into `folder/root`, which must not be there, and says where that is.
pub(super) fn unpacked(
    folder: &Path,
    offered: impl Fn() -> anyhow::Result<String>,
) -> anyhow::Result<PathBuf> {
    for program in ["apt-get", "dpkg-deb"] {
        let there = step::output(Command::new(program).arg("--version")).is_some();
        anyhow::ensure!(there, "no {program} here, with which Debian's packages are fetched");
    }
    let (root, fresh) = (folder.join("root"), folder.join("unpacked"));
    for old in [folder, &fresh] {
        cleared(old)?;
    }
    if let Err(error) = download(folder, &offered) {
        // Lists that were read long ago, or never, name packages that are gone, or none.
        system::refresh().with_context(|| format!("{error:#}"))?;
        download(folder, &offered)?;
    }
    let package = only_package(folder)?;
    let name = package.file_name().unwrap_or_default().to_string_lossy();
    let mut progress = Progress::start(&format!("unpack {name}"));
    let mut unpack = Command::new("dpkg-deb");
    unpack.arg("-x").arg(&package).arg(&fresh);
    step::quiet(&mut progress, &step::log_file("dpkg-deb"), &mut unpack)?;
    std::fs::remove_file(&package).context("cannot remove a package that was unpacked")?;
    // Last, so that what is there is whole.
    std::fs::rename(&fresh, &root).with_context(|| format!("cannot make {}", root.display()))?;
    progress.finish("done");
    Ok(root)
}

/// Puts it into the folder. Apt checks it against the lists that its sources have signed.
fn download(folder: &Path, offered: &impl Fn() -> anyhow::Result<String>) -> anyhow::Result<()> {
    let package = offered()?;
    let mut progress = Progress::start(&format!("download {package}"));
    let mut apt = Command::new("apt-get");
    apt.args(["download", &package]).current_dir(folder);
    step::quiet(&mut progress, &step::log_file("apt-get download"), &mut apt)?;
    progress.finish("done");
    Ok(())
}

/// An empty folder.
fn cleared(folder: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot clear {}", folder.display()));
        }
        _ => {}
    }
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}

fn only_package(folder: &Path) -> anyhow::Result<PathBuf> {
    let found = files(folder).into_iter().find(|file| file.extension().is_some_and(|kind| kind == "deb"));
    found.with_context(|| format!("apt-get left no package in {}", folder.display()))
}

/// What lies in a folder, in the order of names; nothing where there is no such folder.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.sort();
    files
}
