//! `/debug/decisions`: what was decided lately; `/debug/decisions/ID`: why; `POST /debug/explain`: what would be decided for a
//! body, and why. Asking changes nothing: no pin, no count, no account.

use warmlane_api::admin::{Choice, Counts, Decision, Decisions, Explanation, Outcome, hex};
use warmlane_picker::{Profile, Snapshot};
use warmlane_replay::{Admit, Asked, Inputs, Refusal, choice, file, weights};

use crate::{
    chooser::Chooser,
    decisions::{self, Found, Record, Refused, Seen, Served, Wanted, again},
    metrics::Label,
    stage::Stage,
    world::World,
};

mod dry_run;
mod query;

pub(super) use dry_run::dry_run;
pub(super) use query::Query;

/// The list.
pub(super) fn list(world: &World, query: &Query) -> Decisions {
    let (Found { seen, left_out, newer, made }, cursor) = query.find(world);
    Decisions {
        decisions: seen.iter().map(|seen| decision(world, seen)).collect(),
        kept: world.decisions.kept(),
        cursor: hex(cursor),
        counts: Some(Counts { made, newer, left_out }),
    }
}

/// The same as a file: see [`warmlane_replay::file`]. Oldest first.
pub(super) fn export(world: &World, query: &Query) -> String {
    let mut writer = file::Writer::default();
    for seen in query.find(world).0.seen.iter().rev() {
        let edition = world.pools.edition(seen.record.edition);
        let state = edition.as_ref().map(|edition| (edition.number(), &***edition));
        writer.add(decision(world, seen), &seen.inputs(), &seen.record.profile, state);
    }
    writer.finish()
}

/// Why the newest decision for a request came out as it did; `None`: none of it is kept.
pub(super) fn explain(chooser: &Chooser, request_id: &[u8]) -> Option<Explanation> {
    let world = &chooser.world;
    let (id, hash) = (decisions::kept_id(request_id), decisions::id_hash(world, request_id));
    // What is shown of a longer id is all that somebody may have of it.
    let is_longer = request_id.len() > id.len();
    let is_it = |record: &Record| {
        record.request_id == id && (record.id_hash == hash || (!is_longer && id.len() == decisions::MOST_ID))
    };
    let found = world.decisions.find(Wanted { since: 0, until: u64::MAX, limit: 1 }, is_it);
    let seen = found.seen.first()?;
    let record = &seen.record;
    let inputs = seen.inputs();
    let then = world.pools.edition(record.edition).map(|edition| {
        choice(Asked {
            profile: &record.profile,
            snapshot: &edition,
            inputs: &inputs,
            admission: Admit::AsThen,
        })
    });
    let now = again(chooser, record).map(|(edition, profile, inputs)| judged(&profile, &edition, &inputs));
    let now_unknown = now.as_ref().err().map(ToString::to_string);
    Some(Explanation {
        decision: decision(world, seen),
        others: found.left_out,
        weights: weights(&record.profile.weights),
        then,
        now: now.ok(),
        now_unknown,
    })
}

/// What is decided by what is known now, admission included.
fn judged(profile: &Profile, snapshot: &Snapshot, inputs: &Inputs) -> Choice {
    choice(Asked { profile, snapshot, inputs, admission: Admit::Anew })
}

/// One row.
fn decision(world: &World, seen: &Seen) -> Decision {
    let record = &seen.record;
    let age = world.now().saturating_sub(decisions::made_at(seen.number));
    Decision {
        cursor: hex(seen.number),
        request_id: shown(&record.request_id),
        ms_ago: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
        listener: record.listener.name().to_owned(),
        pool: record.pool.clone(),
        endpoint: Some(record.endpoint.clone()).filter(|endpoint| !endpoint.is_empty()),
        refusal: record.refusal.as_ref().map(refusal),
        asked_model: Some(record.asked.clone())
            .filter(|asked| Some(asked) != record.inputs.model.as_ref() && !asked.is_empty()),
        session: Some(record.session).filter(|session| *session != 0).map(kept),
        matched_tokens: record.matched_tokens,
        matched_by: record.source.map(|source| source.name().to_owned()),
        outcome: seen.outcome.as_ref().map(outcome),
        ..asked(&record.profile, &record.inputs)
    }
}

/// What a row says of the request itself.
fn asked(profile: &Profile, inputs: &Inputs) -> Decision {
    Decision {
        model: inputs.model.clone(),
        criticality: inputs.criticality.name().to_owned(),
        prompt_tokens: inputs.prompt_tokens,
        output_tokens: inputs.output_tokens,
        strategy: profile.strategy.name().to_owned(),
        group: inputs.group.map(|group| kept(group.id)),
        ..Decision::default()
    }
}

fn refusal(refused: &Refused) -> String {
    match refused {
        Refused::Shed => Refusal::Shed,
        Refused::NoEndpoint(none) => Refusal::NoEndpoint(none.clone()),
    }
    .to_string()
}

fn outcome(outcome: &decisions::Outcome) -> Outcome {
    let spent = Stage::ALL.into_iter().zip(outcome.spent).filter(|(_, spent)| !spent.is_zero());
    let micros = |spent: std::time::Duration| u64::try_from(spent.as_micros()).unwrap_or(u64::MAX);
    Outcome {
        status: outcome.status,
        end: outcome.end.to_owned(),
        endpoint: match &outcome.served {
            Served::Nobody => None,
            Served::By(address) => Some(address.to_string()),
        },
        bytes: outcome.bytes,
        lane_bytes: outcome.lane_bytes,
        first_byte_us: outcome.first_byte.map(micros),
        stages_us: spent.map(|(stage, spent)| (stage.name().to_owned(), micros(spent))).collect(),
    }
}

/// A key as the pages of pins show it.
fn kept(key: u64) -> String {
    hex(decisions::kept_key(key))
}

/// An id as text: of bytes that are none, percent signs, by which it can be asked for.
fn shown(id: &[u8]) -> String {
    let mut text = String::with_capacity(id.len());
    for chunk in id.utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| text += &format!("%{byte:02x}"));
    }
    text
}
