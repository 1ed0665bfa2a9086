//! A simulated vLLM engine.
//!
//! `model` is the engine as a pure value: scheduler, KV blocks, adapters, time as numbers. `server`
//! puts one behind the HTTP interface of vLLM 0.32, in wall time times a scale. `cluster` puts several
//! under routing policies in virtual time.

pub mod cluster;
pub mod error;
mod metrics;
pub mod model;
pub mod server;

pub use error::Error;
