//! What is told of a request that has ended: the access line, and the spans of its trace.
//!
//! What is not known of a request has no field. Nothing of its prompt or its answer is in it.

use std::{borrow::Cow, time::Duration};

use warmlane_api::admin::hex;
use warmlane_engine::{body::Api, sse::payload::Report};
use warmlane_picker::Source;

use crate::{
    decisions,
    error::Fault,
    metrics::{ErrorReason, Label},
    path::Trace,
    worker::Worker,
};

/// See the module's header.
#[derive(Clone, Copy)]
pub(crate) struct Summary<'a> {
    /// How far it came, and when.
    pub(crate) trace: &'a Trace,
    /// Its method.
    pub(crate) method: &'a [u8],
    /// Its path, without a query.
    pub(crate) path: &'a [u8],
    /// The API that it was read as.
    pub(crate) api: Option<Api>,
    /// The model that it names; empty: none.
    pub(crate) model: &'a str,
    /// Of its answer; `None`: none was seen.
    pub(crate) status: Option<u16>,
    /// `complete`, or why not.
    pub(crate) end: &'static str,
    /// What it failed by.
    pub(crate) failure: Option<ErrorReason>,
    /// The same in words, where the router answered itself.
    pub(crate) fault: Option<&'a Fault>,
    /// What became of it at an endpoint.
    pub(crate) served: Served<'a>,
    /// Payload that the router passed on; `None` where it carried nothing.
    pub(crate) bytes: Option<u64>,
    /// Of it, what took the kernel lane; `None`: nothing.
    pub(crate) lane_bytes: Option<u64>,
    /// From its first byte to the first of its answer's payload.
    pub(crate) first_byte: Option<Duration>,
    /// Whom a gateway says it is for; empty: it does not say.
    pub(crate) fairness: &'a str,
}

/// Who served a request.
#[derive(Clone, Copy, Default)]
pub(crate) struct Served<'a> {
    /// Its address.
    pub(crate) by: Option<&'a str>,
    /// Who was chosen, where a gateway went to another one.
    pub(crate) picked: Option<&'a str>,
    /// Prompt tokens that it was believed to hold, and where that was known from.
    pub(crate) matched: Option<(u64, Source)>,
    /// Endpoints tried.
    pub(crate) tried: Option<usize>,
    /// What the end of its answer says.
    pub(crate) report: Report,
}

// === Summary ===

impl<'a> Summary<'a> {
    /// Of a request of which nothing else is known.
    pub(crate) fn begin(trace: &'a Trace) -> Self {
        Self {
            trace,
            method: b"",
            path: b"",
            api: None,
            model: "",
            status: None,
            end: "",
            failure: None,
            fault: None,
            served: Served::default(),
            bytes: None,
            lane_bytes: None,
            first_byte: None,
            fairness: "",
        }
    }

    /// Tells it to those who want to know.
    pub(crate) fn tell(&self, worker: &Worker) {
        if worker.config.log.access {
            self.log();
        }
        if let Some(tracer) = &worker.tracer {
            tracer.tell(self);
        }
    }

    fn log(&self) {
        let Self { trace, model, end, served, .. } = self;
        let usage = served.report.usage;
        let reasons = trace.reasons.as_ref();
        tracing::info!(
            target: "access", request_id = %self.request_id(), listener = trace.listener.name(), model,
            status = self.status, end, fault = self.fault.map(ToString::to_string),
            endpoint = served.by, picked = served.picked, tried = served.tried,
            matched_tokens = served.matched.map(|(tokens, _)| tokens),
            matched_by = served.matched.map(|(_, source)| source.name()),
            prompt_tokens = self.prompt_tokens(),
            completion_tokens = usage.map(|usage| usage.completion_tokens),
            cached_tokens = usage.and_then(|usage| usage.cached_tokens),
            finish = served.report.finish.map(|finish| finish.as_str()),
            bytes = self.bytes, lane_bytes = self.lane_bytes,
            first_byte_us = self.first_byte.map(|took| took.as_micros() as u64),
            decision = self.decision(), strategy = reasons.map(|reasons| reasons.strategy.name()),
            why = reasons.map(|reasons| &*reasons.why), fallbacks = reasons.map(|reasons| &*reasons.fallbacks),
            session = self.session(), fairness = (!self.fairness.is_empty()).then_some(self.fairness),
            trace_id = trace.place.as_ref().map(|place| format!("{:032x}", place.trace_id)),
            stages = %trace.shown(),
        );
    }

    pub(crate) fn request_id(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.trace.request_id)
    }

    /// As the pages of decisions name it.
    pub(crate) fn decision(&self) -> Option<String> {
        self.trace.decision.map(|ticket| hex(ticket.number()))
    }

    /// As the pages of pins name it.
    pub(crate) fn session(&self) -> Option<String> {
        let session = self.trace.session;
        (session != 0).then(|| hex(decisions::kept_key(session)))
    }

    /// No prompt is empty: a 0 says that what states it was not seen.
    pub(crate) fn prompt_tokens(&self) -> Option<u64> {
        self.served.report.usage.map(|usage| usage.prompt_tokens).filter(|tokens| *tokens > 0)
    }
}
