//! Names that gateways, pickers and the configuration of Envoy agree on.

/// The gRPC service, and what health checks call it.
pub(crate) const SERVICE: &str = "envoy.service.ext_proc.v3.ExternalProcessor";
/// The header that a picker sets, and the key of the same in metadata.
pub(crate) const DESTINATION: &str = "x-gateway-destination-endpoint";
/// The key of who has served, in metadata.
pub(crate) const SERVED: &str = "x-gateway-destination-endpoint-served";
/// The namespace of that metadata.
pub(crate) const LB: &str = "envoy.lb";
/// The namespace of what is offered to a picker.
pub(crate) const SUBSET: &str = "envoy.lb.subset_hint";
/// In the metadata of a call: the pool to pick from, `namespace/name`. Set in the gateway's configuration (`initial_metadata`),
/// where no client reaches. Without it the pool is found by the model.
pub(crate) const POOL: &str = "x-warmlane-pool";
