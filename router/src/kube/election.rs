//! Who of several routers writes: the holder of a Lease. A pure state machine over what is read and written.
//!
//! Nobody's clock is compared with another's. A Lease has run out for a router that has seen it unchanged for its whole duration
//! by the router's own clock; the times that stand in it are for people.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use tokio::time::Instant;

/// How long a holder may be silent.
pub(super) const DURATION: Duration = Duration::from_secs(15);
/// How often it is renewed.
pub(super) const RENEWAL: Duration = Duration::from_secs(4);

/// One candidate.
#[derive(Debug)]
pub(super) struct Election {
    identity: String,
    /// What was seen last and since when it is unchanged.
    seen: Option<(LeaseSpec, Instant)>,
    /// Until when this one may act on having it.
    held_until: Option<Instant>,
}

/// What is due.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// Somebody else has it.
    Wait,
    /// There is none: create one with this.
    Create(LeaseSpec),
    /// Replace what was read by this; that fails if somebody was faster.
    Replace(LeaseSpec),
}

// === Election ===

impl Election {
    pub(super) fn new(identity: String) -> Self {
        Self { identity, seen: None, held_until: None }
    }

    /// Whether this one may write.
    pub(super) fn holds(&self, now: Instant) -> bool {
        self.held_until.is_some_and(|until| now < until)
    }

    /// How long until the Lease is worth a look. Who waits for another looks once in its duration: with a router on each of
    /// hundreds of nodes anything more often is a load on the API server. So a silent holder is followed after its duration
    /// twice at the latest, and a Lease that was freed after it once.
    pub(super) fn pause(&self, now: Instant) -> Duration {
        if self.holds(now) {
            return RENEWAL;
        }
        let seen = self.seen.as_ref().map_or(DURATION, |(spec, _)| duration(spec));
        seen.clamp(RENEWAL, DURATION)
    }

    /// What to do about the Lease as it was read. `wall` is what is written for people.
    pub(super) fn step(&mut self, lease: Option<&Lease>, now: Instant, wall: Timestamp) -> Step {
        let Some(lease) = lease else { return Step::Create(self.spec(None, wall)) };
        let spec = lease.spec.clone().unwrap_or_default();
        let since = match &self.seen {
            Some((before, since)) if *before == spec => *since,
            _ => now,
        };
        self.seen = Some((spec.clone(), since));
        let holder = spec.holder_identity.as_deref().unwrap_or_default();
        let is_over = now.duration_since(since) >= duration(&spec);
        if holder == self.identity || holder.is_empty() || is_over {
            return Step::Replace(self.spec(Some(&spec), wall));
        }
        self.held_until = None;
        Step::Wait
    }

    /// The step was taken and this is the Lease now. `now` is when it was begun, lest a slow answer makes it longer.
    pub(super) fn won(&mut self, lease: &Lease, now: Instant) {
        self.seen = Some((lease.spec.clone().unwrap_or_default(), now));
        self.held_until = Some(now + DURATION - RENEWAL);
    }

    /// What frees it for the next; `None` where it is not held.
    pub(super) fn release(&mut self, now: Instant) -> Option<LeaseSpec> {
        let held = self.holds(now);
        self.held_until = None;
        let (spec, _) = self.seen.take()?;
        held.then(|| LeaseSpec {
            holder_identity: Some(String::new()),
            lease_duration_seconds: Some(1),
            ..spec
        })
    }

    fn spec(&self, before: Option<&LeaseSpec>, wall: Timestamp) -> LeaseSpec {
        let is_ours =
            before.is_some_and(|spec| spec.holder_identity.as_deref() == Some(self.identity.as_str()));
        let transitions = before.and_then(|spec| spec.lease_transitions).unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            renew_time: Some(MicroTime(wall)),
            acquire_time: match before {
                Some(before) if is_ours => before.acquire_time.clone(),
                _ => Some(MicroTime(wall)),
            },
            lease_transitions: Some(transitions + i32::from(before.is_some() && !is_ours)),
            ..LeaseSpec::default()
        }
    }
}

/// How long its holder may be silent.
fn duration(spec: &LeaseSpec) -> Duration {
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    seconds.map_or(DURATION, Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(spec: LeaseSpec) -> Lease {
        Lease { spec: Some(spec), ..Lease::default() }
    }

    fn wall(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn taken(step: Step) -> LeaseSpec {
        match step {
            Step::Create(spec) | Step::Replace(spec) => spec,
            Step::Wait => panic!("it waits"),
        }
    }

    #[test]
    fn the_first_takes_it_and_renews_it_and_the_second_waits() {
        let (mut one, mut two, now) =
            (Election::new("one".into()), Election::new("two".into()), Instant::now());
        let spec = taken(one.step(None, now, wall(0)));
        one.won(&lease(spec.clone()), now);
        assert!(one.holds(now) && !two.holds(now));
        assert_eq!(two.step(Some(&lease(spec.clone())), now, wall(0)), Step::Wait);
        let renewed = taken(one.step(Some(&lease(spec.clone())), now + RENEWAL, wall(4)));
        assert_eq!((&renewed.acquire_time, renewed.lease_transitions), (&spec.acquire_time, Some(0)));
        assert_ne!(renewed.renew_time, spec.renew_time);
        assert_eq!(two.step(Some(&lease(renewed)), now + DURATION, wall(0)), Step::Wait, "it was renewed");
    }

    #[test]
    fn one_that_is_silent_for_its_duration_is_followed_and_does_not_act_any_more() {
        let (mut one, mut two, now) =
            (Election::new("one".into()), Election::new("two".into()), Instant::now());
        let spec = taken(one.step(None, now, wall(0)));
        one.won(&lease(spec.clone()), now);
        // A clock that is years ahead makes no difference.
        assert_eq!(two.step(Some(&lease(spec.clone())), now, wall(1 << 30)), Step::Wait);
        let late = now + DURATION;
        let next = taken(two.step(Some(&lease(spec)), late, wall(15)));
        assert!(!one.holds(late), "it stops before another may begin");
        assert_eq!((next.holder_identity.as_deref(), next.lease_transitions), (Some("two"), Some(1)));
        two.won(&lease(next.clone()), late);
        assert_eq!(one.step(Some(&lease(next)), late, wall(15)), Step::Wait);
    }

    #[test]
    fn the_holder_looks_to_renew_it_and_the_others_once_in_its_duration() {
        let (mut one, mut two, now) =
            (Election::new("one".into()), Election::new("two".into()), Instant::now());
        let spec = taken(one.step(None, now, wall(0)));
        one.won(&lease(spec.clone()), now);
        two.step(Some(&lease(spec.clone())), now, wall(0));
        assert_eq!((one.pause(now), two.pause(now)), (RENEWAL, DURATION));
        let short = LeaseSpec { lease_duration_seconds: Some(0), ..spec };
        two.step(Some(&lease(short)), now, wall(0));
        assert_eq!(two.pause(now), RENEWAL, "however short it is");
    }

    #[test]
    fn one_that_ends_frees_it_at_once() {
        let (mut one, mut two, now) =
            (Election::new("one".into()), Election::new("two".into()), Instant::now());
        let spec = taken(one.step(None, now, wall(0)));
        one.won(&lease(spec), now);
        let freed = one.release(now).expect("it is held");
        assert!(!one.holds(now));
        let next = taken(two.step(Some(&lease(freed)), now, wall(0)));
        assert_eq!(next.holder_identity.as_deref(), Some("two"));
        assert!(two.release(now).is_none(), "it was never won");
    }
}
