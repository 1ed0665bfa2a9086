//! How busy the whole machine is, from `/proc/stat`.

use anyhow::Context as _;

/// Time counters of all cores together, since boot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cpu {
    idle: u64,
    all: u64,
}

impl Cpu {
    /// The counters now.
    pub(super) fn now() -> anyhow::Result<Self> {
        let stat = std::fs::read_to_string("/proc/stat").context("cannot read /proc/stat: is this Linux?")?;
        Self::parse(&stat).context("/proc/stat has no cpu line")
    }

    /// Share of all cores that was not idle since then, 0 to 1. Time that the hypervisor took counts as busy.
    pub(super) fn busy_since(self, then: Self) -> f64 {
        let all = self.all.saturating_sub(then.all);
        let idle = self.idle.saturating_sub(then.idle);
        if all == 0 { 0.0 } else { 1.0 - idle as f64 / all as f64 }
    }

    /// user nice system idle iowait irq softirq steal; guest time after them is in user already.
    fn parse(stat: &str) -> Option<Self> {
        let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let times: Vec<u64> = line.split_whitespace().take(8).map_while(|word| word.parse().ok()).collect();
        let idle = times.get(3)? + times.get(4)?;
        Some(Self { idle, all: times.iter().sum() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_disks_is_idle_and_guest_time_is_not_counted_twice() {
        let then = Cpu::parse("cpu  100 0 100 500 100 0 0 0 90 0\ncpu0 1 2 3 4\n").unwrap();
        let now = Cpu::parse("cpu  130 0 120 540 105 2 2 1 99 0\n").unwrap();
        assert!((now.busy_since(then) - 0.55).abs() < 1e-9);
    }

    #[test]
    fn a_foreign_file_is_no_counter() {
        assert!(Cpu::parse("intr 1 2 3\n").is_none());
    }
}
