//! The `process_*` families, from `/proc`; left out where there is none.

use std::fs;

use super::page::Page;

/// Clock ticks per second in `/proc/self/stat`: 100 on every Linux (USER_HZ).
const TICKS: f64 = 100.0;

pub(super) fn write(page: &mut Page, started: f64) {
    let Some(values) = read() else { return };
    let mut gauge = |name: &str, help: &str, value: f64| {
        page.head(name, help, "gauge");
        page.line(name, "", value);
    };
    gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", values.virtual_bytes);
    gauge("process_resident_memory_bytes", "Resident memory size in bytes.", values.resident_bytes);
    gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", started);
    page.head("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", "counter");
    page.line("process_cpu_seconds_total", "", values.cpu_seconds);
    page.head("process_open_fds", "Number of open file descriptors.", "gauge");
    page.line("process_open_fds", "", values.open_fds);
    page.head("process_max_fds", "Maximum number of open file descriptors.", "gauge");
    page.line("process_max_fds", "", values.max_fds);
}

struct Values {
    virtual_bytes: f64,
    resident_bytes: f64,
    cpu_seconds: f64,
    open_fds: f64,
    max_fds: f64,
}

fn read() -> Option<Values> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.split_whitespace().next()?.parse::<f64>().ok()? * 1024.0)
    };
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold spaces; utime and stime are fields 14 and 15.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    let cpu_seconds = (ticks()? + ticks()?) / TICKS;
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let max_fds = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|line| line.split_whitespace().next()?.parse().ok())?;
    Some(Values {
        virtual_bytes: kilobytes("VmSize:")?,
        resident_bytes: kilobytes("VmRSS:")?,
        cpu_seconds,
        open_fds: fs::read_dir("/proc/self/fd").ok()?.count() as f64,
        max_fds,
    })
}
