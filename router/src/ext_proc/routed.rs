//! A request that has an endpoint, until its response ends or Envoy tells no more of it.

use std::{net::SocketAddr, time::Instant};

use bytes::Bytes;
use warmlane_engine::{body::RequestBody, sse::payload::Report};

use super::{
    inbound::Aims,
    messages::{BodyMode, HeaderMap},
    names::DESTINATION,
    phase::Modes,
    reply::{Changes, Headers},
    restore::Restore,
    told::{Origin, Told},
};
use crate::{
    ledger::{InFlight, Load, Outcome},
    metrics::Goal,
    path::{self, Destination, Plan},
    session,
    spans::{Place, TRACEPARENT, TRACESTATE},
    tail::{End, Tail},
    worker::Worker,
};

/// For routes that choose by model.
const MODEL: &str = "x-gateway-model-name";
const REQUEST_ID: &str = "x-request-id";

mod verdict;

/// See the module's header.
pub(super) struct Routed {
    pub(super) plan: Plan,
    pub(super) asked: Option<RequestBody>,
    /// Where it is, as far as is known.
    pub(super) at: Destination,
    pub(super) aims: Aims,
    /// When it was answered to Envoy.
    pub(super) sent: Instant,
    /// Of the response; 0 before it.
    pub(super) status: u16,
    pub(super) report: Report,
    /// The response's own id is to be found in its first bytes, and remembered for this endpoint.
    pub(super) begins_session: bool,
    /// On the endpoint's account; `None` once that is over, or where the endpoint is nobody's.
    in_flight: Option<InFlight>,
    /// Its response was seen to its end, or it was given up.
    is_over: bool,
    modes: Modes,
    restore: Option<Restore>,
    tail: Tail,
    origin: Origin,
    is_events: bool,
    /// Bytes of the response's body that came.
    came: u64,
    /// When the first byte of its body came.
    pub(super) first_byte: Option<Instant>,
}

// === Routed ===

impl Routed {
    /// Puts the request on its endpoint's account.
    pub(super) fn new(
        worker: &Worker,
        plan: Plan,
        asked: Option<RequestBody>,
        aims: Aims,
        modes: Modes,
    ) -> Self {
        let renamed = asked.as_ref().zip(plan.rewrite.as_ref()).filter(|(body, name)| body.model != **name);
        let restore = renamed.map(|(body, name)| Restore::new(name, &body.model));
        let at = plan.first.clone();
        let in_flight = Some(worker.world.ledger.open(at.slot, share(&plan, &at, modes)));
        Self {
            plan,
            asked,
            at,
            aims,
            sent: Instant::now(),
            status: 0,
            report: Report::default(),
            begins_session: false,
            in_flight,
            is_over: false,
            modes,
            restore,
            tail: Tail::default(),
            origin: Origin::default(),
            is_events: false,
            came: 0,
            first_byte: None,
        }
    }

    /// The response's status, if it was seen.
    pub(super) fn seen_status(&self) -> Option<u16> {
        (self.status != 0).then_some(self.status)
    }

    /// The model's new name, where it gets one.
    pub(super) fn renamed(&self) -> Option<&str> {
        self.restore.as_ref()?;
        self.plan.rewrite.as_deref()
    }

    /// Endpoints in order, as gateways read them.
    pub(super) fn endpoints(&self, worker: &Worker) -> String {
        let mut text = self.at.socket.to_string();
        let snapshot = self.plan.pool.snapshot();
        let others = self.plan.fallbacks.iter().filter_map(|slot| snapshot.endpoint(*slot));
        for other in others.take(worker.config.ext_proc.fallbacks) {
            text.push(',');
            text += &other.socket.to_string();
        }
        text
    }

    /// What changes in the request's head.
    pub(super) fn changes(&self, endpoints: &str, id: Option<&[u8]>, place: Option<&Place>) -> Changes {
        let mut set: Headers = vec![(DESTINATION, Bytes::copy_from_slice(endpoints.as_bytes()))];
        if let Some(id) = id {
            set.push((REQUEST_ID, Bytes::copy_from_slice(id)));
        }
        let model = self.asked.as_ref().map(|body| body.model.as_bytes());
        // A name may be any text; not every text may stand in a header.
        let model = model.filter(|model| model.iter().all(|byte| (0x20..0x7f).contains(byte)));
        let mut remove = Vec::new();
        remove.extend(model.is_none().then_some(MODEL));
        if let Some(place) = place {
            set.push((TRACEPARENT, Bytes::copy_from_slice(&place.for_gateway())));
            remove.extend((!place.is_child()).then_some(TRACESTATE));
        }
        set.extend(model.map(|model| (MODEL, Bytes::copy_from_slice(model))));
        Changes { set, remove }
    }

    /// The response begins.
    pub(super) fn response_begins(
        &mut self,
        worker: &Worker,
        head: &HeaderMap,
        told: &Told,
        (end, id): (bool, &[u8]),
    ) -> Headers {
        let status = head.get(":status").and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
        self.status = status.unwrap_or_default();
        self.is_events = head.get("content-type").is_some_and(|kind| kind.starts_with(b"text/event-stream"));
        self.origin = told.origin;
        if let Some(served) = told.served.filter(|served| *served != self.at.socket) {
            self.moved(worker, served, told.was_retried);
        }
        // Engines say how long a body is only when they have made it.
        let is_made = end || self.status >= 400 || head.get("content-length").is_some();
        match self.modes.response {
            BodyMode::None if is_made => self.judge(worker, true),
            // Nothing tells how it ends; that it begins is all that can be said for its endpoint.
            BodyMode::None => self.speak_for(worker),
            _ => {}
        }
        let endpoint = || ("x-warmlane-endpoint", Bytes::copy_from_slice(self.at.address.as_bytes()));
        let names = worker.config.headers.endpoint.then(endpoint);
        // Engines do not send it back by themselves.
        let own = || (REQUEST_ID, Bytes::copy_from_slice(id));
        names.into_iter().chain(head.get(REQUEST_ID).is_none().then(own)).collect()
    }

    /// The gateway went to another endpoint than the first one named: at once, or because that one could not be reached.
    fn moved(&mut self, worker: &Worker, to: SocketAddr, was_retried: bool) {
        if was_retried && let Some(mut in_flight) = self.in_flight.take() {
            worker.judge(&mut in_flight, Outcome::Bad);
        }
        let snapshot = self.plan.pool.snapshot();
        let Some(slot) = snapshot.endpoints().iter().find(|e| e.socket == to).map(|e| e.slot) else {
            tracing::debug!(endpoint = %to, "the gateway served a request from outside the pool");
            return;
        };
        if let Some(at) = path::moved(worker, self.asked.as_ref(), &self.plan, slot) {
            self.in_flight = Some(worker.world.ledger.open(slot, share(&self.plan, &at, self.modes)));
            self.at = at;
        }
    }

    /// A piece of the response's body, as it goes on.
    pub(super) fn response_piece(&mut self, worker: &Worker, piece: Bytes, end: bool) -> Bytes {
        if self.first_byte.is_none() && !piece.is_empty() {
            self.first_piece(worker, &piece);
        }
        self.came += piece.len() as u64;
        self.tail.push(&piece);
        if end {
            self.response_ends(worker);
        }
        match &mut self.restore {
            // Only where bodies stream back can something of a piece be kept for later.
            Some(restore) => restore.push(piece, end || self.modes.response != BodyMode::FullDuplexStreamed),
            None => piece,
        }
    }

    /// Bytes of the response's body, where Envoy shows them.
    pub(super) fn seen(&self) -> Option<u64> {
        (self.modes.response != BodyMode::None).then_some(self.came)
    }

    fn first_piece(&mut self, worker: &Worker, piece: &[u8]) {
        let now = Instant::now();
        self.first_byte = Some(now);
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.prefilled();
        }
        let took = now.duration_since(self.sent).as_millis();
        worker.metrics.aimed(Goal::Ttft, self.aims.ttft, took);
        // Nobody has told where the head was not shown.
        self.is_events |= self.status == 0 && piece.starts_with(b"data:");
        if self.begins_session && self.plan.decision.is_some() {
            session::remember(&worker.world, piece, self.at.slot);
        }
    }

    /// Trailers end the response: what was held back of its body.
    pub(super) fn rest(&mut self, worker: &Worker) -> Bytes {
        self.response_ends(worker);
        self.restore.as_mut().map_or_else(Bytes::new, |restore| restore.push(Bytes::new(), true))
    }

    /// Once: behind a last piece, trailers may still come.
    fn response_ends(&mut self, worker: &Worker) {
        if self.is_over {
            return;
        }
        let End { report, gave_up, .. } = self.tail.read(self.is_events);
        self.report = report;
        self.judge(worker, !gave_up);
        let tokens = report.usage.map_or(0, |usage| usage.completion_tokens);
        if let (Some(first), 2..) = (self.first_byte, tokens) {
            let each = first.elapsed().as_millis() / u128::from(tokens - 1);
            worker.metrics.aimed(Goal::Tpot, self.aims.tpot, each);
        }
        if let Some(usage) = report.usage {
            worker.metrics.used(usage);
        }
    }
}

/// What the request costs an endpoint. Where its body is not seen, nothing tells when its prompt is computed.
fn share(plan: &Plan, at: &Destination, modes: Modes) -> Load {
    let share = plan.share(at);
    Load { streamed: share.streamed && modes.response != BodyMode::None, ..share }
}
