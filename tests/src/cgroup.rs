//! A cgroup of its own: a kernel lane that is attached there takes all that was opened outside for another node's.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

static MADE: AtomicU32 = AtomicU32::new(0);
/// A process is in one at a time, and `cargo test` runs many tests in one process.
static ONE: Mutex<()> = Mutex::new(());

/// One below that of this process. Removed once dropped, and the process back where it was, if nothing else runs there any more.
#[derive(Debug)]
pub struct Cgroup {
    home: PathBuf,
    path: PathBuf,
    _one: MutexGuard<'static, ()>,
}

// === Cgroup ===

impl Cgroup {
    /// Makes it, once no other test of this process has one.
    ///
    /// # Panics
    /// Without root, or where the machine has no cgroups of version 2.
    #[expect(clippy::new_without_default, reason = "it changes the system, which a default should not")]
    pub fn new() -> Self {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mounts = fs::read_to_string("/proc/mounts").expect("mounts are told");
        let mount = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let mount = mount.into_iter().find(|words| words[2] == "cgroup2").expect("cgroups of version 2");
        let own = fs::read_to_string("/proc/self/cgroup").expect("it is told");
        let own = own.lines().find_map(|line| line.strip_prefix("0::/")).expect("every process has one");
        let home = Path::new(mount[1]).join(own);
        let path = home.join(format!("warmlane-test-{}-{}", process::id(), MADE.fetch_add(1, Relaxed)));
        fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { home, path, _one: one }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves this process there: sockets that it opens from now on are inside.
    ///
    /// # Panics
    /// Where the system refuses it.
    pub fn enter(&self) {
        join(&self.path).unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
    }

    /// Moves this process back and removes it, whatever it had opened there.
    ///
    /// # Panics
    /// Where something else runs there.
    pub fn remove(&self) {
        self.try_remove().unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
    }

    fn try_remove(&self) -> io::Result<()> {
        join(&self.home)?;
        fs::remove_dir(&self.path)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.try_remove();
    }
}

fn join(cgroup: &Path) -> io::Result<()> {
    fs::write(cgroup.join("cgroup.procs"), "0")
}
