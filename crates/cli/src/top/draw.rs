//! Draws what `top` has: a header, the view, and a line of what keys do, as far as there is room. Pure but for the frame.
//!
//! Only what is seen is laid out, however many rows there are. Where lines are few, the last line goes first, then the header.

use std::time::Duration;

use ratatui::{Frame, layout::Rect};

use super::{look::Look, state::Top, view::View};

mod canvas;
mod details;
mod header;
mod help;
mod table;

use canvas::Canvas;

/// Lines from which on there is a header of two lines, of one, and a last line.
const HEADER: u16 = 8;
const SHORT_HEADER: u16 = 4;
const FOOTER: u16 = 6;

/// Draws it as it is at this moment.
pub(crate) fn draw(frame: &mut Frame<'_>, top: &mut Top, look: Look, now: Duration) {
    let area = frame.area();
    let mut canvas = Canvas { buffer: frame.buffer_mut(), look, area };
    let lines = match area.height {
        HEADER.. => 2,
        SHORT_HEADER.. => 1,
        _ => 0,
    };
    let last = u16::from(area.height >= FOOTER);
    header::draw(&mut canvas, top, lines, now);
    let middle = Rect { y: area.y + lines, height: area.height.saturating_sub(lines + last), ..area };
    match &mut top.view {
        View::Table | View::Typing => table::draw(&mut canvas, top, middle),
        View::Help => help::draw(&mut canvas, middle),
        View::Details(details) => details::draw(&mut canvas, details, middle, now),
    }
    if last > 0 {
        header::draw_last(&mut canvas, top, area.bottom() - 1);
    }
}
