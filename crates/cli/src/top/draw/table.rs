//! The table of replicas: those that are seen, and the columns that there is room for.

use ratatui::{layout::Rect, style::Modifier};

use super::canvas::Canvas;
use crate::{
    screen::Tone,
    table::fit,
    top::{column::Column, state::Top},
};

/// Before the row that is selected, which terminals without colours know it by.
const MARK: &str = "> ";
const GAP: usize = 2;

/// A column that is drawn.
struct Place {
    column: Column,
    x: u16,
    width: u16,
}

/// Draws it into this part of the screen, with the selected row in it.
pub(super) fn draw(canvas: &mut Canvas<'_>, top: &mut Top, area: Rect) {
    let places = places(top, area.width.into());
    // With one line alone, rows say more than what they are called.
    let heads = u16::from(area.height > 1);
    if heads > 0 {
        draw_heads(canvas, top, &places, area.y);
    }
    top.page = usize::from(area.height.saturating_sub(heads)).max(1);
    top.first = top.first.clamp((top.at + 1).saturating_sub(top.page), top.at);
    top.first = top.first.min(top.shown.len().saturating_sub(top.page));
    if top.shown.is_empty() {
        let text = match (top.taken, top.filter.is_empty()) {
            (None, _) => "",
            (Some(_), true) => "no replica; `warmlane pools` says which pools there are and what they lack",
            (Some(_), false) => "no replica fits the filter",
        };
        canvas.put((area.x, area.y + heads), area.width, text, Tone::Faint);
    }
    let seen =
        top.shown.iter().enumerate().skip(top.first).take(usize::from(area.height.saturating_sub(heads)));
    for (y, (place, at)) in (area.y + heads..).zip(seen) {
        for Place { column, x, width } in &places {
            let cell = column.cell(&top.rows[*at], canvas.look, usize::from(*width));
            if column.is_right() {
                canvas.put_right((*x, y), *width, cell.text(), cell.tone());
            } else {
                canvas.put((*x, y), *width, cell.text(), cell.tone());
            }
        }
        if place == top.at {
            canvas.put((area.x, y), area.width, MARK, Tone::Plain);
            canvas.tint(y, canvas.look.chosen());
        }
    }
}

fn places(top: &Top, width: usize) -> Vec<Place> {
    let room = width.saturating_sub(MARK.len());
    let spaces = Column::ALL.map(|column| column.space(top.longest_address, width));
    let mut x = MARK.len();
    let mut places = Vec::new();
    for (column, width) in Column::ALL.into_iter().zip(fit(&spaces, Some(room))) {
        if let Some(width) = width {
            places.push(Place { column, x: x as u16, width: width as u16 });
            x += width + GAP;
        }
    }
    places
}

fn draw_heads(canvas: &mut Canvas<'_>, top: &Top, places: &[Place], y: u16) {
    for Place { column, x, width } in places {
        let before = canvas.area.right().saturating_sub(*x).min(*width);
        if column.is_right() {
            canvas.put_right((*x, y), *width, column.head(), Tone::Head);
        } else {
            canvas.put((*x, y), *width, column.head(), Tone::Head);
        }
        if *column == top.column && canvas.look.color {
            let head = Rect { x: *x, y, width: before, height: 1 };
            canvas.buffer.set_style(head, Modifier::REVERSED);
        }
    }
}
