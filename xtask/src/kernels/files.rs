//! What lies in a guest: the suite and what it needs, and enough of a system to start it.
//!
//! Programs of this machine are taken along with the libraries that they are linked to, under the names they have here.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use super::archive::Archive;
use crate::{setup, step};

/// The guest's first process.
const FIRST: &str = include_str!("../../assets/guest.sh");
/// Where something is mounted.
const FOLDERS: [&str; 5] = ["/dev", "/proc", "/sys", "/tmp", "/run"];

/// Programs of this machine that the guest has too.
pub(super) struct Programs {
    busybox: PathBuf,
    /// The suite makes networks with the one, and gives capabilities up with the other.
    of_suite: [PathBuf; 2],
}

/// What is particular to one run.
pub(super) struct Contents<'c> {
    /// Those of this machine.
    pub(super) programs: &'c Programs,
    /// The suite.
    pub(super) suite: &'c Path,
    /// The kernel programs.
    pub(super) object: &'c Path,
    /// Modules of the kernel, to be loaded.
    pub(super) modules: &'c [PathBuf],
    /// For the suite, besides what the guest passes to it.
    pub(super) arguments: &'c [String],
}

/// Finds them, installing those that are missing.
pub(super) fn programs() -> anyhow::Result<Programs> {
    let busybox = whole(&setup::busybox()?)?;
    Ok(Programs { busybox, of_suite: [whole(&setup::iproute2()?)?, whole(&setup::setpriv()?)?] })
}

/// The archive with all of it.
pub(super) fn archive(contents: &Contents<'_>) -> anyhow::Result<Vec<u8>> {
    let mut archive = Archive::default();
    archive.program(Path::new("/init"), FIRST.as_bytes());
    for folder in FOLDERS {
        archive.folder(Path::new(folder));
    }
    archive.program(Path::new("/kernel"), &read(contents.suite)?);
    archive.file(Path::new("/warmlane-lane.o"), &read(contents.object)?);
    archive.file(Path::new("/arguments"), contents.arguments.join("\n").as_bytes());
    for module in contents.modules {
        let name = module.file_name().context("a module is a file")?;
        archive.file(&Path::new("/modules").join(name), &read(module)?);
    }
    // Where the first process looks for it, wherever it is here.
    archive.program(Path::new("/bin/busybox"), &read(&contents.programs.busybox)?);
    for program in contents.programs.of_suite.iter().chain([&contents.programs.busybox]) {
        carry(&mut archive, program)?;
    }
    Ok(archive.finish())
}

/// Adds a program and its libraries.
fn carry(archive: &mut Archive, program: &Path) -> anyhow::Result<()> {
    archive.program(program, &read(program)?);
    // It fails for programs that are linked to none.
    let said = step::output(Command::new("ldd").arg(program)).unwrap_or_default();
    for library in libraries(&said) {
        archive.program(library, &read(library)?);
    }
    Ok(())
}

/// The files in what `ldd` says, with lines such as `libc.so.6 => /lib/libc.so.6 (0x7f00)`.
fn libraries(said: &str) -> Vec<&Path> {
    let words = said.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    words.map(Path::new).collect()
}

/// Where a program lies that was found by its name.
fn whole(program: &Path) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    found.with_context(|| format!("{} runs, but is not to be found", program.display()))
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_and_the_loader_are_read_off_and_what_is_no_file_is_not() {
        let said = "\tlinux-vdso.so.1 (0x00007f2)\n\tlibcap.so.2 => /lib/x/libcap.so.2 (0x00007f1)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f3)\n\tlibgone.so => not found\n";
        let expected = ["/lib/x/libcap.so.2", "/lib64/ld-linux-x86-64.so.2"].map(Path::new);
        assert_eq!(libraries(said), expected);
        assert!(libraries("\tstatically linked\n").is_empty());
    }
}
