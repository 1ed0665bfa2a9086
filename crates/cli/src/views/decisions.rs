//! `decisions` and `watch`: decisions a line each.

use warmlane_api::admin::{Decision, Decisions, Outcome};

use super::View;
use crate::{
    screen::{Screen, Tone},
    table::{Cell, Column, Table, column},
    units,
};

const COLUMNS: [Column; 12] = [
    column("AGO", 2),
    column("REQUEST", 1).long(12),
    column("WENT TO", 0).long(14),
    column("STATUS", 1).right(),
    column("FIRST BYTE", 2).right(),
    column("MODEL", 3).long(8),
    column("PROMPT", 3).right(),
    column("HELD", 3).right(),
    column("BY", 4),
    column("PIN", 4),
    column("LISTENER", 6).wide(),
    column("POOL", 5).long(8).wide(),
];

impl View for Decisions {
    fn draw(&self, screen: Screen, wide: bool) -> String {
        if self.decisions.is_empty() {
            return "no decision is kept that fits; the plain listener decides nothing\n".to_owned();
        }
        table(&self.decisions).draw(screen, wide)
    }
}

/// Widths of [`COLUMNS`] that rows which come one after the other fit into, mostly.
const STEADY: [usize; 12] = [5, 32, 21, 6, 10, 12, 7, 7, 7, 7, 8, 12];

/// The same below others that came before.
pub(crate) fn lines(decisions: &[Decision]) -> Table {
    table(decisions).at_least(&STEADY)
}

/// A row each.
fn table(decisions: &[Decision]) -> Table {
    Table::new(&COLUMNS).with(decisions.iter().map(row))
}

fn row(decision: &Decision) -> Vec<Cell> {
    let outcome = decision.outcome.as_ref();
    let went = match (&decision.endpoint, &decision.refusal) {
        (Some(endpoint), _) => Cell::new(endpoint),
        (None, refusal) => Cell::new(refusal.as_deref().unwrap_or("nowhere")).toned(Tone::Bad),
    };
    let status = match outcome {
        None => Cell::new("..").toned(Tone::Faint),
        Some(Outcome { status: Some(status), end, .. }) if end == "complete" => Cell::new(status.to_string()),
        Some(Outcome { status: Some(status), end, .. }) => {
            Cell::new(format!("{status} {end}")).toned(Tone::Warn)
        }
        Some(Outcome { status: None, end, .. }) => Cell::new(end).toned(Tone::Warn),
    };
    let first_byte = outcome.and_then(|outcome| outcome.first_byte_us);
    let pin = match (&decision.session, &decision.group) {
        (Some(_), _) => Some("session"),
        (None, Some(_)) => Some("group"),
        (None, None) => None,
    };
    vec![
        Cell::new(units::millis(decision.ms_ago)),
        Cell::id(&decision.request_id),
        went,
        status,
        Cell::maybe(first_byte.map(|us| units::millis(us / 1_000))),
        Cell::maybe(decision.model.as_deref()),
        Cell::new(units::count(decision.prompt_tokens)),
        Cell::new(units::count(decision.matched_tokens)),
        Cell::maybe(decision.matched_by.as_deref()),
        Cell::maybe(pin),
        Cell::new(&decision.listener),
        Cell::new(&decision.pool),
    ]
}
