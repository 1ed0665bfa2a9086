//! What comes from the system's packages: Python with venv and a C++ compiler for what the engines compile, and the
//! proxies that a benchmark compares with, what tests make networks with, and what boots other kernels.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::progress::Progress;
use crate::step;

const PACKAGES: [&str; 4] = ["python3", "python3-venv", "python3-dev", "g++"];
/// The engines' wheels exist for these minor versions of Python 3.
const PYTHON_MINORS: std::ops::RangeInclusive<u32> = 10..=13;

/// A Python that can make virtual environments, installing one where that is possible.
pub(crate) fn python() -> anyhow::Result<PathBuf> {
    if ready() {
        return Ok(PathBuf::from("python3"));
    }
    install(&PACKAGES)?;
    anyhow::ensure!(
        ready(),
        "python3 is still not usable: it must be 3.{} to 3.{} with the modules venv and ensurepip, and c++ must be there",
        PYTHON_MINORS.start(),
        PYTHON_MINORS.end()
    );
    Ok(PathBuf::from("python3"))
}

fn ready() -> bool {
    let probe = "import venv, ensurepip, sys; print('Python', '.'.join(map(str, sys.version_info[:3])))";
    let said = step::output(Command::new("python3").args(["-c", probe]));
    let found = said.and_then(|said| super::version(&said).ok());
    found.is_some_and(|(major, minor)| major == 3 && PYTHON_MINORS.contains(&minor))
        && step::output(Command::new("c++").arg("--version")).is_some()
}

/// `ip`, with which tests make network namespaces.
pub(crate) fn iproute2() -> anyhow::Result<PathBuf> {
    from("iproute2", "ip", "-Version")
}

/// A browser without a screen, in which a suite looks at the router's page. It is a third smaller than the one for people.
pub(crate) fn chromium() -> anyhow::Result<PathBuf> {
    from("chromium-headless-shell", "chromium-headless-shell", "--version")
}

/// `setpriv`, with which tests give capabilities up.
pub(crate) fn setpriv() -> anyhow::Result<PathBuf> {
    from("util-linux", "setpriv", "--version")
}

/// What emulates a machine of this kind.
pub(crate) fn qemu() -> anyhow::Result<PathBuf> {
    from("qemu-system-x86", "qemu-system-x86_64", "--version")
}

/// One program for all that a system needs to come up.
pub(crate) fn busybox() -> anyhow::Result<PathBuf> {
    from("busybox-static", "busybox", "--help")
}

/// A program that comes in a package of its name, installing it where that is possible.
pub(crate) fn program(name: &str, version_flag: &str) -> anyhow::Result<PathBuf> {
    from(name, name, version_flag)
}

/// A program, by its name or its place, that comes in this package, installing it where that is possible.
pub(super) fn from(package: &str, name: &str, version_flag: &str) -> anyhow::Result<PathBuf> {
    let found = || {
        // Servers stand where a person's PATH may not look.
        let places = ["", "/usr/sbin/", "/usr/local/sbin/"];
        let mut paths = places.iter().map(|place| PathBuf::from(format!("{place}{name}")));
        paths.find(|path| {
            Command::new(path).arg(version_flag).output().is_ok_and(|said| said.status.success())
        })
    };
    if let Some(path) = found() {
        return Ok(path);
    }
    install(&[package])?;
    found().with_context(|| format!("{name} was installed, but `{name} {version_flag}` fails"))
}

/// Installs packages, or says how.
pub(super) fn install(packages: &[&str]) -> anyhow::Result<()> {
    let wanted = packages.join(" ");
    let by_hand = format!(
        "run: apt-get update && apt-get install -y {wanted}   (or your system's packages of that kind)"
    );
    let words = [&["install", "-y", "--no-install-recommends"], packages].concat();
    apt_get(&format!("apt-get install {wanted}"), &[&["update"], &words], &by_hand)
}

/// Has apt read anew what its sources offer, or says how.
pub(super) fn refresh() -> anyhow::Result<()> {
    apt_get("apt-get update", &[&["update"]], "run as root: apt-get update")
}

fn apt_get(label: &str, runs: &[&[&str]], by_hand: &str) -> anyhow::Result<()> {
    anyhow::ensure!(
        step::output(Command::new("apt-get").arg("--version")).is_some(),
        "no apt-get here; {by_hand}"
    );
    let root = step::output(Command::new("id").arg("-u")).as_deref() == Some("0");
    let sudo = !root && step::output(Command::new("sudo").args(["-n", "true"])).is_some();
    anyhow::ensure!(root || sudo, "not root, and sudo asks for a password; {by_hand}");
    let mut progress = Progress::start(label);
    for words in runs {
        let mut command = if sudo { Command::new("sudo") } else { Command::new("apt-get") };
        if sudo {
            command.args(["-n", "apt-get"]);
        }
        command.args(*words).env("DEBIAN_FRONTEND", "noninteractive");
        step::quiet(&mut progress, &step::log_file("apt-get"), &mut command)
            .with_context(|| by_hand.to_owned())?;
    }
    progress.finish("done");
    Ok(())
}
