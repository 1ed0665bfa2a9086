//! The gRPC contract between the agents of the nodes and the routers, `proto/warmlane/node/v1/node.proto`, and its code; beside
//! it what agents ask the kubelet, `proto/kubelet/podresources/v1/podresources.proto`, what Envoy Gateway asks its extensions,
//! `proto/envoygateway/extension/extension.proto`, what is read of Kubernetes resources, and the pages of admin ports.
//!
//! Messages only, and how they are sent: what they are made of and what becomes of them is the business of those who speak it.

#[warn(missing_docs)]
pub mod admin;
pub mod kube;

/// What Envoy Gateway asks while it makes Envoy's configuration. Generated: the documentation stands in the .proto file.
pub mod extension {
    tonic::include_proto!("envoygateway.extension");
}

/// What an agent tells of its node. Generated: the documentation stands in the .proto file.
pub mod node {
    tonic::include_proto!("warmlane.node.v1");
}

/// What the kubelet tells of its pods' devices. Generated: the documentation stands in the .proto file.
pub mod podresources {
    tonic::include_proto!("v1");
}
