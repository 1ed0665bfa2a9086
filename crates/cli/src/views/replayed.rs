//! `replay`: what recorded decisions come to by another profile.

use super::{View, hang};
use crate::{
    clean::clean,
    replay::Replayed,
    screen::{Screen, Tone},
    table::{Cell, Column, Table, column},
    units,
};

const SPREAD: [Column; 5] = [
    column("ENDPOINT", 0).long(14),
    column("RECORDED", 1).right(),
    column("REPLAYED", 0).right(),
    column("HELD THEN", 2).right(),
    column("HELD NOW", 2).right(),
];
const MOVES: [Column; 4] = [
    column("REQUEST", 0).long(12),
    column("RECORDED", 0).long(14),
    column("REPLAYED", 0).long(14),
    column("BECAUSE", 1).long(20),
];
/// Moves that are listed unless more is asked for.
const LISTED: usize = 10;

impl View for Replayed {
    fn draw(&self, screen: Screen, wide: bool) -> String {
        if self.decisions == 0 {
            return hang(screen, "replayed  ", Tone::Bad, &self.nothing());
        }
        let same = self.decisions - self.moved.len();
        let mut summary =
            format!("{} decisions, {same} as recorded, {} elsewhere", self.decisions, self.moved.len());
        if self.stateless > 0 {
            summary += &format!("; {} more were kept without their state and are left out", self.stateless);
        }
        let tone = if self.is_yes() { Tone::Good } else { Tone::Warn };
        let mut text = hang(screen, "replayed  ", tone, &summary);
        let profile = clean(&self.profile).into_owned();
        text += &hang(screen, "weighed   ", Tone::Plain, &profile);
        let rows = self.endpoints.iter().map(|endpoint| {
            vec![
                Cell::new(&endpoint.address),
                Cell::new(units::count(endpoint.recorded)),
                Cell::new(units::count(endpoint.replayed)),
                Cell::new(units::count(endpoint.held_recorded)),
                Cell::new(units::count(endpoint.held_replayed)),
            ]
        });
        text += &format!("\n{}", Table::new(&SPREAD).with(rows).draw(screen, wide));
        let listed = if wide { self.moved.len() } else { LISTED.min(self.moved.len()) };
        if listed > 0 {
            let rows = self.moved[..listed].iter().map(|moved| {
                vec![
                    Cell::id(&moved.request_id),
                    Cell::maybe(moved.recorded.as_deref()),
                    Cell::maybe(moved.replayed.as_deref()),
                    Cell::new(&moved.why),
                ]
            });
            text += &format!("\n{}", Table::new(&MOVES).with(rows).draw(screen, wide));
        }
        if listed < self.moved.len() {
            let rest = format!("({} more with -o wide)", self.moved.len() - listed);
            text += &(screen.paint(Tone::Faint, &rest) + "\n");
        }
        text
    }

    fn is_yes(&self) -> bool {
        self.decisions > 0 && (self.changed_profile || self.moved.is_empty())
    }
}

impl Replayed {
    /// Why nothing was made again.
    fn nothing(&self) -> String {
        match self.stateless {
            0 => "nothing: the file has no decision".to_owned(),
            all => format!("nothing: all decisions of the file, {all}, were kept without their state"),
        }
    }
}
