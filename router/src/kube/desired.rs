//! What the cluster wants served: the result of resolving, and all that the rest of the router sees of Kubernetes.

use warmlane_api::kube::{FailureMode, Picker};
use warmlane_engine::metrics::EngineKind;
use warmlane_kube::{Condition, ObjectName, PoolName, Replica, SourceState};
use warmlane_picker::Strategy;

use crate::config::{ModelRule, Objective, Target};

/// What the cluster wants served.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    /// Each configured pool once, by name.
    pub pools: Vec<Pool>,
    /// Agents of the nodes, by address.
    pub agents: Vec<Agent>,
    /// What is wrong with the objects, for people: of the objects, sorted, then of watching.
    pub troubles: Vec<String>,
    /// What the status of each model that is ours to judge should say, by name.
    pub accepted: Vec<Accepted>,
    /// How the watch of each resource fares, by resource and namespace.
    pub sources: Vec<SourceState>,
}

/// A configured pool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pool {
    /// Its name.
    pub name: PoolName,
    /// What serves it, by pod and in the order of the pool's ports; each address once.
    pub replicas: Vec<Replica>,
    /// How it is routed, where its annotation says so: the last valid one.
    pub strategy: Option<Strategy>,
    /// Which engine its pods run; `Unknown` where no annotation says so, and the engine itself tells.
    pub runtime: EngineKind,
    /// Its models, by name.
    pub models: Vec<ModelRule>,
    /// Its objectives, by name.
    pub objectives: Vec<Objective>,
    /// Which models become others, exact names first. The first that fits counts.
    pub rewrites: Vec<Rewrite>,
    /// What a gateway does when the picker does not answer.
    pub failure_mode: FailureMode,
    /// The Service that gateways ask.
    pub picker: Option<Picker>,
    /// There is such a pool and it can be read.
    pub found: bool,
}

/// A model name that becomes another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// The name that it is for; `None`: all that no other is for.
    pub model: Option<String>,
    /// What takes its place; never empty.
    pub targets: Vec<Target>,
}

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Agent {
    /// `ip:port`.
    pub address: String,
    /// Name of its node.
    pub node: String,
}

/// The condition `Accepted` of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The InferenceModel.
    pub model: ObjectName,
    /// The generation of its `spec` that this is about.
    pub generation: i64,
    /// What is said.
    pub acceptance: Acceptance,
    /// Why, for people.
    pub message: String,
    /// What the object says now.
    pub standing: Option<Condition>,
}

/// Whether a model is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// It is.
    Accepted,
    /// An older one has the name.
    NameInUse,
    /// Its `spec` cannot be used.
    Invalid,
    /// Its pool does not exist.
    Pending,
}

// === Accepted ===

impl Accepted {
    /// Whether it says the same, whatever stands in the object.
    pub fn says_as(&self, other: &Self) -> bool {
        (self.acceptance, self.generation, &self.message)
            == (other.acceptance, other.generation, &other.message)
    }

    /// Whether the object says so already.
    pub fn stands(&self) -> bool {
        self.standing.as_ref().is_some_and(|standing| {
            standing.status == self.acceptance.status()
                && standing.reason == self.acceptance.reason()
                && standing.message == self.message
                && standing.generation == self.generation
        })
    }
}

// === Acceptance ===

impl Acceptance {
    /// `status` of the condition.
    pub const fn status(self) -> &'static str {
        match self {
            Self::Accepted => "True",
            Self::NameInUse | Self::Invalid => "False",
            Self::Pending => "Unknown",
        }
    }

    /// `reason` of the condition.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::NameInUse => "ModelNameInUse",
            Self::Invalid => "Invalid",
            Self::Pending => "Pending",
        }
    }
}
