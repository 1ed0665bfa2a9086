//! A cgroup of its own: a kernel lane that is attached there takes all that was opened outside for another node's.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

static MADE: AtomicU32 = AtomicU32::new(0);

/// See the module's header. Left and removed once dropped, if none of its processes runs any more.
#[derive(Debug)]
pub struct Cgroup {
    root: PathBuf,
    path: PathBuf,
}

// === Cgroup ===

impl Cgroup {
    /// Makes it.
    ///
    /// # Panics
    /// Without root, or where the machine has no cgroups of version 2.
    #[expect(clippy::new_without_default, reason = "it changes the system, which a default should not")]
    pub fn new() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("it is there");
        let of_line = |line: &str| {
            let (place, kind) = line.split_once(" - ")?;
            kind.starts_with("cgroup2 ").then(|| place.split(' ').nth(4).map(PathBuf::from))?
        };
        let root = mounts.lines().find_map(of_line).expect("cgroups of version 2");
        let number = MADE.fetch_add(1, Relaxed);
        let path = root.join(format!("warmlane-test-{}-{number}", process::id()));
        fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { root, path }
    }

    /// Makes it and moves this process there: sockets that it opens from now on are inside.
    ///
    /// # Panics
    /// As [`Self::new`].
    pub fn enter() -> Self {
        let cgroup = Self::new();
        enter(&cgroup.path);
        cgroup
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        enter(&self.root);
        // A test that fails tells more than what is left of it.
        let _ = fs::remove_dir(&self.path);
    }
}

fn enter(cgroup: &Path) {
    let processes = cgroup.join("cgroup.procs");
    fs::write(&processes, "0").unwrap_or_else(|error| panic!("{}: {error}", processes.display()));
}
