//! The gRPC contract between the agents of the nodes and the routers: `proto/warmlane/node/v1/node.proto`, and its code.
//!
//! Messages only: what they are made of and what becomes of them is the business of those who speak it.

#![forbid(unsafe_code)]

/// What an agent tells of its node.
pub mod node {
    #![allow(
        missing_docs,
        unreachable_pub,
        unused_qualifications,
        clippy::all,
        reason = "generated; the documentation stands in the .proto file"
    )]

    tonic::include_proto!("warmlane.node.v1");
}
