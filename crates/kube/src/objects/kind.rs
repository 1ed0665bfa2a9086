//! The resources that are watched.

use warmlane_api::kube::{GROUP, GROUP_LLM_D, GROUP_X};

/// A resource in one of its versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// InferencePool, version 1.
    PoolV1,
    /// InferencePool, version 1alpha2.
    PoolX,
    /// InferenceModel.
    Model,
    /// InferenceObjective of the inference extension.
    ObjectiveX,
    /// InferenceObjective of llm-d.
    ObjectiveLlmD,
    /// InferenceModelRewrite of the inference extension.
    RewriteX,
    /// InferenceModelRewrite of llm-d.
    RewriteLlmD,
    /// Pod.
    Pod,
    /// EndpointSlice of the agents' Service.
    Agents,
}

// === Kind ===

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::PoolV1,
        Self::PoolX,
        Self::Model,
        Self::ObjectiveX,
        Self::ObjectiveLlmD,
        Self::RewriteX,
        Self::RewriteLlmD,
        Self::Pod,
        Self::Agents,
    ];
    /// Pools, the version that wins first.
    pub const POOLS: [Self; 2] = [Self::PoolV1, Self::PoolX];
    /// Objectives of both groups.
    pub const OBJECTIVES: [Self; 2] = [Self::ObjectiveX, Self::ObjectiveLlmD];
    /// Rewrites of both groups.
    pub const REWRITES: [Self; 2] = [Self::RewriteX, Self::RewriteLlmD];

    /// The group; empty for the core's.
    pub const fn group(self) -> &'static str {
        match self {
            Self::PoolV1 => GROUP,
            Self::PoolX | Self::Model | Self::ObjectiveX | Self::RewriteX => GROUP_X,
            Self::ObjectiveLlmD | Self::RewriteLlmD => GROUP_LLM_D,
            Self::Pod => "",
            Self::Agents => "discovery.k8s.io",
        }
    }

    /// The version within the group.
    pub const fn version(self) -> &'static str {
        match self {
            Self::PoolV1 | Self::Pod | Self::Agents => "v1",
            Self::PoolX
            | Self::Model
            | Self::ObjectiveX
            | Self::ObjectiveLlmD
            | Self::RewriteX
            | Self::RewriteLlmD => "v1alpha2",
        }
    }

    /// The name in paths and rules.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::PoolV1 | Self::PoolX => "inferencepools",
            Self::Model => "inferencemodels",
            Self::ObjectiveX | Self::ObjectiveLlmD => "inferenceobjectives",
            Self::RewriteX | Self::RewriteLlmD => "inferencemodelrewrites",
            Self::Pod => "pods",
            Self::Agents => "endpointslices",
        }
    }

    /// The name with its group, as tools take it: `pods`, `inferencepools.GROUP`.
    pub fn resource(self) -> String {
        let (plural, group) = (self.plural(), self.group());
        let dot = if group.is_empty() { "" } else { "." };
        format!("{plural}{dot}{group}")
    }

    /// The name in objects.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PoolV1 | Self::PoolX => "InferencePool",
            Self::Model => "InferenceModel",
            Self::ObjectiveX | Self::ObjectiveLlmD => "InferenceObjective",
            Self::RewriteX | Self::RewriteLlmD => "InferenceModelRewrite",
            Self::Pod => "Pod",
            Self::Agents => "EndpointSlice",
        }
    }
}
