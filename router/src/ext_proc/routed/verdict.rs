//! What the end of a request says of its endpoint, and when it is taken off the endpoint's account.

use std::time::Duration;

use warmlane_picker::Stuck;

use super::{
    super::{messages::BodyMode, told::Origin},
    Routed,
};
use crate::{ledger::Outcome, metrics::StreamEnd, path::STUCK, worker::Worker};

/// An endpoint that answered readings this long after a request was answered to Envoy was there when Envoy connected to it:
/// the bootstraps give that 1 s, and only a failure to connect sends a request elsewhere.
const CONNECTED: Duration = Duration::from_secs(2);

impl Routed {
    /// The response is over: takes the request off the account.
    pub(super) fn judge(&mut self, worker: &Worker, is_sound: bool) {
        self.is_over = true;
        let Some(mut in_flight) = self.in_flight.take() else { return };
        if let Some(outcome) = self.outcome(is_sound) {
            worker.judge(&mut in_flight, outcome);
        }
    }

    /// The same where it goes on unseen: it stays on the account.
    pub(super) fn speak_for(&mut self, worker: &Worker) {
        let outcome = self.outcome(true);
        if let Some((in_flight, outcome)) = self.in_flight.as_mut().zip(outcome) {
            worker.judge(in_flight, outcome);
        }
    }

    /// What a response says of its endpoint.
    fn outcome(&self, is_sound: bool) -> Option<Outcome> {
        match (self.origin, self.status) {
            (Origin::Unreachable, _) => Some(Outcome::Bad),
            // 504: the endpoint took longer than the gateway allows.
            (Origin::Gateway, status) if status != 504 => None,
            // Its head was not shown.
            (_, 0) => (!is_sound).then_some(Outcome::Bad),
            (_, status) => match Outcome::of_status(status) {
                Some(Outcome::Good) if !is_sound => Some(Outcome::Bad),
                outcome => outcome,
            },
        }
    }

    /// It is given up. `blames`: for the endpoint says nothing any more.
    pub(in super::super) fn give_up(&mut self, worker: &Worker, blames: bool) {
        self.is_over = true;
        if let Some(mut in_flight) = self.in_flight.take()
            && blames
        {
            worker.judge(&mut in_flight, Outcome::Bad);
        }
    }

    /// Whether nothing will come, and Envoy does not know: the endpoint has the request, as far as can be told, and is stuck.
    /// Of one that refuses connections Envoy knows, and may have gone to another.
    pub(in super::super) fn is_lost(&self, worker: &Worker) -> bool {
        let patience = worker.config.timeouts.stream_idle.min(STUCK);
        let for_long = |since| worker.world.now() > since + patience;
        match worker.world.stuck(self.at.slot) {
            None => false,
            Some(Stuck::Stalled) => true,
            Some(Stuck::Mute { since }) => for_long(since),
            Some(Stuck::Silent { since }) => {
                let begun = self.status != 0 || self.first_byte.is_some();
                for_long(since) && (begun || since > worker.world.time(self.sent) + CONNECTED)
            }
        }
    }

    /// Whether the response was seen to its end.
    pub(in super::super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// How a response that was seen to its end counts.
    pub(in super::super) fn whole(&self) -> StreamEnd {
        match (self.origin, self.status) {
            (Origin::Unreachable | Origin::Gateway, _) => StreamEnd::Gateway,
            (Origin::Untold, 500..) => StreamEnd::Error,
            (Origin::Untold | Origin::Endpoint, _) => StreamEnd::Complete,
        }
    }

    /// How one counts whose end is not seen.
    pub(in super::super) fn unfinished(&self) -> StreamEnd {
        if self.status == 0 { StreamEnd::Unseen } else { StreamEnd::Routed }
    }

    /// Envoy tells no more: whether what came of the body seems to be all of it. A body that trailers end has no last piece
    /// where trailers are not sent.
    pub(in super::super) fn was_seen_to_end(&mut self, worker: &Worker) -> bool {
        let is_whole = !self.is_over && self.tail.read(self.is_events).is_last;
        if is_whole {
            self.response_ends(worker);
        }
        is_whole
    }

    /// Envoy tells no more. Where it would have told the end, its client left; else the request goes on unseen.
    /// True when it does.
    pub(in super::super) fn lingers(&mut self, worker: &Worker) -> bool {
        if self.modes.response != BodyMode::None {
            self.in_flight = None;
            return false;
        }
        if let Some(in_flight) = self.in_flight.take() {
            worker.world.lingering.keep(in_flight, worker.world.time(self.sent));
        }
        true
    }
}
