//! A load client for servers that speak the OpenAI HTTP API.
//!
//! Three parts, used apart or together: a [`Workload`](workload::Workload) makes requests from a seed, [`run()`] sends
//! them through a [`Client`] at a [`Pace`] and records one [`Outcome`] each, and [`Summary`] turns
//! the outcomes into percentiles and rates. [`Table`] prints figures side by side.
//!
//! The client measures what a user sees. It does not retry a request that reached the server, does not
//! check what the tokens say, and does not decide when a run is good.

mod client;
mod outcome;
mod request;
mod run;
mod summary;
pub mod table;
pub mod workload;

#[cfg(test)]
mod scripted;

pub use client::Client;
pub use outcome::{Failure, Outcome};
pub use request::{Message, Prompt, Request};
pub use run::{Pace, Progress, Run, run};
pub use summary::{Interval, Percentiles, Summary};
pub use table::Table;
pub use warmlane_engine::sse::payload::Usage;
