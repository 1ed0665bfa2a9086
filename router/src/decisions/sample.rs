//! Decisions to keep, for tests.

use warmlane_picker::{Chain, Criticality, Live, Matches, Profile, Request, Time, Work};

use super::{Made, Refused, Ring, Ticket};
use crate::metrics::Listener;

/// A decision to keep.
#[derive(Default)]
pub(super) struct Sample {
    pub(super) id: Vec<u8>,
    pub(super) id_hash: u64,
    pub(super) chain: Chain,
    pub(super) matches: Matches,
    pub(super) live: Vec<Live>,
    pub(super) profile: Profile,
}

impl Sample {
    pub(super) fn of(id: &str) -> Self {
        Self { id: id.as_bytes().to_vec(), live: vec![Live::default(); 8], ..Self::default() }
    }

    /// One among so many endpoints, each of which has sent this much.
    pub(super) fn among(endpoints: usize, tokens: u64) -> Self {
        let live = Live { sent: Work { prefill_tokens: tokens, ..Work::default() }, ..Live::default() };
        Self { live: vec![live; endpoints], ..Self::default() }
    }

    pub(super) fn request(&self) -> Request<'_> {
        Request {
            model: None,
            prompt_tokens: 0,
            output_tokens: 0,
            criticality: Criticality::Standard,
            prefix: &self.matches,
            session: None,
            group: None,
            offered: None,
            live: &self.live,
        }
    }

    pub(super) fn made<'a>(&'a self, request: &'a Request<'a>) -> Made<'a> {
        Made {
            request_id: &self.id,
            id_hash: self.id_hash,
            listener: Listener::Aware,
            pool: "",
            asked: "",
            chosen: Err(Refused::Shed),
            edition: 0,
            profile: &self.profile,
            session: 0,
            chain: &self.chain,
            tokens_per_block: 0.0,
            request,
            at: Time::ZERO,
            seed: 0,
        }
    }

    pub(super) fn add(&self, ring: &Ring, at: Time) -> Ticket {
        ring.add(Made { at, ..self.made(&self.request()) })
    }
}
