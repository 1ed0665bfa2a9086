//! `/debug/decisions`, `/debug/decisions/ID` and `/debug/explain`: where requests went, and why.
//!
//! No prompt stands in any of them: lengths and hashes only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `GET /debug/decisions`: the latest decisions, newest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Decisions {
    /// Those that were asked for.
    pub decisions: Vec<Decision>,
    /// Decisions that are kept now.
    pub kept: usize,
    /// Where to go on: `?since=` this gives what is newer, each decision once.
    pub cursor: String,
    /// By which it shows whether any were missed; `None` from an older router.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
}

/// How many there were, shown or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Counts {
    /// Decisions of this router since it started, up to the cursor.
    pub made: u64,
    /// Those after the `?since=` that was asked for and up to the cursor that are kept, whether they were asked for or not. Of two
    /// pages, the second since the first, as many were missed as `made` has grown by more than this.
    pub newer: usize,
    /// Those of them that were asked for and are not shown, for the limit.
    pub left_out: usize,
}

/// One decision.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Decision {
    /// Names it, in the order in which decisions were made: 16 hexadecimal digits.
    pub cursor: String,
    /// As the client gave it, or the router made it.
    pub request_id: String,
    /// Time since it was made.
    pub ms_ago: u64,
    /// Which listener took the request: `aware` or `ext_proc`.
    pub listener: String,
    /// The pool picked from.
    pub pool: String,
    /// The model that was picked for: after a rewrite, if there was one. `null`: no inference call.
    pub model: Option<String>,
    /// The model that the client named, where another one was sent on.
    #[serde(default)]
    pub asked_model: Option<String>,
    /// `Critical`, `Standard` or `Sheddable`.
    pub criticality: String,
    /// Length of its prompt, estimated unless tokens were sent.
    pub prompt_tokens: u64,
    /// Length of the answer that was reckoned with.
    pub output_tokens: u64,
    /// `DEFAULT` or `PREFIX_CACHE`.
    pub strategy: String,
    /// Who was chosen; `null` where nobody was.
    pub endpoint: Option<String>,
    /// Why nobody was.
    pub refusal: Option<String>,
    /// Prompt tokens that the endpoint was believed to hold.
    pub matched_tokens: u64,
    /// Where that was known from: `history` or `events`.
    pub matched_by: Option<String>,
    /// The session that it belongs to, as `/debug/pins` names it.
    pub session: Option<String>,
    /// The prefix group that it belongs to, as `/debug/groups` names it.
    pub group: Option<String>,
    /// What became of it; `null` while it is under way.
    #[serde(default)]
    pub outcome: Option<Outcome>,
}

/// What became of a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Outcome {
    /// The status that the client got; `null` where none was seen, since it left before or a gateway does not show it.
    pub status: Option<u16>,
    /// `complete`, or why not.
    pub end: String,
    /// Who served it; another than was chosen where that one failed. `null`: nobody, or nobody told.
    pub endpoint: Option<String>,
    /// Bytes of the answer's payload that the router passed on, by copy or on the kernel lane; `null` where it did not carry the
    /// answer.
    pub bytes: Option<u64>,
    /// Of them, those on the kernel lane.
    pub lane_bytes: u64,
    /// From the request's first byte to the first of the answer's payload.
    pub first_byte_us: Option<u64>,
    /// Time in each stage that it has been in.
    pub stages_us: BTreeMap<String, u64>,
}

/// `GET /debug/decisions/ID` and `POST /debug/explain`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Explanation {
    /// The decision; of several with this id the newest.
    pub decision: Decision,
    /// Other decisions of the same id that are kept.
    #[serde(default)]
    pub others: usize,
    /// The weight of each score.
    pub weights: BTreeMap<String, f32>,
    /// What led to it; `null` where the state that it was made of is no longer kept.
    pub then: Option<Choice>,
    /// The same request weighed by what is known now; `null` of a dry run, which is by what is known now, and where it cannot be said.
    pub now: Option<Choice>,
    /// Why it cannot be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now_unknown: Option<String>,
}

/// Somebody chosen among endpoints, with all that was weighed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Choice {
    /// Who was chosen.
    pub endpoint: Option<String>,
    /// Why nobody was.
    pub refusal: Option<String>,
    /// In one sentence.
    pub why: String,
    /// What the chosen one had ahead of the best other, in points by score, largest first; negative where it was behind.
    pub ahead: Vec<(String, f32)>,
    /// Where to go if it fails, best first.
    pub fallbacks: Vec<String>,
    /// How many had the best total; one of them is chosen at random.
    pub tied: usize,
    /// Soft filters that were set aside because nobody passed them.
    pub relaxed: Vec<String>,
    /// Every endpoint of the pool, best total first and those that were dropped last.
    pub endpoints: Vec<Considered>,
}

/// One endpoint as it was weighed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Considered {
    /// `host:port`.
    pub address: String,
    /// `candidate`, or the filter that dropped it.
    pub verdict: String,
    /// Sum of weight times score; 0 of one that was dropped.
    pub total: f32,
    /// By name, each 0..=1 where 1 is best; zeros of one that was dropped.
    pub scores: BTreeMap<String, f32>,
    /// What the scores of load were made of.
    pub estimate: Estimate,
    /// What its engine had said last, each with its age then.
    pub signals: BTreeMap<String, Stated>,
    /// Requests of this router that it had not finished.
    pub in_flight: u32,
    /// Prompt tokens that it was believed to hold.
    pub matched_tokens: u64,
    /// Where that was known from.
    pub matched_by: Option<String>,
    /// It runs on the router's node.
    pub local: bool,
    /// What was wrong with it.
    pub trouble: Option<String>,
}

/// Load reckoned from the last readings and what was sent since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Estimate {
    /// Requests waiting.
    pub queue: f32,
    /// Share of the KV cache in use once this request is admitted.
    pub kv: f32,
    /// Share of the KV cache that all requests there will hold at their end.
    pub committed: f32,
    /// Work in this request's way, in prompt tokens.
    pub work: f32,
}

/// A value that an engine stated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Stated {
    /// As stated.
    pub value: f32,
    /// How old it was.
    pub age_ms: u64,
}
