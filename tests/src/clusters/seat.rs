//! A place for a pod in a pool: who sits there, and what becomes of them, as a rollout goes.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::kube::{FakeApi, Key, Resource};

/// A pod of a vLLM as an API server sends it, 8 KB.
const POD: &str = include_str!("../../fixtures/kube/engine-pod.json");
/// The namespace of all pods and pools.
pub(super) const NAMESPACE: &str = "default";

/// See the module's header.
pub(super) struct Seat {
    pub(super) pool: usize,
    stage: Stage,
    /// Of the pod there now.
    number: u32,
}

/// How far the pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Ready,
    /// It is being deleted.
    Ending,
    /// Nobody sits there.
    Gone,
    /// A new one, without an address.
    Pending,
    /// It has one, and is not ready.
    Running,
}

/// The pod that all are made from.
pub(super) struct Mould(Value);

// === Mould ===

impl Mould {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self(serde_json::from_str(POD)?))
    }

    fn pod(&self, seat: &Seat) -> Value {
        let mut pod = self.0.clone();
        pod["metadata"]["name"] = seat.name().into();
        pod["metadata"]["labels"]["app"] = pool(seat.pool).into();
        pod["spec"]["nodeName"] = format!("node-{}", seat.number % 125).into();
        pod
    }
}

// === Seat ===

impl Seat {
    /// With a pod that is ready.
    pub(super) fn filled(pool: usize, number: u32, api: &FakeApi, mould: &Mould) -> Self {
        let seat = Self { pool, stage: Stage::Ready, number };
        let mut pod = mould.pod(&seat);
        pod["status"]["podIP"] = seat.ip().to_string().into();
        api.put(pod);
        seat
    }

    /// The next thing that happens there: one change of one object. `number` is for a new pod.
    pub(super) fn go_on(&mut self, number: u32, api: &FakeApi, mould: &Mould) {
        let key = Key::new(Resource::PODS, NAMESPACE, &self.name());
        self.stage = match self.stage {
            Stage::Ready => {
                api.begin_deletion(&key, 30);
                Stage::Ending
            }
            Stage::Ending => {
                api.remove(&key);
                Stage::Gone
            }
            Stage::Gone => {
                self.number = number;
                let mut pod = mould.pod(self);
                pod["status"] = json!({"phase": "Pending", "qosClass": "Burstable"});
                api.put(pod);
                Stage::Pending
            }
            Stage::Pending => {
                let mut status = mould.0["status"].clone();
                status["podIP"] = self.ip().to_string().into();
                status["conditions"] = json!([{"type": "Ready", "status": "False"}]);
                api.patch(&key, &json!({"status": status}));
                Stage::Running
            }
            Stage::Running => {
                api.patch(&key, &json!({"status": {"conditions": mould.0["status"]["conditions"]}}));
                Stage::Ready
            }
        };
    }

    pub(super) fn is_ready(&self) -> bool {
        self.stage == Stage::Ready
    }

    /// The address of who sits there, where that one has an address.
    pub(super) fn address(&self, port: u16) -> Option<String> {
        let has_one = !matches!(self.stage, Stage::Gone | Stage::Pending);
        has_one.then(|| format!("{}:{port}", self.ip()))
    }

    fn name(&self) -> String {
        format!("pod-{:06}", self.number)
    }

    /// An address of this machine that no other pod ever has.
    fn ip(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(Ipv4Addr::new(127, 1, 0, 1).to_bits() + self.number)
    }
}

/// The name of a pool, which is also what its pods' label says.
pub(super) fn pool(number: usize) -> String {
    format!("pool-{number:03}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_ends_goes_and_is_followed_by_one_with_another_address() {
        let (api, mould) = (FakeApi::start(), Mould::new().expect("a pod"));
        let mut seat = Seat::filled(3, 7, &api, &mould);
        assert_eq!((seat.is_ready(), seat.address(80).as_deref()), (true, Some("127.1.0.8:80")));
        let stands = |name: &str| api.get(&Key::new(Resource::PODS, NAMESPACE, name));
        let pod = stands("pod-000007").expect("a pod");
        assert_eq!(pod["metadata"]["labels"]["app"], json!("pool-003"));
        assert_eq!(pod["status"]["podIP"], json!("127.1.0.8"));
        let mut seen = Vec::new();
        for number in 8..13 {
            seat.go_on(number, &api, &mould);
            seen.push((stands("pod-000007").is_some(), seat.address(80), seat.is_ready()));
        }
        let (old, new) = (Some("127.1.0.8:80".to_owned()), Some("127.1.0.11:80".to_owned()));
        let all = [
            (true, old, false),
            (false, None, false),
            (false, None, false),
            (false, new.clone(), false),
            (false, new, true),
        ];
        assert_eq!(seen, all);
        let pod = stands("pod-000010").expect("its follower");
        assert_eq!(pod["status"]["podIP"], json!("127.1.0.11"));
        assert_eq!(pod["status"]["conditions"].as_array().map(Vec::len), Some(5), "{pod}");
    }
}
