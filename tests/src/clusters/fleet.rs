//! A cluster on the fake API server: pools of ten pods, and how they change.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use super::seat::{Mould, NAMESPACE, Seat, pool};
use crate::kube::FakeApi;

/// Pods of a pool.
const POOL: usize = 10;
/// Between two changes: 200 a second.
const BEAT: Duration = Duration::from_millis(5);
/// Seats where something is under way at a time: a tenth of a thousand, as when rollouts replace that many at once.
const UNDER_WAY: usize = 100;

/// See the module's header.
pub(super) struct Fleet {
    api: FakeApi,
    mould: Mould,
    seats: Vec<Seat>,
    /// Seats where something is under way.
    moving: Vec<usize>,
    /// Of the next pod.
    number: u32,
    /// Where engines listen.
    port: u16,
    rng: fastrand::Rng,
}

/// What a router is to know of each pool: how many replicas it has, and how many of them are ready.
pub(super) type Counts = BTreeMap<String, (usize, usize)>;

// === Fleet ===

impl Fleet {
    /// So many pods, all of them ready, whose engines listen at this port.
    pub(super) fn new(pods: usize, port: u16) -> anyhow::Result<Self> {
        let (api, mould) = (FakeApi::start(), Mould::new()?);
        for number in 0..pods / POOL {
            let name = pool(number);
            api.put(json!({
                "apiVersion": "inference.networking.k8s.io/v1", "kind": "InferencePool",
                "metadata": {"name": name, "namespace": NAMESPACE},
                "spec": {"selector": {"matchLabels": {"app": name}}, "targetPorts": [{"number": port}],
                         "endpointPickerRef": {"name": "picker", "port": {"number": 9002}}},
            }));
        }
        let seat = |at: usize| Seat::filled(at / POOL, at as u32, &api, &mould);
        let seats = (0..pods).map(seat).collect();
        let rng = fastrand::Rng::with_seed(1);
        Ok(Self { api, mould, seats, moving: Vec::new(), number: pods as u32, port, rng })
    }

    /// What a router is to be started with.
    pub(super) fn options(&self, kubeconfig: &Path) -> anyhow::Result<Vec<String>> {
        self.api.write_kubeconfig(kubeconfig)?;
        let pools = (0..self.seats.len() / POOL).map(|number| format!("{NAMESPACE}/{}", pool(number)));
        let pools = pools.collect::<Vec<_>>().join(",");
        Ok(vec![format!("--pool={pools}"), format!("--kubeconfig={}", kubeconfig.display())])
    }

    /// Changes at the rate; when the last one was made.
    pub(super) async fn churn(&mut self, time: Duration) -> anyhow::Result<Instant> {
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let changes = time.as_millis() / BEAT.as_millis();
        let began = Instant::now();
        for _ in 0..changes {
            beat.tick().await;
            self.change();
        }
        let last = Instant::now();
        let late = last - began > time + time / 10;
        anyhow::ensure!(!late, "this machine made {changes} changes only in {:?}", last - began);
        Ok(last)
    }

    /// One change of one object.
    fn change(&mut self) {
        while self.moving.len() < UNDER_WAY.min(self.seats.len() / POOL) {
            let seat = self.rng.usize(..self.seats.len());
            if !self.moving.contains(&seat) {
                self.moving.push(seat);
            }
        }
        let turn = self.rng.usize(..self.moving.len());
        let seat = &mut self.seats[self.moving[turn]];
        seat.go_on(self.number, &self.api, &self.mould);
        self.number += 1;
        if seat.is_ready() {
            self.moving.swap_remove(turn);
        }
    }

    /// What is to be known, where engines answer or not.
    pub(super) fn counts(&self, answers: bool) -> Counts {
        let mut counts = Counts::new();
        for seat in &self.seats {
            let name = format!("{NAMESPACE}/{}", pool(seat.pool));
            let (replicas, ready) = counts.entry(name).or_insert((0, 0));
            *replicas += usize::from(seat.address(self.port).is_some());
            *ready += usize::from(answers && seat.is_ready());
        }
        counts
    }

    /// The addresses of all who have one.
    pub(super) fn addresses(&self) -> BTreeSet<String> {
        self.seats.iter().filter_map(|seat| seat.address(self.port)).collect()
    }
}

/// What the page `/debug/pools` says.
pub(super) fn told(page: &Value) -> Counts {
    let count =
        |value: &Value| value.as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or_default();
    let row = |row: &Value| {
        let name = row["name"].as_str().unwrap_or_default().to_owned();
        (name, (count(&row["replicas"]), count(&row["ready"])))
    };
    page["pools"].as_array().into_iter().flatten().map(row).collect()
}
