//! Judges policies: simulated replicas, routers and clients in virtual time.
//!
//! A run is a discrete-event simulation. Replicas are the engine [`crate::model`]; routers hold what
//! the real one holds (readings with their age, a ledger, a prefix index, pins, groups) and ask the
//! real picker; clients send a workload in a closed or an open loop. One seed fixes everything, so two
//! policies can be compared on the same requests, and a run can be repeated to the last digit.
//!
//! Not modelled: the router's own cost, connections, failures. What HTTP adds is one short delay each
//! way. Speeds are computed from data sheets (see [`crate::model::profile`]), so differences between
//! policies mean more than the times themselves.

mod clients;
mod compare;
mod events;
mod judge;
mod load;
mod policy;
mod replica;
mod router;
mod run;
mod scenario;
mod signals;
mod summary;

pub use self::{
    compare::{Comparison, Interval},
    judge::{Bar, Trial, judge},
    policy::Policy,
    run::run,
    scenario::{Pace, Scenario, Scrape, Shape, Span},
    summary::{Figure, Summary},
};
