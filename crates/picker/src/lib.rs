//! Who should serve this request.
//!
//! Pure: no IO, no async, no clock, no logging, no environment. Time, randomness and the state of the
//! world come in as arguments, so every decision can be explained, replayed and tested. The two tables
//! that remember the past ([`PrefixIndex`], [`PinTable`]) are bounded, lock-free and only ever hints: a
//! lost or wrong entry costs a worse pick, never a wrong answer.
//!
//! The path of a decision: [`Snapshot`] + [`Request`] → filters → scorers → choice → [`Decision`].

pub mod admit;
pub mod breaker;
pub mod chain;
pub mod estimate;
pub mod filter;
pub mod group;
pub mod index;
pub mod pick;
pub mod pin;
pub mod plain;
pub mod profile;
mod ramp;
pub mod request;
pub mod retry;
mod saved;
pub mod score;
pub mod signal;
pub mod snapshot;
pub mod standing;
pub mod table;

pub use admit::{Admission, Criticality, admit};
pub use breaker::{Breaker, BreakerRule, Outcomes};
pub use chain::Chain;
pub use filter::{Filter, Verdict};
pub use group::{Group, GroupPin, GroupTable};
pub use index::{Matches, PrefixIndex, Source, Told};
pub use pick::{Decision, NoEndpoint, Weighed, explain, pick};
pub use pin::{Pin, PinTable};
pub use plain::{PlainPolicy, plain};
pub use profile::{Profile, Strategy, UnknownStrategy, Weights};
pub use request::{Live, Request, Work};
pub use retry::{RetryBudget, RetryRule};
pub use saved::Saved;
pub use score::Scorer;
pub use signal::{Lora, Reading, Signals};
pub use snapshot::{Endpoint, Health, Models, Slot, SlotSet, Snapshot, Stuck};
pub use standing::{Fitness, standing};

/// Time since an epoch that the caller chooses: the process start in the router, zero in a simulation.
pub type Time = std::time::Duration;
