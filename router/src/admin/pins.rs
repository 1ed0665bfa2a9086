//! `/debug/pins`: sessions and prefix groups that are pinned, with what the kernel lane carried for each.
//!
//! Shown are those used last. Rows are bounded by `?limit=`, and so is memory: no more than twice as many are held at once. The
//! tables are walked whole, on the control plane's thread: one to five milliseconds for 65,536 sessions, and about ten more for
//! a page of 10,000 rows (`docs/BENCHMARKS.md`).

use serde::Serialize;
use warmlane_picker::{GroupPin, Pin, Saved, Slot, Snapshot, Time};

use super::pages;
use crate::world::World;

/// Rows of each kind unless asked otherwise.
const ROWS: usize = 100;
/// Most rows of each kind.
const MOST_ROWS: usize = 10_000;

/// How many rows of each kind to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit(usize);

#[derive(Serialize)]
struct Page<'s> {
    sessions: Sessions<'s>,
    groups: Groups<'s>,
}

#[derive(Serialize)]
struct Sessions<'s> {
    /// In all, shown or not.
    pinned: usize,
    capacity: usize,
    lifetime_seconds: f64,
    pins: Vec<Session<'s>>,
}

#[derive(Serialize)]
struct Session<'s> {
    session: String,
    /// `null`: it left the pool just now.
    endpoint: Option<&'s str>,
    local: Option<bool>,
    idle_seconds: f64,
    lane: Lane,
}

#[derive(Serialize)]
struct Groups<'s> {
    /// In all, shown or not.
    pinned: usize,
    capacity: usize,
    window_seconds: f64,
    pins: Vec<Group<'s>>,
}

#[derive(Serialize)]
struct Group<'s> {
    group: String,
    endpoints: Vec<&'s str>,
    idle_seconds: f64,
    lane: Lane,
}

/// What the kernel lane carried.
#[derive(Serialize)]
struct Lane {
    responses: u64,
    bytes: u64,
    wakeups_saved: u64,
}

/// The rows that are shown, and how many there are in all.
struct Latest<T> {
    rows: Vec<T>,
    all: usize,
}

/// The page.
pub(super) fn show(world: &World, limit: Limit) -> String {
    let (snapshot, now) = (world.snapshot.load(), world.now());
    let sessions = Latest::of(world.pins.each(now), limit, |pin| (pin.idle, pin.session));
    let groups = Latest::of(world.groups.each(now), limit, |pin| (pin.idle, pin.id));
    let page = Page {
        sessions: Sessions {
            pinned: sessions.all,
            capacity: world.pins.capacity(),
            lifetime_seconds: world.pins.lifetime().as_secs_f64(),
            pins: sessions.rows.iter().map(|pin| session(&snapshot, pin)).collect(),
        },
        groups: Groups {
            pinned: groups.all,
            capacity: world.groups.capacity(),
            window_seconds: world.groups.rule().window.as_secs_f64(),
            pins: groups.rows.iter().map(|pin| group(&snapshot, pin)).collect(),
        },
    };
    pages::json(&page)
}

fn session<'s>(snapshot: &'s Snapshot, pin: &Pin) -> Session<'s> {
    let endpoint = snapshot.endpoint(pin.slot);
    Session {
        session: hex(pin.session),
        endpoint: endpoint.map(|endpoint| &*endpoint.address),
        local: endpoint.map(|endpoint| endpoint.local),
        idle_seconds: pin.idle.as_secs_f64(),
        lane: pin.saved.into(),
    }
}

fn group<'s>(snapshot: &'s Snapshot, pin: &GroupPin) -> Group<'s> {
    let address = |slot: Slot| Some(&*snapshot.endpoint(slot)?.address);
    Group {
        group: hex(pin.id),
        endpoints: pin.replicas().filter_map(address).collect(),
        idle_seconds: pin.idle.as_secs_f64(),
        lane: pin.saved.into(),
    }
}

/// As text: more digits than a JSON number is sure to keep.
fn hex(key: u64) -> String {
    format!("{key:016x}")
}

// === Limit ===

impl Limit {
    /// What the query asks for, or why that cannot be had and what can.
    pub(super) fn of(query: Option<&str>) -> Result<Self, String> {
        let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(Self(ROWS)) };
        let limit = query.strip_prefix("limit=").and_then(|limit| limit.parse().ok());
        limit.filter(|limit| *limit <= MOST_ROWS).map(Self).ok_or_else(|| {
            format!(
                "nothing by ?{query}: ask for at most {MOST_ROWS} sessions and as many groups, for instance by ?limit=500"
            )
        })
    }
}

// === Lane ===

impl From<Saved> for Lane {
    fn from(saved: Saved) -> Self {
        Self { responses: saved.responses, bytes: saved.bytes, wakeups_saved: saved.wakeups }
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
