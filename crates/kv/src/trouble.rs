//! Why an engine's KV events cannot be followed for the moment.

use std::{io, time::Duration};

/// See the module's header.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The connection cannot be made, or broke.
    #[error(
        "{0}: does the engine listen there for KV events (--kv-events-config, its endpoint with a star: tcp://*:PORT)?"
    )]
    Broken(#[from] io::Error),
    /// No connection, or no answer, in time.
    #[error("no answer within {0:?}")]
    Slow(Duration),
    /// Something else listens there.
    #[error("what listens there does not speak ZeroMQ: is this the port of KV events?")]
    NotZmtp,
    /// It wants to be sure who asks.
    #[error("it wants the security mechanism {0:?}; only NULL is spoken")]
    Mechanism(String),
    /// It does not want this kind of peer.
    #[error("it refused the connection: {0}")]
    Refused(String),
    /// More than is taken.
    #[error("a message is longer than {limit} bytes, or has too many parts")]
    TooLong {
        /// What is taken.
        limit: usize,
    },
    /// A replay that does not end.
    #[error("its replay does not come to an end")]
    Endless,
    /// Not the parts of a KV event.
    #[error("a message is no KV event: it has {0} parts")]
    Parts(usize),
}
