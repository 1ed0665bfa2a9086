//! What kind of machine this is, of files that name no user, no command line and no environment.
//!
//! Where it runs is told, who runs what is not.

use std::{fs, path::Path, thread};

use serde::Serialize;

/// See the module's header. What there is not is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Facts {
    /// Its name.
    node: String,
    /// As `uname -r` has it.
    kernel: String,
    /// What it was built as, and when.
    kernel_build: String,
    architecture: &'static str,
    system: String,
    processors: usize,
    memory: Vec<String>,
    uptime_seconds: String,
    load: String,
    /// Of this program.
    warmlane: &'static str,
    cgroup_mounts: Vec<String>,
    nvidia_driver: String,
}

// === Facts ===

impl Facts {
    pub(super) fn look() -> Self {
        Self {
            processors: thread::available_parallelism().map_or(0, usize::from),
            ..Self::read(Path::new("/"))
        }
    }

    fn read(root: &Path) -> Self {
        let text = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
        let first = |path: &str| text(path).lines().next().unwrap_or_default().trim().to_owned();
        let word = |path: &str| first(path).split(' ').next().unwrap_or_default().to_owned();
        let (memory, mounts, release) =
            (text("proc/meminfo"), text("proc/self/mountinfo"), text("etc/os-release"));
        let system = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
        Self {
            node: first("proc/sys/kernel/hostname"),
            kernel: first("proc/sys/kernel/osrelease"),
            kernel_build: first("proc/sys/kernel/version"),
            architecture: std::env::consts::ARCH,
            system: system.unwrap_or_default().trim_matches('"').to_owned(),
            processors: 0,
            memory: memory.lines().take(3).map(str::to_owned).collect(),
            uptime_seconds: word("proc/uptime"),
            load: first("proc/loadavg"),
            warmlane: env!("CARGO_PKG_VERSION"),
            cgroup_mounts: mounts
                .lines()
                .filter(|line| line.contains(" - cgroup"))
                .map(str::to_owned)
                .collect(),
            nvidia_driver: first("proc/driver/nvidia/version"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_told_of_by_what_it_is_and_not_by_who_uses_it() {
        let root = tempfile::tempdir().expect("a folder");
        assert_eq!(Facts::read(root.path()).kernel, "");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        write("proc/sys/kernel/osrelease", "6.1.0\n");
        write("proc/cmdline", "password=1\n");
        write("proc/uptime", "77.5 12.0\n");
        write("etc/os-release", "NAME=x\nPRETTY_NAME=\"Linux of Tests\"\n");
        let facts = Facts::read(root.path());
        let named = (&*facts.kernel, &*facts.uptime_seconds, &*facts.system);
        assert_eq!(named, ("6.1.0", "77.5", "Linux of Tests"));
        let text = serde_json::to_string(&facts).expect("JSON");
        assert!(!text.contains("password"), "{text}");
    }
}
