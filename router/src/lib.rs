//! Picks the best replica for each request and relays its tokens.
//!
//! Start reading at [`path::serve`]: a request's way, stage by stage. [`app`] puts the threads together,
//! [`world`] is what they share, [`http1`] is the wire.

#![deny(unsafe_code)]

pub mod admin;
pub mod agents;
pub mod app;
pub mod blocks;
pub mod budget;
pub mod chooser;
pub mod cluster;
pub mod config;
pub mod control;
pub mod decisions;
pub mod error;
pub mod ext_proc;
pub mod extension;
pub mod front;
pub mod holders;
pub mod http1;
pub mod kernel;
pub mod kube;
pub mod lane;
pub mod lately;
pub mod ledger;
pub mod log;
pub mod metrics;
pub mod own_thread;
pub mod path;
pub mod scrape;
pub mod seldom;
pub mod session;
pub mod shutdown;
pub mod spans;
pub mod stage;
mod summary;
mod tail;
pub mod tls;
pub mod tokens;
pub mod upstream;
pub mod worker;
pub mod world;
