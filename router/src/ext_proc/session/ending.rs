//! How a stream ends: refused, broken off, or settled by what had come when Envoy left.

use std::time::Duration;

use tokio::time::Instant;
use tonic::{Code, Status};

use super::{
    super::{
        phase::{Violation, Wait},
        refusal,
    },
    Session, State,
};
use crate::{
    decisions::{self, Outcome},
    error::Fault,
    metrics::{Answered, ErrorReason, Label as _, Listener, StreamEnd},
    stage::Stage,
    summary::{Served, Summary},
};

/// How long Envoy may take to close a stream that was refused. Ended first by the router, a stream whose body is still
/// coming would be reset, and resets add up to the end of the connection.
const FAREWELL: Duration = Duration::from_secs(2);

/// How a stream ends.
pub(super) enum Ending {
    /// With this status, or well.
    With(Option<Status>),
    /// Well, once Envoy has closed its side or time is up.
    Farewell,
}

// === Ending ===

impl Ending {
    pub(super) fn is_due(&self) -> bool {
        matches!(self, Self::With(_))
    }

    /// Nothing more is waited for.
    pub(super) fn fall_due(&mut self) {
        if matches!(self, Self::Farewell) {
            *self = Self::With(None);
        }
    }
}

// === Session ===

impl Session {
    /// The client gets the router's own answer.
    pub(super) fn refuse(&mut self, fault: &Fault) {
        let metrics = &self.worker.metrics;
        metrics.request_done(Listener::ExtProc, fault.status());
        metrics.error(Listener::ExtProc, fault.reason());
        if matches!(fault, Fault::Shed { .. }) {
            metrics.shed();
        }
        self.tell(Some(fault.status()), fault.reason().name(), Some(fault.reason()), Some(fault));
        self.answer_instead(fault);
    }

    /// A response that has begun must not seem to end well: Envoy cuts it for an answer that comes now.
    pub(super) fn cut(&mut self, reason: ErrorReason) {
        let State::Routed(routed) = &self.request else { return };
        let (status, limits) = (routed.seen_status(), &self.worker.config.timeouts);
        let limit = if reason == ErrorReason::Timeout { limits.request } else { limits.stream_idle };
        self.worker.metrics.request_done(Listener::ExtProc, status.unwrap_or_default());
        self.worker.metrics.error(Listener::ExtProc, reason);
        self.tell(status, reason.name(), Some(reason), None);
        self.answer_instead(&Fault::Timeout(limit));
    }

    /// What the stream held is given back; it stays open until Envoy has closed its side.
    fn answer_instead(&mut self, fault: &Fault) {
        self.outbox.push_back(refusal::immediate(fault, self.api, &self.trace.request_id));
        (self.ending, self.end) = (Some(Ending::Farewell), Some(StreamEnd::Refused));
        self.request = State::Nothing;
        self.deadline = Instant::now() + FAREWELL;
    }

    /// What Envoy sends cannot be read on.
    pub(super) fn broken(&mut self, status: Status) {
        let is_open = matches!(self.phase.waits_for(), Wait::Body | Wait::Response);
        match status.code() {
            // A body in one message that is longer than any may be, or than there is room for.
            Code::OutOfRange if is_open => {
                self.refuse(&Fault::TooLarge { limit: self.worker.config.limits.body });
            }
            Code::ResourceExhausted if is_open => self.refuse(&Fault::OverBudget),
            code => {
                // Too long, or no message; other codes say that Envoy is gone.
                if matches!(code, Code::OutOfRange | Code::Internal | Code::ResourceExhausted) {
                    self.end.get_or_insert(StreamEnd::Unreadable);
                }
                self.ending = Some(Ending::With(Some(status)));
            }
        }
    }

    /// An error of the stream: Envoy then does what its failure mode says.
    pub(super) fn break_off(&mut self, violation: Violation) {
        let (end, code) = match violation {
            Violation::SecondRequest | Violation::NoRequestHeaders | Violation::SecondResponse => {
                (StreamEnd::WrongOrder, Code::FailedPrecondition)
            }
            Violation::Unknown | Violation::NoPseudoHeader(_) => {
                (StreamEnd::Unreadable, Code::InvalidArgument)
            }
            Violation::Mode(_) | Violation::UnknownMode(_) => (StreamEnd::Misconfigured, Code::Unimplemented),
        };
        tracing::debug!(%violation, "a stream of Envoy's was broken off");
        let status = Status::new(code, violation.to_string());
        (self.ending, self.end) = (Some(Ending::With(Some(status))), Some(end));
    }

    /// How it ended where the router did not end it.
    pub(super) fn settle(&mut self) -> StreamEnd {
        let waits_for = self.phase.waits_for();
        match &mut self.request {
            State::Routed(routed) => {
                if routed.is_over() || routed.was_seen_to_end(&self.worker) {
                    routed.whole()
                } else if routed.lingers(&self.worker) {
                    routed.unfinished()
                } else {
                    StreamEnd::Abandoned
                }
            }
            State::Inbound(_) | State::Deciding(_) => StreamEnd::Abandoned,
            // Answered before anything was chosen.
            State::Nothing if waits_for == Wait::Close => StreamEnd::Gateway,
            State::Nothing => StreamEnd::Abandoned,
        }
    }

    /// For those who ask later.
    fn what_became(&self, status: Option<u16>, end: &'static str) -> Outcome {
        let served = match &self.request {
            State::Routed(routed) => decisions::Served::By(routed.at.address.clone()),
            _ => decisions::Served::Nobody,
        };
        let (first_byte, spent) = (self.first_byte(), self.trace.all_spent());
        Outcome { status, end, served, first_byte, bytes: None, lane_bytes: 0, spent }
    }

    /// What its model's counts are told.
    fn answered(&self) -> Answered {
        let State::Routed(routed) = &self.request else { return Answered::default() };
        Answered { first_byte: self.first_byte(), bytes: routed.seen(), usage: routed.report.usage }
    }

    /// From the request's first byte to its answer's, as far as that was seen.
    fn first_byte(&self) -> Option<Duration> {
        let State::Routed(routed) = &self.request else { return None };
        Some(routed.first_byte?.duration_since(self.trace.began))
    }

    /// Tells what became of the request: beside the decision, in the access log and in its trace.
    pub(super) fn tell(
        &mut self,
        status: Option<u16>,
        end: &'static str,
        failure: Option<ErrorReason>,
        fault: Option<&Fault>,
    ) {
        let (keeps, is_told) = (self.trace.decision.is_some(), self.trace.is_told(&self.worker));
        if keeps || is_told || self.trace.model.is_some() {
            self.trace.enter(Stage::Done);
            self.trace.close();
            self.trace.end_of_model(failure.map_or_else(|| Ok(self.answered()), Err));
            self.trace.ended(&self.worker, || self.what_became(status, end));
        }
        if is_told {
            self.summary(Summary { status, end, failure, fault, ..Summary::begin(&self.trace) })
                .tell(&self.worker);
        }
    }

    /// The same with what is known of the request.
    fn summary<'a>(&'a self, told: Summary<'a>) -> Summary<'a> {
        let ((method, path), model) = (&self.line, &self.model);
        let told = Summary { method, path, model, api: self.api, ..told };
        let State::Routed(routed) = &self.request else { return told };
        let (picked, at) = (&routed.plan.first, &routed.at);
        Summary {
            served: Served {
                by: Some(&at.address),
                // The gateway went to another one.
                picked: (picked.slot != at.slot).then_some(&*picked.address),
                matched: at.source.map(|source| (at.matched_tokens, source)),
                tried: None,
                report: routed.report,
            },
            first_byte: self.first_byte(),
            fairness: &routed.aims.fairness,
            ..told
        }
    }
}
