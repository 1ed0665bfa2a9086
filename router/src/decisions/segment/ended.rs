//! What became of a request, in less room: times are nanoseconds in 64 bits.

use std::time::Duration;

use crate::{
    decisions::{Outcome, Served},
    stage::Stage,
};

/// See the module's header.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    status: Option<u16>,
    end: &'static str,
    served: Served,
    first_byte: Option<u64>,
    bytes: Option<u64>,
    lane_bytes: u64,
    spent: [u64; Stage::ALL.len()],
}

impl From<Outcome> for Ended {
    fn from(outcome: Outcome) -> Self {
        // Five centuries fit.
        let nanos = |time: Duration| time.as_nanos() as u64;
        Self {
            status: outcome.status,
            end: outcome.end,
            served: outcome.served,
            first_byte: outcome.first_byte.map(nanos),
            bytes: outcome.bytes,
            lane_bytes: outcome.lane_bytes,
            spent: outcome.spent.map(nanos),
        }
    }
}

impl From<&Ended> for Outcome {
    fn from(ended: &Ended) -> Self {
        Self {
            status: ended.status,
            end: ended.end,
            served: ended.served.clone(),
            first_byte: ended.first_byte.map(Duration::from_nanos),
            bytes: ended.bytes,
            lane_bytes: ended.lane_bytes,
            spent: ended.spent.map(Duration::from_nanos),
        }
    }
}
