//! What an inference engine says: metric pages, model lists, request and response shapes.
//!
//! Bytes come in, values go out. There are no sockets, no clock and no policy here.

#![forbid(unsafe_code)]

pub mod body;
pub mod error;
pub mod kv_events;
pub mod metrics;
pub mod models;
pub mod sse;
