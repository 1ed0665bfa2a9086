//! Tables: columns as wide as what they hold, and on a terminal never wider than it. Pure.
//!
//! Too wide, long texts are shortened first; then columns go, those that matter least first, and a line says so.

use unicode_width::UnicodeWidthStr as _;

use crate::{
    clean::clean,
    screen::{Screen, Tone},
};

mod layout;

use layout::GAP;
pub(crate) use layout::{Column as Space, fit, shorten};

/// Clients give requests their ids, and one of a kilobyte would push all else off the page. The forms for programs have it whole.
const ID_CHARS: usize = 64;

/// A column's name and manners.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    head: &'static str,
    /// Numbers stand at the right.
    right: bool,
    /// It may be shortened to so much.
    least: Option<usize>,
    /// Only in wide tables.
    wide: bool,
    /// Those with more go first.
    rank: u8,
}

/// What stands in a row and column, harmless.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    text: String,
    tone: Tone,
}

/// See the module's header.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    /// Widths that columns have at least.
    floors: Vec<usize>,
}

// === Column ===

/// A column of texts. Those of the highest `rank` are left out first, the last of them before the others.
pub const fn column(head: &'static str, rank: u8) -> Column {
    Column { head, right: false, least: None, wide: false, rank }
}

impl Column {
    /// Of numbers.
    pub const fn right(self) -> Self {
        Self { right: true, ..self }
    }

    /// Of texts that may be shortened to so much.
    pub const fn long(self, least: usize) -> Self {
        Self { least: Some(least), ..self }
    }

    /// Only for those who want to see more.
    pub const fn wide(self) -> Self {
        Self { wide: true, ..self }
    }
}

// === Cell ===

impl Cell {
    /// A text that anybody may have written. An empty one is [`Self::none`]: a column without anything in it would shift those
    /// behind it, for who cuts lines at blanks.
    pub fn new(text: impl AsRef<str>) -> Self {
        let text = clean(text.as_ref());
        if text.is_empty() { Self::none() } else { Self { text: text.into_owned(), tone: Tone::Plain } }
    }

    /// An id that anybody may have given: shortened wherever it is shown.
    pub fn id(text: impl AsRef<str>) -> Self {
        Self { text: shorten(&clean(text.as_ref()), ID_CHARS).into_owned(), tone: Tone::Plain }
    }

    /// What is not known, or does not apply.
    pub fn none() -> Self {
        Self { text: "-".to_owned(), tone: Tone::Faint }
    }

    /// What is known, or [`Self::none`].
    pub fn maybe(text: Option<impl AsRef<str>>) -> Self {
        text.map_or_else(Self::none, Self::new)
    }

    /// Several, or [`Self::none`].
    pub fn list(texts: &[impl AsRef<str>]) -> Self {
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        if texts.is_empty() { Self::none() } else { Self::new(texts.join(",")) }
    }

    /// `yes`, or `no`.
    pub fn truth(is: bool) -> Self {
        Self::new(if is { "yes" } else { "no" })
    }

    /// What stands there.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// How it is meant.
    pub(crate) fn tone(&self) -> Tone {
        self.tone
    }

    /// The same in this tone.
    pub fn toned(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }
}

// === Table ===

impl Table {
    /// An empty one.
    pub fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new(), floors: Vec::new() }
    }

    /// The same with these rows, each with a cell for each column.
    pub fn with(mut self, rows: impl IntoIterator<Item = Vec<Cell>>) -> Self {
        self.rows.extend(rows);
        self
    }

    /// The same with columns of these widths at least, so that tables below each other fit.
    pub fn at_least(self, floors: &[usize]) -> Self {
        Self { floors: floors.to_vec(), ..self }
    }

    /// As text; `wide`: with all columns.
    pub fn draw(&self, screen: Screen, wide: bool) -> String {
        let shown: Vec<usize> =
            (0..self.columns.len()).filter(|at| wide || !self.columns[*at].wide).collect();
        let columns: Vec<layout::Column> = shown.iter().map(|at| self.measure(*at)).collect();
        let widths = fit(&columns, screen.width);
        let cells: Vec<(usize, usize)> =
            shown.iter().zip(&widths).filter_map(|(at, width)| Some((*at, (*width)?))).collect();
        let mut text = self.line(screen, &cells, |at| (self.columns[at].head, Tone::Head));
        for row in &self.rows {
            text += &self.line(screen, &cells, |at| {
                row.get(at).map_or(("", Tone::Plain), |cell| (cell.text.as_str(), cell.tone))
            });
        }
        let left_out = shown.iter().zip(&widths).filter(|(_, width)| width.is_none());
        let left_out: Vec<&str> = left_out.map(|(at, _)| self.columns[*at].head).collect();
        if !left_out.is_empty() {
            let note = format!("(no room for {})", left_out.join(", "));
            text += &(screen.paint(Tone::Faint, &shorten(&note, screen.width.unwrap_or(usize::MAX))) + "\n");
        }
        text
    }

    fn measure(&self, at: usize) -> layout::Column {
        let Column { head, least, rank, .. } = self.columns[at];
        let cells = self.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.text.width());
        let floor = self.floors.get(at).copied().unwrap_or(0);
        let width = cells.max().unwrap_or(0).max(head.width()).max(floor);
        let least = least.map_or(width, |least| least.max(head.width()).min(width));
        layout::Column { width, least, rank }
    }

    fn line<'t>(
        &self,
        screen: Screen,
        cells: &[(usize, usize)],
        cell: impl Fn(usize) -> (&'t str, Tone),
    ) -> String {
        let mut line = String::new();
        for (place, (at, width)) in cells.iter().enumerate() {
            let (text, tone) = cell(*at);
            let text = shorten(text, *width);
            let space = " ".repeat(width.saturating_sub(text.width()));
            let painted = screen.paint(tone, &text);
            let last = place + 1 == cells.len();
            line += if place > 0 { GAP } else { "" };
            line += &match (self.columns[*at].right, last) {
                (true, _) => space + &painted,
                (false, false) => painted + &space,
                (false, true) => painted,
            };
        }
        line.truncate(line.trim_end_matches(' ').len());
        line + "\n"
    }
}

#[cfg(test)]
mod tests;
