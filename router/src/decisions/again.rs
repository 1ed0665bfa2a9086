//! A request that was decided, as it would be asked now.

use std::sync::Arc;

use warmlane_picker::{Profile, SlotSet};
use warmlane_replay::Inputs;

use super::Record;
use crate::{
    chooser::{Chooser, Scratch},
    path::adapter,
    world::Edition,
};

/// What the same request would be decided by now. Of a prompt longer than what is kept of its chain, only that beginning is
/// looked up. `None` where the pool is gone.
pub fn again(chooser: &Chooser, record: &Record) -> Option<(Arc<Edition>, Profile, Inputs)> {
    let world = &chooser.world;
    let pool = world.pools.named(&record.pool)?;
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
    let offered = record.inputs.offered.as_ref().map(|offered| {
        let old = world.pools.edition(record.edition);
        let was = |slot| old.as_ref()?.position(slot);
        let is_offered = |slot| was(slot).is_some_and(|position| offered.contains(position));
        let still = snapshot.endpoints().iter().enumerate().filter(|(_, endpoint)| is_offered(endpoint.slot));
        still.map(|(position, _)| position).collect::<SlotSet>()
    });
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
    Some((snapshot, profile, inputs))
}
