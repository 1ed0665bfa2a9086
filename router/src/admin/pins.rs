//! `/debug/pins`: sessions and prefix groups that are pinned, with what the kernel lane carried for each; `/debug/groups`: the
//! groups alone.
//!
//! Shown are those used last. Rows are bounded by `?limit=`, and so is memory: no more than twice as many are held at once. The
//! tables are walked whole, on the control plane's thread: one to five milliseconds for 65,536 sessions, and about ten more for
//! a page of 10,000 rows (`docs/BENCHMARKS.md`).

use warmlane_api::admin::{self, hex};
use warmlane_picker::{GroupPin, Pin, Saved, Slot, Snapshot, Time};

use crate::world::World;

/// Rows of each kind unless asked otherwise.
const ROWS: usize = 100;
/// Most rows of each kind.
const MOST_ROWS: usize = 10_000;

/// How many rows of each kind to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit(usize);

/// The rows that are shown, and how many there are in all.
struct Latest<T> {
    rows: Vec<T>,
    all: usize,
}

/// `/debug/pins`.
pub(super) fn page(world: &World, limit: Limit) -> admin::Pins {
    let (snapshot, now) = (world.snapshot.load(), world.now());
    let sessions = Latest::of(world.pins.each(now), limit, |pin| (pin.idle, pin.session));
    let sessions = admin::Sessions {
        pinned: sessions.all,
        capacity: world.pins.capacity(),
        lifetime_seconds: world.pins.lifetime().as_secs_f64(),
        pins: sessions.rows.iter().map(|pin| session(&snapshot, pin)).collect(),
    };
    admin::Pins { sessions, groups: groups(world, limit).groups }
}

/// `/debug/groups`.
pub(super) fn groups(world: &World, limit: Limit) -> admin::GroupPins {
    let (snapshot, now) = (world.snapshot.load(), world.now());
    let groups = Latest::of(world.groups.each(now), limit, |pin| (pin.idle, pin.id));
    let groups = admin::Groups {
        pinned: groups.all,
        capacity: world.groups.capacity(),
        window_seconds: world.groups.rule().window.as_secs_f64(),
        min_requests: world.groups.rule().min_requests,
        pins: groups.rows.iter().map(|pin| group(&snapshot, pin)).collect(),
    };
    admin::GroupPins { groups }
}

fn session(snapshot: &Snapshot, pin: &Pin) -> admin::Session {
    let endpoint = snapshot.endpoint(pin.slot);
    admin::Session {
        session: hex(pin.session),
        endpoint: endpoint.map(|endpoint| endpoint.address.to_string()),
        local: endpoint.map(|endpoint| endpoint.local),
        idle_seconds: pin.idle.as_secs_f64(),
        lane: carried(pin.saved),
    }
}

fn group(snapshot: &Snapshot, pin: &GroupPin) -> admin::Group {
    let address = |slot: Slot| Some(snapshot.endpoint(slot)?.address.to_string());
    admin::Group {
        group: hex(pin.id),
        endpoints: pin.replicas().filter_map(address).collect(),
        idle_seconds: pin.idle.as_secs_f64(),
        lane: carried(pin.saved),
    }
}

fn carried(saved: Saved) -> admin::Carried {
    admin::Carried { responses: saved.responses, bytes: saved.bytes, wakeups_saved: saved.wakeups }
}

// === Limit ===

impl Limit {
    /// What the query asks for, or why that cannot be had and what can.
    pub(super) fn of(query: Option<&str>) -> Result<Self, String> {
        let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(Self(ROWS)) };
        let limit = query.strip_prefix("limit=").and_then(|limit| limit.parse().ok());
        limit.filter(|limit| *limit <= MOST_ROWS).map(Self).ok_or_else(|| {
            format!(
                "nothing by ?{query}: ask for at most {MOST_ROWS} rows of each kind, for instance by ?limit=500"
            )
        })
    }
}

// === Latest ===

impl<T> Latest<T> {
    /// The rows idle shortest; of those idle equally long the same ones each time.
    fn of(each: impl Iterator<Item = T>, Limit(limit): Limit, order: impl Fn(&T) -> (Time, u64)) -> Self {
        let (mut rows, mut all) = (Vec::new(), 0);
        for row in each {
            all += 1;
            rows.push(row);
            // Thrown out by the half, which costs a few steps per row, whatever the limit.
            if rows.len() > limit * 2 {
                rows.select_nth_unstable_by_key(limit, &order);
                rows.truncate(limit);
            }
        }
        rows.sort_unstable_by_key(&order);
        rows.truncate(limit);
        Self { rows, all }
    }
}

#[cfg(test)]
mod tests;
