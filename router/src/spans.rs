//! Spans of requests for an OpenTelemetry collector, by OTLP over gRPC.
//!
//! A request's place in its trace is found out when its head is read ([`Place`]), and told to its endpoint. Its spans are made when
//! it has ended, of what the access line says too: one of the server, one of the client around what its endpoint did, and one for
//! each stage. A request that is not sampled costs no more than the reading of one header.
//!
//! Bounds: [`QUEUE`] requests wait to be handed over, and one batch is under way. What finds no room is left out and counted: a
//! collector that is slow or away loses spans, never a request.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tokio::sync::mpsc;

use crate::{config::Tracing, summary::Summary};

mod exporter;
mod finished;
mod made;
mod otlp;
mod place;

pub use exporter::Exporter;
use finished::Finished;
pub use place::Place;
pub(crate) use place::{TRACEPARENT, TRACESTATE};

/// Requests that wait to be handed over.
pub const QUEUE: usize = 2_048;

/// Gives requests their places, and takes what is told of those that are sampled. Each worker has one.
#[derive(Clone, Debug)]
pub struct Tracer {
    sample: f32,
    queue: mpsc::Sender<Finished>,
    counts: Arc<SpanCounts>,
}

/// What became of spans, requests counted.
#[derive(Debug, Default)]
pub struct SpanCounts {
    /// Handed over.
    pub exported: AtomicU64,
    /// Left out since too many waited.
    pub overflowed: AtomicU64,
    /// Given up: the collector was away for too long, or said no.
    pub failed: AtomicU64,
}

// === Tracer ===

impl Tracer {
    /// Where places are given, and who hands the spans over; `None`: no collector is named.
    pub fn new(tracing: &Tracing, counts: Arc<SpanCounts>) -> Option<(Self, Exporter)> {
        if tracing.endpoint.is_empty() {
            return None;
        }
        let (queue, finished) = mpsc::channel(QUEUE);
        let exporter = Exporter::new(tracing, finished, counts.clone());
        Some((Self { sample: tracing.sample, queue, counts }, exporter))
    }

    /// The place of a request with these headers.
    pub(crate) fn place<'h>(
        &self,
        headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
        rng: &mut fastrand::Rng,
    ) -> Place {
        Place::of(headers, self.sample, rng)
    }

    /// What is told of a request that has ended.
    pub(crate) fn tell(&self, summary: &Summary<'_>) {
        let Some(place) = summary.trace.place.as_ref().filter(|place| place.is_sampled) else { return };
        match self.queue.try_reserve() {
            Ok(room) => room.send(Finished::of(summary, place)),
            Err(_) => {
                self.counts.overflowed.fetch_add(1, Relaxed);
            }
        }
    }
}
