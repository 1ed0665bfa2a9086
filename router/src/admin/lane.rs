//! `/debug/lane`: the kernel lane, whether it is on and why not, and every way that messages took.

use std::collections::BTreeMap;

use warmlane_api::admin;

use crate::{kernel::Counts, world::World};

/// The page.
pub(super) fn page(world: &World) -> admin::Lane {
    let (lane, programs) = (&world.lane, world.lane.programs());
    let (pods, clients) = lane.connections();
    let counts = lane.counts();
    admin::Lane {
        on: lane.why_off().is_none(),
        mode: lane.mode().to_string(),
        remote: lane.is_remote(),
        why_off: lane.why_off().map(str::to_owned),
        object: programs.as_ref().map(|(path, _)| path.display().to_string()),
        programs: programs.map(|(_, numbers)| numbers).unwrap_or_default(),
        pods,
        clients,
        handed_over: counts.as_ref().map(Counts::handed_over_rows).map(named),
        counts: counts.as_ref().map(Counts::rows).map(named),
    }
}

fn named(rows: Vec<(&'static str, u64)>) -> BTreeMap<String, u64> {
    rows.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
}
