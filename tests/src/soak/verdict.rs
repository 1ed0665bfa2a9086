//! Whether anything was lost.
//!
//! Memory is flat when its mean over the last quarter is at most a tenth and 4 MB above that of the second: the first one
//! fills pools and tables. Descriptors likewise, with a fifth and 20.

use std::sync::atomic::Ordering::Relaxed;

use serde_json::{Value, json};
use warmlane_router::config::LaneMode;

use super::{Router, churn::Replicas, load::Tally, samples::Samples};

pub(super) struct Verdict {
    /// Means of the second and of the last quarter.
    resident: (f64, f64),
    descriptors: (f64, f64),
    retries: f64,
    /// Responses of which a part took the kernel lane.
    ridden: f64,
    /// What is wrong; empty when nothing is.
    wrong: Vec<String>,
}

pub(super) fn of(
    samples: &Samples,
    tally: &Tally,
    router: &Router,
    lane: LaneMode,
) -> anyhow::Result<Verdict> {
    let watched = &router.watched;
    let quarters =
        |value: fn(&super::samples::Sample) -> f64| (samples.quarter(1, value), samples.quarter(3, value));
    let (resident, descriptors) = (quarters(|s| s.resident_mb), quarters(|s| s.descriptors));
    let mut wrong = Vec::new();
    let mut require = |holds: bool, what: String| {
        if !holds {
            wrong.push(what);
        }
    };
    require(
        resident.1 <= resident.0 * 1.1 + 4.0,
        format!("memory grew from {:.1} to {:.1} MB", resident.0, resident.1),
    );
    let grew = format!("descriptors grew from {:.0} to {:.0}", descriptors.0, descriptors.1);
    require(descriptors.1 <= descriptors.0 * 1.2 + 20.0, grew);
    let lost = tally.lost.load(Relaxed);
    let last = tally.last_lost.lock().map(|last| last.clone()).unwrap_or_default();
    require(lost == 0, format!("{lost} requests were lost although two replicas behaved; the last: {last}"));
    require(
        tally.good.load(Relaxed) * 2 > tally.all(),
        "not even half of the requests were answered".to_owned(),
    );
    for (series, what) in [
        ("warmlane_endpoint_in_flight", "requests are still open"),
        ("warmlane_client_connections", "clients are still counted"),
        ("warmlane_body_bytes_held", "bodies are still held"),
        ("warmlane_lane_connections", "connections are still in the kernel lane's maps"),
    ] {
        require(watched.wait(what, |watched| watched.metric(series) == 0.0).is_ok(), what.to_owned());
    }
    let text = std::fs::read_to_string(&router.log).unwrap_or_default();
    let bad = text.lines().find(|line| line.contains("panicked") || line.contains("ERROR"));
    require(bad.is_none(), format!("the router's log says: {}", bad.unwrap_or_default()));
    let retries = watched.metric("warmlane_retries_total");
    require(retries > 0.0, "nothing was ever retried: the faults do not strike".to_owned());
    let ridden = watched.metric("warmlane_lane_responses_total");
    require(lane == LaneMode::Off || ridden > 0.0, "no response took the kernel lane".to_owned());
    let lost = watched.metric("warmlane_lane_handovers_total{reason=\"desync\"}");
    require(lost == 0.0, format!("{lost} responses lost bytes on the kernel lane"));
    Ok(Verdict { resident, descriptors, retries, ridden, wrong })
}

// === Verdict ===

impl Verdict {
    pub(super) fn table(&self, tally: &Tally, replicas: &Replicas) -> String {
        let count = |count: &std::sync::atomic::AtomicU64| count.load(Relaxed);
        let rows = [
            ("requests", tally.all().to_string()),
            ("  answered in full", count(&tally.good).to_string()),
            ("  the client left", count(&tally.left).to_string()),
            ("  cut by a fault after their first byte", count(&tally.cut).to_string()),
            ("  504, the replica hung", count(&tally.timed_out).to_string()),
            ("  500, as the replica gave it", count(&tally.failed).to_string()),
            ("  lost", count(&tally.lost).to_string()),
            ("sent once more", format!("{:.0}", self.retries)),
            ("by the kernel lane, in part", format!("{:.0}", self.ridden)),
            ("faults switched on, deaths", format!("{}, {}", replicas.faults, replicas.deaths)),
            (
                "memory, second and last quarter (MB)",
                format!("{:.1}, {:.1}", self.resident.0, self.resident.1),
            ),
            (
                "descriptors, second and last quarter",
                format!("{:.0}, {:.0}", self.descriptors.0, self.descriptors.1),
            ),
        ];
        rows.iter().fold("\n".to_owned(), |text, (name, value)| text + &format!("{name:<42} {value:>14}\n"))
    }

    pub(super) fn json(&self, tally: &Tally) -> Value {
        json!({
            "requests": tally.all(),
            "good": tally.good.load(Relaxed),
            "cut": tally.cut.load(Relaxed),
            "lost": tally.lost.load(Relaxed),
            "retries": self.retries,
            "ridden": self.ridden,
            "resident_mb": [self.resident.0, self.resident.1],
            "descriptors": [self.descriptors.0, self.descriptors.1],
            "holds": self.wrong.is_empty(),
        })
    }

    /// # Errors
    /// When anything was lost.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
        Ok(())
    }
}
