//! The inputs of a decision, as a file keeps them. Times are nanoseconds; sets are lists of numbers.

use serde::{Deserialize, Serialize};
use warmlane_api::admin::hex;
use warmlane_picker::{Criticality, Group, Live, Slot, Source, Time, Work};

use crate::{Held, Inputs, state::nanos};

/// Where no state says how many endpoints there were: a slot is a `u16`.
const MOST_ENDPOINTS: usize = 1 << 16;

/// See the module's header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recorded {
    at_ns: u64,
    /// More digits than a JSON number is sure to keep: hexadecimal.
    seed: String,
    model: Option<String>,
    prompt_tokens: u64,
    output_tokens: u64,
    criticality: String,
    tokens_per_block: f32,
    /// Slot, blocks of the prompt, and whether its engine says so itself.
    held: Vec<(u16, u32, bool)>,
    session: Option<u16>,
    group: Option<RecordedGroup>,
    offered: Option<Vec<usize>>,
    live: Vec<RecordedLive>,
    shed: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct RecordedGroup {
    id: String,
    blocks: u32,
    pinned: Vec<u16>,
}

/// In flight, pending and unstreamed prompt tokens, KV tokens reserved, in flight for the same adapter, adapters; then requests,
/// prompt tokens and KV tokens sent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct RecordedLive(u32, u64, u64, u64, u32, u32, u64, u64, u64);

// === Recorded ===

impl Recorded {
    pub(crate) fn of(inputs: &Inputs) -> Self {
        let held = |held: &Held| (held.slot.0, held.blocks, held.source == Source::Events);
        Self {
            at_ns: nanos(inputs.at),
            seed: hex(inputs.seed),
            model: inputs.model.clone(),
            prompt_tokens: inputs.prompt_tokens,
            output_tokens: inputs.output_tokens,
            criticality: inputs.criticality.name().to_owned(),
            tokens_per_block: inputs.tokens_per_block,
            held: inputs.held.iter().map(held).collect(),
            session: inputs.session.map(|slot| slot.0),
            group: inputs.group.as_ref().map(RecordedGroup::of),
            offered: inputs.offered.as_ref().map(|offered| offered.positions().collect()),
            live: inputs.live.iter().map(RecordedLive::of).collect(),
            shed: inputs.shed,
        }
    }

    /// What was offered that no pool of so many endpoints has. A set is as large as its highest position, so nothing
    /// beyond may reach it.
    pub(crate) fn offered_beyond(&self, endpoints: usize) -> Option<usize> {
        self.offered.iter().flatten().copied().find(|position| *position >= endpoints)
    }

    /// The inputs again; `None` where a number or a name in them is none.
    pub(crate) fn inputs(&self) -> Option<Inputs> {
        let held = |(slot, blocks, told): &(u16, u32, bool)| {
            let source = if *told { Source::Events } else { Source::History };
            Held { slot: Slot(*slot), blocks: *blocks, source }
        };
        let possible = |position: &usize| *position < MOST_ENDPOINTS;
        let group = match &self.group {
            None => None,
            Some(group) => Some(group.group()?),
        };
        Some(Inputs {
            at: Time::from_nanos(self.at_ns),
            seed: u64::from_str_radix(&self.seed, 16).ok()?,
            model: self.model.clone(),
            prompt_tokens: self.prompt_tokens,
            output_tokens: self.output_tokens,
            criticality: criticality(&self.criticality)?,
            held: self.held.iter().map(held).collect(),
            tokens_per_block: self.tokens_per_block,
            session: self.session.map(Slot),
            group,
            offered: self.offered.as_ref().map(|offered| offered.iter().copied().filter(possible).collect()),
            live: self.live.iter().map(|live| live.live()).collect(),
            shed: self.shed,
        })
    }
}

fn criticality(name: &str) -> Option<Criticality> {
    let all = [Criticality::Sheddable, Criticality::Standard, Criticality::Critical];
    all.into_iter().find(|criticality| criticality.name() == name)
}

// === RecordedGroup ===

impl RecordedGroup {
    fn of(group: &Group) -> Self {
        let pinned = group.replicas().map(|slot| slot.0).collect();
        Self { id: hex(group.id), blocks: group.blocks, pinned }
    }

    fn group(&self) -> Option<Group> {
        let id = u64::from_str_radix(&self.id, 16).ok()?;
        Some(Group::seen(id, self.blocks, self.pinned.iter().copied().map(Slot)))
    }
}

// === RecordedLive ===

impl RecordedLive {
    fn of(live: &Live) -> Self {
        let Live {
            in_flight,
            pending_prefill,
            unstreamed_prefill,
            reserved_kv,
            same_adapter,
            adapters,
            sent,
        } = *live;
        let Work { requests, prefill_tokens, kv_tokens } = sent;
        Self(
            in_flight,
            pending_prefill,
            unstreamed_prefill,
            reserved_kv,
            same_adapter,
            adapters,
            requests,
            prefill_tokens,
            kv_tokens,
        )
    }

    fn live(self) -> Live {
        Live {
            in_flight: self.0,
            pending_prefill: self.1,
            unstreamed_prefill: self.2,
            reserved_kv: self.3,
            same_adapter: self.4,
            adapters: self.5,
            sent: Work { requests: self.6, prefill_tokens: self.7, kv_tokens: self.8 },
        }
    }
}
