//! Which GPUs an engine runs on, and what follows for it. Pure.
//!
//! An engine that is named with its pod has that pod's devices, as the kubelet tells; a pod that has none there has none.
//! Where no pod is named, or nobody knows who has what, two nodes are clear all the same: one with one GPU, and one with one
//! engine. Of any other nothing is claimed: a failed GPU must not take away engines that run beside it.

use crate::{
    gpu::{Gpu, Verdict},
    kubelet::{Pod, PodName},
};

/// The GPUs of an engine, and the worst verdict on them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Joined {
    /// UUIDs of devices or MIG slices.
    pub gpus: Vec<String>,
    /// `None`: nothing is known.
    pub verdict: Option<Verdict>,
}

/// The GPUs of an engine in this pod, on a node that has so many engines.
///
/// `pods` is `None` where it is unknown which pod has what.
pub fn join(pod: Option<&PodName>, engines: usize, gpus: &[Gpu], pods: Option<&[Pod]>) -> Joined {
    match pod.zip(pods) {
        Some((pod, pods)) => of_pod(pod, gpus, pods),
        None if engines == 1 || gpus.len() == 1 => of_node(gpus),
        None => Joined::default(),
    }
}

fn of_pod(pod: &PodName, gpus: &[Gpu], pods: &[Pod]) -> Joined {
    let devices = || pods.iter().filter(|known| known.name == *pod).flat_map(|known| &known.devices);
    Joined {
        gpus: devices().cloned().collect(),
        // A device that NVML does not show (another driver's, one not mounted here) says nothing.
        verdict: devices().filter_map(|device| of_device(device, gpus)).max_by_key(rank),
    }
}

fn of_node(gpus: &[Gpu]) -> Joined {
    let uuid = |gpu: &Gpu| gpu.sample.uuid.as_deref().map(str::to_owned);
    Joined {
        gpus: gpus.iter().filter_map(uuid).collect(),
        verdict: gpus.iter().map(|gpu| gpu.verdict).max_by_key(rank),
    }
}

/// What is thought of a device: of a slice what is thought of it, and its card's failure, which is its own.
fn of_device(uuid: &str, gpus: &[Gpu]) -> Option<Verdict> {
    let gpu = named(uuid, gpus)?;
    let card = gpu.sample.parent.as_deref().and_then(|card| named(card, gpus));
    let failure = card.map(|card| card.verdict).filter(|verdict| verdict.is_failed());
    failure.or(Some(gpu.verdict))
}

fn named<'a>(uuid: &str, gpus: &'a [Gpu]) -> Option<&'a Gpu> {
    gpus.iter().find(|gpu| gpu.sample.uuid.as_deref() == Some(uuid))
}

fn rank(verdict: &Verdict) -> u8 {
    match verdict {
        Verdict::Healthy => 0,
        Verdict::Degraded { .. } => 1,
        Verdict::Failed { .. } => 2,
    }
}

#[cfg(test)]
mod tests;
