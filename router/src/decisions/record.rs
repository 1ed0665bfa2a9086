//! One decision: as it is made, and as somebody reads it.

use std::{sync::Arc, time::Duration};

use warmlane_picker::{Chain, Decision, NoEndpoint, Profile, Request, Source, Time};
use warmlane_replay::Inputs;

use crate::{metrics::Listener, stage::Stage};

/// A decision where it is made: all that is kept of it.
#[derive(Debug)]
pub struct Made<'a> {
    /// As the client gave it, or the router made it; the beginning of it is kept.
    pub request_id: &'a [u8],
    /// Hash of all of a long one; see [`super::id_hash`].
    pub id_hash: u64,
    /// Who took the request.
    pub listener: Listener,
    /// The pool's name.
    pub pool: &'a str,
    /// The model that the client named; empty: none.
    pub asked: &'a str,
    /// Who was chosen, and the address; or why nobody was.
    pub chosen: Result<(&'a Decision, &'a str), Refused>,
    /// Number of the snapshot.
    pub edition: u64,
    /// How it was weighed.
    pub profile: &'a Profile,
    /// Key of the session; 0: none.
    pub session: u64,
    /// The prompt's chain; the beginning of it is kept.
    pub chain: &'a Chain,
    /// Tokens in a block of its text.
    pub tokens_per_block: f32,
    /// What the picker read.
    pub request: &'a Request<'a>,
    /// When.
    pub at: Time,
    /// State of the random generator.
    pub seed: u64,
}

/// A decision as somebody found it.
#[derive(Clone, Debug)]
pub struct Record {
    /// As the client gave it, or the router made it; no more than 128 bytes of it.
    pub request_id: Vec<u8>,
    /// Hash of all of a longer one; else 0.
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
    /// All else that the picker read, but for what the router had under way: see [`super::Seen::inputs`].
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
