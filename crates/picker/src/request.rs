//! What a request asks for, and what the router itself knows of each endpoint at this instant.

use crate::{Criticality, Group, Matches, Slot, snapshot::SlotSet};

/// Work sent to an endpoint, as running totals that never fall: the difference of two readings is what was
/// sent between them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Requests sent.
    pub requests: u64,
    /// Prompt tokens sent that the endpoint did not hold already.
    pub prefill_tokens: u64,
    /// KV tokens that the sent requests are expected to fill: prompt and output.
    pub kv_tokens: u64,
}

/// The router's own view of one endpoint: no scrape, no delay. One per endpoint of the snapshot, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// Requests of this router that the endpoint has not finished.
    pub in_flight: u32,
    /// Prompt tokens of streamed requests whose first byte has not come back.
    pub pending_prefill: u64,
    /// Prompt tokens of requests in flight that are not streamed: nothing tells when they are computed.
    pub unstreamed_prefill: u64,
    /// KV tokens that requests in flight are expected to hold at their end.
    pub reserved_kv: u64,
    /// Requests in flight for the adapter this request asks for.
    pub same_adapter: u32,
    /// Different adapters that requests in flight ask for; only counted for a request that asks for one.
    pub adapters: u32,
    /// Running totals.
    pub sent: Work,
}

/// One request, as the picker needs it.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Model or adapter name. `None`: not an inference call; any ready endpoint will do.
    pub model: Option<&'a str>,
    /// Prompt length in tokens (estimated from its bytes unless tokens were sent).
    pub prompt_tokens: u64,
    /// Output length in tokens to reckon with.
    pub output_tokens: u64,
    /// How important it is.
    pub criticality: Criticality,
    /// How many prompt tokens each endpoint is believed to hold.
    pub prefix: &'a Matches,
    /// The endpoint that the request's session is pinned to.
    pub session: Option<Slot>,
    /// The prefix group it belongs to, with the endpoints it is pinned to.
    pub group: Option<&'a Group>,
    /// Positions it may go to. `None`: everywhere.
    pub offered: Option<&'a SlotSet>,
    /// One per endpoint of the snapshot, in the same order. Shorter slices read as idle.
    pub live: &'a [Live],
}

// === Work ===

impl Work {
    /// What was sent after `mark` was taken.
    pub fn since(self, mark: Work) -> Work {
        Work {
            requests: self.requests.saturating_sub(mark.requests),
            prefill_tokens: self.prefill_tokens.saturating_sub(mark.prefill_tokens),
            kv_tokens: self.kv_tokens.saturating_sub(mark.kv_tokens),
        }
    }
}
