//! `lane`: whether the kernel lane is on, and which ways messages took.

use std::collections::BTreeMap;

use warmlane_api::admin::Lane;

use super::{View, hang};
use crate::{
    clean::clean,
    screen::{Screen, Tone},
    table::{Cell, Table, column},
    units,
};

impl View for Lane {
    fn draw(&self, screen: Screen, wide: bool) -> String {
        let (tone, state) = match &self.why_off {
            None => (Tone::Good, format!("on for {} responses", self.mode)),
            Some(why) => (Tone::Warn, format!("off, responses are copied: {why}")),
        };
        let nodes = if self.remote { "on this and other nodes" } else { "on this node" };
        let mut text = hang(screen, "lane      ", tone, &clean(&state));
        if self.on {
            text += &hang(screen, "pods      ", Tone::Plain, nodes);
            let now = format!("{} to pods, {} of clients", self.pods, self.clients);
            text += &hang(screen, "now       ", Tone::Plain, &now);
        }
        if let Some(object) = self.object.as_ref().filter(|_| wide) {
            let numbers: Vec<String> = self.programs.iter().map(u32::to_string).collect();
            let programs = format!("{} of {object}", numbers.join(" "));
            text += &hang(screen, "programs  ", Tone::Plain, &clean(&programs));
        }
        text += &counts(screen, "COUNT", self.counts.as_ref(), wide);
        text + &counts(screen, "LEFT TO THE ROUTER", self.handed_over.as_ref(), wide)
    }
}

/// Those that are not zero; `wide`: all.
fn counts(screen: Screen, head: &'static str, counts: Option<&BTreeMap<String, u64>>, wide: bool) -> String {
    let rows = counts.into_iter().flatten().filter(|(_, count)| wide || **count > 0);
    let rows: Vec<Vec<Cell>> =
        rows.map(|(name, count)| vec![Cell::new(name), Cell::new(units::count(*count))]).collect();
    if rows.is_empty() {
        return String::new();
    }
    let columns = [column(head, 0).long(12), column("SINCE START", 1).right()];
    format!("\n{}", Table::new(&columns).with(rows).draw(screen, wide))
}
