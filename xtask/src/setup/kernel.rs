//! Older kernels: Debian's own, out of their packages, unpacked below target/kernels and never installed.
//!
//! Not a place for the newest of a series: what is there already is used, so that a run needs no network.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use super::package::{self, files};
use crate::{step, workspace};

/// All that can be asked for; another one is another line. Those for clouds, as they are the smallest by far and have
/// what the lane needs built in.
const KERNELS: [Kernel; 2] = [
    Kernel { version: "6.1", home: "Debian 12 (bookworm)" },
    Kernel { version: "6.12", home: "Debian 13 (trixie)" },
];

/// A series of kernels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernel {
    /// As people call it.
    pub(crate) version: &'static str,
    /// Where Debian has it.
    home: &'static str,
}

/// A kernel that is unpacked.
#[derive(Debug)]
pub(crate) struct Tree {
    root: PathBuf,
}

// === Kernel ===

impl Kernel {
    /// All there are.
    pub(crate) fn all() -> [Self; KERNELS.len()] {
        KERNELS
    }

    /// Its files, downloading them if they are not there.
    pub(crate) fn ensure(&self) -> anyhow::Result<Tree> {
        let folder = workspace::root().join("target/kernels").join(self.version);
        let tree = Tree { root: folder.join("root") };
        if !tree.root.exists() {
            package::unpacked(&folder, || self.wanted()).with_context(|| {
                let root = tree.root.display();
                format!("cannot fetch kernel {}; one that is unpacked into {root} is taken too", self.version)
            })?;
        }
        Ok(tree)
    }

    /// The newest package of it that apt knows.
    fn offered(&self) -> Option<String> {
        let pattern = format!(r"^linux-image-{}\.", self.version.replace('.', r"\."));
        let listed = step::output(Command::new("apt-cache").args(["search", "--names-only", &pattern]))?;
        newest(self.version, &listed).map(str::to_owned)
    }

    /// The same, or where it is to be had.
    fn wanted(&self) -> anyhow::Result<String> {
        self.offered().with_context(|| {
            let version = self.version;
            format!(
                "apt's sources offer no linux-image-{version}.*-cloud-amd64: {} has it, add its sources",
                self.home
            )
        })
    }
}

/// The newest of a series in what `apt-cache search` lists: lines such as `linux-image-6.1.0-57-cloud-amd64 - Linux 6.1`.
fn newest<'l>(version: &str, listed: &'l str) -> Option<&'l str> {
    let names = listed.lines().filter_map(|line| line.split(' ').next());
    let of_series = names.filter_map(|name| {
        let rest = name.strip_prefix("linux-image-")?.strip_prefix(version)?.strip_prefix('.')?;
        Some((numbers(rest.strip_suffix("-cloud-amd64")?), name))
    });
    of_series.max().map(|(_, name)| name)
}

/// Those in a version, in their order: by them, and not by letters, 9 comes before 10.
fn numbers(version: &str) -> Vec<u64> {
    version.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect()
}

// === Tree ===

impl Tree {
    /// What is booted.
    pub(crate) fn image(&self) -> anyhow::Result<PathBuf> {
        let named = |file: &PathBuf| {
            file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"vmlinuz"))
        };
        let found = files(&self.root.join("boot")).into_iter().find(named);
        found.with_context(|| format!("no vmlinuz in {}", self.root.join("boot").display()))
    }

    /// A module, by its path among the modules and without what is behind its name: it may be compressed.
    pub(crate) fn module(&self, path: &str) -> anyhow::Result<PathBuf> {
        // Since Debian 13 it is the latter.
        let places = ["lib/modules", "usr/lib/modules"].map(|place| files(&self.root.join(place)));
        let mut found = places.concat().into_iter().flat_map(|release| {
            ["ko", "ko.xz", "ko.zst"].map(|kind| release.join("kernel").join(format!("{path}.{kind}")))
        });
        found
            .find(|file| file.exists())
            .with_context(|| format!("no module {path} in {}", self.root.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = "linux-image-6.1.0-9-cloud-amd64 - Linux 6.1 for x86-64 cloud (signed)\n\
        linux-image-6.1.0-57-cloud-amd64 - Linux 6.1 for x86-64 cloud (signed)\n\
        linux-image-6.1.0-58-cloud-amd64-dbg - Debug symbols\n\
        linux-image-6.1.0-58-cloud-amd64-unsigned - Linux 6.1 for x86-64 cloud\n\
        linux-image-6.1.0-59-amd64 - Linux 6.1 for 64-bit PCs (signed)\n\
        linux-image-6.12.9+deb12-cloud-amd64 - Linux 6.12 for x86-64 cloud (signed)\n\
        linux-image-6.12.10+deb12-cloud-amd64 - Linux 6.12 for x86-64 cloud (signed)\n";

    #[test]
    fn the_newest_of_a_series_is_chosen_and_no_relative_of_it() {
        assert_eq!(newest("6.1", LISTED), Some("linux-image-6.1.0-57-cloud-amd64"));
        assert_eq!(newest("6.12", LISTED), Some("linux-image-6.12.10+deb12-cloud-amd64"));
        assert_eq!(newest("6.6", LISTED), None);
    }

    #[test]
    fn each_kernel_of_the_table_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = KERNELS.iter().map(|kernel| kernel.version).collect();
        assert_eq!(names.len(), KERNELS.len());
    }

    #[test]
    fn image_and_modules_are_found_wherever_a_release_of_debian_has_them() {
        for (place, kind) in [("lib/modules", "ko"), ("usr/lib/modules", "ko.xz")] {
            let folder = tempfile::tempdir().unwrap();
            let tree = Tree { root: folder.path().to_owned() };
            assert!(tree.image().is_err() && tree.module("drivers/net/veth").is_err());
            let module = folder.path().join(place).join("6.1.0-57/kernel/drivers/net");
            for made in [&module, &folder.path().join("boot")] {
                std::fs::create_dir_all(made).unwrap();
            }
            for file in ["boot/config-6", "boot/vmlinuz-6"] {
                std::fs::write(folder.path().join(file), "").unwrap();
            }
            std::fs::write(module.join(format!("veth.{kind}")), "").unwrap();
            assert_eq!(tree.image().unwrap(), folder.path().join("boot/vmlinuz-6"));
            assert_eq!(tree.module("drivers/net/veth").unwrap(), module.join(format!("veth.{kind}")));
        }
    }
}
