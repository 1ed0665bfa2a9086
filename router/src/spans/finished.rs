//! A sampled request that has ended, on its way from its worker to the exporter: a copy of what is told of it.

use std::time::{Duration, SystemTime};

use warmlane_engine::{body::Api, sse::payload::Report};

use super::Place;
use crate::{
    metrics::{ErrorReason, Label, Listener},
    path::Reasons,
    stage::Stage,
    summary::Summary,
};

/// Bytes of a text from outside that are told: names of models and ids may be as long as a head.
const MOST_TEXT: usize = 256;

/// See the module's header.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) place: Place,
    pub(super) listener: Listener,
    pub(super) began: SystemTime,
    pub(super) spent: [Duration; Stage::ALL.len()],
    pub(super) method: String,
    pub(super) path: String,
    pub(super) api: Option<Api>,
    pub(super) model: String,
    pub(super) status: Option<u16>,
    pub(super) end: &'static str,
    pub(super) failure: Option<ErrorReason>,
    pub(super) endpoint: Option<String>,
    pub(super) picked: Option<String>,
    pub(super) matched: Option<(u64, &'static str)>,
    pub(super) tried: Option<usize>,
    pub(super) report: Report,
    pub(super) prompt_tokens: Option<u64>,
    pub(super) lane_bytes: Option<u64>,
    pub(super) first_byte: Option<Duration>,
    pub(super) reasons: Option<Reasons>,
    pub(super) decision: Option<String>,
    pub(super) session: Option<String>,
    pub(super) request_id: String,
}

// === Finished ===

impl Finished {
    pub(super) fn of(summary: &Summary<'_>, place: &Place) -> Self {
        let Summary { trace, served, .. } = *summary;
        Self {
            place: place.clone(),
            listener: trace.listener,
            began: wall_clock() - trace.began.elapsed(),
            spent: trace.all_spent(),
            method: text(summary.method),
            path: text(summary.path),
            api: summary.api,
            model: text(summary.model.as_bytes()),
            status: summary.status,
            end: summary.end,
            failure: summary.failure,
            endpoint: served.by.map(str::to_owned),
            picked: served.picked.map(str::to_owned),
            matched: served.matched.map(|(tokens, source)| (tokens, source.name())),
            tried: served.tried,
            report: served.report,
            prompt_tokens: summary.prompt_tokens(),
            lane_bytes: summary.lane_bytes,
            first_byte: summary.first_byte,
            reasons: trace.reasons.clone(),
            decision: summary.decision(),
            session: summary.session(),
            request_id: text(&trace.request_id),
        }
    }

    /// What it failed by, by the name that errors are counted under.
    pub(super) fn error(&self) -> Option<&'static str> {
        self.failure.map(Label::name)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a collector puts spans of many machines side by side, by their wall clocks"
)]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// The beginning of a text.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(MOST_TEXT)]).into_owned()
}
