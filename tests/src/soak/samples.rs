//! What a router looks like from outside, second by second.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde::Serialize;

use super::load::Tally;
use crate::Wire;

/// Between two samples.
pub(super) const INTERVAL: Duration = Duration::from_millis(500);

/// Where a router listens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    pub(super) plain: SocketAddr,
    pub(super) aware: SocketAddr,
    pub(super) metrics: SocketAddr,
}

/// A router that is watched.
pub(super) struct Watched {
    pub(super) pid: u32,
    pub(super) addresses: Addresses,
}

/// One look.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Sample {
    pub(super) seconds: f64,
    pub(super) resident_mb: f64,
    pub(super) descriptors: f64,
    pub(super) requests: f64,
    pub(super) lost: f64,
}

pub(super) struct Samples {
    began: Instant,
    pub(super) all: Vec<Sample>,
}

/// The addresses that a router prints first.
pub(super) fn addresses(said: impl Read) -> anyhow::Result<Addresses> {
    let mut line = String::new();
    BufReader::new(said).read_line(&mut line).context("cannot read what the router says")?;
    let address = |name: &str| {
        let word = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        word.and_then(|word| word.parse().ok())
            .with_context(|| format!("the router names no {name} address: {line:?}"))
    };
    Ok(Addresses { plain: address("plain")?, aware: address("aware")?, metrics: address("metrics")? })
}

// === Watched ===

impl Watched {
    /// Waits until so many replicas are ready.
    pub(super) fn wait_until_ready(&self, count: usize) -> anyhow::Result<()> {
        self.wait("the replicas are ready", |watched| {
            watched.metric("warmlane_endpoint_ready") >= count as f64
        })
    }

    /// Waits until something holds.
    pub(super) fn wait(&self, what: &str, holds: impl Fn(&Self) -> bool) -> anyhow::Result<()> {
        let until = Instant::now() + Duration::from_secs(20);
        while !holds(self) {
            anyhow::ensure!(Instant::now() < until, "did not come true: {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// The sum of all metric lines that start with `series`.
    pub(super) fn metric(&self, series: &str) -> f64 {
        crate::metric(&Wire::connect(self.addresses.metrics).get("/metrics").text(), series)
    }

    fn look(&self) -> anyhow::Result<(f64, f64)> {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid)).context("the router is gone")?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", self.pid))?.count();
        Ok((resident.context("no VmRSS")? / 1024.0, descriptors as f64))
    }
}

// === Samples ===

impl Samples {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), all: Vec::new() }
    }

    pub(super) fn take(&mut self, watched: &Watched, tally: &Tally) -> anyhow::Result<()> {
        let (resident_mb, descriptors) = watched.look()?;
        let lost = tally.lost.load(std::sync::atomic::Ordering::Relaxed) as f64;
        let seconds = self.began.elapsed().as_secs_f64();
        self.all.push(Sample { seconds, resident_mb, descriptors, requests: tally.all() as f64, lost });
        Ok(())
    }

    /// Mean over the quarter with this number.
    pub(super) fn quarter(&self, number: usize, value: impl Fn(&Sample) -> f64) -> f64 {
        let length = (self.all.len() / 4).max(1);
        let quarter: Vec<f64> = self.all.iter().skip(number * length).take(length).map(value).collect();
        quarter.iter().sum::<f64>() / quarter.len().max(1) as f64
    }
}
