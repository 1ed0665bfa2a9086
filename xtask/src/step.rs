//! Runs one child command to its end, either shown as it runs or kept in a log and shown only if it fails.
//!
//! Invariant: a child never outlives the step: an interrupt or an error kills it.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use crate::progress::Progress;
use crate::{interrupt, workspace};

/// How often a running child is looked at: short beside any step, long beside the cost of looking.
const GLANCE: Duration = Duration::from_millis(50);
/// How much of a failed step's output is shown; the rest stays in the log.
const SHOWN_LINES: usize = 120;

/// Runs a command with its output going straight to the reader.
pub fn shown(command: &mut Command) -> anyhow::Result<()> {
    let said = line(command);
    println!("  $ {said}");
    let child = command.stdin(Stdio::null()).spawn();
    let mut child = Owned(child.with_context(|| missing(command))?);
    let status = child.wait(|| {})?;
    anyhow::ensure!(status.success(), "`{said}` failed ({status})");
    Ok(())
}

/// Runs a command with its output in a log; the log's end becomes the error when the command fails.
pub fn quiet(progress: &mut Progress, log: &Path, command: &mut Command) -> anyhow::Result<()> {
    if let Some(dir) = log.parent() {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    }
    let out = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    let both = out.try_clone()?;
    let child = command.stdin(Stdio::null()).stdout(out).stderr(both).spawn();
    let mut child = Owned(child.with_context(|| missing(command))?);
    let status = child.wait(|| progress.tick(|| last_line(log)))?;
    anyhow::ensure!(
        status.success(),
        "{}\n`{}` failed ({status}); all of its output: {}",
        tail(log, SHOWN_LINES),
        line(command),
        log.display()
    );
    Ok(())
}

/// What a command prints, where it succeeds.
pub fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The log file of a named step.
pub fn log_file(name: &str) -> std::path::PathBuf {
    workspace::root().join("target/xtask").join(format!("{}.log", name.replace([' ', '/'], "-")))
}

/// The last `lines` lines of a file, as far as they can be read.
pub fn tail(file: &Path, lines: usize) -> String {
    let text =
        std::fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// The last line of a file that says something.
pub fn last_line(file: &Path) -> String {
    tail(file, 5).lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}

/// A command as one would type it.
fn line(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn missing(command: &Command) -> String {
    format!("cannot start {}: run `cargo xtask setup`", command.get_program().to_string_lossy())
}

/// A child that is killed when its owner gives up on it.
#[derive(Debug)]
pub struct Owned(pub Child);

impl Owned {
    fn wait(&mut self, mut glance: impl FnMut()) -> anyhow::Result<std::process::ExitStatus> {
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            interrupt::checkpoint()?;
            glance();
            std::thread::sleep(GLANCE);
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}
