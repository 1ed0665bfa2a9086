//! What is late, and what becomes of it.

use std::time::Duration;

use tokio::time::Instant;
use tonic::Status;

use super::{
    super::{messages::BodyMode, phase::Wait},
    Ending, Session, State,
};
use crate::{
    error::{Fault, UpstreamFault},
    metrics::{ErrorReason, Label, StreamEnd},
    path::STUCK,
};

/// How long a stream whose time is up may stand with answers that Envoy does not read.
const UNREAD: Duration = Duration::from_secs(5);

impl Session {
    /// When what is waited for is late.
    pub(super) fn due(&self) -> Instant {
        let (now, limits) = (Instant::now(), &self.worker.config.timeouts);
        match self.phase.waits_for() {
            Wait::Head => self.deadline,
            // Envoy shows nothing of a body that it collects before it is whole.
            Wait::Body if self.phase.modes().request == BodyMode::Buffered => self.body_by,
            Wait::Body => self.body_by.min(now + limits.client_body_idle),
            // Looked at now and then: the endpoint may be down.
            Wait::Response | Wait::ResponseBody => {
                self.response_by().min(now + limits.stream_idle.min(STUCK))
            }
            Wait::Close => now + limits.stream_idle,
        }
    }

    /// When the response must be over.
    fn response_by(&self) -> Instant {
        let limits = &self.worker.config.timeouts;
        match &self.request {
            State::Routed(routed) => Instant::from_std(routed.sent) + limits.request,
            // An answer of Envoy's own.
            State::Inbound(_) | State::Deciding(_) | State::Nothing => Instant::now() + limits.stream_idle,
        }
    }

    /// It is.
    pub(super) fn late(&mut self) {
        if let Some(ending) = &mut self.ending {
            return ending.fall_due();
        }
        let limits = self.worker.config.timeouts;
        match self.phase.waits_for() {
            Wait::Head => {
                let status = Status::deadline_exceeded("no request_headers came in time");
                (self.end, self.ending) = (Some(StreamEnd::Silent), Some(Ending::With(Some(status))));
            }
            Wait::Body => {
                let is_trickle = Instant::now() >= self.body_by;
                let limit = if is_trickle { limits.client_body } else { limits.client_body_idle };
                self.refuse(&Fault::SlowClient(limit));
            }
            Wait::Response => self.unanswered(),
            Wait::ResponseBody => self.silent(),
            Wait::Close => self.ending = Some(Ending::With(None)),
        }
    }

    /// No response has begun. Envoy, which waits for it, may not know that its endpoint is gone.
    fn unanswered(&mut self) {
        let is_late = Instant::now() >= self.response_by();
        let is_whole = self.phase.request_is_whole();
        let State::Routed(routed) = &mut self.request else { return };
        let is_lost = routed.is_lost(&self.worker);
        if !is_late && !is_lost {
            self.deadline = self.due();
            return;
        }
        // One that has not got all of the request is not to blame for being late.
        routed.give_up(&self.worker, is_whole || is_lost);
        let fault = if is_late {
            Fault::Timeout(self.worker.config.timeouts.request)
        } else {
            let endpoint = routed.at.address.clone();
            Fault::Upstream { endpoint, tried: 1, cause: UpstreamFault::Abandoned }
        };
        self.refuse(&fault);
    }

    /// Nothing has come of a response for a while. Its client may not read, which nobody tells: so the endpoint's readings
    /// say whether it is there, and a limit on the whole ends the rest.
    fn silent(&mut self) {
        let State::Routed(routed) = &mut self.request else { return self.ending = Some(Ending::With(None)) };
        let is_lost = routed.is_lost(&self.worker);
        let is_late = Instant::now() >= self.response_by();
        if is_lost || is_late {
            let State::Routed(routed) = &mut self.request else { return };
            routed.give_up(&self.worker, is_lost);
            self.cut(if is_lost { ErrorReason::StreamIdle } else { ErrorReason::Timeout });
        } else {
            self.deadline = self.due();
        }
    }

    /// Gives back what it holds if its time was up long ago: it would have noticed, had Envoy read its answers. The stream
    /// itself ends when Envoy goes on, or with the connection.
    pub(in super::super) fn let_go_if_unread(&mut self, now: Instant) {
        if self.seat.is_none() || now < self.deadline + UNREAD {
            return;
        }
        if let State::Routed(routed) = &mut self.request {
            routed.give_up(&self.worker, false);
        }
        if self.end.is_none() {
            if !matches!(self.request, State::Nothing) {
                self.tell(None, StreamEnd::Silent.name(), StreamEnd::Silent.failure(), None);
            }
            self.end = Some(StreamEnd::Silent);
        }
        (self.request, self.seat) = (State::Nothing, None);
        self.outbox.clear();
        let status = Status::deadline_exceeded("answers were not read in time");
        self.ending = Some(Ending::With(Some(status)));
    }
}
