//! What comes from the system's packages: Python with venv, and a C++ compiler for what the engines compile.

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
    install()?;
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

fn install() -> anyhow::Result<()> {
    let wanted = PACKAGES.join(" ");
    let by_hand = format!(
        "run: apt-get update && apt-get install -y {wanted}   (or your system's packages of that kind)"
    );
    anyhow::ensure!(
        step::output(Command::new("apt-get").arg("--version")).is_some(),
        "no apt-get here; {by_hand}"
    );
    let root = step::output(Command::new("id").arg("-u")).as_deref() == Some("0");
    let sudo = !root && step::output(Command::new("sudo").args(["-n", "true"])).is_some();
    anyhow::ensure!(root || sudo, "not root, and sudo asks for a password; {by_hand}");
    let mut progress = Progress::start(&format!("apt-get install {wanted}"));
    for words in [vec!["update"], [&["install", "-y", "--no-install-recommends"], &PACKAGES[..]].concat()] {
        let mut command = if sudo { Command::new("sudo") } else { Command::new("apt-get") };
        if sudo {
            command.args(["-n", "apt-get"]);
        }
        command.args(words).env("DEBIAN_FRONTEND", "noninteractive");
        step::quiet(&mut progress, &step::log_file("apt-get"), &mut command)
            .with_context(|| by_hand.clone())?;
    }
    progress.finish("done");
    Ok(())
}
