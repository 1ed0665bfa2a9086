//! KV cache use of every replica over time, read from their metrics pages.
//!
//! **Spread** is the mean over time of the highest minus the lowest use at one moment. It is taken over the loaded part
//! of a run only: from the end of the first request (by then the replicas have filled) to the start of the last one
//! (from then on load only falls). Filling and emptying would otherwise dilute it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};
use warmlane_load::Client;

/// Wall time between two samples.
const EVERY: Duration = Duration::from_millis(100);
/// A page that takes longer is left out of its sample.
const PATIENCE: Duration = Duration::from_secs(2);

/// The use of all replicas at one moment.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    /// Wall time since the start of the run.
    pub(super) at: Duration,
    /// Used share, 0 to 1, of each replica; none where its page could not be read.
    pub(super) used: Vec<Option<f64>>,
}

/// Samples in the background until it is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    samples: Arc<Mutex<Vec<Sample>>>,
    task: JoinHandle<()>,
}

impl Watch {
    pub(super) fn start(replicas: &[SocketAddr]) -> Self {
        let clients: Vec<Client> =
            replicas.iter().map(|address| Client::new(*address).with_limit(PATIENCE)).collect();
        let samples = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(sample(clients, Arc::clone(&samples)));
        Self { samples, task }
    }

    /// The last sample's use, where one is known.
    pub(super) fn latest(&self) -> Vec<f64> {
        let samples = lock(&self.samples);
        samples.last().map(|sample| sample.used.iter().copied().flatten().collect()).unwrap_or_default()
    }

    /// All samples until now.
    pub(super) fn finish(self) -> Vec<Sample> {
        std::mem::take(&mut *lock(&self.samples))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn sample(clients: Vec<Client>, samples: Arc<Mutex<Vec<Sample>>>) {
    let start = Instant::now();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let at = start.elapsed();
        let mut used = Vec::with_capacity(clients.len());
        for client in &clients {
            let page = client.get("/metrics").await.ok();
            used.push(page.and_then(|page| warmlane_engine::metrics::scan(&page).ok()?.kv_use));
        }
        lock(&samples).push(Sample { at, used });
    }
}

fn lock(samples: &Mutex<Vec<Sample>>) -> MutexGuard<'_, Vec<Sample>> {
    samples.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Time mean of highest minus lowest use between `from` and `until`; zero without samples there.
pub(super) fn spread(samples: &[Sample], (from, until): (Duration, Duration)) -> f64 {
    let (mut sum, mut time) = (0.0, 0.0);
    for pair in samples.windows(2) {
        let (at, next) = (pair[0].at.max(from), pair[1].at.min(until));
        let Some(range) = range(&pair[0]).filter(|_| at < next) else { continue };
        let held = (next - at).as_secs_f64();
        sum += range * held;
        time += held;
    }
    if time > 0.0 { sum / time } else { 0.0 }
}

/// Highest minus lowest; none where a replica is unknown, because it may be the highest or the lowest.
fn range(sample: &Sample) -> Option<f64> {
    let mut low = f64::INFINITY;
    let mut high = f64::NEG_INFINITY;
    for used in &sample.used {
        low = low.min((*used)?);
        high = high.max((*used)?);
    }
    (low <= high).then_some(high - low)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at: u64, used: &[Option<f64>]) -> Sample {
        Sample { at: Duration::from_secs(at), used: used.to_vec() }
    }

    fn seconds(from: u64, until: u64) -> (Duration, Duration) {
        (Duration::from_secs(from), Duration::from_secs(until))
    }

    #[test]
    fn the_spread_is_weighted_by_time_within_the_window() {
        let samples = [
            sample(0, &[Some(0.0), Some(1.0)]),
            sample(10, &[Some(0.5), Some(0.7)]),
            sample(12, &[Some(0.1), Some(0.7)]),
            sample(20, &[Some(0.0), Some(0.9)]),
        ];
        // 2 s of 0.2, then 3 s of 0.6.
        assert!((spread(&samples, seconds(10, 15)) - (0.4 + 1.8) / 5.0).abs() < 1e-9);
    }

    #[test]
    fn a_moment_with_an_unknown_replica_is_left_out() {
        let samples = [
            sample(0, &[Some(0.2), None]),
            sample(10, &[Some(0.2), Some(0.6)]),
            sample(20, &[Some(0.2), Some(0.6)]),
        ];
        assert!((spread(&samples, seconds(0, 20)) - 0.4).abs() < 1e-9);
        assert_eq!(spread(&samples[..1], seconds(0, 20)), 0.0);
    }
}
