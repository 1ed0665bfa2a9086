//! CPU time and memory of a process and its children, and the core of this one.

use std::{collections::HashSet, fs, time::Duration};

use anyhow::Context as _;
use nix::time::clock_getcpuclockid;
use rustix::{
    process::Pid,
    thread::{CpuSet, sched_setaffinity},
};

/// Moves this thread, and what it starts, to the last core.
pub(crate) fn pin_self() -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(last_core()?);
    sched_setaffinity(None, &set).context("sched_setaffinity")
}

/// The core for everything but the proxy.
pub(crate) fn last_core() -> anyhow::Result<usize> {
    // Not those that this thread may run on, which is one once it is pinned.
    let cores = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let last = cores.trim().rsplit(['-', ',']).next().and_then(|core| core.parse().ok()).unwrap_or(0);
    anyhow::ensure!(last >= 1, "one core for the proxy and one for the load are needed; here is only one");
    Ok(last)
}

/// CPU seconds of one thread of this process.
pub(crate) fn thread_seconds(thread: Pid) -> f64 {
    let path = format!("/proc/self/task/{}/schedstat", thread.as_raw_nonzero());
    first_number(&path).unwrap_or_default() as f64 / 1e9
}

/// CPU seconds of the kernel's own threads that may do work for sockets: what is left of interrupts, and work queues. Of
/// those it counts all, so that on a machine that writes to a disk meanwhile there is more.
pub(crate) fn kernel_seconds() -> f64 {
    let is_worker = |pid: &u32| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.starts_with("ksoftirqd") || name.starts_with("kworker")
    };
    // The parent of all of them.
    let workers = family(2).into_iter().filter(is_worker);
    let nanos: u64 = workers.flat_map(threads).filter_map(|path| first_number(&path)).sum();
    nanos as f64 / 1e9
}

/// How often threads of the process and its descendants have gone to sleep: as often they were woken.
pub(crate) fn wake_ups(pid: u32) -> u64 {
    let status = |path: String| fs::read_to_string(path.replace("schedstat", "status")).ok();
    let all = family(pid).into_iter().flat_map(threads).filter_map(status);
    all.filter_map(|status| field(&status, "voluntary_ctxt_switches:")).sum()
}

/// CPU seconds of the process and its descendants, since they started. By each one's own clock: that of a thread which has ended
/// is in it.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let clock =
        |pid| clock_getcpuclockid(nix::unistd::Pid::from_raw(i32::try_from(pid).ok()?)).ok()?.now().ok();
    family(pid).into_iter().filter_map(clock).map(|spent| Duration::from(spent).as_secs_f64()).sum()
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
        self::field(&status, field)
    };
    family(pid).into_iter().filter_map(kilobytes).sum::<u64>() as f64 / 1024.0
}

/// The first number behind a name at the start of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
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
    fn the_work_of_a_thread_that_has_ended_stays_counted() {
        let before = cpu_seconds(std::process::id());
        eventually("work is counted", || {
            let work = || (0..1_000_000_u64).fold(0, |sum, n| std::hint::black_box(sum ^ n));
            std::thread::spawn(work).join().expect("it ends");
            cpu_seconds(std::process::id()) - before > 0.02
        });
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
