//! Slow start: an endpoint that just joined a pool at work gets a growing share of it.
//!
//! It looks emptier than all others and would draw every new request: a burst of prompts on cold caches, or the
//! whole load on one that only seems to work again. So while it is younger than `slow_start`, it is passed over as
//! long as it has
//!
//! `max(1, mean requests in flight of those in full service * age / slow_start)`
//!
//! of this router's requests. Where nobody is in full service there is nobody to compare with, and no limit.

use crate::{Live, Snapshot, Time, filter, snapshot::SlotSet};

/// Positions of endpoints that have as many requests as they may have yet.
pub(crate) fn at_limit(snapshot: &Snapshot, live: &[Live], slow_start: Time, now: Time) -> SlotSet {
    let mut set = SlotSet::default();
    if !snapshot.has_newcomers() {
        return set;
    }
    let in_flight = |position: usize| live.get(position).map_or(0, |live| live.in_flight);
    let age = |joined: Time| now.saturating_sub(joined);
    let young = |joined: Option<Time>| joined.map(age).filter(|age| *age < slow_start);
    let (mut sum, mut count) = (0.0, 0.0);
    for (position, endpoint) in snapshot.endpoints().iter().enumerate() {
        if young(endpoint.joined).is_none() && filter::in_service(endpoint) {
            sum += in_flight(position) as f32;
            count += 1.0;
        }
    }
    if count == 0.0 {
        return set;
    }
    for (position, endpoint) in snapshot.endpoints().iter().enumerate() {
        let Some(age) = young(endpoint.joined) else { continue };
        let limit = (sum / count) * (age.as_secs_f32() / slow_start.as_secs_f32());
        if in_flight(position) as f32 >= limit.max(1.0) {
            set.insert(position);
        }
    }
    set
}
