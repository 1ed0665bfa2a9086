//! A program on the proxies' core, with all that it starts itself: they end together.
//!
//! Not every proxy takes its workers along when it is killed: nginx leaves its own running, which would disturb whatever
//! is measured next. So each has a process group that is killed as a whole, and is told to end when we die unasked.

use std::{
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Command, ExitStatus},
};

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process_group};
use warmlane_xtask::step;

/// The core for proxies.
const PROXY_CORE: usize = 0;

/// The leader of a process group. Dropped, it and its group are killed.
pub(crate) struct Process(step::Owned);

/// A command for the proxies' core, to be started by [`Process::start`].
pub(crate) fn on_proxy_core(program: &Path) -> Command {
    on_core(PROXY_CORE, program)
}

/// The same for another core.
pub(crate) fn on_core(core: usize, program: &Path) -> Command {
    // Both replace themselves with what follows, so the child's id is the program's own. TERM rather than KILL when we
    // die, since it is the only word on which nginx ends its workers.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "taskset", "--cpu-list", &core.to_string()]).arg(program);
    command.process_group(0);
    command
}

// === Process ===

impl Process {
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let child = command.spawn().context("cannot start it: setpriv and taskset come with util-linux")?;
        Ok(Self(step::Owned(child)))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.0.id()
    }

    /// How it ended, once it has.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.0.0.try_wait()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails where the whole group has ended: then there is nothing to do.
        let _ = kill_process_group(Pid::from_child(&self.0.0), Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;
    use crate::eventually;

    fn runs(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // A dead process stays as a zombie until its parent looks at it.
        stat.rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().next())
            .is_some_and(|state| state != "Z")
    }

    #[test]
    fn what_it_started_ends_with_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut command = on_proxy_core(Path::new("sh"));
        command.args(["-c", "sleep 60 & echo $!; wait"]).stdout(Stdio::from(file.reopen().unwrap()));
        let process = Process::start(&mut command).unwrap();
        let said = || std::fs::read_to_string(file.path()).unwrap();
        eventually("the shell tells its child", || said().ends_with('\n'));
        let child = said().trim().to_owned();
        assert!(runs(&child));
        drop(process);
        eventually("the child has ended", || !runs(&child));
    }
}
