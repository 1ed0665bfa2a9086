//! A machine that qemu emulates, from its start to its end.
//!
//! Emulated throughout: hypervisors inside of other virtual machines are seldom to be had, and one that is there but does
//! not work looks like a guest that hangs.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::{interrupt, step};

/// What the guest has of each: two processors, so that two sides of a connection run at a time, and far more memory than
/// the suite takes, in MiB.
const PROCESSORS: &str = "2";
const MEMORY: &str = "1024";
/// The kernel's own words go to the first serial line, warnings among them; a panic ends the guest at once.
const COMMAND_LINE: &str = "console=ttyS0 loglevel=6 panic=-1 oops=panic";
/// How often a guest is looked at while it says nothing.
const GLANCE: Duration = Duration::from_millis(200);
/// How much of the kernel's words is shown of a guest that fails.
const SHOWN_LINES: usize = 30;

/// What a guest is made of.
pub(super) struct Guest {
    /// The program that emulates it.
    pub(super) emulator: PathBuf,
    /// Its kernel.
    pub(super) kernel: PathBuf,
    /// The archive with its files.
    pub(super) files: PathBuf,
    /// Where its kernel's words are kept.
    pub(super) log: PathBuf,
}

// === Guest ===

impl Guest {
    /// Runs it to its end and prints what it says; all of that.
    pub(super) fn run(&self, limit: Duration) -> anyhow::Result<String> {
        let began = Instant::now();
        let errors = self.log.with_extension("qemu.log");
        let mut command = self.command();
        let out = File::create(&errors).with_context(|| format!("cannot write {}", errors.display()))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(out);
        let child = command.spawn().with_context(|| format!("cannot start {}", self.emulator.display()))?;
        let mut machine = step::Owned(child);
        let lines = lines(machine.0.stdout.take().context("the output of qemu is a pipe")?);
        let said = listen(&lines, || {
            interrupt::checkpoint()?;
            anyhow::ensure!(
                began.elapsed() < limit,
                "the guest has not come to its end in {} s: it hangs, or this machine is very busy (see --limit)\n{}",
                limit.as_secs(),
                self.last_words()
            );
            Ok(())
        })?;
        let status = machine.0.wait()?;
        anyhow::ensure!(status.success(), "qemu failed ({status}): {}", step::tail(&errors, SHOWN_LINES));
        Ok(said)
    }

    /// The end of what its kernel said.
    pub(super) fn last_words(&self) -> String {
        let words = step::tail(&self.log, SHOWN_LINES);
        format!("the kernel's last words (all of them: {}):\n{words}", self.log.display())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.emulator);
        command.args(["-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none"]);
        // A guest that restarts has panicked.
        command.arg("-no-reboot");
        command.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", PROCESSORS, "-m", MEMORY]);
        command.arg("-kernel").arg(&self.kernel).arg("-initrd").arg(&self.files);
        command.args(["-append", COMMAND_LINE]);
        command.arg("-serial").arg(prefixed("file:", &self.log)).args(["-serial", "stdio"]);
        command
    }
}

fn prefixed(prefix: &str, path: &Path) -> std::ffi::OsString {
    let mut word = std::ffi::OsString::from(prefix);
    word.push(path);
    word
}

/// Lines as they come; the thread ends with its guest.
fn lines(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Prints what comes until nothing does any more.
fn listen(lines: &Receiver<String>, mut go_on: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<String> {
    let mut said = String::new();
    loop {
        match lines.recv_timeout(GLANCE) {
            Ok(line) => {
                println!("  | {line}");
                said.push_str(&line);
                said.push('\n');
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(said),
        }
        go_on()?;
    }
}
