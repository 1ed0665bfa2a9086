//! How `top` looks on a terminal: in colours or without, with the bars and letters that its locale has. Pure.

use std::borrow::Cow;

use ratatui::style::{Color, Modifier, Style};
use unicode_width::UnicodeWidthStr as _;

use crate::{screen::Tone, units};

/// Eighths of a character, filled from the left.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
/// What stands behind a bar: ` 100%`.
const PERCENT: usize = 5;

/// See the module's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// Without, no attribute is sent either, such as bold.
    pub(crate) color: bool,
    /// Otherwise nothing but ASCII is sent.
    pub(crate) utf8: bool,
}

/// Whether a locale writes UTF-8, by the values of `LC_ALL`, `LC_CTYPE` and `LANG`: the first that is set to something decides.
pub(crate) fn is_utf8(locale: [Option<&str>; 3]) -> bool {
    let named = locale.into_iter().flatten().find(|name| !name.is_empty()).unwrap_or_default();
    let name = named.to_ascii_lowercase();
    name.contains("utf-8") || name.contains("utf8")
}

// === Look ===

impl Look {
    pub(super) fn style(self, tone: Tone) -> Style {
        let style = Style::new();
        match tone {
            _ if !self.color => style,
            Tone::Plain => style,
            Tone::Good => style.fg(Color::Green),
            Tone::Warn => style.fg(Color::Yellow),
            Tone::Bad => style.fg(Color::Red),
            Tone::Faint => style.add_modifier(Modifier::DIM),
            Tone::Head => style.add_modifier(Modifier::BOLD),
        }
    }

    /// Of what is chosen; its colours stay.
    pub(super) fn chosen(self) -> Style {
        if self.color { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() }
    }

    /// A harmless text as this terminal can show it.
    pub(super) fn text(self, text: &str) -> Cow<'_, str> {
        if self.utf8 || text.is_ascii() {
            return Cow::Borrowed(text);
        }
        let shown =
            text.chars().map(|c| if c.is_ascii() { c.to_string() } else { c.escape_unicode().to_string() });
        Cow::Owned(shown.collect())
    }

    /// A share, 0..=1, as a bar and in percent, together so wide; below that the percentage alone.
    pub(super) fn bar(self, share: f32, width: usize) -> String {
        let percent = format!("{:>PERCENT$}", units::percent(share));
        let Some(steps) = width.checked_sub(percent.width()).filter(|steps| *steps > 0) else {
            return percent;
        };
        // What is no number counts as empty.
        let eighths = ((share * (steps * 8) as f32).round() as usize).min(steps * 8);
        let bar = match self.utf8 {
            true => {
                let part = EIGHTHS[eighths % 8];
                let rest = steps - eighths / 8 - usize::from(!part.is_empty());
                "█".repeat(eighths / 8) + part + &"░".repeat(rest)
            }
            false => {
                let full = (eighths + 4) / 8;
                "#".repeat(full) + &".".repeat(steps - full)
            }
        };
        bar + &percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_locale_that_is_set_decides() {
        assert!(is_utf8([None, None, Some("en_US.UTF-8")]));
        assert!(is_utf8([Some(""), Some("C.utf8"), Some("C")]));
        assert!(!is_utf8([Some("C"), None, Some("en_US.UTF-8")]));
        assert!(!is_utf8([None, None, Some("de_DE.ISO-8859-1")]));
        assert!(!is_utf8([None, None, None]), "POSIX is what there is without any");
    }

    #[test]
    fn a_bar_is_as_wide_as_it_may_be_whatever_it_shows() {
        for utf8 in [true, false] {
            let look = Look { color: false, utf8 };
            for share in [0.0, 0.004, 0.33, 0.5, 0.999, 1.0, 7.0, -1.0, f32::NAN, f32::INFINITY] {
                for width in 6..20 {
                    let bar = look.bar(share, width);
                    // What no share can be may take more; the table cuts it.
                    assert!(
                        bar.width() == width || units::percent(share).len() > 4,
                        "{bar:?} is not {width} wide"
                    );
                }
            }
        }
        let look = |utf8| Look { color: false, utf8 };
        assert_eq!(look(false).bar(0.62, 15), "######....  62%");
        assert_eq!(look(true).bar(0.62, 15), "██████▎░░░  62%");
        assert_eq!(look(true).bar(0.62, 4), "  62%");
    }

    #[test]
    fn a_terminal_of_another_locale_gets_ascii_only() {
        let look = Look { color: true, utf8: false };
        assert_eq!(look.text("模型-1"), "\\u{6a21}\\u{578b}-1");
        assert!(look.bar(0.4, 12).is_ascii());
    }
}
