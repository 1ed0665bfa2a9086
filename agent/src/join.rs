//! Which GPUs an engine runs on. Pure.
//!
//! Where nothing says so, two nodes are clear all the same: one with one GPU, and one with one engine. Of any other
//! nothing is claimed: a failed GPU must not take away engines that run beside it.

use crate::gpu::{Gpu, Verdict};

/// The GPUs of an engine, and the worst verdict on them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Joined {
    /// UUIDs of devices or MIG slices.
    pub gpus: Vec<String>,
    /// `None`: nothing is known.
    pub verdict: Option<Verdict>,
}

/// The GPUs of each engine of a node that has so many.
pub fn join(engines: usize, gpus: &[Gpu]) -> Joined {
    if engines != 1 && gpus.len() != 1 {
        return Joined::default();
    }
    let uuid = |gpu: &Gpu| gpu.sample.uuid.as_deref().map(str::to_owned);
    Joined {
        gpus: gpus.iter().filter_map(uuid).collect(),
        verdict: gpus.iter().map(|gpu| gpu.verdict).max_by_key(rank),
    }
}

fn rank(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Healthy => 0,
        Verdict::Degraded { .. } => 1,
        Verdict::Failed { .. } => 2,
    }
}
