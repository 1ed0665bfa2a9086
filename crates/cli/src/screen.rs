//! Where text goes: how wide it is, and whether it shows colours.
//!
//! What is no terminal has no width, and nothing is cut for it. A terminal that does not say its width has the one in COLUMNS, or 80.

use std::{
    ffi::OsStr,
    io::{self, IsTerminal},
    os::fd::AsFd,
};

use clap::ValueEnum;

/// Of a terminal of which nobody says it.
const USUAL: usize = 80;
/// Narrower ones are taken for this wide: nothing could be read there.
const NARROWEST: usize = 20;

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb
    #[default]
    Auto,
    /// Wherever the output goes
    Always,
    /// Nowhere
    Never,
}

/// See the module's header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Screen {
    /// Columns of characters, of a terminal.
    pub width: Option<usize>,
    /// It gets escape sequences for colours.
    pub color: bool,
}

/// How a piece of text is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    #[default]
    Plain,
    /// All is well.
    Good,
    /// Worth a look.
    Warn,
    /// Somebody must act.
    Bad,
    /// Matters less.
    Faint,
    /// What a column or a part is called.
    Head,
}

/// What decides about colours.
struct Surroundings<'s> {
    terminal: bool,
    no_color: Option<&'s OsStr>,
    term: Option<&'s OsStr>,
}

// === Screen ===

impl Screen {
    /// Standard output.
    pub fn of_output(color: Color) -> Self {
        let (no_color, term) = (std::env::var_os("NO_COLOR"), std::env::var_os("TERM"));
        let terminal = io::stdout().is_terminal();
        let around = Surroundings { terminal, no_color: no_color.as_deref(), term: term.as_deref() };
        Self { width: width_of(&io::stdout()), color: color.is_on(&around) }
    }

    /// Standard error, which has no colours.
    pub fn of_complaints() -> Self {
        Self { width: width_of(&io::stderr()), color: false }
    }

    /// The text in its tone.
    pub fn paint(self, tone: Tone, text: &str) -> String {
        match tone.code().filter(|_| self.color && !text.is_empty()) {
            Some(code) => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            None => text.to_owned(),
        }
    }
}

/// Of a terminal; nothing else has one.
fn width_of(stream: &(impl IsTerminal + AsFd)) -> Option<usize> {
    let told = || terminal_size::terminal_size_of(stream).map(|(width, _)| width.0.into());
    stream.is_terminal().then(|| width(told(), std::env::var("COLUMNS").ok().as_deref()))
}

/// A terminal's width, of what it says itself and what COLUMNS says. Serial consoles say nothing, some others that they have none.
fn width(told: Option<usize>, columns: Option<&str>) -> usize {
    let columns = || columns?.trim().parse().ok();
    let some = |width: &usize| *width > 0;
    told.filter(some).or_else(|| columns().filter(some)).unwrap_or(USUAL).max(NARROWEST)
}

// === Tone ===

impl Tone {
    /// Of SGR: the eight colours that every terminal has, in the shades that its owner likes.
    const fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Good => Some("32"),
            Self::Warn => Some("33"),
            Self::Bad => Some("31"),
            Self::Faint => Some("2"),
            Self::Head => Some("1"),
        }
    }
}

// === Color ===

impl Color {
    fn is_on(self, around: &Surroundings<'_>) -> bool {
        let refused = around.no_color.is_some_and(|value| !value.is_empty());
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => around.terminal && !refused && around.term.is_some_and(|term| term != "dumb"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_whose_owner_has_nothing_against_them() {
        let around = |terminal, no_color: Option<&'static str>, term: Option<&'static str>| Surroundings {
            terminal,
            no_color: no_color.map(OsStr::new),
            term: term.map(OsStr::new),
        };
        let xterm = Some("xterm");
        assert!(Color::Auto.is_on(&around(true, None, xterm)));
        assert!(Color::Auto.is_on(&around(true, Some(""), xterm)), "set to nothing is not set");
        assert!(!Color::Auto.is_on(&around(false, None, xterm)));
        assert!(!Color::Auto.is_on(&around(true, Some("1"), xterm)));
        assert!(!Color::Auto.is_on(&around(true, None, Some("dumb"))));
        assert!(!Color::Auto.is_on(&around(true, None, None)));
        assert!(Color::Always.is_on(&around(false, Some("1"), Some("dumb"))));
        assert!(!Color::Never.is_on(&around(true, None, xterm)));
    }

    #[test]
    fn without_colours_text_is_text() {
        let screen = |color| Screen { width: None, color };
        assert_eq!(screen(false).paint(Tone::Bad, "failed"), "failed");
        assert_eq!(screen(true).paint(Tone::Bad, "failed"), "\u{1b}[31mfailed\u{1b}[0m");
        assert_eq!(screen(true).paint(Tone::Plain, "failed"), "failed");
    }

    #[test]
    fn a_terminal_has_a_width_whether_it_says_so_or_not() {
        assert_eq!((width(Some(3), None), width(Some(200), Some("90"))), (NARROWEST, 200));
        for told in [None, Some(0)] {
            assert_eq!((width(told, Some("120")), width(told, Some("4"))), (120, NARROWEST));
            for columns in [None, Some(""), Some("0"), Some("-1"), Some("wide")] {
                assert_eq!(width(told, columns), USUAL, "{columns:?}");
            }
        }
    }
}
