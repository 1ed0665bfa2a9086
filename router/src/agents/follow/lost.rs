//! How an agent's stream ends.

use std::time::Duration;

use tonic::Status;

use super::super::{credentials::Unsecured, order::Broken, trouble};
use crate::blocks::Diverged;

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
pub(in crate::agents) enum Lost {
    #[error("cannot connect: {0}; is the agent running and listening on this port?")]
    Dial(String),
    #[error("its name leads nowhere: {0}; is it written right?")]
    Unresolved(std::io::Error),
    #[error("it does not speak gRPC ({0}); is this the port of the agent's --listen, 9010?")]
    Foreign(String),
    #[error(transparent)]
    Unsecured(#[from] Unsecured),
    #[error("{}", trouble::why_ended(.0))]
    Ended(Status),
    #[error("it closed the stream")]
    Closed,
    #[error("nothing came for {:.1} s: is its node up, the way to it open, and it itself not stuck?", .0.as_secs_f32())]
    Silent(Duration),
    #[error(transparent)]
    Broken(#[from] Broken),
    #[error(transparent)]
    Diverged(#[from] Diverged),
    #[error("it tells of more than {0} engines: is this an agent?")]
    Crowded(usize),
    #[error("replicas that it tells of have joined")]
    Moved,
    #[error("nobody wants it to be followed any more")]
    Unwanted,
}
