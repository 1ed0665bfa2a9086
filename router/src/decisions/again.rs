//! A request that was decided, as it would be asked now.

use std::sync::Arc;

use warmlane_picker::{Profile, SlotSet, Snapshot};
use warmlane_replay::Inputs;

use super::Record;
use crate::{
    chooser::{Chooser, Scratch},
    path::adapter,
    world::Edition,
};

/// Why a request cannot be asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// Nobody is in it.
    #[error("its pool is gone")]
    Pool,
    /// What it was offered is kept by places in a snapshot, and an endpoint's number may be another's by now.
    #[error(
        "it could go to a part of the pool only, and the snapshot that says to which part is no longer kept"
    )]
    Offered,
}

/// What the same request would be decided by now. Of a prompt longer than what is kept of its chain, only that beginning is
/// looked up.
///
/// # Errors
/// Where too little of it is left.
pub fn again(chooser: &Chooser, record: &Record) -> Result<(Arc<Edition>, Profile, Inputs), Lost> {
    let world = &chooser.world;
    let pool = world.pools.named(&record.pool).ok_or(Lost::Pool)?;
    let (snapshot, profile, now) = (pool.snapshot().clone(), pool.rules().profile, world.now());
    let Scratch { live, holders } = &mut *chooser.scratch.borrow_mut();
    let adapter = record.inputs.model.as_deref().and_then(|model| adapter(&snapshot, model));
    world.ledger.read(&snapshot, adapter.map_or(0, |name| world.hash(name.as_bytes())), live);
    if profile.strategy.needs_prefix() {
        holders.find_links(world, &record.links, record.tokens_per_block);
    } else {
        holders.nobody();
    }
    let group = world.groups.find(holders.chain(), now);
    let session = Some(record.session).filter(|key| *key != 0).and_then(|key| world.pins.get(key, now));
    let offered = match &record.inputs.offered {
        None => None,
        Some(offered) => {
            let old = world.pools.edition(record.edition).ok_or(Lost::Offered)?;
            Some(still_offered(offered, &old, &snapshot))
        }
    };
    let request = warmlane_picker::Request {
        prefix: holders.matches(),
        session,
        group: group.as_ref(),
        offered: offered.as_ref(),
        live,
        model: record.inputs.model.as_deref(),
        prompt_tokens: record.inputs.prompt_tokens,
        output_tokens: record.inputs.output_tokens,
        criticality: record.inputs.criticality,
    };
    let inputs = Inputs::of(&request, now, chooser.rng.borrow_mut().u64(..));
    Ok((snapshot, profile, inputs))
}

/// Those of the old snapshot's endpoints that are in the new one, by their places there.
fn still_offered(offered: &SlotSet, old: &Snapshot, new: &Snapshot) -> SlotSet {
    let is_offered = |slot| old.position(slot).is_some_and(|position| offered.contains(position));
    let still = new.endpoints().iter().enumerate().filter(|(_, endpoint)| is_offered(endpoint.slot));
    still.map(|(position, _)| position).collect()
}
