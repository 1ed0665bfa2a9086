//! Where the cgroup v2 hierarchy is: its root sees the connections of all pods of the node. And whether one that was named
//! is there still.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, statat},
    io::Errno,
};

use super::LoadError;

/// A cgroup, held so that its removal can be told: what is attached to it goes with it. Holding does not prevent that.
#[derive(Debug)]
pub struct Cgroup {
    folder: fs::File,
}

// === Cgroup ===

impl Cgroup {
    /// Holds the one that is there now.
    ///
    /// # Errors
    /// Where there is none.
    pub fn hold(path: &Path) -> io::Result<Self> {
        Ok(Self { folder: fs::File::open(path)? })
    }

    /// Whether it was removed.
    pub fn is_removed(&self) -> bool {
        // Not by its path: another may be there by now, and the mount may have gone while the cgroup stays.
        statat(&self.folder, "cgroup.controllers", AtFlags::empty()).is_err_and(|error| error == Errno::NOENT)
    }
}

/// The mount of the hierarchy's root.
pub(super) fn root() -> Result<PathBuf, LoadError> {
    let mounts = fs::read_to_string("/proc/self/mountinfo");
    let mounts = mounts.map_err(|error| LoadError::Cgroup(format!("/proc/self/mountinfo: {error}")))?;
    find(&mounts).ok_or_else(|| LoadError::Cgroup("/proc/self/mountinfo names none".into()))
}

/// The first mount of type cgroup2, one of the whole hierarchy before one of a part of it.
///
/// A line is `31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw`, with any number of words before the dash.
fn find(mounts: &str) -> Option<PathBuf> {
    let of_line = |line: &str| {
        let (place, kind) = line.split_once(" - ")?;
        let mut words = place.split(' ').skip(3);
        let (root, at) = (words.next()?, words.next()?);
        (kind.split(' ').next() == Some("cgroup2")).then(|| (root != "/", PathBuf::from(unescape(at))))
    };
    let found = mounts.lines().filter_map(of_line).min_by_key(|(partial, _)| *partial);
    found.map(|(_, at)| at)
}

/// The kernel writes spaces and the like as three octal digits.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_hierarchy_is_found_among_other_mounts() {
        let mounts = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
                      32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      50 31 0:38 /kubepods/x /inner rw master:1 - cgroup2 cgroup2 rw\n\
                      41 31 0:38 / /sys/fs/cgroup/with\\040space rw,relatime shared:9 master:1 - cgroup2 cgroup2 rw\n";
        assert_eq!(find(mounts), Some(PathBuf::from("/sys/fs/cgroup/with space")));
    }

    #[test]
    fn a_part_is_better_than_none_and_none_is_told() {
        let part = "50 31 0:38 /kubepods/x /inner rw - cgroup2 cgroup2 rw\nnonsense\n";
        assert_eq!(find(part), Some(PathBuf::from("/inner")));
        assert_eq!(find("31 23 0:28 / /sys/fs/cgroup rw - tmpfs cgroup2 rw\n"), None);
    }
}
