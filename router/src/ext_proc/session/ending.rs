//! How a stream ends: refused, broken off, or settled by what had come when Envoy left.

use tonic::{Code, Status};
use warmlane_engine::body::Api;

use super::{
    super::{
        phase::{Violation, Wait},
        refusal,
    },
    Session, State,
};
use crate::{
    error::Fault,
    metrics::{ErrorReason, Label, Listener, StreamEnd},
};

impl Session {
    /// The client gets the router's own answer.
    pub(super) fn refuse(&mut self, fault: &Fault, api: Option<Api>) {
        let metrics = &self.worker.metrics;
        metrics.request_done(Listener::ExtProc, fault.status());
        metrics.error(Listener::ExtProc, fault.reason());
        if matches!(fault, Fault::Shed { .. }) {
            metrics.shed();
        }
        self.outbox.push_back(refusal::immediate(fault, api, &self.trace.request_id));
        self.log(fault.status(), fault.reason().name());
        (self.last, self.end) = (Some(None), Some(StreamEnd::Refused));
    }

    /// A response that has begun must not seem to end well: Envoy cuts it for an answer that comes now.
    pub(super) fn cut(&mut self) {
        self.last = Some(None);
        // An answer of Envoy's own that never ends is nobody's failure.
        let State::Routed(routed) = &self.request else { return };
        let (status, limit) = (routed.status, self.worker.config.timeouts.stream_idle);
        self.worker.metrics.request_done(Listener::ExtProc, status);
        self.worker.metrics.error(Listener::ExtProc, ErrorReason::StreamIdle);
        let reply = refusal::immediate(&Fault::Timeout(limit), None, &self.trace.request_id);
        self.outbox.push_back(reply);
        self.log(status, ErrorReason::StreamIdle.name());
        self.end = Some(StreamEnd::Refused);
    }

    /// An error of the stream: Envoy then does what its failure mode says.
    pub(super) fn break_off(&mut self, violation: Violation) {
        let (end, code) = match violation {
            Violation::SecondRequest
            | Violation::NoRequestHeaders
            | Violation::NoRequest
            | Violation::SecondResponse
            | Violation::NoResponseHeaders => (StreamEnd::WrongOrder, Code::FailedPrecondition),
            Violation::Unknown | Violation::NoPseudoHeader(_) => {
                (StreamEnd::Unreadable, Code::InvalidArgument)
            }
            Violation::Mode(_) => (StreamEnd::Misconfigured, Code::Unimplemented),
        };
        tracing::debug!(%violation, "a stream of Envoy's was broken off");
        (self.last, self.end) = (Some(Some(Status::new(code, violation.to_string()))), Some(end));
    }

    /// How it ended where the router did not end it.
    pub(super) fn settle(&mut self) -> StreamEnd {
        let waits_for = self.phase.waits_for();
        match &mut self.request {
            State::Routed(routed) => {
                if waits_for == Wait::Close && routed.is_over() {
                    StreamEnd::Complete
                } else if routed.lingers(&self.worker) {
                    StreamEnd::Routed
                } else {
                    StreamEnd::Abandoned
                }
            }
            State::Inbound(_) => StreamEnd::Abandoned,
            State::Nothing if waits_for == Wait::Close => StreamEnd::Complete,
            State::Nothing => StreamEnd::Abandoned,
        }
    }

    pub(super) fn log(&self, status: u16, end: &'static str) {
        if !self.worker.config.log.access {
            return;
        }
        let request_id = String::from_utf8_lossy(&self.trace.request_id);
        let listener = Listener::ExtProc.name();
        let State::Routed(routed) = &self.request else {
            tracing::info!(target: "access", %request_id, listener, status, end);
            return;
        };
        let model = routed.asked.as_ref().map_or("", |body| body.model.as_str());
        let usage = routed.report.usage.unwrap_or_default();
        tracing::info!(
            target: "access", %request_id, listener, model, status, end, endpoint = %routed.at.address,
            fairness = routed.aims.fairness, prompt_tokens = usage.prompt_tokens, completion_tokens = usage.completion_tokens,
            finish = routed.report.finish.map(|finish| finish.as_str()),
        );
    }
}
