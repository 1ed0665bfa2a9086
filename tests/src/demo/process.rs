//! A server that the demo starts: it says where it listens, its output is kept, and it ends with its owner.

use std::{
    fs::File,
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;

use warmlane_xtask::{interrupt, step, workspace};

/// A server that says nothing for so long is stuck.
const START_LIMIT: Duration = Duration::from_secs(20);
/// Lines of its log shown when it fails.
const SHOWN_LINES: usize = 15;

/// A running server.
#[derive(Debug)]
pub(super) struct Process {
    name: String,
    child: step::Owned,
    log: PathBuf,
    /// The line with its addresses, after the word `listening`.
    listening: String,
}

impl Process {
    /// Starts it without waiting for it.
    pub(super) fn start(name: &str, command: &mut Command) -> anyhow::Result<Self> {
        let log = workspace::target().join("demo").join(format!("{}.log", name.replace(' ', "-")));
        if let Some(dir) = log.parent() {
            std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        }
        let out = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let both = out.try_clone()?;
        // A group of its own: Ctrl-C reaches it through us only, so that it does not end under a running load.
        let child = command.stdin(Stdio::null()).stdout(out).stderr(both).process_group(0).spawn();
        let program = command.get_program().to_string_lossy();
        let child = child.with_context(|| format!("cannot start {program}"))?;
        Ok(Self { name: name.to_owned(), child: step::Owned(child), log, listening: String::new() })
    }

    /// Waits until it says where it listens.
    pub(super) fn wait(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let text = std::fs::read_to_string(&self.log).unwrap_or_default();
            // Only whole lines: the last one may still be under way.
            let mut lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            if let Some(line) = lines.find_map(|line| line.strip_prefix("listening ")) {
                line.trim().clone_into(&mut self.listening);
                return Ok(());
            }
            self.check()?;
            interrupt::checkpoint()?;
            anyhow::ensure!(
                Instant::now() < deadline,
                "{} did not begin to listen within {} s; {}",
                self.name,
                START_LIMIT.as_secs(),
                self.last_words()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The address it gave: the one called `name`, or the only one.
    pub(super) fn address(&self, name: Option<&str>) -> anyhow::Result<SocketAddr> {
        let mut words = self.listening.split_whitespace();
        let word = match name {
            Some(name) => words.find_map(|word| word.strip_prefix(name)?.strip_prefix('=')),
            None => words.next(),
        };
        let word = word.with_context(|| {
            format!("{} does not say its {} address: {:?}", self.name, name.unwrap_or("own"), self.listening)
        })?;
        word.parse().with_context(|| format!("{} gives the address {word:?}", self.name))
    }

    /// An error with the end of its log once it has ended.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.0.try_wait()? {
            anyhow::bail!("{} ended ({status}); {}", self.name, self.last_words());
        }
        Ok(())
    }

    /// The end of its log, for an error message.
    pub(super) fn last_words(&self) -> String {
        let tail = step::tail(&self.log, SHOWN_LINES);
        let log = self.log.display();
        if tail.is_empty() {
            format!("its log is empty ({log})")
        } else {
            format!("the end of {log}:\n{tail}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(name: &str, script: &str) -> Process {
        Process::start(name, Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn addresses_are_read_from_the_line_it_prints() {
        let script = "echo hello; echo listening plain=127.0.0.1:1 aware=127.0.0.1:2; exec sleep 60";
        let mut process = shell("test addresses", script);
        process.wait().unwrap();
        assert_eq!(process.address(Some("aware")).unwrap().port(), 2);
        assert!(process.address(Some("admin")).is_err());
        process.check().unwrap();
    }

    #[test]
    fn a_process_that_ends_early_is_an_error_with_its_last_words() {
        let error = shell("test early", "echo no such flag >&2; exit 3").wait().unwrap_err().to_string();
        assert!(error.contains("no such flag") && error.contains("exit status: 3"), "{error}");
    }

    #[test]
    fn it_ends_with_its_owner() {
        let mut process = shell("test owner", "echo listening 127.0.0.1:1; exec sleep 60");
        process.wait().unwrap();
        let proc = PathBuf::from(format!("/proc/{}", process.child.0.id()));
        assert!(proc.exists());
        drop(process);
        assert!(!proc.exists());
    }
}
