//! From the kubelet's answer to the devices of each pod. Pure.
//!
//! A device is known by its UUID, of a card (`GPU-…`) or of a MIG slice (`MIG-…`): that is what NVML calls it too. Under time
//! slicing `::N` stands behind it, which makes several of one card and is cut off.
//!
//! Not taken are ids that name no card:
//!
//! - `GPU-…-_-N`, as plugins make up that share a card by its memory: the card that a pod really gets is chosen by their
//!   scheduler and not by which of these the kubelet took, so believing them would blame the wrong card;
//! - anything else, such as a number: it is another's numbering than NVML's.

use std::{collections::BTreeSet, fmt, str::FromStr};

use warmlane_api::podresources::{ContainerDevices, ListPodResourcesResponse, PodResources};

/// Pods with GPUs that are kept: ten times as many as fit on a node with eight cards of seven slices.
pub const MOST_PODS: usize = 560;
/// Devices of one pod that are kept.
pub const MOST_DEVICES: usize = 128;
/// The longest id: a MIG slice of old drivers (`MIG-GPU-…/13/0`) has about 50 characters.
const LONGEST_ID: usize = 96;

/// A pod that has GPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Whose.
    pub name: PodName,
    /// UUIDs of cards or MIG slices; each once, in order.
    pub devices: Vec<String>,
}

/// A pod's name in its namespace; each a name that Kubernetes allows, so bounded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodName {
    namespace: String,
    name: String,
}

/// Not the name of a pod.
#[derive(Debug, thiserror::Error)]
#[error(
    "write the pod as NAMESPACE/POD, such as default/vllm-0: lower-case letters, digits, - and, in the pod's name, ."
)]
pub struct NoPodName;

/// The pods in an answer that have GPUs, by name.
pub fn pods(answer: &ListPodResourcesResponse) -> Vec<Pod> {
    let mut pods: Vec<Pod> = answer.pod_resources.iter().filter_map(pod).take(MOST_PODS).collect();
    // The kubelet's own order changes: only what matters should look like a change.
    pods.sort_by(|one, other| one.name.cmp(&other.name));
    pods
}

fn pod(told: &PodResources) -> Option<Pod> {
    let devices = told.containers.iter().flat_map(|container| &container.devices);
    // Several containers may share a device.
    let devices: BTreeSet<&str> =
        devices.filter(|devices| is_gpu(&devices.resource_name)).flat_map(ids).collect();
    let devices: Vec<String> = devices.into_iter().take(MOST_DEVICES).map(str::to_owned).collect();
    let name = PodName::new(&told.namespace, &told.name)?;
    (!devices.is_empty()).then_some(Pod { name, devices })
}

/// Resources of NVIDIA's plugin (`nvidia.com/gpu`, `nvidia.com/mig-1g.10gb`, `nvidia.com/gpu.shared`) and of Alibaba
/// Cloud's.
fn is_gpu(resource: &str) -> bool {
    resource.starts_with("nvidia.com/") || resource.starts_with("aliyun.com/gpu")
}

fn ids(devices: &ContainerDevices) -> impl Iterator<Item = &str> {
    devices.device_ids.iter().filter_map(|id| uuid(id))
}

/// The UUID that a device id says, if it does.
fn uuid(id: &str) -> Option<&str> {
    let uuid = id.split_once("::").map_or(id, |(uuid, _)| uuid);
    let is_one = uuid.starts_with("GPU-") || uuid.starts_with("MIG-");
    let is_plain = uuid.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-/".contains(&byte));
    (is_one && is_plain && uuid.len() <= LONGEST_ID).then_some(uuid)
}

// === PodName ===

impl PodName {
    /// `None` where Kubernetes allows no such names.
    pub fn new(namespace: &str, name: &str) -> Option<Self> {
        let is_label = is_name(namespace, 63) && !namespace.contains('.');
        let valid = is_label && is_name(name, 253);
        valid.then(|| Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

fn is_name(text: &str, longest: usize) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    text.len() <= longest && is_end(bytes.first()) && is_end(bytes.last()) && text.bytes().all(is_allowed)
}

impl FromStr for PodName {
    type Err = NoPodName;

    fn from_str(text: &str) -> Result<Self, NoPodName> {
        text.split_once('/').and_then(|(namespace, name)| Self::new(namespace, name)).ok_or(NoPodName)
    }
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests;
