//! One decision, as it is kept.

use std::{sync::Arc, time::Duration};

use warmlane_picker::{Chain, Decision, Live, NoEndpoint, Profile, Source};
use warmlane_replay::{Held, Inputs};

use crate::{metrics::Listener, stage::Stage};

/// Links of a prompt's chain that are kept, to look it up again: all of a prompt of 32 KB, and half a megabyte of a longer one.
const MOST_LINKS: usize = 1_024;

/// Bytes of a request's id that are kept.
pub(super) const MOST_ID: usize = 128;

/// See the module's header. Its buffers are used again by a later one.
#[derive(Clone, Debug)]
pub struct Record {
    /// As the client gave it, or the router made it; no more than 128 bytes of it.
    pub request_id: Vec<u8>,
    /// Hash of all of it.
    pub id_hash: u64,
    /// Who took the request.
    pub listener: Listener,
    /// The pool's name.
    pub pool: String,
    /// The model that the client named; empty: none.
    pub asked: String,
    /// The chosen endpoint's address; empty: nobody was chosen.
    pub endpoint: String,
    /// Why nobody was.
    pub refusal: Option<Refused>,
    /// Prompt tokens that it was believed to hold.
    pub matched_tokens: u64,
    /// Where that was known from.
    pub source: Option<Source>,
    /// Number of the snapshot.
    pub edition: u64,
    /// How it was weighed.
    pub profile: Profile,
    /// Key of the session; 0: none.
    pub session: u64,
    /// The prompt's chain, or the beginning of it.
    pub links: Vec<u64>,
    /// Tokens in a block of its text.
    pub tokens_per_block: f32,
    /// All else that the picker read.
    pub inputs: Inputs,
}

/// Why nobody was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Admission refused the request.
    Shed,
    /// Nobody could serve it.
    NoEndpoint(NoEndpoint),
}

/// What became of a request.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The status that the client got; `None` where none was seen.
    pub status: Option<u16>,
    /// `complete`, or the reason that errors are counted under.
    pub end: &'static str,
    /// Who served it.
    pub served: Served,
    /// From the request's first byte to the answer's first.
    pub first_byte: Option<Duration>,
    /// Bytes that the router passed on; `None` where it carried nothing.
    pub bytes: Option<u64>,
    /// Of them, on the kernel lane.
    pub lane_bytes: u64,
    /// Time in each stage.
    pub spent: [Duration; Stage::ALL.len()],
}

/// Who served a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Served {
    /// Nobody, or nobody told.
    Nobody,
    /// This one: the chosen one, or another since that one failed.
    By(Arc<str>),
}

// === Record ===

impl Record {
    /// Who was chosen, or why nobody was.
    pub fn choose(&mut self, chosen: Result<(&Decision, &str), Refused>) {
        self.endpoint.clear();
        (self.refusal, self.matched_tokens, self.source) = (None, 0, None);
        match chosen {
            Ok((decision, address)) => {
                self.endpoint.push_str(address);
                (self.matched_tokens, self.source) = (decision.matched_tokens, decision.source);
            }
            Err(refused) => {
                self.inputs.shed = refused == Refused::Shed;
                self.refusal = Some(refused);
            }
        }
    }

    /// Keeps the chain of the prompt.
    pub fn chain(&mut self, chain: &Chain) {
        let links = chain.links();
        self.links.clear();
        self.links.extend_from_slice(&links[..links.len().min(MOST_LINKS)]);
    }

    /// Whose it is. Of a long id the beginning is kept, and a hash of all of it.
    pub fn name(&mut self, id: &[u8], hash: u64) {
        self.id_hash = hash;
        self.request_id.clear();
        self.request_id.extend_from_slice(&id[..id.len().min(MOST_ID)]);
    }

    /// Bytes that its buffers take, with the room in them.
    pub fn bytes(&self) -> usize {
        let Inputs { model, held, offered, live, .. } = &self.inputs;
        let texts = self.request_id.capacity()
            + self.pool.capacity()
            + self.endpoint.capacity()
            + self.asked.capacity();
        texts
            + model.as_ref().map_or(0, String::capacity)
            + self.links.capacity() * size_of::<u64>()
            + held.capacity() * size_of::<Held>()
            + live.capacity() * size_of::<Live>()
            // A bit for each position, and it has no more than there are endpoints.
            + offered.as_ref().map_or(0, |_| live.len().div_ceil(8))
    }
}

impl Default for Record {
    fn default() -> Self {
        Self {
            request_id: Vec::new(),
            id_hash: 0,
            listener: Listener::Aware,
            pool: String::new(),
            asked: String::new(),
            endpoint: String::new(),
            refusal: None,
            matched_tokens: 0,
            source: None,
            edition: 0,
            profile: Profile::default(),
            session: 0,
            links: Vec::new(),
            tokens_per_block: 0.0,
            inputs: Inputs::default(),
        }
    }
}
