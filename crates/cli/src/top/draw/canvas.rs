//! Where text is put: lines that end at the screen's edge, in the tones that it has.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};
use unicode_width::UnicodeWidthStr as _;

use crate::{screen::Tone, table::shorten, top::look::Look};

/// Between pieces of a line.
const GAP: u16 = 2;

/// See the module's header. What is put outside of it is nowhere.
pub(super) struct Canvas<'b> {
    pub(super) buffer: &'b mut Buffer,
    pub(super) look: Look,
    pub(super) area: Rect,
}

// === Canvas ===

impl Canvas<'_> {
    /// Puts a harmless text there, shortened to so much; returns how wide it is.
    pub(super) fn put(&mut self, (x, y): (u16, u16), width: u16, text: &str, tone: Tone) -> u16 {
        let width = width.min(self.area.right().saturating_sub(x));
        if width == 0 || !(self.area.y..self.area.bottom()).contains(&y) {
            return 0;
        }
        let text = self.look.text(text);
        let text = shorten(&text, width.into());
        let (end, _) = self.buffer.set_stringn(x, y, &text, width.into(), self.look.style(tone));
        end - x
    }

    /// Puts the text at the right of so much.
    pub(super) fn put_right(&mut self, (x, y): (u16, u16), width: u16, text: &str, tone: Tone) {
        let space = width.saturating_sub(u16::try_from(self.look.text(text).width()).unwrap_or(width));
        self.put((x + space, y), width - space, text, tone);
    }

    /// Puts pieces one behind the other, as many as there is room for; the first one in any case.
    pub(super) fn line(&mut self, y: u16, pieces: &[(String, Tone)]) {
        let mut x = self.area.x;
        for (text, tone) in pieces.iter().filter(|(text, _)| !text.is_empty()) {
            let room = self.area.right().saturating_sub(x);
            // A piece of which hardly anything is seen says nothing.
            if x > self.area.x && room < 8 && usize::from(room) < text.width() {
                return;
            }
            x += self.put((x, y), room, text, *tone) + GAP;
        }
    }

    /// Puts those of the pieces that there is room for, and none in part but the first.
    pub(super) fn pieces(&mut self, y: u16, pieces: &[(String, Tone)]) {
        let (mut end, mut count) = (0, 0);
        for (text, _) in pieces {
            end += text.width();
            if count > 0 && end > usize::from(self.area.width) {
                break;
            }
            (end, count) = (end + usize::from(GAP), count + 1);
        }
        self.line(y, &pieces[..count]);
    }

    /// The whole line in this style too.
    pub(super) fn tint(&mut self, y: u16, style: Style) {
        self.buffer.set_style(Rect { y, height: 1, ..self.area }, style);
    }
}
