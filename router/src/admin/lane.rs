//! `/debug/lane`: the kernel lane, whether it is on and why not, and every way that messages took.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{kernel::Counts, world::World};

#[derive(Serialize)]
struct Page {
    on: bool,
    /// Which responses may take it.
    mode: String,
    /// Pods on other nodes may take it too.
    remote: bool,
    /// `null` while it is on.
    why_off: Option<String>,
    /// The programs' file.
    object: Option<String>,
    /// The kernel's numbers for the programs.
    programs: Vec<u32>,
    /// Connections to pods that take part now.
    pods: usize,
    /// Of clients.
    clients: usize,
    /// Since the router started; `null` where it was off from the start.
    counts: Option<Map<String, Value>>,
    /// Why the kernel left responses to the router.
    handed_over: Option<Map<String, Value>>,
}

/// The page.
pub(super) fn show(world: &World) -> String {
    let (lane, programs) = (&world.lane, world.lane.programs());
    let (pods, clients) = lane.connections();
    let counts = lane.counts();
    let object = |rows: Vec<(&'static str, u64)>| {
        rows.into_iter().map(|(name, count)| (name.to_owned(), Value::from(count))).collect()
    };
    let page = Page {
        on: lane.why_off().is_none(),
        mode: lane.mode().to_string(),
        remote: lane.is_remote(),
        why_off: lane.why_off().map(str::to_owned),
        object: programs.as_ref().map(|(path, _)| path.display().to_string()),
        programs: programs.map(|(_, numbers)| numbers).unwrap_or_default(),
        pods,
        clients,
        handed_over: counts.as_ref().map(Counts::handed_over_rows).map(object),
        counts: counts.as_ref().map(Counts::rows).map(object),
    };
    // Plain values always become JSON.
    serde_json::to_string(&page).unwrap_or_default() + "\n"
}
