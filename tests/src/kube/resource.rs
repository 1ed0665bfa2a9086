//! Resources: what a server has built in, and the custom ones.

/// A resource in one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// Empty for the core.
    pub group: &'static str,
    /// Within the group.
    pub version: &'static str,
    /// In paths.
    pub plural: &'static str,
    /// In objects.
    pub kind: &'static str,
    /// `status` is written by a path of its own.
    pub has_status: bool,
    /// Objects are in namespaces.
    pub is_namespaced: bool,
}

const X: &str = "inference.networking.x-k8s.io";

impl Resource {
    /// Pods.
    pub const PODS: Self = Self::new("", "v1", "pods", "Pod", true);
    /// Services.
    pub const SERVICES: Self = Self::new("", "v1", "services", "Service", true);
    /// Nodes.
    pub const NODES: Self = Self { is_namespaced: false, ..Self::new("", "v1", "nodes", "Node", true) };
    /// Leases.
    pub const LEASES: Self = Self::new("coordination.k8s.io", "v1", "leases", "Lease", false);
    /// Slices of the endpoints of Services.
    pub const SLICES: Self = Self::new("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", false);
    /// Pools of version 1.
    pub const POOLS: Self =
        Self::new("inference.networking.k8s.io", "v1", "inferencepools", "InferencePool", true);
    /// Pools of version 1alpha2.
    pub const POOLS_X: Self = Self::new(X, "v1alpha2", "inferencepools", "InferencePool", true);
    /// Models.
    pub const MODELS: Self = Self::new(X, "v1alpha2", "inferencemodels", "InferenceModel", true);
    /// Objectives of the inference extension.
    pub const OBJECTIVES: Self = Self::new(X, "v1alpha2", "inferenceobjectives", "InferenceObjective", true);
    /// Rewrites of the inference extension.
    pub const REWRITES: Self =
        Self::new(X, "v1alpha2", "inferencemodelrewrites", "InferenceModelRewrite", true);
    /// Objectives of llm-d.
    pub const OBJECTIVES_LLM_D: Self = Self { group: "llm-d.ai", ..Self::OBJECTIVES };
    /// Rewrites of llm-d.
    pub const REWRITES_LLM_D: Self = Self { group: "llm-d.ai", ..Self::REWRITES };

    const fn new(
        group: &'static str,
        version: &'static str,
        plural: &'static str,
        kind: &'static str,
        has_status: bool,
    ) -> Self {
        Self { group, version, plural, kind, has_status, is_namespaced: true }
    }

    /// `group/version`, or the version alone.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// Whether the server counts changes of `spec`.
    pub(super) fn has_generation(&self) -> bool {
        CUSTOM.contains(self)
    }
}

/// What every cluster has.
pub(super) const BUILT_IN: [Resource; 5] =
    [Resource::PODS, Resource::SERVICES, Resource::NODES, Resource::LEASES, Resource::SLICES];

/// What comes with CRDs.
pub(super) const CUSTOM: [Resource; 7] = [
    Resource::POOLS,
    Resource::POOLS_X,
    Resource::MODELS,
    Resource::OBJECTIVES,
    Resource::REWRITES,
    Resource::OBJECTIVES_LLM_D,
    Resource::REWRITES_LLM_D,
];
