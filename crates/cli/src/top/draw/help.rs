//! What keys do, and what columns mean.

use ratatui::layout::Rect;

use super::canvas::Canvas;
use crate::screen::Tone;

const LINES: [(&str, &str); 21] = [
    ("up down j k", "select a replica; page up, page down, home, end too"),
    ("enter", "what is known of the selected one, and its last decisions"),
    ("< > left right", "sort by the column beside"),
    ("r", "sort the other way round"),
    ("/", "only rows with a text in address, health, node, pools, models"),
    ("space", "pause: nothing is asked until it is pressed again"),
    ("ctrl-l", "draw all of it anew"),
    ("q ctrl-c", "quit"),
    ("", ""),
    ("SCORE", "0 avoid it, 1 idle: health * (1 - KV) / (1 + QUEUE / 8)"),
    ("QUEUE RUN", "requests that wait in its engine, and that run"),
    ("KV CACHE", "share of its KV cache in use"),
    ("FLIGHT", "requests of this router under way there"),
    ("REQ/S", "requests that this router sends there, of the last seconds"),
    ("AGE", "how old its oldest reading is"),
    ("GPU", "the worst card of its node; with --agent, of its own"),
    ("HEALTH", "what speaks against it or its GPU"),
    ("LANE", "kernel: responses may take the kernel lane"),
    ("LORA", "adapters in use, + waited for, of most at once"),
    ("", ""),
    ("", "not known is -; columns without room are left out"),
];

/// Draws as much as there is room for.
pub(super) fn draw(canvas: &mut Canvas<'_>, area: Rect) {
    let indent = LINES.iter().map(|(key, _)| key.len() as u16).max().unwrap_or(0) + 2;
    for (y, (key, text)) in (area.y..area.bottom()).zip(LINES) {
        canvas.put((area.x, y), indent, key, Tone::Head);
        canvas.put((area.x + indent, y), area.width.saturating_sub(indent), text, Tone::Plain);
    }
}
