//! A cgroup of its own for the rest of a test's process: what was opened before stays outside.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
};

/// See the module's header. Left and removed once dropped.
#[derive(Debug)]
pub struct Cgroup {
    root: PathBuf,
    path: PathBuf,
}

// === Cgroup ===

impl Cgroup {
    /// Moves this process into a new one: sockets that it opens from now on are inside.
    ///
    /// # Panics
    /// Without root, or where the machine has no cgroups of version 2.
    pub fn enter() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("it is there");
        let of_line = |line: &str| {
            let (place, kind) = line.split_once(" - ")?;
            kind.starts_with("cgroup2 ").then(|| place.split(' ').nth(4).map(PathBuf::from))?
        };
        let root = mounts.lines().find_map(of_line).expect("cgroups of version 2");
        let path = root.join(format!("warmlane-test-{}", process::id()));
        fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        enter(&path);
        Self { root, path }
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
