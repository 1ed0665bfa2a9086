//! What this machine is like: read from its files, its sockets and its driver.
//!
//! Bounds: five seconds for the driver's library, which may hang and is asked on a thread of its own; those of [`super::ports`].

use std::{fs, io::ErrorKind, os::unix::net::UnixStream, path::Path, sync::mpsc, thread, time::Duration};

use nvml_wrapper::{Nvml, error::NvmlError};

use super::ports::{Taken, answers};

/// Where kubelets tell which pod has which GPU.
const KUBELET: &str = "var/lib/kubelet/pod-resources/kubelet.sock";
/// What the driver gets to open its library.
const DRIVER_PATIENCE: Duration = Duration::from_secs(5);

/// See the module's header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    /// As `uname -r` has it.
    pub(crate) release: String,
    /// The kernel has type information.
    pub(crate) btf: bool,
    pub(crate) cgroups: Cgroups,
    /// What routers of this machine may do.
    pub(crate) routers: Vec<Process>,
    pub(crate) kubelet: Kubelet,
    pub(crate) nvidia: Nvidia,
    /// Of our ports, those on which somebody listens.
    pub(crate) ports: Vec<Taken>,
}

/// Which hierarchies are mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Cgroups {
    /// Version 2 alone.
    Two,
    /// Both.
    Both,
    /// Version 1 alone.
    One,
    /// None that this process sees.
    #[default]
    Nothing,
}

/// A running router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) id: u32,
    /// Bits of its effective capabilities.
    pub(crate) capabilities: u64,
}

/// The kubelet's socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kubelet {
    #[default]
    Missing,
    /// This process may not use it.
    Denied,
    Answers,
    /// There, but:
    Broken(String),
}

/// The NVIDIA driver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Nvidia {
    /// There is neither a device nor a library.
    #[default]
    Nothing,
    Works {
        version: String,
        cards: u32,
    },
    /// There is a device or a library, but:
    Broken(String),
}

// === Machine ===

impl Machine {
    /// As it is now.
    pub(crate) fn look() -> Self {
        let root = Path::new("/");
        Self {
            nvidia: Nvidia::look(root),
            kubelet: Kubelet::look(root),
            ports: Taken::look(root, answers),
            ..Self::read(root)
        }
    }

    /// What stands in files below this folder.
    fn read(root: &Path) -> Self {
        let text = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
        Self {
            release: text("proc/sys/kernel/osrelease").trim().to_owned(),
            btf: root.join("sys/kernel/btf/vmlinux").exists(),
            cgroups: Cgroups::of(&text("proc/self/mountinfo")),
            routers: routers(root),
            ..Self::default()
        }
    }
}

fn routers(root: &Path) -> Vec<Process> {
    let folders = fs::read_dir(root.join("proc")).into_iter().flatten().flatten();
    let process = |folder: fs::DirEntry| {
        let id = folder.file_name().to_str()?.parse().ok()?;
        // The kernel keeps 15 characters of a name, which are all of this one.
        let name = fs::read_to_string(folder.path().join("comm")).ok()?;
        let status = fs::read_to_string(folder.path().join("status")).ok()?;
        (name.trim_end() == "warmlane-router").then_some(Process { id, capabilities: effective(&status)? })
    };
    let mut routers: Vec<Process> = folders.filter_map(process).collect();
    routers.sort_by_key(|process| process.id);
    routers
}

/// From `/proc/PID/status`.
fn effective(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

// === Cgroups ===

impl Cgroups {
    /// From `/proc/self/mountinfo`: the file system's type stands behind the separator.
    fn of(mountinfo: &str) -> Self {
        let kinds = mountinfo.lines().filter_map(|line| line.split_once(" - ")?.1.split(' ').next());
        let (mut one, mut two) = (false, false);
        for kind in kinds {
            one |= kind == "cgroup";
            two |= kind == "cgroup2";
        }
        match (one, two) {
            (false, true) => Self::Two,
            (true, true) => Self::Both,
            (true, false) => Self::One,
            (false, false) => Self::Nothing,
        }
    }
}

// === Kubelet ===

impl Kubelet {
    fn look(root: &Path) -> Self {
        // A local socket takes a connection or refuses it: this does not wait.
        match UnixStream::connect(root.join(KUBELET)) {
            Ok(_) => Self::Answers,
            Err(error) if error.kind() == ErrorKind::NotFound => Self::Missing,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Self::Denied,
            Err(error) => Self::Broken(error.to_string()),
        }
    }
}

// === Nvidia ===

impl Nvidia {
    fn look(root: &Path) -> Self {
        let device = root.join("dev/nvidiactl").exists();
        let (sender, opened) = mpsc::channel();
        // Left behind where the library hangs: the process ends soon.
        thread::spawn(move || sender.send(Self::open()));
        match opened.recv_timeout(DRIVER_PATIENCE) {
            Ok(Ok((version, cards))) => Self::Works { version, cards },
            Ok(Err(NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound)) if !device => Self::Nothing,
            Ok(Err(error)) => Self::Broken(error.to_string()),
            Err(_) => Self::Broken(format!("its library does not open within {DRIVER_PATIENCE:?}")),
        }
    }

    fn open() -> Result<(String, u32), NvmlError> {
        let nvml = Nvml::init()?;
        Ok((nvml.sys_driver_version()?, nvml.device_count()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_read_from_its_files() {
        let root = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        };
        assert_eq!(Machine::read(root.path()), Machine::default());
        write("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
        write("sys/kernel/btf/vmlinux", "");
        write(
            "proc/self/mountinfo",
            "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n",
        );
        write("proc/77/comm", "warmlane-router\n");
        write("proc/77/status", "Name:\twarmlane-router\nCapEff:\t000000c000001000\n");
        write("proc/8/comm", "bash\n");
        write("proc/8/status", "CapEff:\t000001ffffffffff\n");
        let machine = Machine::read(root.path());
        assert_eq!((machine.release.as_str(), machine.btf), ("6.1.0-18-amd64", true));
        assert_eq!(machine.cgroups, Cgroups::Two);
        assert_eq!(machine.routers, [Process { id: 77, capabilities: 0xc0_0000_1000 }]);
    }

    #[test]
    fn hierarchies_are_told_apart_by_their_file_systems() {
        let (one, two) = (
            "34 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n",
            "35 31 0:30 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n",
        );
        let root = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n";
        let cases = [
            (root.to_owned(), Cgroups::Nothing),
            (root.to_owned() + one, Cgroups::One),
            (root.to_owned() + one + two, Cgroups::Both),
            (root.to_owned() + two, Cgroups::Two),
        ];
        for (mounts, expected) in cases {
            assert_eq!(Cgroups::of(&mounts), expected, "{mounts}");
        }
    }

    #[test]
    fn a_kubelet_is_there_where_its_socket_takes_connections() {
        let root = tempfile::tempdir().expect("a folder");
        assert_eq!(Kubelet::look(root.path()), Kubelet::Missing);
        let socket = root.path().join(KUBELET);
        fs::create_dir_all(socket.parent().expect("a folder")).expect("a folder");
        let listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
        assert_eq!(Kubelet::look(root.path()), Kubelet::Answers);
        drop(listener);
        assert!(matches!(Kubelet::look(root.path()), Kubelet::Broken(why) if why.contains("refused")));
    }
}
