//! One endpoint, as a file keeps it.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use warmlane_picker::{Endpoint, Health, Lora, Models, Reading, Signals, Slot, Time, Work};

use super::nanos;

/// See the module's header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct EndpointState {
    slot: u16,
    address: String,
    socket: SocketAddr,
    ready: bool,
    health: HealthState,
    local: bool,
    joined_ns: Option<u64>,
    signals: SignalState,
    /// `null`: not known.
    models: Option<ModelState>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum HealthState {
    Healthy,
    Degraded(String),
    Failed(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ModelState {
    base: Vec<String>,
    adapters: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SignalState {
    queue: Option<Stated<Option<f32>>>,
    running: Option<Stated<Option<f32>>>,
    kv_use: Option<Stated<Option<f32>>>,
    kv_capacity_tokens: Option<u64>,
    lora: Option<Stated<LoraState>>,
    awake: Option<Stated<bool>>,
    /// Requests, prompt tokens and KV tokens that had been sent when the readings were asked for.
    sent: [u64; 3],
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Stated<T> {
    value: T,
    at_ns: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct LoraState {
    active: Vec<String>,
    waiting: Vec<String>,
    max: u32,
}

// === EndpointState ===

impl EndpointState {
    pub(super) fn of(endpoint: &Endpoint, models: Models) -> Self {
        Self {
            slot: endpoint.slot.0,
            address: endpoint.address.to_string(),
            socket: endpoint.socket,
            ready: endpoint.ready,
            health: match &endpoint.health {
                Health::Healthy => HealthState::Healthy,
                Health::Degraded(why) => HealthState::Degraded(why.to_string()),
                Health::Failed(why) => HealthState::Failed(why.to_string()),
            },
            local: endpoint.local,
            joined_ns: endpoint.joined.map(nanos),
            signals: SignalState::of(&endpoint.signals),
            models: match models {
                Models::Unknown => None,
                Models::Known { base, adapters } => Some(ModelState { base, adapters }),
            },
        }
    }

    /// The endpoint again. Whether it keeps requests waiting is no matter of a pick, and not written.
    pub(super) fn entry(&self) -> (Endpoint, Models) {
        let endpoint = Endpoint {
            slot: Slot(self.slot),
            address: self.address.as_str().into(),
            socket: self.socket,
            ready: self.ready,
            health: match &self.health {
                HealthState::Healthy => Health::Healthy,
                HealthState::Degraded(why) => Health::Degraded(why.as_str().into()),
                HealthState::Failed(why) => Health::Failed(why.as_str().into()),
            },
            stuck: None,
            local: self.local,
            joined: self.joined_ns.map(Time::from_nanos),
            signals: self.signals.signals(),
        };
        let models = match self.models.clone() {
            None => Models::Unknown,
            Some(ModelState { base, adapters }) => Models::Known { base, adapters },
        };
        (endpoint, models)
    }
}

// === SignalState ===

impl SignalState {
    fn of(signals: &Signals) -> Self {
        let number = |reading: Reading<f32>| Stated {
            value: Some(reading.value).filter(|value| value.is_finite()),
            at_ns: nanos(reading.at),
        };
        let lora = |reading: &Reading<Lora>| {
            let Lora { active, waiting, max } = reading.value.clone();
            Stated { value: LoraState { active, waiting, max }, at_ns: nanos(reading.at) }
        };
        Self {
            queue: signals.queue.map(number),
            running: signals.running.map(number),
            kv_use: signals.kv_use.map(number),
            kv_capacity_tokens: signals.kv_capacity_tokens,
            lora: signals.lora.as_ref().map(lora),
            awake: signals.awake.map(|awake| Stated { value: awake.value, at_ns: nanos(awake.at) }),
            sent: [signals.mark.requests, signals.mark.prefill_tokens, signals.mark.kv_tokens],
        }
    }

    fn signals(&self) -> Signals {
        let number = |stated: &Stated<Option<f32>>| stated.reading(stated.value.unwrap_or(f32::NAN));
        let lora = |stated: &Stated<LoraState>| {
            let LoraState { active, waiting, max } = stated.value.clone();
            stated.reading(Lora { active, waiting, max })
        };
        let [requests, prefill_tokens, kv_tokens] = self.sent;
        Signals {
            queue: self.queue.as_ref().map(number),
            running: self.running.as_ref().map(number),
            kv_use: self.kv_use.as_ref().map(number),
            kv_capacity_tokens: self.kv_capacity_tokens,
            lora: self.lora.as_ref().map(lora),
            awake: self.awake.as_ref().map(|stated| stated.reading(stated.value)),
            mark: Work { requests, prefill_tokens, kv_tokens },
        }
    }
}

// === Stated ===

impl<T> Stated<T> {
    fn reading<V>(&self, value: V) -> Reading<V> {
        Reading { value, at: Time::from_nanos(self.at_ns) }
    }
}
