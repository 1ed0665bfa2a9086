//! A simulated vLLM engine.
//!
//! `model` is the engine as a pure value: scheduler, KV blocks, adapters, time as numbers.

pub mod error;
pub mod model;

pub use error::Error;
