//! `pins` and `groups`: what stays where, and what the kernel lane carried for it.

use warmlane_api::admin::{Carried, Group, GroupPins, Pins, Session};

use super::{View, hang};
use crate::{
    screen::{Screen, Tone},
    table::{Cell, Column, Table, column},
    units,
};

const SESSIONS: [Column; 7] = [
    column("SESSION", 0),
    column("ENDPOINT", 0).long(21),
    column("LOCAL", 2),
    column("IDLE", 1).right(),
    column("LANE BYTES", 3).right(),
    column("RESPONSES", 4).right(),
    column("WAKEUPS SAVED", 4).right(),
];

const GROUPS: [Column; 6] = [
    column("GROUP", 0),
    column("ENDPOINTS", 0).long(21),
    column("IDLE", 1).right(),
    column("LANE BYTES", 3).right(),
    column("RESPONSES", 4).right(),
    column("WAKEUPS SAVED", 4).right(),
];

impl View for Pins {
    fn draw(&self, screen: Screen, wide: bool) -> String {
        let sessions = &self.sessions;
        let summary = summary("sessions", sessions.pinned, sessions.capacity, sessions.pins.len());
        let rule = format!("one idle for {} is forgotten", units::seconds(sessions.lifetime_seconds));
        let text = hang(screen, "", Tone::Plain, &format!("{summary}; {rule}"));
        if sessions.pins.is_empty() {
            return text;
        }
        text + &Table::new(&SESSIONS).with(sessions.pins.iter().map(session)).draw(screen, wide)
    }
}

impl View for GroupPins {
    fn draw(&self, screen: Screen, wide: bool) -> String {
        let groups = &self.groups;
        let summary = summary("prefix groups", groups.pinned, groups.capacity, groups.pins.len());
        let window = units::seconds(groups.window_seconds);
        let rule = match groups.min_requests {
            0 => format!("requests within {window} make one and keep it"),
            least => format!("{least} requests within {window} that begin alike make one, and keep it"),
        };
        let text = hang(screen, "", Tone::Plain, &format!("{summary}; {rule}"));
        if groups.pins.is_empty() {
            return text;
        }
        text + &Table::new(&GROUPS).with(groups.pins.iter().map(group)).draw(screen, wide)
    }
}

fn summary(what: &str, pinned: usize, capacity: usize, shown: usize) -> String {
    let (all, room) = (units::count(pinned as u64), units::count(capacity as u64));
    let part = if shown < pinned && shown > 0 { format!(", the last {shown} shown") } else { String::new() };
    format!("{what} pinned: {all}{part}; room for {room}")
}

fn session(session: &Session) -> Vec<Cell> {
    let mut row = vec![
        Cell::new(&session.session),
        Cell::maybe(session.endpoint.as_deref()),
        session.local.map_or_else(Cell::none, Cell::truth),
        Cell::new(units::seconds(session.idle_seconds)),
    ];
    row.extend(carried(session.lane));
    row
}

fn group(group: &Group) -> Vec<Cell> {
    let mut row = vec![
        Cell::new(&group.group),
        Cell::list(&group.endpoints),
        Cell::new(units::seconds(group.idle_seconds)),
    ];
    row.extend(carried(group.lane));
    row
}

fn carried(lane: Carried) -> [Cell; 3] {
    [
        Cell::new(units::bytes(lane.bytes)),
        Cell::new(units::count(lane.responses)),
        Cell::new(units::count(lane.wakeups_saved)),
    ]
}
