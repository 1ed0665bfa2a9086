//! CPU time and memory of a process and its children, and the core of this one.

use std::{collections::HashSet, fs};

use anyhow::Context as _;
use rustix::thread::{CpuSet, sched_setaffinity};

/// Moves this thread, and what it starts, to the last core.
pub(crate) fn pin_self() -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    anyhow::ensure!(cores >= 2, "one core for the proxy and one for the load are needed; here is only one");
    let mut set = CpuSet::new();
    set.set(cores - 1);
    sched_setaffinity(None, &set).context("sched_setaffinity")
}

/// CPU seconds of all threads of the process and its descendants, since they started.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let nanos: u64 = family(pid).into_iter().flat_map(threads).filter_map(|path| first_number(&path)).sum();
    nanos as f64 / 1e9
}

/// Resident memory of the process and its descendants, in MB.
pub(crate) fn resident_mb(pid: u32) -> f64 {
    memory_mb(pid, "VmRSS:")
}

/// The most that it was so far.
pub(crate) fn peak_mb(pid: u32) -> f64 {
    memory_mb(pid, "VmHWM:")
}

fn memory_mb(pid: u32, field: &str) -> f64 {
    let kilobytes = |pid: u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    family(pid).into_iter().filter_map(kilobytes).sum::<f64>() / 1024.0
}

fn threads(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.map(|task| format!("{}/schedstat", task.path().display())).collect()
}

fn first_number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.split_whitespace().next()?.parse().ok()
}

/// The process and all below it.
fn family(pid: u32) -> HashSet<u32> {
    let (mut all, mut open) = (HashSet::from([pid]), vec![pid]);
    while let Some(parent) = open.pop() {
        let tasks = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
        for task in tasks {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
                if all.insert(child) {
                    open.push(child);
                }
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{
        super::process::{Process, on_proxy_core},
        *,
    };
    use crate::eventually;

    #[test]
    fn work_is_counted_in_this_process() {
        let (pid, before) = (std::process::id(), cpu_seconds(std::process::id()));
        let mut sum = 0_u64;
        eventually("work is counted", || {
            sum = (0..1_000_000)
                .fold(sum, |sum: u64, n| std::hint::black_box(sum.wrapping_mul(31).wrapping_add(n)));
            cpu_seconds(pid) - before > 0.02
        });
        assert!(resident_mb(pid) > 1.0, "{sum}");
    }

    #[test]
    fn the_work_of_its_children_is_counted_with_it() {
        let script = "(while :; do :; done) & echo $!; wait";
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut command = on_proxy_core(std::path::Path::new("sh"));
        command.args(["-c", script]).stdout(file.reopen().expect("the file"));
        let shell = Process::start(&mut command).expect("a shell");
        // The shell itself only waits.
        eventually("its child's work is counted", || cpu_seconds(shell.id()) > 0.1);
    }
}
